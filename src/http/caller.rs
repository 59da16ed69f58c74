//! Who is asking: the request's headers turned into a [`Caller`].
//!
//! Absent is not invalid: a request without keys learns which to send, one with a broken key learns which is
//! broken, and neither is ever repeated.

use std::net::SocketAddr;

use axum::http::header::{AUTHORIZATION, HOST, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Uri};

use super::error::HttpError;
use super::origin;
use super::settings::AuthMode;
use crate::domain::caller::{Caller, Tenant};
use crate::domain::credential::Credential;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

const BAD_BEARER: &str =
    "The `Authorization` header holds no key of the workspace API: it must read `Bearer wbk_…`, once.";
const BAD_API_KEY: &str =
    "The `x-api-key` header holds no key: it must be printable ASCII without spaces, once.";
const FOREIGN_HOST: &str = "Without authentication only this machine may ask: call the server by `localhost`, `127.0.0.1` or \
                            `[::1]`.";

/// How callers are known: `[auth]`.
#[derive(Debug, Clone)]
pub enum Callers {
    /// Mode `none`: anybody on this machine, as ADMIN of this tenant.
    Anybody(Tenant),
    /// Mode `passthrough`: whoever brings keys of their own.
    TheirOwnKeys,
}

impl Callers {
    /// Who sent a request.
    pub(crate) fn caller(&self, headers: &HeaderMap, uri: &Uri) -> Result<Caller, HttpError> {
        let tenant = match self {
            Self::Anybody(tenant) => {
                refuse_rebound(headers, uri)?;
                tenant.clone()
            }
            Self::TheirOwnKeys => own_keys(headers)?,
        };
        Ok(Caller::admin("local", tenant))
    }
}

/// A page can point its own name at 127.0.0.1 and then is same-origin with this server; but the browser still
/// sends that name. A request without a name is no browser's.
fn refuse_rebound(headers: &HeaderMap, uri: &Uri) -> Result<(), HttpError> {
    let nameless = uri.authority().is_none() && !headers.contains_key(HOST);
    if nameless || origin::called(headers, uri).is_some_and(|name| origin::is_loopback(&name)) {
        return Ok(());
    }
    Err(HttpError::forbidden(FOREIGN_HOST))
}

fn own_keys(headers: &HeaderMap) -> Result<Tenant, HttpError> {
    let bearer = single(headers, &AUTHORIZATION, BAD_BEARER)?;
    let api_key = single(headers, &X_API_KEY, BAD_API_KEY)?;
    if bearer.is_none() && api_key.is_none() {
        return Err(HttpError::no_credentials());
    }
    let leadlex = bearer.map(|text| {
        let key = bearer_token(text).filter(|token| token.starts_with("wbk_") && token.len() > "wbk_".len());
        key.and_then(|key| Credential::new(key).ok()).ok_or_else(|| HttpError::bad_credentials(BAD_BEARER))
    });
    let composio =
        api_key.map(|key| Credential::new(key).map_err(|_| HttpError::bad_credentials(BAD_API_KEY)));
    Ok(Tenant { leadlex: leadlex.transpose()?, composio: composio.transpose()? })
}

/// The token after the scheme, which is compared without regard to case (RFC 9110, 11.1).
fn bearer_token(text: &str) -> Option<&str> {
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

/// A header's value where it is there; of a header that is there twice no value can be trusted.
fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    refusal: &'static str,
) -> Result<Option<&'a str>, HttpError> {
    let mut values = headers.get_all(name).into_iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => text(value).map(Some).ok_or_else(|| HttpError::bad_credentials(refusal)),
        (Some(_), Some(_)) => Err(HttpError::bad_credentials(refusal)),
    }
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}

/// Mode `none` on an address that others can reach.
#[derive(Debug, thiserror::Error)]
#[error(
    "auth.mode = \"none\" lets anybody who reaches the server read everything, and {0} is no loopback address: \
     listen on 127.0.0.1 or [::1], or set auth.mode = \"passthrough\""
)]
pub struct Exposed(SocketAddr);

/// Refuses to start in mode `none` where any listener is off loopback.
///
/// # Errors
/// With the first address that others can reach.
pub fn refuse_exposed(mode: AuthMode, listeners: &[SocketAddr]) -> Result<(), Exposed> {
    match (mode, listeners.iter().find(|address| !address.ip().is_loopback())) {
        (AuthMode::None, Some(&address)) => Err(Exposed(address)),
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
        assert!(refuse_exposed(AuthMode::None, &own).is_ok());
        assert!(refuse_exposed(AuthMode::Passthrough, &open).is_ok());
        let refused = refuse_exposed(AuthMode::None, &open).unwrap_err().to_string();
        assert!(refused.contains("0.0.0.0:9090") && refused.contains("auth.mode"), "{refused}");
    }
}
