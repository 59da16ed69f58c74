//! Authentication: from request headers to a [`Caller`].
//!
//! [`Authenticator`] is the entry point. Missing and invalid credentials have different errors: the first names the
//! header to send, the second the header that is invalid. Messages never repeat credentials.

mod credentials;
pub mod jwks;
pub mod jwt;
pub mod keys;
mod passthrough;
mod presented;
pub mod settings;
pub mod tokens;

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::HOST;

use self::jwt::Verifier;
pub(crate) use self::presented::PresentedCredentials;
use self::settings::AuthMode;
use self::tokens::Tokens;
use super::error::HttpError;
use super::origin;
use crate::domain::caller::{Caller, Tenant};
use crate::telemetry::requests::CallerName;

/// Name of all callers in mode `none`.
static LOCAL: LazyLock<Arc<str>> = LazyLock::new(|| "local".into());

const FOREIGN_HOST: &str = "Without authentication, only this machine may send requests. Use the host `localhost`, `127.0.0.1` \
                            or `[::1]`.";

/// Authentication of callers by one of the modes of `[auth]`.
#[derive(Clone)]
pub enum Authenticator {
    /// Mode `none`: every client on this machine is an administrator of this tenant.
    Open(Tenant),
    /// Mode `tokens`: clients with one of these tokens.
    Tokens(Arc<Tokens>),
    /// Mode `jwt`: clients with a valid JWT.
    Jwt(Arc<Verifier>),
    /// Mode `passthrough`: clients with their own upstream API keys.
    Passthrough,
}

impl Authenticator {
    /// Authenticates the sender of a request.
    pub(crate) async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, HttpError> {
        match self {
            Self::Open(tenant) => Ok(Caller::admin(Arc::clone(&LOCAL), tenant.clone())),
            Self::Tokens(tokens) => tokens.authenticate(credentials::token(headers)?),
            // Boxed: its future is large, and every request moves this one, which contains it.
            Self::Jwt(verifier) => Box::pin(verifier.authenticate(credentials::token(headers)?)).await,
            Self::Passthrough => Ok(Caller::admin("passthrough", passthrough::own_keys(headers)?)),
        }
    }

    /// Returns the name of an authenticated caller for the request log: its token's name, or a hash of its subject,
    /// which can be personal data. Without authentication, and with the caller's own keys, there is no name.
    pub(crate) fn name_in_log(&self, caller: &Caller) -> Option<CallerName> {
        match self {
            Self::Tokens(_) => Some(CallerName(Arc::clone(&caller.name))),
            Self::Jwt(_) => Some(CallerName(jwt::subject_hash(&caller.name).into())),
            Self::Open(_) | Self::Passthrough => None,
        }
    }

    /// Reuses the issuer's keys that another authenticator has read, if both have the same issuer.
    #[must_use]
    pub fn reusing_keys_of(self, others: &Self) -> Self {
        match (self, others) {
            (Self::Jwt(verifier), Self::Jwt(other)) => Self::Jwt(Arc::new(verifier.reusing_keys_of(other))),
            (callers, _) => callers,
        }
    }
}

/// With `auth.mode = "none"`, refuses requests for a host name other than loopback. Otherwise a page of another site
/// could point its own host name at 127.0.0.1 (DNS rebinding), and would then have the same origin as this server. The
/// browser still sends that host name in `Host`, so such a request is detected. This applies to the pages of this
/// server too.
pub(crate) fn check_host(callers: &Authenticator, request: &Request) -> Result<(), HttpError> {
    if !matches!(callers, Authenticator::Open(_)) {
        return Ok(());
    }
    let (headers, uri) = (request.headers(), request.uri());
    let mut hosts = headers.get_all(HOST).into_iter();
    if let (None, Some(host), None) = (uri.authority(), hosts.next(), hosts.next())
        && origin::is_common_loopback(host)
    {
        return Ok(());
    }
    let is_nameless = uri.authority().is_none() && !headers.contains_key(HOST);
    if is_nameless || origin::addressed_authority(headers, uri).is_some_and(|name| origin::is_loopback(&name))
    {
        return Ok(());
    }
    Err(HttpError::forbidden(FOREIGN_HOST))
}

/// Error: mode `none` on an address that other machines can reach.
#[derive(Debug, thiserror::Error)]
#[error(
    "auth.mode = \"none\" gives every client that reaches the server full access, and {0} is not a loopback address. \
     Listen on 127.0.0.1 or [::1], or set auth.mode to \"tokens\", \"jwt\" or \"passthrough\""
)]
pub struct ExposedWithoutAuth(SocketAddr);

/// Refuses to start in mode `none` if a listener is not on a loopback address.
///
/// # Errors
/// The first such address.
pub fn refuse_exposed_without_auth(
    mode: AuthMode,
    listeners: &[SocketAddr],
) -> Result<(), ExposedWithoutAuth> {
    match (mode, listeners.iter().find(|address| !address.ip().is_loopback())) {
        (AuthMode::None, Some(&address)) => Err(ExposedWithoutAuth(address)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_none_is_refused_on_addresses_that_others_can_reach() {
        let own = ["127.0.0.1:8080".parse().unwrap(), "[::1]:9090".parse().unwrap()];
        let open = ["127.0.0.1:8080".parse().unwrap(), "0.0.0.0:9090".parse().unwrap()];
        assert!(refuse_exposed_without_auth(AuthMode::None, &own).is_ok());
        for mode in [AuthMode::Tokens, AuthMode::Jwt, AuthMode::Passthrough] {
            assert!(refuse_exposed_without_auth(mode, &open).is_ok());
        }
        let refused = refuse_exposed_without_auth(AuthMode::None, &open).unwrap_err().to_string();
        assert!(refused.contains("0.0.0.0:9090") && refused.contains("auth.mode"), "{refused}");
    }
}
