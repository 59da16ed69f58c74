//! The scenarios of `demo --scenario`.

use clap::ValueEnum;

use super::faults::{Fault, FaultBody};
use super::settings::Settings;
use super::{EmulatedUpstream, Sandbox};
use http::StatusCode;

/// A state of both upstreams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Everything works.
    Healthy,
    /// LeadLex returns 503.
    LeadlexDown,
    /// LeadLex returns 429 (its minute limit; the day is not exhausted).
    #[value(name = "leadlex-429")]
    Leadlex429,
    /// Composio returns 503.
    ComposioDown,
    /// Composio returns its documented 429, with a retry after 30 seconds.
    #[value(name = "composio-429")]
    Composio429,
    /// Every response takes a second and a half.
    Slow,
    /// Schema drift: new fields, new enum values, an unusable row.
    Drift,
    /// The newest 3,000 accounts belong to one toolkit.
    Skewed,
}

impl Scenario {
    /// Returns the settings of a sandbox in this scenario.
    #[must_use]
    pub fn settings(self, base: Settings) -> Settings {
        match self {
            Self::Slow => Settings { latency_ms: base.latency_ms.max(1_500), ..base },
            Self::Skewed => Settings { skew: true, ..base },
            _ => base,
        }
    }

    /// Applies this scenario to a sandbox.
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
            Self::Drift => sandbox.set_drift(true),
        }
    }
}
