//! Requests that a page of somebody else's made a browser send, and how they are known.
//!
//! tower-http's `CsrfLayer` judges by the same two headers, but lets every GET pass, since a GET changes
//! nothing. Here a GET spends the upstreams' quota, of which a day can have a hundred calls. So it is judged
//! too, and nothing but the two headers is needed for it.

use axum::http::header::{HOST, HeaderName, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri};

use super::error::HttpError;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses what another site's page sends. Absent headers pass: whoever sends none is no browser.
pub(crate) fn refuse_cross_site(headers: &HeaderMap, uri: &Uri) -> Result<(), HttpError> {
    let is_single = |name: &HeaderName| headers.get_all(name).into_iter().nth(1).is_none();
    if !is_single(&ORIGIN) || !is_single(&SEC_FETCH_SITE) {
        return Err(HttpError::forbidden(
            "The request says more than once which site's page sent it: it is refused.",
        ));
    }
    let own = match headers.get(SEC_FETCH_SITE) {
        // `none` is a person who typed the address.
        Some(site) => site == "same-origin" || site == "none",
        None => match headers.get(ORIGIN) {
            None => true,
            Some(origin) => origin.to_str().ok().is_some_and(|origin| is_own(origin, headers, uri)),
        },
    };
    if own {
        return Ok(());
    }
    Err(HttpError::forbidden(
        "Another site's page sent this request (`Sec-Fetch-Site`, `Origin`): it is refused.",
    ))
}

/// Whether an origin is this server, as the client calls it; its scheme is not known behind a proxy.
fn is_own(origin: &str, headers: &HeaderMap, uri: &Uri) -> bool {
    let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    host.is_some() && host == called(headers, uri).as_ref().map(Authority::as_str)
}

/// The name and port that the client calls this server by (RFC 9112, 3.3); none where it is told twice.
pub(crate) fn called(headers: &HeaderMap, uri: &Uri) -> Option<Authority> {
    if let Some(authority) = uri.authority() {
        return Some(authority.clone());
    }
    let mut hosts = headers.get_all(HOST).into_iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok()?.parse().ok(),
        _ => None,
    }
}

/// Whether a name can only mean the client's own machine (RFC 6761, 6.3 for `localhost`).
pub(crate) fn is_loopback(authority: &Authority) -> bool {
    let host = authority.host();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names_are_told_from_those_that_only_look_so() {
        for own in
            ["localhost", "LOCALHOST:8080", "localhost.:1", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080"]
        {
            assert!(is_loopback(&own.parse().unwrap()), "{own}");
        }
        for foreign in
            ["localhost.evil.example", "127.0.0.1.nip.io", "evil.example:8080", "192.168.0.7", "[::2]"]
        {
            assert!(!is_loopback(&foreign.parse().unwrap()), "{foreign}");
        }
    }
}
