//! Mode `passthrough`: callers bring the upstreams' own keys.
//!
//! Nothing is remembered of them here. What other layers keep by a key's fingerprint is bounded there: caches in bytes,
//! refusals in number.

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HeaderName};

use super::credentials::{bearer_token, single};
use crate::domain::caller::Tenant;
use crate::domain::credential::Credential;
use crate::http::error::HttpError;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

const BAD_BEARER: &str =
    "The `Authorization` header holds no key of the workspace API: it must read `Bearer wbk_…`, once.";
const BAD_API_KEY: &str =
    "The `x-api-key` header holds no key: it must be printable ASCII without spaces, once.";

/// The tenant that a request's own keys are; each goes to its own upstream alone.
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
