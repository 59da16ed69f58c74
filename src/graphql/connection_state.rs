//! The type `ConnectionState`: the public part of a connection's authentication state.

use super::date_time::{DateTime, date_time};
use super::enums::AuthScheme;
use super::object_type::object_type;
use crate::domain::accounts::SharedAccount;
use crate::domain::connection_state;

pub(super) struct ConnectionState(pub(super) SharedAccount);

object_type! {
    /// A public setting of a connection.
    pub(super) struct ConnectionSetting {
        /// The upstream's name of the setting.
        name: &'static str,
        value: String,
    }
}

impl From<&connection_state::ConnectionSetting> for ConnectionSetting {
    fn from(setting: &connection_state::ConnectionSetting) -> Self {
        Self { name: setting.name, value: setting.value.to_string() }
    }
}

object_type! {
    /// The authentication state of a connection, without secrets.
    impl ConnectionState |Self(account)| {
        auth_scheme: AuthScheme = account.state.auth_scheme.kind().into();

        /// The authentication scheme as the upstream spells it.
        raw_auth_scheme: &str = account.state.auth_scheme.raw();

        /// The status within the authentication state. It can differ from the status of the account, which is
        /// authoritative.
        status: Option<&str> = account.state.status.as_deref();

        /// The granted OAuth scopes.
        scopes: &[Box<str>] = &account.state.scopes;
        token_type: Option<&str> = account.state.token_type.as_deref();
        expires_at: Option<DateTime> = date_time(account.state.expires_at);
        expired_at: Option<DateTime> = date_time(account.state.expired_at);
        revoked_at: Option<DateTime> = date_time(account.state.revoked_at);

        /// The code of the error that broke the connection.
        error: Option<&str> = account.state.error.as_deref();
        error_description: Option<&str> = account.state.error_description.as_deref();

        /// The connection settings that are known to be public, such as `subdomain`, `region`, `shop` and `base_url`.
        object settings: Vec<ConnectionSetting> = account.state.settings.iter().map(Into::into).collect();

        /// The names of fields that are withheld because they are secret or unrecognized. Their values are never
        /// decoded.
        withheld: Vec<&str> = account.state.withheld.iter().collect();
    }
}
