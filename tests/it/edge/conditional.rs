//! What an answer says to caches, and what a client that has it already is sent (RFC 9110, 13; RFC 9111).

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use switchboard::http::caller::Authenticator;

use super::{Seen, anybody, ask, edge, get, post, serving, with};
use crate::world::{World, tenant_a};

const HELLO: &str = "/graphql?query=%7Bhello%7D";

/// A GET by a client that holds copies.
fn holding(tags: &str) -> Request<Body> {
    with(get(HELLO), "if-none-match", tags)
}

fn head(mut request: Request<Body>) -> Request<Body> {
    *request.method_mut() = Method::HEAD;
    request
}

#[tokio::test]
async fn a_client_that_has_the_answer_is_told_so() {
    let router = edge(anybody());
    let seen = ask(router.clone(), get(HELLO)).await;
    let tag = seen.header("etag").to_owned();
    assert!(tag.starts_with("W/\"") && tag.len() > 24, "{tag}");
    let opaque = tag.strip_prefix("W/").unwrap();
    for tags in [&tag, opaque, "*", &format!("\"other\", {tag}, \"more\"")] {
        for request in [holding(tags), head(holding(tags))] {
            let seen = ask(router.clone(), request).await;
            assert_eq!((seen.status, seen.text.as_str()), (StatusCode::NOT_MODIFIED, ""), "{tags}");
            assert_eq!(seen.header("etag"), tag);
            assert_eq!(seen.header("cache-control"), "private, no-cache");
            assert_eq!(seen.header("vary"), "Authorization, x-api-key, Accept, Accept-Encoding, Origin");
            assert_eq!(seen.header("content-type"), "");
        }
    }
    for tags in ["\"other\"", "", "hello", "W/\"\""] {
        assert_eq!(ask(router.clone(), holding(tags)).await.status, StatusCode::OK, "{tags}");
    }
}

#[tokio::test]
async fn the_same_bytes_have_the_same_tag_kept_or_not_and_other_bytes_another() {
    let tag = async |router: Router, request| ask(router, request).await.header("etag").to_owned();
    let router = edge(anybody());
    let first = tag(router.clone(), get(HELLO)).await;
    assert_eq!(tag(router.clone(), get(HELLO)).await, first, "kept");
    assert_eq!(tag(router.clone(), head(get(HELLO))).await, first, "by HEAD");
    assert_eq!(tag(edge(anybody()), get(HELLO)).await, first, "another process's");
    assert_eq!(tag(router.clone(), get("/graphql?query=%7B+hello+%7D")).await, first, "another question's");
    assert_ne!(tag(router.clone(), get("/graphql?query=%7Bkeys%7D")).await, first);
    assert_ne!(
        tag(router, with(get(HELLO), "accept", "application/json")).await,
        first,
        "another media type"
    );
}

#[tokio::test]
async fn by_post_and_with_errors_nothing_is_told_apart_by_tag() {
    let router = edge(anybody());
    let by_post = with(post(r#"{"query":"{hello}"}"#), "if-none-match", "*");
    let failed = with(get("/graphql?query=%7Bhello+limited%7D"), "if-none-match", "*");
    let refused = with(get("/graphql?query=%7Bhullo%7D"), "if-none-match", "*");
    for (request, status, keeping) in [
        (by_post, StatusCode::OK, "private, no-cache"),
        (failed, StatusCode::OK, "no-store"),
        (refused, StatusCode::BAD_REQUEST, "no-store"),
    ] {
        let seen = ask(router.clone(), request).await;
        assert_eq!((seen.status, seen.header("etag"), seen.header("cache-control")), (status, "", keeping));
        assert!(!seen.text.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_says_how_old_its_oldest_part_is() {
    let world = World::new();
    let router = serving(Authenticator::Open(tenant_a().tenant), world.operations.clone());
    let accounts = "/graphql?query=%7BconnectedAccounts(first:1)%7Bnodes%7Bid%7D%7D%7D";
    let both =
        "/graphql?query=%7BconnectedAccounts(first:1)%7Bnodes%7Bid%7D%7Dproviders%7Bnodes%7Bid%7D%7D%7D";
    let age = async |path: &str| ask(router.clone(), get(path)).await.header("age").to_owned();
    assert_eq!(age("/graphql?query=%7Btoolkit(slug:%22gmail%22)%7Bslug%7D%7D").await, "", "nothing was read");
    assert_eq!(age(accounts).await, "0");
    world.advance(Duration::from_millis(1_999)).await;
    assert_eq!(age(accounts).await, "1");
    world.advance(Duration::from_millis(10_001)).await;
    assert_eq!(age(both).await, "12", "of the accounts, not of the providers");
    world.executions();
    let seen: Seen = ask(router.clone(), get(accounts)).await;
    assert_eq!((seen.header("age"), world.executions()), ("12", 1));
    world.advance(Duration::from_secs(3)).await;
    let kept = ask(router.clone(), with(get(accounts), "if-none-match", seen.header("etag"))).await;
    assert_eq!((kept.status, kept.header("age"), world.executions()), (StatusCode::NOT_MODIFIED, "15", 0));
}

#[tokio::test]
async fn a_304_has_no_content_length() {
    let whole = ask(edge(anybody()), get("/graphql?query=%7Bhello%7D")).await;
    for method in [Method::GET, Method::HEAD] {
        let mut request = with(get("/graphql?query=%7Bhello%7D"), "if-none-match", whole.header("etag"));
        *request.method_mut() = method;
        let seen = ask(edge(anybody()), request).await;
        assert_eq!((seen.status, seen.headers.get("content-length")), (StatusCode::NOT_MODIFIED, None));
    }
}

#[tokio::test]
async fn a_client_that_accepts_no_coding_is_refused_before_execution() {
    for accept in ["identity;q=0", "*;q=0", "identity;q=0, deflate"] {
        let seen =
            ask(edge(anybody()), with(get("/graphql?query=%7Bhello%7D"), "accept-encoding", accept)).await;
        assert_eq!(
            (seen.status, seen.code().as_str()),
            (StatusCode::NOT_ACCEPTABLE, "BAD_USER_INPUT"),
            "{accept}"
        );
        assert!(seen.message().contains("`Accept-Encoding` excludes every coding"), "{}", seen.message());
    }
    for accept in ["identity;q=0, gzip", "*", "identity;q=0, *", "gzip;q=0", ""] {
        let seen =
            ask(edge(anybody()), with(get("/graphql?query=%7Bhello%7D"), "accept-encoding", accept)).await;
        assert_eq!(seen.status, StatusCode::OK, "{accept}");
    }
}
