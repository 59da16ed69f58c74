//! Who is asking: the request's headers turned into a [`Caller`].
//!
//! Absent is not invalid: a request without credentials learns which to send, one with broken ones learns which are
//! broken, and neither is ever repeated.

mod credentials;
pub mod jwks;
pub mod jwt;
pub mod keys;
mod passthrough;
mod presented;
pub mod settings;
pub mod tokens;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use self::jwt::Verifier;
pub(crate) use self::presented::PresentedCredentials;
use self::settings::AuthMode;
use self::tokens::Tokens;
use super::error::HttpError;
use super::origin;
use crate::domain::caller::{Caller, Tenant};

const FOREIGN_HOST: &str = "Without authentication only this machine may ask: call the server by `localhost`, `127.0.0.1` or \
                            `[::1]`.";

/// How callers are known: `[auth]`.
#[derive(Clone)]
pub enum Authenticator {
    /// Mode `none`: anybody on this machine, as ADMIN of this tenant.
    Open(Tenant),
    /// Mode `tokens`: whoever bears one of these.
    Tokens(Arc<Tokens>),
    /// Mode `jwt`: whoever bears a token that passes.
    Jwt(Arc<Verifier>),
    /// Mode `passthrough`: whoever brings keys of their own.
    Passthrough,
}

impl Authenticator {
    /// Who sent a request.
    pub(crate) async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, HttpError> {
        match self {
            Self::Open(tenant) => Ok(Caller::admin("local", tenant.clone())),
            Self::Tokens(tokens) => tokens.caller(credentials::token(headers)?),
            Self::Jwt(verifier) => verifier.caller(credentials::token(headers)?).await,
            Self::Passthrough => Ok(Caller::admin("passthrough", passthrough::own_keys(headers)?)),
        }
    }

    /// The same, with the issuer's keys as others have read them, where both read the same.
    #[must_use]
    pub fn reusing_keys_of(self, others: &Self) -> Self {
        match (self, others) {
            (Self::Jwt(verifier), Self::Jwt(other)) => Self::Jwt(Arc::new(verifier.knowing(other))),
            (callers, _) => callers,
        }
    }
}

/// A page can point its own name at 127.0.0.1 and then is same-origin with this server; but the browser still
/// sends that name. A request without a name is no browser's.
pub(crate) async fn require_loopback_host(request: Request, next: Next) -> Response {
    let (headers, uri) = (request.headers(), request.uri());
    let nameless = uri.authority().is_none() && !headers.contains_key(HOST);
    if nameless || origin::called(headers, uri).is_some_and(|name| origin::is_loopback(&name)) {
        return next.run(request).await;
    }
    HttpError::forbidden(FOREIGN_HOST).into_response()
}

/// Mode `none` on an address that others can reach.
#[derive(Debug, thiserror::Error)]
#[error(
    "auth.mode = \"none\" lets anybody who reaches the server read everything, and {0} is no loopback address: \
     listen on 127.0.0.1 or [::1], or set auth.mode to \"tokens\", \"jwt\" or \"passthrough\""
)]
pub struct ExposedWithoutAuth(SocketAddr);

/// Refuses to start in mode `none` where any listener is off loopback.
///
/// # Errors
/// With the first address that others can reach.
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
    fn nobody_listens_without_authentication_where_others_can_reach() {
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
