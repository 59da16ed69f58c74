//! The situations that `demo --scenario` can show.

use clap::ValueEnum;

use super::faults::{Fault, FaultBody};
use super::settings::Settings;
use super::{EmulatedUpstream, Sandbox};
use http::StatusCode;

/// A situation of the two upstreams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// All is well.
    Healthy,
    /// LeadLex answers 503.
    LeadlexDown,
    /// LeadLex answers 429 (its minute limit: the day is not used up).
    #[value(name = "leadlex-429")]
    Leadlex429,
    /// Composio answers 503.
    ComposioDown,
    /// Composio answers its documented 429, to be tried again in 30 seconds.
    #[value(name = "composio-429")]
    Composio429,
    /// Every answer takes a second and a half.
    Slow,
    /// The upstreams of a year from now: new fields, new words, a row of no use.
    Drift,
    /// The newest 3,000 accounts are all of one toolkit.
    Skewed,
}

impl Scenario {
    /// The settings of a sandbox in this situation.
    #[must_use]
    pub fn settings(self, base: Settings) -> Settings {
        match self {
            Self::Slow => Settings { latency_ms: base.latency_ms.max(1_500), ..base },
            Self::Skewed => Settings { skew: true, ..base },
            _ => base,
        }
    }

    /// Brings the sandbox into this situation.
    pub fn arrange(self, sandbox: &Sandbox) {
        let status = |status| Fault { status: Some(status), ..Fault::default() };
        let down = status(StatusCode::SERVICE_UNAVAILABLE);
        let limited = status(StatusCode::TOO_MANY_REQUESTS);
        match self {
            Self::Healthy | Self::Slow | Self::Skewed => {}
            Self::LeadlexDown => sandbox.emulate(EmulatedUpstream::Leadlex, Some(down)),
            Self::Leadlex429 => sandbox.emulate(EmulatedUpstream::Leadlex, Some(limited)),
            Self::ComposioDown => sandbox.emulate(EmulatedUpstream::Composio, Some(down)),
            Self::Composio429 => {
                let documented = Fault { retry_after: Some(30), body: FaultBody::Documented, ..limited };
                sandbox.emulate(EmulatedUpstream::Composio, Some(documented));
            }
            Self::Drift => sandbox.drift(true),
        }
    }
}
