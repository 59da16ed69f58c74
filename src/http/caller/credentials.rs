//! Reading credentials from request headers.

use axum::http::header::{AUTHORIZATION, HeaderName};
use axum::http::{HeaderMap, HeaderValue};

use crate::http::error::HttpError;

const NO_TOKEN: &str = "The `Authorization` header is not valid. Send `Bearer`, a space and the token, once.";

/// Returns the bearer token of a request. Without a token, or with another scheme, the error does not claim that the
/// token is invalid (RFC 6750, 3.1).
pub(super) fn token(headers: &HeaderMap) -> Result<&str, HttpError> {
    let text = single(headers, &AUTHORIZATION, NO_TOKEN)?.ok_or_else(HttpError::missing_token)?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(HttpError::missing_scheme());
    }
    let token = token.trim_matches(' ');
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(HttpError::bad_credentials(NO_TOKEN));
    }
    Ok(token)
}

/// Returns the token after the scheme, which is compared without regard to case (RFC 9110, 11.1).
pub(super) fn bearer_token(text: &str) -> Option<&str> {
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

/// Returns the value of a header, if present. A repeated header is refused, because a proxy may have checked another
/// value.
pub(super) fn single<'a>(
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
