//! Compression of responses of `/graphql`.
//!
//! tower-http selects the coding and compresses. Compressing takes several times as long as everything else that a
//! response from the cache needs, so the compressed body is kept with the cached response ([`BodyForms`]).

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use axum::http::{HeaderMap, HeaderValue};
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
        .and(NotForContentType::const_new("multipart/"));
    let layer = CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(worth_it);
    let service = layer.layer(graphql);
    service_fn(move |request: Request| {
        let service = service.clone();
        async move {
            let accepted = accepted(request.headers()).cloned();
            let response = service.oneshot(request).await?.map(Body::new);
            Ok(match accepted {
                Some(accepted) => keep(&accepted, response).await,
                None => response,
            })
        }
    })
}

/// Replaces the body of a response by its compressed form, if one is kept for an equal request. Otherwise the layer will
/// keep it.
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

/// Keeps the body with the response whose compressed form it is.
async fn keep(accepted: &HeaderValue, mut response: Response) -> Response {
    let Some(forms) = response.extensions_mut().remove::<Arc<BodyForms>>() else { return response };
    let Some(coding) = response.headers().get(CONTENT_ENCODING).cloned() else { return response };
    let (head, body) = response.into_parts();
    // The body is in memory, and compressing it does not fail.
    let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    forms.keep_compressed(accepted, CompressedBody { coding, bytes: bytes.clone() });
    Response::from_parts(head, Body::from(bytes))
}
