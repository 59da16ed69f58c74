//! Heads that a parser in front could have read otherwise than this one (request smuggling): refused before they are routed,
//! on both listeners.
//!
//! Most of it is hyper's: folded headers, two lengths that differ, a coding that does not end in `chunked`. A length beside
//! `chunked` it takes out before anybody sees it, reads the chunks, and closes the connection after the answer (RFC 9112,
//! 6.3): nothing behind such a request is read as another one. Two equal lengths are one (RFC 9110, 8.6). What is left is here.

use axum::http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Response, Version};
use axum::response::IntoResponse as _;

use super::error::HttpError;

/// The answer to a request whose head will not do; the connection ends with it, since where the next request begins is as
/// doubtful.
pub(crate) fn refusal(version: Version, headers: &HeaderMap) -> Option<Response<axum::body::Body>> {
    let why = objection(version, headers)?;
    let mut response = HttpError::malformed(why).into_response();
    // HTTP/2 has no such header (RFC 9113, 8.2.2).
    if version <= Version::HTTP_11 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Some(response)
}

fn objection(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).into_iter();
    let is_plain = match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    };
    if !is_plain {
        return Some("`Transfer-Encoding` must be `chunked` alone, once.");
    }
    // Exactly one in HTTP/1.1 (RFC 9112, 3.2).
    let mut hosts = headers.get_all(HOST).into_iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version == Version::HTTP_11 => Some("The `Host` header is missing."),
        (Some(host), None) if !is_host(host) => Some("The `Host` header holds no host."),
        (Some(_), Some(_)) => Some("The `Host` header came more than once."),
        _ => None,
    }
}

/// Empty it says that there is none (RFC 9110, 7.2).
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
    fn a_head_has_one_meaning_or_is_refused() {
        let host = ("host", "graph.example:8080");
        for lines in [
            &[host][..],
            &[("host", "")],
            &[("host", "[::1]:80")],
            &[host, ("transfer-encoding", "chunked")],
            &[host, ("transfer-encoding", "Chunked")],
        ] {
            assert_eq!(objection(Version::HTTP_11, &head(lines)), None, "{lines:?}");
        }
        for (lines, word) in [
            (&[][..], "missing"),
            (&[host, host], "more than once"),
            (&[("host", "not a host")], "no host"),
            (&[("host", "me@graph.example")], "no host"),
            (&[host, ("transfer-encoding", "gzip, chunked")], "alone"),
            (&[host, ("transfer-encoding", "chunked, chunked")], "alone"),
            (&[host, ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], "alone"),
            (&[host, ("transfer-encoding", "identity")], "alone"),
        ] {
            let told = objection(Version::HTTP_11, &head(lines)).unwrap_or_default();
            assert!(told.contains(word), "{lines:?}: {told}");
        }
        for elder_or_newer in [Version::HTTP_10, Version::HTTP_2] {
            assert_eq!(objection(elder_or_newer, &head(&[])), None);
        }
    }
}
