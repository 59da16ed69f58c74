//! Connected accounts as Composio returns them (docs/upstreams.md#composio-account), without their secrets.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::auth_scheme::AuthScheme;
use super::connection_state::ConnectionState;
use super::open_enum::{OpenValue, open_enum};
use super::toolkits::ToolkitSlug;

open_enum! {
    /// The state of a connected account (docs/upstreams.md#composio-account).
    AccountStatus, unknown:
    /// A status that this version does not know.
    Unknown,
    Initializing = "INITIALIZING",
    Initiated = "INITIATED",
    Active = "ACTIVE",
    Failed = "FAILED",
    Expired = "EXPIRED",
    Inactive = "INACTIVE",
    Revoked = "REVOKED",
}

/// Which users may use an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AccountType {
    /// Only the user who connected it.
    Private,
    /// Other users of the project too.
    Shared,
}

/// One user's authenticated connection to an external service.
///
/// The fields that lists and most responses read are first, in a fixed order: they take three cache lines instead of
/// seven.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[repr(C)]
pub struct ConnectedAccount {
    /// `ca_…`
    pub id: Box<str>,
    /// The end user's id, chosen by the application.
    pub user_id: Option<Box<str>>,
    /// The toolkit.
    pub toolkit: ToolkitSlug,
    /// The account's status. Use this one, not [`ConnectionState::status`].
    pub status: OpenValue<AccountStatus>,
    /// Creation time; `None` if the upstream returned no RFC 3339 timestamp.
    pub created_at: Option<Timestamp>,
    /// Private or shared; `None` if the upstream did not return it.
    pub account_type: Option<AccountType>,
    /// Whether its owner disabled it.
    pub is_disabled: bool,
    /// The result of [`Self::weight_bytes`], which would read all fields; 0 if it is not known.
    #[serde(skip)]
    pub(crate) known_weight: u32,
    /// The auth config that the connection was made with.
    pub auth_config: AuthConfig,
    /// A readable name, unique in the project.
    pub word_id: Option<Box<str>>,
    /// The connection's name, chosen by the application.
    pub alias: Option<Box<str>>,
    /// The reason for the status, in the upstream's words.
    pub status_reason: Option<Box<str>>,
    /// Time of the last change; `None` if the upstream returned no RFC 3339 timestamp.
    pub updated_at: Option<Timestamp>,
    /// The public part of its authentication state.
    pub state: ConnectionState,
    /// The endpoint for a test request.
    pub test_request_endpoint: Option<Box<str>>,
    /// Identifiers from before the current API version.
    pub legacy: Option<LegacyAccount>,
}

/// The authentication configuration of a connection.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// `ac_…`
    pub id: Box<str>,
    /// The authentication scheme.
    pub auth_scheme: OpenValue<AuthScheme>,
    /// Whether Composio owns its OAuth application.
    pub is_composio_managed: bool,
    /// Whether it is disabled for the whole project.
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

/// A connected account, shared by lists, pages and caches.
pub type SharedAccount = Arc<ConnectedAccount>;

impl ConnectedAccount {
    /// Computes its weight, so that lists need not.
    pub(crate) fn weigh(&mut self) {
        self.known_weight = u32::try_from(self.sum_of_bytes()).unwrap_or(u32::MAX);
    }

    /// Sets the user, which the upstream's response did not name.
    pub(crate) fn set_user(&mut self, user_id: Option<Box<str>>) {
        self.user_id = user_id;
        self.weigh();
    }

    /// Returns the approximate memory use in bytes.
    pub(crate) fn weight_bytes(&self) -> usize {
        match usize::try_from(self.known_weight) {
            Ok(0) | Err(_) => self.sum_of_bytes(),
            Ok(known) => known,
        }
    }

    fn sum_of_bytes(&self) -> usize {
        let text = |text: &Option<Box<str>>| text.as_deref().map_or(0, str::len);
        size_of::<Self>()
            + self.id.len()
            + self.toolkit.as_str().len()
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
