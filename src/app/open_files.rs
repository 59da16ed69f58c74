//! The process's limit of open files, and the number of client connections that it allows.
//!
//! The usual soft limit of 1,024 exists for programs that use `select`; [`raise_limit`] raises it to the hard limit. A
//! part of the limit is reserved for probes, refused connections, upstream calls and everything else, so that idle
//! clients cannot use up all files. If the limit is too small for that, clients still get a quarter of it.

use crate::config::Config;
use crate::http::serve::REFUSED_AT_ONCE;

/// Maximum number of connections of the ops listener: probes and scrapers.
const OPS_CONNECTIONS_MAX: usize = 64;

/// Number of listeners: public and ops.
const LISTENERS: usize = 2;

/// Files for the log, the runtime, listeners, Redis, the trace collector, keys and DNS.
const OTHER_FILES: usize = 64;

/// The connection limits of both listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Maximum number of connections of the public listener.
    pub public: usize,
    /// Maximum number of connections of the ops listener.
    pub ops: usize,
    configured: usize,
    /// Number of files that everything else should have.
    reserve_wanted: usize,
    files_max: Option<usize>,
}

impl ConnectionLimits {
    /// Returns the limits for a configuration, in a process that may open `files_max` files (`None`: any number).
    #[must_use]
    pub fn new(config: &Config, files_max: Option<usize>) -> Self {
        let (configured, upstream) = (config.server.connections_max, &config.upstream);
        let ops = configured.min(OPS_CONNECTIONS_MAX);
        let calls = [&upstream.leadlex, &upstream.composio]
            .map(|upstream| usize::try_from(upstream.concurrency.all_calls_max).unwrap_or(usize::MAX));
        // A listener at its limit refuses connections with a response, and has up to `REFUSED_AT_ONCE` such ones open.
        let local_files = OTHER_FILES + ops + LISTENERS * REFUSED_AT_ONCE;
        let reserve_wanted = calls.into_iter().fold(local_files, usize::saturating_add);
        // Clients get at least a quarter of the files, even if that cuts into the reserve.
        let allowed = files_max.map(|files| files.saturating_sub(reserve_wanted).max(files / 4).max(1));
        let public = allowed.unwrap_or(configured).min(configured);
        Self { public, ops, configured, reserve_wanted, files_max }
    }

    /// Returns the problem, if the process may not open enough files.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let Self { public, configured, reserve_wanted, files_max, ops: _ } = self;
        let files_max = files_max.filter(|_| public < configured)?;
        let needed = configured.saturating_add(*reserve_wanted);
        Some(format!(
            "server.connections_max is {configured}, but the process may open {files_max} files: at most {public} client connections \
             are accepted. Raise the hard limit of open files (ulimit -Hn, LimitNOFILE) to {needed}, or lower \
             server.connections_max."
        ))
    }

    /// Returns the limits in one line.
    #[must_use]
    pub fn description(&self) -> String {
        let files = match self.files_max {
            Some(files) => format!("the process may open {files} files"),
            None => "the process may open any number of files".to_owned(),
        };
        format!(
            "at most {} client connections; {files}, {} are wanted for everything else",
            self.public, self.reserve_wanted
        )
    }
}

/// Raises the soft limit of open files to the hard limit and returns it, or the present limit if it cannot be raised.
/// `None` is unlimited.
#[cfg(unix)]
pub fn raise_limit() -> Option<usize> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised_limit = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let is_raised = setrlimit(Resource::Nofile, raised_limit).is_ok();
    let files = if is_raised { limit.maximum } else { limit.current };
    files.and_then(|files| usize::try_from(files).ok())
}

/// Returns `None`: other systems have no such limit.
#[cfg(not(unix))]
pub fn raise_limit() -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ApiKeys, ConfigSources};

    fn config() -> Config {
        Config::load(ConfigSources { keys: ApiKeys::Optional, ..ConfigSources::default() }).unwrap()
    }

    #[test]
    fn a_large_limit_of_files_allows_all_configured_connections() {
        for files in [None, Some(4_864), Some(1_048_576)] {
            let limits = ConnectionLimits::new(&config(), files);
            assert_eq!((limits.public, limits.ops, limits.warning()), (4_096, 64, None));
        }
    }

    #[test]
    fn a_small_limit_of_files_reduces_the_connections_to_a_quarter_of_it() {
        let limits = ConnectionLimits::new(&config(), Some(1_024));
        assert_eq!((limits.public, limits.reserve_wanted), (256, 768));
        let warning = limits.warning().unwrap();
        for part in
            ["server.connections_max is 4096", "may open 1024 files", "at most 256 client", "to 4864,"]
        {
            assert!(warning.contains(part), "{warning}");
        }
    }

    #[test]
    fn the_reserve_is_kept_if_the_limit_is_large_enough_for_it() {
        let limits = ConnectionLimits::new(&config(), Some(2_000));
        assert_eq!((limits.public, limits.reserve_wanted), (1_232, 768));
    }

    #[test]
    fn a_limit_below_the_reserve_still_allows_a_few_connections() {
        assert_eq!(ConnectionLimits::new(&config(), Some(16)).public, 4);
        assert_eq!(ConnectionLimits::new(&config(), Some(1)).public, 1);
    }

    #[cfg(unix)]
    #[test]
    fn the_soft_limit_is_raised_to_the_hard_limit() {
        use rustix::process::{Resource, getrlimit};
        let raised_limit = raise_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert_eq!(raised_limit, limit.current.and_then(|files| usize::try_from(files).ok()));
    }
}
