//! Protection against request smuggling. Heads that a proxy could parse differently are refused before routing, on both
//! listeners.
//!
//! hyper refuses most of them: folded headers, different lengths, a transfer coding that does not end in `chunked`. If
//! a request has `chunked` and a length, hyper ignores the length and closes the connection after the response (RFC
//! 9112, 6.3), so nothing after such a request is parsed. Two equal lengths are valid (RFC 9110, 8.6). This module
//! checks the remaining cases, and the size of an HTTP/2 head, so that a URL that is too long has its own status.

use axum::body::Body;
use axum::http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Request, Response, Version};
use axum::response::IntoResponse as _;

use super::error::HttpError;
use crate::telemetry::connections::Refused;

/// Maximum length of a URL over HTTP/2. The HTTP library resets a stream whose URL has more than [`URL_BYTES_PARSED`],
/// so a shorter one is refused here, with its own status.
const URL_BYTES_MAX: usize = 60 * 1024;

/// Maximum length of a URL that the HTTP library can parse.
const URL_BYTES_PARSED: usize = 65_534;

/// Bytes that each field of an HTTP/2 head counts beside its name and value (RFC 9113, 6.5.2).
const FIELD_BYTES: usize = 32;

/// Returns the maximum size of an HTTP/2 head for the HTTP library, which refuses a larger one with 431. It may exceed
/// the limit of a head by as much as a URL that is refused here, but not by as much as a URL that cannot be parsed.
pub(super) fn http2_head_bytes_max(head_limit_bytes: usize) -> u32 {
    let url_field_bytes = ":path".len() + URL_BYTES_PARSED + FIELD_BYTES;
    u32::try_from(head_limit_bytes.max(url_field_bytes)).unwrap_or(u32::MAX)
}

/// Returns the response to a head that is refused. If the head is ambiguous, it closes the connection, because the
/// start of the next request is ambiguous too.
pub(super) fn refusal<B>(request: &Request<B>, head_limit_bytes: usize) -> Option<(Refused, Response<Body>)> {
    let (version, headers) = (request.version(), request.headers());
    if let Some(problem) = ambiguity(version, headers) {
        let mut response = HttpError::malformed(problem).into_response();
        // HTTP/2 has no such header (RFC 9113, 8.2.2).
        if version <= Version::HTTP_11 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        return Some((Refused::Malformed, response));
    }
    // The HTTP library and the socket refuse those of HTTP/1.
    if version <= Version::HTTP_11 {
        return None;
    }
    let url_bytes = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    let fields = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES);
    let url_max = head_limit_bytes.min(URL_BYTES_MAX);
    let error = match url_bytes {
        _ if url_bytes > url_max => HttpError::uri_too_long(url_max),
        _ if url_bytes + fields.sum::<usize>() > head_limit_bytes => {
            HttpError::head_too_large(head_limit_bytes)
        }
        _ => return None,
    };
    Some((Refused::HeadTooLarge, error.into_response()))
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
    is_plain_host(value.as_bytes()) || value.to_str().is_ok_and(|text| text.is_empty() || is_name(text))
}

/// Whether a value is a host of the form that most requests have: a name or an IPv4 address, and optionally a port.
fn is_plain_host(value: &[u8]) -> bool {
    let name_bytes =
        value.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')).count();
    match value.get(name_bytes..) {
        Some([]) => name_bytes > 0,
        Some([b':', port @ ..]) => {
            name_bytes > 0 && (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[test]
    fn a_url_over_http_2_that_is_too_long_has_its_own_status() {
        let refused = |url_bytes: usize, header_bytes: usize, limit: usize| {
            let request = Request::get(format!("http://localhost/{}", "x".repeat(url_bytes)))
                .version(Version::HTTP_2)
                .header("x-long", "x".repeat(header_bytes));
            refusal(&request.body(()).unwrap(), limit).map(|(_, response)| response.status())
        };
        let (url, head) = (Some(StatusCode::URI_TOO_LONG), Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        for (url_bytes, header_bytes, limit, expected) in [
            (10, 10, 8_192, None),
            (8_000, 10, 8_192, None),
            (8_000, 1_000, 8_192, head),
            (10, 9_000, 8_192, head),
            (8_192, 10, 8_192, url),
            (60_000, 9_000, 8_192, url),
            (60_000, 1_000, 65_536, None),
            (62_000, 1_000, 65_536, url),
            (62_000, 1_000, 1 << 20, url),
        ] {
            assert_eq!(
                refused(url_bytes, header_bytes, limit),
                expected,
                "{url_bytes} {header_bytes} {limit}"
            );
        }
    }

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
