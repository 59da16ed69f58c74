//! Protection against request smuggling. Heads that a proxy could parse differently are refused before routing, on both
//! listeners.
//!
//! hyper refuses most of them: folded headers, different lengths, a transfer coding that does not end in `chunked`. If
//! a request has `chunked` and a length, hyper ignores the length and closes the connection after the response (RFC
//! 9112, 6.3), so nothing after such a request is parsed. Two equal lengths are valid (RFC 9110, 8.6). This module
//! checks the remaining cases.

use axum::http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Response, Version};
use axum::response::IntoResponse as _;

use super::error::HttpError;

/// Returns the response to an ambiguous head. It closes the connection, because the start of the next request is
/// ambiguous too.
pub(crate) fn refusal(version: Version, headers: &HeaderMap) -> Option<Response<axum::body::Body>> {
    let problem = ambiguity(version, headers)?;
    let mut response = HttpError::malformed(problem).into_response();
    // HTTP/2 has no such header (RFC 9113, 8.2.2).
    if version <= Version::HTTP_11 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Some(response)
}

fn ambiguity(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).into_iter();
    let is_plain = match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    };
    if !is_plain {
        return Some("`Transfer-Encoding` must be `chunked`, once.");
    }
    // HTTP/1.1 requires exactly one (RFC 9112, 3.2).
    let mut hosts = headers.get_all(HOST).into_iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version == Version::HTTP_11 => Some("The `Host` header is missing."),
        (Some(host), None) if !is_host(host) => Some("The `Host` header is not a valid host."),
        (Some(_), Some(_)) => Some("The `Host` header is repeated."),
        _ => None,
    }
}

/// Whether a value is a valid host. An empty one is: the request then has no host (RFC 9110, 7.2).
fn is_host(value: &HeaderValue) -> bool {
    let is_name = |text: &str| !text.contains('@') && text.parse::<Authority>().is_ok();
    value.to_str().is_ok_and(|text| text.is_empty() || is_name(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn ambiguous_heads_are_refused() {
        let host = ("host", "graph.example:8080");
        for lines in [
            &[host][..],
            &[("host", "")],
            &[("host", "[::1]:80")],
            &[host, ("transfer-encoding", "chunked")],
            &[host, ("transfer-encoding", "Chunked")],
        ] {
            assert_eq!(ambiguity(Version::HTTP_11, &head(lines)), None, "{lines:?}");
        }
        for (lines, word) in [
            (&[][..], "missing"),
            (&[host, host], "repeated"),
            (&[("host", "not a host")], "not a valid host"),
            (&[("host", "me@graph.example")], "not a valid host"),
            (&[host, ("transfer-encoding", "gzip, chunked")], "`chunked`, once"),
            (&[host, ("transfer-encoding", "chunked, chunked")], "`chunked`, once"),
            (&[host, ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], "`chunked`, once"),
            (&[host, ("transfer-encoding", "identity")], "`chunked`, once"),
        ] {
            let reason = ambiguity(Version::HTTP_11, &head(lines)).unwrap_or_default();
            assert!(reason.contains(word), "{lines:?}: {reason}");
        }
        for elder_or_newer in [Version::HTTP_10, Version::HTTP_2] {
            assert_eq!(ambiguity(elder_or_newer, &head(&[])), None);
        }
    }
}
