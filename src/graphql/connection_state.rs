//! What may be shown of a connection's authentication.

use async_graphql::{Object, SimpleObject};

use super::moment::{DateTime, moment};
use super::plain::Plain;
use super::plain::PlainField::{self, Leaf, Objects};
use super::words::AuthScheme;
use crate::domain::accounts::SharedAccount;
use crate::domain::connection_state;

pub(super) struct ConnectionState(pub(super) SharedAccount);

/// A public setting of a connection.
#[derive(SimpleObject)]
pub(super) struct ConnectionSetting {
    /// The upstream's name for it.
    name: &'static str,
    value: String,
}

impl From<&connection_state::ConnectionSetting> for ConnectionSetting {
    fn from(setting: &connection_state::ConnectionSetting) -> Self {
        Self { name: setting.name, value: setting.value.to_string() }
    }
}

impl Plain for ConnectionSetting {
    const FIELDS: &'static [(&'static str, PlainField<Self>)] = &[
        ("name", Leaf(|setting, json| json.put(setting.name))),
        ("value", Leaf(|setting, json| json.put(&setting.value))),
    ];
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
        self.0.state.settings.iter().map(Into::into).collect()
    }

    /// The names of the secret or unknown fields that the connection holds; their values are never read into the answer.
    async fn withheld(&self) -> Vec<&str> {
        self.0.state.withheld.iter().map(AsRef::as_ref).collect()
    }
}

impl Plain for ConnectionState {
    const FIELDS: &'static [(&'static str, PlainField<Self>)] = &[
        (
            "authScheme",
            Leaf(|Self(account), json| json.word(AuthScheme::from(account.state.auth_scheme.kind()))),
        ),
        ("rawAuthScheme", Leaf(|Self(account), json| json.put(account.state.auth_scheme.raw()))),
        ("status", Leaf(|Self(account), json| json.put(&account.state.status))),
        ("scopes", Leaf(|Self(account), json| json.put(&account.state.scopes))),
        ("tokenType", Leaf(|Self(account), json| json.put(&account.state.token_type))),
        ("expiresAt", Leaf(|Self(account), json| json.moment(account.state.expires_at))),
        ("expiredAt", Leaf(|Self(account), json| json.moment(account.state.expired_at))),
        ("revokedAt", Leaf(|Self(account), json| json.moment(account.state.revoked_at))),
        ("error", Leaf(|Self(account), json| json.put(&account.state.error))),
        ("errorDescription", Leaf(|Self(account), json| json.put(&account.state.error_description))),
        (
            "settings",
            Objects(|below| {
                below.list(|Self(account), show| {
                    account.state.settings.iter().for_each(|setting| show(&ConnectionSetting::from(setting)))
                })
            }),
        ),
        ("withheld", Leaf(|Self(account), json| json.put(&account.state.withheld))),
    ];
}
