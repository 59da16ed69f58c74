//! Compression of responses of `/graphql`.
//!
//! tower-http selects the coding and compresses. Compressing takes several times as long as everything else that a
//! response from the cache needs, so the compressed body is stored with the cached response ([`BodyForms`]).

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt as _;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate as _, SizeAbove};

use crate::operation::{BodyForms, CompressedBody, OperationResponse};

/// Minimum size of a compressed response in bytes. Smaller ones fit into one packet anyway.
const COMPRESSED_FROM_BYTES: u64 = 1_400;

/// Adds compression to the service of `/graphql`.
pub(super) fn compressed<S>(
    graphql: S,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    // Streams are not compressed, because compression would delay their frames.
    let worth_it = SizeAbove::new(COMPRESSED_FROM_BYTES)
        .and(NotForContentType::SSE)
        .and(NotForContentType::const_new("multipart/"))
        // The length of its empty body is not known to tower-http.
        .and(|status, _, _: &_, _: &_| status != StatusCode::NOT_MODIFIED);
    let layer = CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(worth_it);
    let service = layer.layer(graphql);
    service_fn(move |request: Request| {
        let service = service.clone();
        async move {
            let accepted = accepted(request.headers()).cloned();
            let response = service.oneshot(request).await?.map(Body::new);
            Ok(match accepted {
                Some(accepted) => store(&accepted, response).await,
                None => response,
            })
        }
    })
}

/// Whether a response can be sent in a coding that the client accepts (RFC 9110, 12.5.3). It must read the header as
/// tower-http does, which would otherwise replace the status of a response by 406 after the operation has run: an entry
/// that does not follow the grammar is ignored.
pub(super) fn accepts_any_coding(headers: &HeaderMap, compression: bool) -> bool {
    if !headers.contains_key(ACCEPT_ENCODING) {
        return true;
    }
    let lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let entries: Vec<_> = lines.flat_map(|line| line.split(',')).filter_map(entry).collect();
    let accepts = |names: &[&str]| {
        let weight = |name: &&str| entries.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        names.iter().chain(&["*"]).find_map(weight).map(|(_, is_accepted)| *is_accepted)
    };
    let codings: [&[&str]; 3] = [&["br"], &["gzip", "x-gzip"], &["zstd"]];
    accepts(&["identity"]) != Some(false)
        || (compression && codings.into_iter().any(|names| accepts(names) == Some(true)))
}

/// Reads an entry of `Accept-Encoding`: its name, and whether its weight is above 0.
fn entry(text: &str) -> Option<(&str, bool)> {
    let Some((name, parameter)) = text.split_once(';') else { return Some((text.trim(), true)) };
    let weight = parameter.trim().strip_prefix("q=").or_else(|| parameter.trim().strip_prefix("Q="))?;
    let (whole, decimals) = weight.split_once('.').unwrap_or((weight, ""));
    let is_weight = decimals.len() <= 3
        && match whole {
            "0" => decimals.bytes().all(|digit| digit.is_ascii_digit()),
            "1" => decimals.bytes().all(|digit| digit == b'0'),
            _ => false,
        };
    is_weight.then(|| (name.trim(), whole == "1" || decimals.bytes().any(|digit| digit != b'0')))
}

/// Replaces the body of a response by its compressed form, if one is stored for an equal request. Otherwise the layer
/// stores it.
pub(super) fn reuse(response: &OperationResponse, headers: &HeaderMap, http_response: &mut Response) {
    let Some(accepted) = accepted(headers) else { return };
    match response.forms.compressed(accepted) {
        Some(CompressedBody { coding, bytes }) => {
            *http_response.body_mut() = Body::from(bytes);
            http_response.headers_mut().insert(CONTENT_ENCODING, coding);
        }
        None => drop(http_response.extensions_mut().insert(Arc::clone(&response.forms))),
    }
}

/// Returns `Accept-Encoding` if the request has one line of it, as nearly all have.
fn accepted(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut lines = headers.get_all(ACCEPT_ENCODING).iter();
    lines.next().filter(|_| lines.next().is_none())
}

/// Stores the body with the response whose compressed form it is.
async fn store(accepted: &HeaderValue, mut response: Response) -> Response {
    let Some(forms) = response.extensions_mut().remove::<Arc<BodyForms>>() else { return response };
    let Some(coding) = response.headers().get(CONTENT_ENCODING).cloned() else { return response };
    let (head, body) = response.into_parts();
    // The body is in memory, and compressing it does not fail.
    let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    forms.store_compressed(accepted, CompressedBody { coding, bytes: bytes.clone() });
    Response::from_parts(head, Body::from(bytes))
}
