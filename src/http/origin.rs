//! Protection against cross-site requests: requests that another site's page made a browser send.
//!
//! tower-http's `CsrfLayer` checks the same two headers but accepts every GET, because a GET changes nothing. Here a
//! GET uses up the upstreams' quota, which can be a hundred calls a day, so GETs are checked too.

use axum::http::header::{HOST, HeaderName, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Uri};

use super::error::HttpError;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const FOREIGN_ORIGIN: &str = "Requests of another site's page are refused (`Sec-Fetch-Site`, `Origin`). To allow the page, add its \
                              origin to the setting `http.cors_origins` (in `demo`: --cors-origin).";

/// Refuses requests from another site's page. Requests without these headers are accepted, because they do not come
/// from a browser.
pub(crate) fn refuse_cross_site(headers: &HeaderMap, uri: &Uri) -> Result<(), HttpError> {
    let (mut origins, mut sites) = (headers.get_all(ORIGIN).iter(), headers.get_all(SEC_FETCH_SITE).iter());
    let (origin, site) = (origins.next(), sites.next());
    if origins.next().is_some() || sites.next().is_some() {
        return Err(HttpError::forbidden(
            "`Origin` or `Sec-Fetch-Site` is repeated, so the request is refused.",
        ));
    }
    let is_same_site = match (site, origin) {
        // `none` is a user who typed the address.
        (Some(site), _) => site == "same-origin" || site == "none",
        (None, None) => true,
        (None, Some(origin)) => {
            origin.to_str().ok().is_some_and(|origin| is_own_origin(origin, headers, uri))
        }
    };
    if is_same_site {
        return Ok(());
    }
    Err(HttpError::forbidden(FOREIGN_ORIGIN))
}

/// Whether an origin is this server, by the host name that the client used. The scheme is not compared, because it is
/// unknown behind a proxy.
fn is_own_origin(origin: &str, headers: &HeaderMap, uri: &Uri) -> bool {
    let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    host.is_some() && host == addressed_authority(headers, uri).as_ref().map(Authority::as_str)
}

/// Returns the host and port that the client addressed (RFC 9112, 3.3); `None` if they are repeated.
pub(crate) fn addressed_authority(headers: &HeaderMap, uri: &Uri) -> Option<Authority> {
    if let Some(authority) = uri.authority() {
        return Some(authority.clone());
    }
    let mut hosts = headers.get_all(HOST).into_iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok()?.parse().ok(),
        _ => None,
    }
}

/// Whether a `Host` is one of the two names that most clients on the same machine use, optionally with a port. It saves
/// the parsing for [`is_loopback`].
pub(crate) fn is_common_loopback(host: &HeaderValue) -> bool {
    let is_port = |rest: &[u8]| matches!(rest, [b':', port @ ..] if port.iter().all(u8::is_ascii_digit));
    [&b"localhost"[..], b"127.0.0.1"]
        .into_iter()
        .any(|name| host.as_bytes().strip_prefix(name).is_some_and(|rest| rest.is_empty() || is_port(rest)))
}

/// Whether a host name always refers to the client's own machine (RFC 6761, 6.3 for `localhost`).
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
    fn loopback_names_are_distinguished_from_similar_ones() {
        for own in
            ["localhost", "LOCALHOST:8080", "localhost.:1", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080"]
        {
            assert!(is_loopback(&own.parse().unwrap()), "{own}");
        }
        for own in ["localhost", "localhost:8080", "127.0.0.1", "127.0.0.1:1"] {
            assert!(is_common_loopback(&HeaderValue::from_static(own)), "{own}");
        }
        for foreign in
            ["localhost.evil.example", "127.0.0.1.nip.io", "evil.example:8080", "192.168.0.7", "[::2]"]
        {
            assert!(!is_loopback(&foreign.parse().unwrap()), "{foreign}");
            assert!(!is_common_loopback(&HeaderValue::from_static(foreign)), "{foreign}");
        }
    }
}
