//! What may be shown of a connection's authentication.

use async_graphql::{Object, SimpleObject};

use super::moment::{DateTime, moment};
use super::words::AuthScheme;
use crate::domain::accounts::SharedAccount;

pub(super) struct ConnectionState(pub(super) SharedAccount);

/// A public setting of a connection.
#[derive(SimpleObject)]
pub(super) struct ConnectionSetting {
    /// The upstream's name for it.
    name: &'static str,
    value: String,
}

/// The authentication of a connection, without its secrets.
#[Object]
impl ConnectionState {
    async fn auth_scheme(&self) -> AuthScheme {
        self.0.state.auth_scheme.kind().into()
    }

    /// The scheme in the upstream's own word.
    async fn raw_auth_scheme(&self) -> &str {
        self.0.state.auth_scheme.raw()
    }

    /// The status inside the state, which can differ from the account's; the account's is the one to trust.
    async fn status(&self) -> Option<&str> {
        self.0.state.status.as_deref()
    }

    /// The OAuth scopes that were granted.
    async fn scopes(&self) -> Vec<&str> {
        self.0.state.scopes.iter().map(AsRef::as_ref).collect()
    }

    async fn token_type(&self) -> Option<&str> {
        self.0.state.token_type.as_deref()
    }

    async fn expires_at(&self) -> Option<DateTime> {
        moment(self.0.state.expires_at)
    }

    async fn expired_at(&self) -> Option<DateTime> {
        moment(self.0.state.expired_at)
    }

    async fn revoked_at(&self) -> Option<DateTime> {
        moment(self.0.state.revoked_at)
    }

    /// The code of the error that ended the connection.
    async fn error(&self) -> Option<&str> {
        self.0.state.error.as_deref()
    }

    async fn error_description(&self) -> Option<&str> {
        self.0.state.error_description.as_deref()
    }

    /// The connection's public settings (`subdomain`, `region`, `shop`, `base_url` and the like): those that are known to be no secret.
    async fn settings(&self) -> Vec<ConnectionSetting> {
        let settings = self.0.state.settings.iter();
        settings
            .map(|setting| ConnectionSetting { name: setting.name, value: setting.value.to_string() })
            .collect()
    }

    /// The names of the secret or unknown fields that the connection holds; their values are never read into the answer.
    async fn withheld(&self) -> Vec<&str> {
        self.0.state.withheld.iter().map(AsRef::as_ref).collect()
    }
}
