//! The sandbox's clock, used by quota windows and the request log.
//!
//! It is a parameter, so that a test can start at 23:59:59 UTC. It is a closure and not Switchboard's clock type,
//! because the sandbox shares no type with the code that it tests.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

/// A source of the current time; cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// Returns the system clock.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the one place of the sandbox that reads the real clock")]
    pub fn system() -> Self {
        Self::new(Timestamp::now)
    }

    /// Creates a clock that calls `now`.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
