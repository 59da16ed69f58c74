//! Reload of the configuration on SIGHUP, while `serve` runs.
//!
//! The file, the environment and the flags of the start are loaded and validated again. If there are problems, they are
//! logged and nothing changes.

use std::io;
use std::sync::Arc;

use super::arguments::sources;
use super::systemd;
use crate::app::hot_reload::HotReload;
use crate::config::{ApiKeys, Config, ConfigErrors};
use crate::telemetry::Level;

/// The sources of the configuration, for the start and each reload.
#[derive(Clone)]
pub(super) struct ServeSources {
    pub(super) file: Option<std::path::PathBuf>,
    pub(super) flags: Vec<(&'static str, &'static str, String)>,
}

impl ServeSources {
    pub(super) fn load(&self) -> Result<Config, ConfigErrors> {
        Config::load(sources(self.file.clone(), self.flags.clone(), ApiKeys::Required))
    }
}

/// The signal that requests a reload, SIGHUP.
///
/// It is caught from [`Self::listen`] on: a signal during the start does not end the process, and is handled once
/// [`Self::run`] runs.
pub(super) struct ReloadSignal {
    #[cfg(unix)]
    hangup: tokio::signal::unix::Signal,
}

impl ReloadSignal {
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

    /// Reloads on each signal, one after the other. Never returns.
    pub(super) async fn run(mut self, sources: ServeSources, hot_reload: HotReload, level: Level) {
        let parts = Arc::new((sources, hot_reload, level));
        while self.next().await.is_some() {
            systemd::reloading();
            let parts = Arc::clone(&parts);
            // Reading files and parsing the schema would block requests.
            let done = tokio::task::spawn_blocking(move || {
                let (sources, hot_reload, level) = &*parts;
                reload(sources, hot_reload, level);
            });
            if done.await.is_err() {
                tracing::error!(
                    "the reload of the configuration panicked; the old configuration stays in force"
                );
            }
            systemd::ready();
        }
        std::future::pending().await
    }
}

fn reload(sources: &ServeSources, hot_reload: &HotReload, level: &Level) {
    let loaded = sources.load();
    let next = loaded.as_ref().map(|config| (config.log.clone(), config.warnings())).ok();
    let reloaded = hot_reload.reload(loaded);
    if let (Ok(_), Some((log, warnings))) = (&reloaded, next) {
        level.set(&log);
        for warning in warnings {
            tracing::warn!("{warning}");
        }
    }
    match reloaded {
        Ok(changed) if changed.is_empty() => {
            tracing::info!(
                "configuration reloaded: no setting has changed; the files that settings name were read again"
            );
        }
        Ok(changed) => tracing::info!(changed = %changed.join(", "), "configuration reloaded"),
        Err(problems) => {
            for line in problems.to_string().lines() {
                tracing::error!("configuration not reloaded: {line}");
            }
        }
    }
}
