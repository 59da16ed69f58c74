//! The two upstreams, as values and as types.
//!
//! They are types so that the compiler refuses to use a credential, a fingerprint or a cache key of one upstream for
//! the other.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An upstream API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum UpstreamName {
    /// The integration status of a workspace: `GET /v1/settings/providers`.
    Leadlex,
    /// Connected accounts: `GET /api/v3/connected_accounts`.
    Composio,
}

impl UpstreamName {
    /// Returns the name in settings and metrics.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::Leadlex => "leadlex",
            Self::Composio => "composio",
        }
    }
}

impl fmt::Display for UpstreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leadlex => "LEADLEX",
            Self::Composio => "COMPOSIO",
        })
    }
}

/// An upstream as a type parameter.
pub trait Upstream: Send + Sync + 'static {
    /// The same upstream as a value.
    const NAME: UpstreamName;
}

/// LeadLex as a type.
#[derive(Debug)]
pub enum Leadlex {}

/// Composio as a type.
#[derive(Debug)]
pub enum Composio {}

impl Upstream for Leadlex {
    const NAME: UpstreamName = UpstreamName::Leadlex;
}

impl Upstream for Composio {
    const NAME: UpstreamName = UpstreamName::Composio;
}
