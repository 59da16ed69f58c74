//! Conditional requests (RFC 9110, 13): a client that has the current response receives 304 instead.
//!
//! Entity tags are weak. Strong tags would have to differ between a response and its compressed form, and an outer
//! layer compresses, per client. Only ranges and `If-Match` need strong tags, and neither is supported.

use std::io;

use axum::body::Body;
use axum::http::header::IF_NONE_MATCH;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;

use super::media::MediaType;
use crate::operation::OperationResponse;

/// The entity tag of a response (RFC 9110, 8.8.3).
pub(crate) struct EntityTag {
    opaque: String,
}

impl EntityTag {
    /// Returns the tag of a response in a media type. Each media type has its own tag.
    pub(crate) fn of(response: &OperationResponse, media: MediaType) -> Self {
        let kind = match media {
            MediaType::GraphqlResponse => 'g',
            MediaType::Json => 'j',
        };
        Self { opaque: format!("{}-{kind}", response.tag()) }
    }

    /// Returns the value of `ETag`.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(format!("W/\"{}\"", self.opaque)).ok()
    }

    /// Whether the client has this response.
    pub(crate) fn matches(&self, headers: &HeaderMap) -> bool {
        has_current(headers, &self.opaque)
    }
}

/// Whether the client has the representation with an opaque tag, by its `If-None-Match` (RFC 9110, 13.1.2): one of the
/// tags, compared weakly, or `*`.
pub(super) fn has_current(headers: &HeaderMap, opaque: &str) -> bool {
    let lines = headers.get_all(IF_NONE_MATCH).into_iter().filter_map(|line| line.to_str().ok());
    lines.map(str::trim).any(|line| line == "*" || opaque_tags(line).any(|tag| tag == opaque))
}

/// Creates a 304 without `Content-Length`, which would have to be the length of the 200 response (RFC 9110, 8.6). axum
/// adds the header to a response whose body has a known length, so this body has none.
pub(crate) fn not_modified() -> Response {
    (StatusCode::NOT_MODIFIED, Body::from_stream(stream::empty::<io::Result<Bytes>>())).into_response()
}

/// Returns the opaque parts of the tags in a list. A tag may contain a comma.
fn opaque_tags(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let tag = rest.trim_start_matches([' ', '\t', ',']);
        let quoted = tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"')?;
        let (opaque, after_tag) = quoted.split_once('"')?;
        rest = after_tag;
        Some(opaque)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(lines: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(IF_NONE_MATCH, HeaderValue::from_str(line).unwrap());
        }
        EntityTag { opaque: "a-g".to_owned() }.matches(&headers)
    }

    #[test]
    fn tags_are_compared_weakly_at_any_position() {
        for lines in [
            &["*"][..],
            &[" * "],
            &["\"a-g\""],
            &["W/\"a-g\""],
            &["\"b\", W/\"a-g\""],
            &["\"b\"\t,,\"a-g\" , \"c\""],
            &["\"b,W/\", \"a-g\""],
            &["\"b\"", "\"a-g\""],
        ] {
            assert!(matches(lines), "{lines:?}");
        }
        for lines in [
            &[][..],
            &[""],
            &["a-g"],
            &["\"a-j\""],
            &["\"A-G\""],
            &["w/\"a-g\""],
            &["\"a-g"],
            &["\" a-g\""],
            &["\"x\" *"],
            &["\"b,\"a-g,\""],
            &["*, \"b\""],
        ] {
            assert!(!matches(lines), "{lines:?}");
        }
    }
}
