//! Random calls, cancellations, outages and restarts of replicas that share one starter key.

use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use switchboard::sandbox::Settings;
use switchboard::upstream::quota::Purpose::{Needed, Refresh};

use super::{Fleet, MINUTE, advance_secs, left_after_a_second};
use crate::replicas::memory::Behaviour;

const SCHEDULES: u64 = 50;
const STEPS: u32 = 150;

#[tokio::test(start_paused = true)]
async fn no_schedule_of_calls_outages_and_restarts_causes_a_429() {
    for seed in 0..SCHEDULES {
        run(seed).await;
    }
}

async fn run(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let fleet = Fleet::with_settings(Settings { latency_ms: rng.u64(0..3_000), ..Settings::default() });
    let mut replicas = Vec::from(fleet.three());
    let mut is_away = false;
    for step in 0..STEPS {
        let index = rng.usize(0..replicas.len());
        match rng.u8(0..10) {
            0..5 => {
                let calls = replicas.iter().map(|replica| {
                    let (count, purpose) = (rng.usize(0..3), if rng.bool() { Needed } else { Refresh });
                    join_all((0..count).map(move |_| replica.list(purpose)))
                });
                join_all(calls.collect::<Vec<_>>()).await;
            }
            5 => {
                let cancelled = Duration::from_millis(rng.u64(0..2_000));
                let _ = tokio::time::timeout(cancelled, replicas[index].list(Needed)).await;
            }
            6 => {
                // Calls of the minute before an outage may be unknown to the other replicas.
                left_after_a_second([&replicas[0], &replicas[1], &replicas[2]]).await;
                advance_secs(if is_away { 0 } else { 2 * MINUTE + 10 }).await;
                is_away = rng.bool();
                let failures = [Behaviour::Away, Behaviour::Refusing, Behaviour::Full];
                let failure = failures[rng.usize(0..failures.len())];
                for replica in &replicas {
                    replica.line.set_behaviour(if is_away { failure } else { Behaviour::Well });
                }
            }
            // A replica that is killed during an outage takes its calls with it.
            7 if !is_away => {
                advance_secs(10).await;
                replicas[index] = fleet.replica();
                advance_secs(1).await;
            }
            _ => advance_secs(rng.u64(0..70)).await,
        }
        assert_eq!(fleet.refusals(), 0, "a 429 that Switchboard caused: schedule {seed}, step {step}");
    }
    assert!(fleet.calls() > 20, "schedule {seed}: {} calls", fleet.calls());
}
