//! Cache headers and conditional requests (RFC 9110 section 13, RFC 9111).

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use switchboard::http::caller::Authenticator;

use super::{TestResponse, default_callers, edge, edge_with_operations, get, post, send, with_header};
use crate::world::{World, tenant_a};

const HELLO: &str = "/graphql?query=%7Bhello%7D";

/// A GET with `If-None-Match`.
fn get_if_none_match(tags: &str) -> Request<Body> {
    with_header(get(HELLO), "if-none-match", tags)
}

fn head(mut request: Request<Body>) -> Request<Body> {
    *request.method_mut() = Method::HEAD;
    request
}

#[tokio::test]
async fn matching_etag_returns_304() {
    let router = edge(default_callers());
    let response = send(router.clone(), get(HELLO)).await;
    let tag = response.header("etag").to_owned();
    assert!(tag.starts_with("W/\"") && tag.len() > 24, "{tag}");
    let opaque = tag.strip_prefix("W/").unwrap();
    for tags in [&tag, opaque, "*", &format!("\"other\", {tag}, \"more\"")] {
        for request in [get_if_none_match(tags), head(get_if_none_match(tags))] {
            let response = send(router.clone(), request).await;
            assert_eq!((response.status, response.text.as_str()), (StatusCode::NOT_MODIFIED, ""), "{tags}");
            assert_eq!(response.header("etag"), tag);
            assert_eq!(response.header("cache-control"), "private, no-cache");
            assert_eq!(response.header("vary"), "Authorization, x-api-key, Accept, Accept-Encoding, Origin");
            assert_eq!(response.header("content-type"), "");
        }
    }
    for tags in ["\"other\"", "", "hello", "W/\"\""] {
        assert_eq!(send(router.clone(), get_if_none_match(tags)).await.status, StatusCode::OK, "{tags}");
    }
}

#[tokio::test]
async fn etag_depends_only_on_the_response_bytes() {
    let tag = async |router: Router, request| send(router, request).await.header("etag").to_owned();
    let router = edge(default_callers());
    let first = tag(router.clone(), get(HELLO)).await;
    assert_eq!(tag(router.clone(), get(HELLO)).await, first, "kept");
    assert_eq!(tag(router.clone(), head(get(HELLO))).await, first, "by HEAD");
    assert_eq!(tag(edge(default_callers()), get(HELLO)).await, first, "another process's");
    assert_eq!(tag(router.clone(), get("/graphql?query=%7B+hello+%7D")).await, first, "another question's");
    assert_ne!(tag(router.clone(), get("/graphql?query=%7Bkeys%7D")).await, first);
    assert_ne!(
        tag(router, with_header(get(HELLO), "accept", "application/json")).await,
        first,
        "another media type"
    );
}

#[tokio::test]
async fn post_and_error_responses_have_no_etag() {
    let router = edge(default_callers());
    let by_post = with_header(post(r#"{"query":"{hello}"}"#), "if-none-match", "*");
    let failed = with_header(get("/graphql?query=%7Bhello+limited%7D"), "if-none-match", "*");
    let refused = with_header(get("/graphql?query=%7Bhullo%7D"), "if-none-match", "*");
    for (request, status, keeping) in [
        (by_post, StatusCode::OK, "private, no-cache"),
        (failed, StatusCode::OK, "no-store"),
        (refused, StatusCode::BAD_REQUEST, "no-store"),
    ] {
        let response = send(router.clone(), request).await;
        assert_eq!(
            (response.status, response.header("etag"), response.header("cache-control")),
            (status, "", keeping)
        );
        assert!(!response.text.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn age_header_is_the_age_of_the_oldest_part() {
    let world = World::new();
    let router = edge_with_operations(Authenticator::Open(tenant_a().tenant), world.operations.clone());
    let accounts = "/graphql?query=%7BconnectedAccounts(first:1)%7Bnodes%7Bid%7D%7D%7D";
    let both =
        "/graphql?query=%7BconnectedAccounts(first:1)%7Bnodes%7Bid%7D%7Dproviders%7Bnodes%7Bid%7D%7D%7D";
    let age = async |path: &str| send(router.clone(), get(path)).await.header("age").to_owned();
    assert_eq!(
        age("/graphql?query=%7Btoolkit(slug:%22gmail%22)%7Bslug%7D%7D").await,
        "",
        "no upstream data was read"
    );
    assert_eq!(age(accounts).await, "0");
    world.advance(Duration::from_millis(1_999)).await;
    assert_eq!(age(accounts).await, "1");
    world.advance(Duration::from_millis(10_001)).await;
    assert_eq!(age(both).await, "12", "the age of the accounts, not of the providers");
    world.executions();
    let response: TestResponse = send(router.clone(), get(accounts)).await;
    assert_eq!((response.header("age"), world.executions()), ("12", 0));
    world.advance(Duration::from_secs(3)).await;
    let kept =
        send(router.clone(), with_header(get(accounts), "if-none-match", response.header("etag"))).await;
    assert_eq!((kept.status, kept.header("age"), world.executions()), (StatusCode::NOT_MODIFIED, "15", 0));
}

#[tokio::test]
async fn a_304_has_no_content_length() {
    let whole = send(edge(default_callers()), get("/graphql?query=%7Bhello%7D")).await;
    for method in [Method::GET, Method::HEAD] {
        let mut request =
            with_header(get("/graphql?query=%7Bhello%7D"), "if-none-match", whole.header("etag"));
        *request.method_mut() = method;
        let response = send(edge(default_callers()), request).await;
        assert_eq!(
            (response.status, response.headers.get("content-length")),
            (StatusCode::NOT_MODIFIED, None)
        );
    }
}

#[tokio::test]
async fn a_304_has_neither_a_body_nor_a_coding() {
    let whole = send(edge(default_callers()), get("/graphql?query=%7Bhello%7D")).await;
    for coding in ["gzip", "br", "zstd"] {
        let request = with_header(get("/graphql?query=%7Bhello%7D"), "if-none-match", whole.header("etag"));
        let response = send(edge(default_callers()), with_header(request, "accept-encoding", coding)).await;
        assert_eq!((response.status, response.text.as_str()), (StatusCode::NOT_MODIFIED, ""), "{coding}");
        assert_eq!(response.header("content-encoding"), "");
    }
}

#[tokio::test]
async fn a_response_to_head_over_http_2_has_no_body() {
    for path in ["/graphql?query=%7Bhello%7D", "/graphql?query=%7B", "/nowhere"] {
        let whole = send(edge(default_callers()), get(path)).await;
        let mut request = get(path);
        (*request.method_mut(), *request.version_mut()) = (Method::HEAD, axum::http::Version::HTTP_2);
        let response = send(edge(default_callers()), request).await;
        assert_eq!((response.status, response.text.as_str()), (whole.status, ""), "{path}");
        assert_eq!(response.header("content-length"), whole.text.len().to_string(), "{path}");
    }
}

#[tokio::test]
async fn a_client_that_accepts_no_coding_is_refused_before_execution() {
    let excluding = ["identity;q=0", "*;q=0", "identity;q=0, deflate"];
    // An entry that does not follow the grammar (RFC 9110, 12.4.2 and 12.5.3) is ignored.
    let malformed = ["gzip;q=1.5", "gzip;foo=bar", "br;q=1.0000", "*;q=2", "gzip;q=.5"];
    let malformed = malformed.map(|entry| format!("{entry}, identity;q=0"));
    for accept in excluding.into_iter().chain(malformed.iter().map(String::as_str)) {
        let response = send(
            edge(default_callers()),
            with_header(get("/graphql?query=%7Bhello%7D"), "accept-encoding", accept),
        )
        .await;
        assert_eq!(
            (response.status, response.code().as_str()),
            (StatusCode::NOT_ACCEPTABLE, "BAD_USER_INPUT"),
            "{accept}"
        );
        assert!(
            response.message().contains("`Accept-Encoding` excludes every coding"),
            "{}",
            response.message()
        );
    }
    for accept in ["identity;q=0, gzip", "x-gzip, identity;q=0", "*", "identity;q=0, *", "gzip;q=0", ""] {
        let response = send(
            edge(default_callers()),
            with_header(get("/graphql?query=%7Bhello%7D"), "accept-encoding", accept),
        )
        .await;
        assert_eq!(response.status, StatusCode::OK, "{accept}");
    }
}
