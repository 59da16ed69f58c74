//! Mode `passthrough`: callers send their own upstream API keys.
//!
//! This module stores no keys. Other layers store data by a key's fingerprint, within bounds: caches by bytes, refusals
//! by number.

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HeaderName};

use super::credentials::{bearer_token, single};
use crate::domain::caller::Tenant;
use crate::domain::credential::Credential;
use crate::http::error::HttpError;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

const BAD_BEARER: &str =
    "The `Authorization` header has no key of the workspace API. Send `Bearer wbk_…`, once.";
const BAD_API_KEY: &str =
    "The `x-api-key` header is not a valid key. Send printable ASCII without spaces, once.";

/// Returns the tenant of a request's own keys; each key is sent only to its own upstream.
pub(super) fn own_keys(headers: &HeaderMap) -> Result<Tenant, HttpError> {
    let bearer = single(headers, &AUTHORIZATION, BAD_BEARER)?;
    let api_key = single(headers, &X_API_KEY, BAD_API_KEY)?;
    if bearer.is_none() && api_key.is_none() {
        return Err(HttpError::missing_credentials());
    }
    let leadlex = bearer.map(|text| {
        let key = bearer_token(text).filter(|token| token.starts_with("wbk_") && token.len() > "wbk_".len());
        key.and_then(|key| Credential::new(key).ok()).ok_or_else(|| HttpError::bad_credentials(BAD_BEARER))
    });
    let composio =
        api_key.map(|key| Credential::new(key).map_err(|_| HttpError::bad_credentials(BAD_API_KEY)));
    Ok(Tenant { leadlex: leadlex.transpose()?, composio: composio.transpose()? })
}
