//! Jumps of the wall clock: checked each second here and at each request elsewhere, and logged here.
//!
//! After a jump, callers are authenticated again as after a reload, so that streams end whose tokens have expired in
//! the meantime.

use std::convert::Infallible;
use std::time::Duration;

use super::hot_reload::HotReload;
use crate::domain::clock::{Clock, ClockJumps};

const INTERVAL: Duration = Duration::from_secs(1);

/// Follows the system's clock. Never returns.
pub(super) async fn follow(hot_reload: &HotReload) -> Infallible {
    let mut known = Clock::system().jumps();
    loop {
        tokio::time::sleep(INTERVAL).await;
        Clock::follow_system();
        let now = Clock::system().jumps();
        if now == known {
            continue;
        }
        log(known, now);
        known = now;
        let hot_reload = hot_reload.clone();
        // Parsing the schema would delay requests.
        let reloaded = tokio::task::spawn_blocking(move || hot_reload.authenticate_again());
        if let Ok(Err(error)) = reloaded.await {
            tracing::error!("open streams were not authenticated again after a jump of the clock: {error:#}");
        }
    }
}

fn log(before: ClockJumps, now: ClockJumps) {
    let seconds = |before: Duration, now: Duration| now.saturating_sub(before).as_secs_f64().round();
    if now.forward > before.forward {
        tracing::warn!(
            seconds = seconds(before.forward, now.forward),
            "the wall clock jumped forward, after a suspend or a correction: cached data is older by that"
        );
    }
    if now.back > before.back {
        tracing::warn!(
            seconds = seconds(before.back, now.back),
            "the wall clock was set back: token expiry and timestamps follow it, and cached data does not become younger"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::tests::logged;

    #[test]
    fn each_jump_is_logged_once_with_its_length() {
        let jumps = |forward, back| ClockJumps {
            forward: Duration::from_secs(forward),
            back: Duration::from_secs(back),
        };
        let forward = logged(|| log(jumps(10, 0), jumps(28_810, 0)));
        assert!(forward.contains("jumped forward") && forward.contains("seconds=28800"), "{forward}");
        let back = logged(|| log(jumps(10, 0), jumps(10, 7_200)));
        assert!(back.contains("set back") && back.contains("seconds=7200"), "{back}");
        assert_eq!((forward.lines().count(), back.lines().count()), (1, 1));
    }
}
