//! The sandbox's own clock: what the quota windows and the request log go by.
//!
//! A parameter and not the system's time, so that a test can stand at 23:59:59 UTC. It is a closure and not the
//! client's clock type, because the sandbox shares no type with what it is there to test.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

/// Tells the sandbox what time it is. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's clock.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the one place of the sandbox that reads the real clock")]
    pub fn system() -> Self {
        Self::new(Timestamp::now)
    }

    /// A clock that tells what `now` says.
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
