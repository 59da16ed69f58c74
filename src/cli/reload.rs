//! The configuration read again on SIGHUP, while `serve` goes on.
//!
//! The same sources are read and judged as at the start. What is wrong is told in a line each and changes nothing.

use std::io;
use std::sync::Arc;

use super::sources;
use crate::app::hot_reload::HotReload;
use crate::config::{ApiKeys, Config, ConfigErrors};
use crate::telemetry::Level;

/// Where a configuration is read from, as often as it is.
#[derive(Clone)]
pub(super) struct Origins {
    pub(super) file: Option<std::path::PathBuf>,
    pub(super) flags: Vec<(&'static str, &'static str, String)>,
}

impl Origins {
    pub(super) fn read(&self) -> Result<Config, ConfigErrors> {
        Config::load(sources(self.file.clone(), self.flags.clone(), ApiKeys::Required))
    }
}

/// The signal by which a process is asked to read its configuration again.
///
/// It is caught from the moment this is made: one that comes before there is anything to reload ends nobody, and is obeyed then.
pub(super) struct Reloads {
    #[cfg(unix)]
    hangup: tokio::signal::unix::Signal,
}

impl Reloads {
    #[cfg(unix)]
    pub(super) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { hangup: signal(SignalKind::hangup())? })
    }

    #[cfg(not(unix))]
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(unix)]
    async fn next(&mut self) -> Option<()> {
        self.hangup.recv().await
    }

    #[cfg(not(unix))]
    async fn next(&mut self) -> Option<()> {
        std::future::pending().await
    }

    /// Reloads whenever it is asked for, one time after the other.
    pub(super) async fn obey(mut self, origins: Origins, live: HotReload, level: Level) {
        let again = Arc::new((origins, live, level));
        while self.next().await.is_some() {
            let again = Arc::clone(&again);
            // Files are read and a schema is parsed: requests must not wait for that.
            let done = tokio::task::spawn_blocking(move || {
                let (origins, live, level) = &*again;
                reload(origins, live, level);
            });
            if done.await.is_err() {
                tracing::error!("the configuration could not be reloaded");
            }
        }
        std::future::pending().await
    }
}

fn reload(origins: &Origins, live: &HotReload, level: &Level) {
    let read = origins.read();
    let told = read.as_ref().map(|config| (config.log.clone(), config.warnings())).ok();
    let reloaded = live.reload(read);
    if let (Ok(_), Some((log, warnings))) = (&reloaded, told) {
        level.set(&log);
        for warning in warnings {
            tracing::warn!("{warning}");
        }
    }
    match reloaded {
        Ok(changed) if changed.is_empty() => {
            tracing::info!(
                "configuration reloaded: no setting has changed, the files that they name were read again"
            );
        }
        Ok(changed) => tracing::info!(changed = %changed.join(", "), "configuration reloaded"),
        Err(refused) => {
            for line in refused.to_string().lines() {
                tracing::error!("configuration not reloaded: {line}");
            }
        }
    }
}
