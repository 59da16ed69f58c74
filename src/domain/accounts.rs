//! A connected account, as Composio tells it (UPSTREAMS.md A3), without its secrets.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::auth_scheme::AuthScheme;
use super::connection_state::ConnectionState;
use super::open_enum::{OpenValue, open_enum};

open_enum! {
    /// The state of a connected account (UPSTREAMS.md A3).
    AccountStatus, unknown:
    /// A word that this layer does not know.
    Unknown,
    Initializing = "INITIALIZING",
    Initiated = "INITIATED",
    Active = "ACTIVE",
    Failed = "FAILED",
    Expired = "EXPIRED",
    Inactive = "INACTIVE",
    Revoked = "REVOKED",
}

/// Who may use an account besides the user who connected it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AccountType {
    /// Its user alone.
    Private,
    /// Others of the project too.
    Shared,
}

/// One user's authenticated connection to an external service.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectedAccount {
    /// `ca_…`
    pub id: Box<str>,
    /// The toolkit's slug as the upstream spells it.
    pub toolkit: Box<str>,
    /// What the connection was made with.
    pub auth_config: AuthConfig,
    /// A readable name, unique in the project.
    pub word_id: Option<Box<str>>,
    /// The name that the application gave the connection.
    pub alias: Option<Box<str>>,
    /// The end user's id, as the application gave it.
    pub user_id: Option<Box<str>>,
    /// The account's status: the one to trust, not [`ConnectionState::status`].
    pub status: OpenValue<AccountStatus>,
    /// Why it has that status, in the upstream's words.
    pub status_reason: Option<Box<str>>,
    /// Switched off by its owner.
    pub is_disabled: bool,
    /// Private or shared; `None` where the upstream did not say.
    pub account_type: Option<AccountType>,
    /// When it was created; `None` where the upstream wrote no RFC 3339 moment.
    pub created_at: Option<Timestamp>,
    /// When it last changed; `None` where the upstream wrote no RFC 3339 moment.
    pub updated_at: Option<Timestamp>,
    /// What may be shown of its authentication.
    pub state: ConnectionState,
    /// The endpoint that a test request would go to.
    pub test_request_endpoint: Option<Box<str>>,
    /// Identifiers from before the current API version.
    pub legacy: Option<LegacyAccount>,
}

/// What a connection was made with.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// `ac_…`
    pub id: Box<str>,
    /// Its scheme.
    pub auth_scheme: OpenValue<AuthScheme>,
    /// Whether its OAuth application is Composio's own.
    pub is_composio_managed: bool,
    /// Switched off for the whole project.
    pub is_disabled: bool,
    /// Its id from before the current API version.
    pub legacy_uuid: Option<Box<str>>,
}

/// An account's identifiers from before the current API version.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegacyAccount {
    /// The old id.
    pub uuid: Box<str>,
    /// The old labels.
    pub labels: Vec<Box<str>>,
}

/// A shared account: lists, pages and caches hold the same one.
pub type SharedAccount = Arc<ConnectedAccount>;

impl ConnectedAccount {
    /// About how many bytes it takes in memory.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        let text = |text: &Option<Box<str>>| text.as_deref().map_or(0, str::len);
        size_of::<Self>()
            + self.id.len()
            + self.toolkit.len()
            + self.auth_config.id.len()
            + self.auth_config.auth_scheme.weight_bytes()
            + text(&self.auth_config.legacy_uuid)
            + text(&self.word_id)
            + text(&self.alias)
            + text(&self.user_id)
            + self.status.weight_bytes()
            + text(&self.status_reason)
            + text(&self.test_request_endpoint)
            + self.legacy.as_ref().map_or(0, |legacy| {
                legacy.uuid.len()
                    + legacy.labels.iter().map(|label| label.len() + size_of::<Box<str>>()).sum::<usize>()
            })
            + self.state.weight_bytes()
    }
}
