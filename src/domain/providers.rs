//! Integrations of a workspace, as LeadLex returns them (docs/upstreams.md#leadlex-providers).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::open_enum::{OpenValue, open_enum};

open_enum! {
    /// The category of an integration (docs/upstreams.md#leadlex-providers, an open list).
    ProviderCategory, unknown:
    /// A category that this version does not know.
    Other,
    Email = "email",
    Calendar = "calendar",
    Channels = "channels",
    Identity = "identity",
    Storage = "storage",
    Billing = "billing",
}

open_enum! {
    /// The status of an integration (docs/upstreams.md#leadlex-providers).
    ProviderStatus, unknown:
    /// A missing status, or one that this version does not know.
    Unknown,
    Healthy = "healthy",
    Degraded = "degraded",
    NeedsReauth = "needs_reauth",
    Disconnected = "disconnected",
}

/// An integration of the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// The category.
    pub category: OpenValue<ProviderCategory>,
    /// `gmail`, `microsoft`, …: not unique, because `microsoft` is an email and a calendar provider.
    pub name: Box<str>,
    /// Distinguishes rows of equal category, name and account; 0 for the first one.
    pub ordinal: u32,
    /// Whether a valid connection exists.
    pub connected: bool,
    /// The account at the provider; it can be an email address.
    pub account_id: Option<Box<str>>,
    /// Display name.
    pub display_name: Option<Box<str>>,
    /// Granted OAuth scopes.
    pub scopes: Vec<Box<str>>,
    /// Time of the first connection.
    pub connected_at: Option<Timestamp>,
    /// Time of the last successful sync.
    pub last_sync_at: Option<Timestamp>,
    /// The status.
    pub status: OpenValue<ProviderStatus>,
    /// The upstream's explanation of a status other than healthy.
    pub error_message: Option<Box<str>>,
}

impl Provider {
    /// Creates an expected provider of which only category and name are known.
    #[must_use]
    pub fn expected(category: &str, name: &str) -> Self {
        Self {
            category: OpenValue::parse(category),
            name: name.into(),
            ordinal: 0,
            connected: true,
            account_id: None,
            display_name: None,
            scopes: Vec::new(),
            connected_at: None,
            last_sync_at: None,
            status: OpenValue::Known(ProviderStatus::Healthy),
            error_message: None,
        }
    }

    /// Returns the approximate memory use in bytes.
    pub(crate) fn weight_bytes(&self) -> usize {
        let text = |text: &Option<Box<str>>| text.as_deref().map_or(0, str::len);
        size_of::<Self>()
            + self.category.weight_bytes()
            + self.name.len()
            + self.status.weight_bytes()
            + text(&self.account_id)
            + text(&self.display_name)
            + text(&self.error_message)
            + self.scopes.iter().map(|scope| scope.len() + size_of::<Box<str>>()).sum::<usize>()
    }
}
