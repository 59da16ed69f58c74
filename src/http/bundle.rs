//! A page that is compiled into the binary, served file by file.
//!
//! A bundle is a folder of files that were gzipped at build time and are embedded as they are. Rejected: compressing
//! each response, which repeats the same work for every visitor.

use std::io::Read as _;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rust_embed::{EmbeddedFile, RustEmbed};

use super::conditional::{has_current, not_modified};

/// The file name of the page.
pub(super) const PAGE: &str = "index.html";

/// Serves the page.
pub(super) fn page<B: RustEmbed>(headers: &HeaderMap) -> Response {
    file::<B>(PAGE, headers)
}

/// Serves a file that the page refers to.
pub(super) fn asset<B: RustEmbed>(name: &str, headers: &HeaderMap) -> Response {
    // The page's links are relative to its own path and would be broken under this path.
    if name == PAGE { not_found() } else { file::<B>(name, headers) }
}

fn file<B: RustEmbed>(name: &str, headers: &HeaderMap) -> Response {
    let Some(EmbeddedFile { data, metadata }) = B::get(&format!("{name}.gz")) else {
        return not_found();
    };
    let gzip = accepts(headers, &ACCEPT_ENCODING, &["gzip", "*"]).unwrap_or(false);
    // A strong tag names one representation (RFC 9110, 8.8.1), so compressed and plain bytes have different tags.
    let tag = BASE64_URL_SAFE_NO_PAD.encode(metadata.sha256_hash());
    let opaque = if gzip { format!("{tag}-gzip") } else { tag };
    let tag = format!("\"{opaque}\"");
    let common_headers = [
        (CACHE_CONTROL, if is_hashed(name) { "public, max-age=31536000, immutable" } else { "no-cache" }),
        (VARY, if name == PAGE { "Accept, Accept-Encoding" } else { "Accept-Encoding" }),
        (ETAG, tag.as_str()),
    ];
    if has_current(headers, &opaque) {
        return (common_headers, not_modified()).into_response();
    }
    let content_type = [(CONTENT_TYPE, content_type(name))];
    if gzip {
        return (common_headers, content_type, [(CONTENT_ENCODING, "gzip")], Body::from(data))
            .into_response();
    }
    let mut plain = Vec::new();
    match flate2::read::GzDecoder::new(data.as_ref()).read_to_end(&mut plain) {
        Ok(_) => (common_headers, content_type, plain).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "No such file.\n").into_response()
}

/// Returns the response with headers that keep a browser from loading, guessing or disclosing more than `policy`
/// allows.
pub(super) async fn with_security_headers(policy: HeaderValue, mut response: Response) -> Response {
    let security_headers =
        [(X_CONTENT_TYPE_OPTIONS, "nosniff"), (REFERRER_POLICY, "no-referrer"), (X_FRAME_OPTIONS, "DENY")];
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response
        .headers_mut()
        .extend(security_headers.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

/// Returns whether the client accepts the first of `names` that a header with weights contains (RFC 9110, 12.4.2). The
/// most specific name comes first in `names`. Returns `None` if the header has none of them.
pub(super) fn accepts(headers: &HeaderMap, header: &HeaderName, names: &[&str]) -> Option<bool> {
    let lines = headers.get_all(header).into_iter().filter_map(|line| line.to_str().ok());
    let weights: Vec<(&str, bool)> = lines
        .flat_map(|line| line.split(','))
        .map(|member| {
            let mut parts = member.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
            (name, weight.is_none_or(|weight| weight.parse().is_ok_and(|weight: f32| weight > 0.0)))
        })
        .collect();
    let is_accepted = |name: &&str| weights.iter().find(|(listed, _)| listed.eq_ignore_ascii_case(name));
    names.iter().find_map(is_accepted).map(|(_, accepted)| *accepted)
}

/// Whether the name ends in the bundler's content hash of eight characters, so that other content has another name.
fn is_hashed(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(stem, _)| stem.bytes().rev().nth(8) == Some(b'-'))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "svg" => "image/svg+xml",
        "ttf" => "font/ttf",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}
