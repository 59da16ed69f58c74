//! Pages of other sites that may ask (CORS), and answers that are compressed.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use switchboard::http::cors::AllowedOrigins;
use switchboard::http::settings::HttpSettings;
use tower::ServiceExt as _;

use super::{anybody, ask, edge, edge_with, get, http_settings, post, with};

const HELLO: &str = r#"{"query":"{ hello }"}"#;
const APP: &str = "https://app.example.com";

fn open_to(origins: &str) -> Router {
    let cors_origins = AllowedOrigins::try_from(origins.to_owned()).unwrap();
    edge_with(anybody(), HttpSettings { cors_origins, ..http_settings() })
}

fn preflight(origin: &str) -> Request<Body> {
    let mut request = with(post(Body::empty()), "origin", origin);
    *request.method_mut() = Method::OPTIONS;
    let request = with(request, "access-control-request-method", "POST");
    with(request, "access-control-request-headers", "content-type,authorization,x-api-key")
}

#[tokio::test]
async fn without_a_list_no_other_site_may_ask() {
    let seen = ask(edge(anybody()), preflight(APP)).await;
    assert_eq!(seen.status, StatusCode::METHOD_NOT_ALLOWED);
    let seen = ask(edge(anybody()), with(post(HELLO), "origin", APP)).await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
    assert_eq!(seen.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn a_listed_sites_page_may_ask_with_keys_of_its_own() {
    let router = open_to("https://app.example.com, http://localhost:3000");
    let seen = ask(router.clone(), preflight(APP)).await;
    assert_eq!(seen.status, StatusCode::OK);
    assert_eq!(seen.header("access-control-allow-origin"), APP);
    assert_eq!(seen.header("access-control-allow-methods"), "GET,POST");
    assert_eq!(seen.header("access-control-allow-headers"), "content-type,authorization,x-api-key");
    assert_eq!(seen.header("access-control-max-age"), "7200");
    assert_eq!(seen.header("access-control-allow-credentials"), "");

    let request = with(with(post(HELLO), "origin", APP), "sec-fetch-site", "cross-site");
    let seen = ask(router.clone(), request).await;
    assert_eq!((seen.status, seen.text.as_str()), (StatusCode::OK, r#"{"data":{"hello":"hello"}}"#));
    assert_eq!(seen.header("access-control-allow-origin"), APP);
    assert!(seen.header("access-control-expose-headers").contains("x-request-id"));
    assert!(seen.header("vary").contains("Origin"), "{:?}", seen.headers);

    let seen = ask(router, with(post("{"), "origin", APP)).await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    assert_eq!(seen.header("access-control-allow-origin"), APP, "what went wrong may be read too");
}

#[tokio::test]
async fn two_origins_are_none_that_may_ask() {
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
        assert_eq!(ask(open_to(APP), request).await.status, StatusCode::FORBIDDEN, "{name}: {values:?}");
    }
}

#[tokio::test]
async fn a_site_that_is_not_listed_is_refused_as_ever() {
    for origin in
        ["https://evil.example", "https://app.example.com.evil.example", "http://app.example.com", "null", ""]
    {
        let router = open_to(APP);
        let seen = ask(router.clone(), preflight(origin)).await;
        assert_eq!(seen.header("access-control-allow-origin"), "", "{origin}");
        let seen = ask(router, with(post(HELLO), "origin", origin)).await;
        assert_eq!(seen.status, StatusCode::FORBIDDEN, "{origin}");
        assert_eq!(seen.header("access-control-allow-origin"), "", "{origin}");
    }
    let hidden = with(get("/graphql?query=%7Bhello%7D"), "sec-fetch-site", "cross-site");
    assert_eq!(ask(open_to(APP), hidden).await.status, StatusCode::FORBIDDEN, "no origin, no proof");
}

#[tokio::test]
async fn long_answers_are_compressed_for_those_who_take_it() {
    let long = r#"{"query":"{ items(count: 500) { index } }"}"#;
    let plain = ask(edge(anybody()), post(long)).await;
    assert_eq!(plain.header("content-encoding"), "");
    for encoding in ["gzip", "br", "zstd"] {
        let request = with(post(long), "accept-encoding", encoding);
        let (head, body) = edge(anybody()).oneshot(request).await.unwrap().into_parts();
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
    let short = ask(edge(anybody()), with(post(HELLO), "accept-encoding", "gzip, br, zstd")).await;
    assert_eq!(short.header("content-encoding"), "");
    let off = edge_with(anybody(), HttpSettings { compression: false, ..http_settings() });
    assert_eq!(ask(off, with(post(long), "accept-encoding", "gzip")).await.header("content-encoding"), "");
}
