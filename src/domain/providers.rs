//! An integration of the workspace, as LeadLex tells it (UPSTREAMS.md B).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::open_enum::{OpenValue, open_enum};

open_enum! {
    /// What an integration is for (UPSTREAMS.md B1, an open list).
    ProviderCategory, unknown:
    /// A category that this layer does not know.
    Other,
    Email = "email",
    Calendar = "calendar",
    Channels = "channels",
    Identity = "identity",
    Storage = "storage",
    Billing = "billing",
}

open_enum! {
    /// How an integration fares (UPSTREAMS.md B1).
    ProviderStatus, unknown:
    /// A word that this layer does not know, or none at all.
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
    /// What it is for.
    pub category: OpenValue<ProviderCategory>,
    /// `gmail`, `microsoft`, …: not unique, `microsoft` is an e-mail and a calendar provider.
    pub name: Box<str>,
    /// Tells rows of equal category, name and account apart: 0 for the first of them.
    pub ordinal: u32,
    /// Whether a valid connection exists.
    pub connected: bool,
    /// The provider-side account; it can be an e-mail address.
    pub account_id: Option<Box<str>>,
    /// Friendly name.
    pub display_name: Option<Box<str>>,
    /// OAuth scopes granted.
    pub scopes: Vec<Box<str>>,
    /// Initial connection.
    pub connected_at: Option<Timestamp>,
    /// Last successful sync.
    pub last_sync_at: Option<Timestamp>,
    /// How it fares.
    pub status: OpenValue<ProviderStatus>,
    /// The upstream's explanation while it is not healthy.
    pub error_message: Option<Box<str>>,
}

impl Provider {
    /// A provider of which nothing is known but that it is expected.
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

    /// About how many bytes it takes in memory.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
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
