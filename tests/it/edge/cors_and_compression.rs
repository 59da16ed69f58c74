//! CORS and response compression.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use switchboard::http::cors::AllowedOrigins;
use switchboard::http::settings::HttpSettings;
use tower::ServiceExt as _;

use super::{default_callers, edge, edge_with_settings, get, http_settings, post, send, with_header};

const HELLO: &str = r#"{"query":"{ hello }"}"#;
const APP: &str = "https://app.example.com";

fn edge_with_origins(origins: &str) -> Router {
    let cors_origins = AllowedOrigins::try_from(origins.to_owned()).unwrap();
    edge_with_settings(default_callers(), HttpSettings { cors_origins, ..http_settings() })
}

fn preflight(origin: &str) -> Request<Body> {
    let mut request = with_header(post(Body::empty()), "origin", origin);
    *request.method_mut() = Method::OPTIONS;
    let request = with_header(request, "access-control-request-method", "POST");
    with_header(request, "access-control-request-headers", "content-type,authorization,x-api-key")
}

#[tokio::test]
async fn without_origins_no_cross_origin_request_is_allowed() {
    let response = send(edge(default_callers()), preflight(APP)).await;
    assert_eq!(response.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(response.message().contains("`http.cors_origins`"), "{}", response.message());
    let response = send(edge(default_callers()), with_header(post(HELLO), "origin", APP)).await;
    assert_eq!(response.status, StatusCode::FORBIDDEN);
    assert_eq!(response.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn listed_origin_may_send_its_own_keys() {
    let router = edge_with_origins("https://app.example.com, http://localhost:3000");
    let response = send(router.clone(), preflight(APP)).await;
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.header("access-control-allow-origin"), APP);
    assert_eq!(response.header("access-control-allow-methods"), "GET,POST");
    assert_eq!(response.header("access-control-allow-headers"), "content-type,authorization,x-api-key");
    assert_eq!(response.header("access-control-max-age"), "7200");
    assert_eq!(response.header("access-control-allow-credentials"), "");

    let request = with_header(with_header(post(HELLO), "origin", APP), "sec-fetch-site", "cross-site");
    let response = send(router.clone(), request).await;
    assert_eq!((response.status, response.text.as_str()), (StatusCode::OK, r#"{"data":{"hello":"hello"}}"#));
    assert_eq!(response.header("access-control-allow-origin"), APP);
    assert!(response.header("access-control-expose-headers").contains("x-request-id"));
    assert!(response.header("vary").contains("Origin"), "{:?}", response.headers);

    let response = send(router, with_header(post("{"), "origin", APP)).await;
    assert_eq!(response.status, StatusCode::BAD_REQUEST);
    assert_eq!(response.header("access-control-allow-origin"), APP, "error responses are readable too");
}

#[tokio::test]
async fn multiple_origin_headers_are_refused() {
    for (name, values) in [
        ("origin", [APP, "https://evil.example"]),
        ("origin", ["https://evil.example", APP]),
        ("origin", [APP, APP]),
        ("sec-fetch-site", ["same-origin", "cross-site"]),
    ] {
        let mut request = post(HELLO);
        for value in values {
            request.headers_mut().append(name, value.parse().unwrap());
        }
        assert_eq!(
            send(edge_with_origins(APP), request).await.status,
            StatusCode::FORBIDDEN,
            "{name}: {values:?}"
        );
    }
}

#[tokio::test]
async fn unlisted_origin_is_refused() {
    for origin in
        ["https://evil.example", "https://app.example.com.evil.example", "http://app.example.com", "null", ""]
    {
        let router = edge_with_origins(APP);
        let response = send(router.clone(), preflight(origin)).await;
        assert_eq!(response.header("access-control-allow-origin"), "", "{origin}");
        let response = send(router, with_header(post(HELLO), "origin", origin)).await;
        assert_eq!(response.status, StatusCode::FORBIDDEN, "{origin}");
        assert_eq!(response.header("access-control-allow-origin"), "", "{origin}");
    }
    let hidden = with_header(get("/graphql?query=%7Bhello%7D"), "sec-fetch-site", "cross-site");
    assert_eq!(
        send(edge_with_origins(APP), hidden).await.status,
        StatusCode::FORBIDDEN,
        "a missing origin is not trusted"
    );
}

#[tokio::test]
async fn long_responses_are_compressed_if_accepted() {
    let long = r#"{"query":"{ items(count: 500) { index } }"}"#;
    let plain = send(edge(default_callers()), post(long)).await;
    assert_eq!(plain.header("content-encoding"), "");
    for encoding in ["gzip", "br", "zstd"] {
        let request = with_header(post(long), "accept-encoding", encoding);
        let (head, body) = edge(default_callers()).oneshot(request).await.unwrap().into_parts();
        assert_eq!(head.headers["content-encoding"], encoding);
        assert!(head.headers["vary"].to_str().unwrap().contains("Accept-Encoding"));
        let packed = body.collect().await.unwrap().to_bytes();
        assert!(packed.len() < plain.text.len() / 2, "{encoding}: {}", packed.len());
        if encoding == "gzip" {
            let mut text = String::new();
            let mut reader = flate2::read::GzDecoder::new(packed.as_ref());
            std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
            assert_eq!(text, plain.text);
        }
    }
    let short =
        send(edge(default_callers()), with_header(post(HELLO), "accept-encoding", "gzip, br, zstd")).await;
    assert_eq!(short.header("content-encoding"), "");
    let off = edge_with_settings(default_callers(), HttpSettings { compression: false, ..http_settings() });
    assert_eq!(
        send(off, with_header(post(long), "accept-encoding", "gzip")).await.header("content-encoding"),
        ""
    );
}

/// Returns the headers and the bytes of a compressed response.
async fn compressed(router: &Router, accept_encoding: &str) -> (http::HeaderMap, Bytes) {
    let request = with_header(
        post(r#"{"query":"{ items(count: 500) { index } }"}"#),
        "accept-encoding",
        accept_encoding,
    );
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    (head.headers, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn a_cached_response_is_compressed_once_for_each_accept_encoding() {
    let router = edge(default_callers());
    let (_, executed) = compressed(&router, "gzip").await;
    let (first_headers, first) = compressed(&router, "gzip").await;
    let (headers, again) = compressed(&router, "gzip").await;
    assert_eq!((&first, &again), (&executed, &executed));
    assert_eq!(again.as_ptr(), first.as_ptr(), "the same bytes in memory");
    assert_eq!(headers["content-encoding"], "gzip");
    for name in ["content-type", "cache-control", "vary", "content-encoding"] {
        assert_eq!(headers.get(name), first_headers.get(name), "{name}");
    }
    for (accept_encoding, coding) in
        [("br", "br"), ("gzip, deflate, br, zstd", "zstd"), ("gzip;q=0.5, br", "br")]
    {
        for _ in 0..2 {
            assert_eq!(compressed(&router, accept_encoding).await.0["content-encoding"], coding);
        }
    }
    let (headers, plain) = compressed(&router, "identity").await;
    assert!(!headers.contains_key("content-encoding") && plain.starts_with(b"{"));
}
