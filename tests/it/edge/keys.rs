//! Whose keys a request is run with, and who is let in without any.

use axum::http::StatusCode;
use switchboard::http::caller::Authenticator;
use switchboard::http::ops;
use switchboard::http::settings::HttpSettings;
use switchboard::telemetry::metrics::Metrics;

use super::{Seen, anybody, ask, edge, edge_with, get, http_settings, post, with};

const KEYS: &str = r#"{"query":"{ keys }"}"#;

async fn with_keys(headers: &[(&'static str, &str)]) -> Seen {
    let request = headers.iter().fold(post(KEYS), |request, (name, value)| with(request, name, value));
    ask(edge(Authenticator::Passthrough), request).await
}

#[tokio::test]
async fn each_key_goes_to_its_own_upstream_and_one_may_be_missing() {
    let (bearer, api_key) = (("authorization", "Bearer wbk_a"), ("x-api-key", "ak_a"));
    for (headers, expected) in [
        (vec![bearer, api_key], "leadlex: true, composio: true"),
        (vec![bearer], "leadlex: true, composio: false"),
        (vec![api_key], "leadlex: false, composio: true"),
        (vec![("authorization", "bearer  wbk_a")], "leadlex: true, composio: false"),
    ] {
        let seen = with_keys(&headers).await;
        assert_eq!((seen.status, &seen.json()["data"]["keys"]), (StatusCode::OK, &expected.into()));
    }
}

#[tokio::test]
async fn no_key_and_a_broken_key_are_different_answers() {
    let seen = with_keys(&[]).await;
    assert_eq!((seen.status, seen.code().as_str()), (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"));
    assert_eq!(seen.header("www-authenticate"), "Bearer realm=\"switchboard\"");
    assert!(
        seen.message().starts_with("Keys are missing: send `Authorization: Bearer wbk_…`"),
        "{}",
        seen.message()
    );

    for broken in
        ["Bearer sk_hunter2", "Basic aHVudGVyMg==", "Bearer", "Bearer wbk_", "Bearer wbk_hunter2 x", ""]
    {
        let seen = with_keys(&[("authorization", broken), ("x-api-key", "ak_a")]).await;
        assert_eq!(
            (seen.status, seen.code().as_str()),
            (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
            "{broken}"
        );
        assert_eq!(seen.header("www-authenticate"), "Bearer realm=\"switchboard\", error=\"invalid_token\"");
        assert!(seen.message().starts_with("The `Authorization` header holds no key"), "{}", seen.message());
        assert!(!seen.text.contains("hunter2"), "{}", seen.text);
    }
    for broken in ["", "two words"] {
        let seen = with_keys(&[("authorization", "Bearer wbk_a"), ("x-api-key", broken)]).await;
        assert_eq!(seen.status, StatusCode::UNAUTHORIZED);
        assert!(seen.message().starts_with("The `x-api-key` header holds no key"), "{}", seen.message());
    }
}

#[tokio::test]
async fn a_key_that_comes_twice_is_refused() {
    let mut request = with(post(KEYS), "x-api-key", "ak_a");
    request.headers_mut().append("x-api-key", "ak_b".parse().unwrap());
    let seen = ask(edge(Authenticator::Passthrough), request).await;
    assert_eq!(seen.status, StatusCode::UNAUTHORIZED);
    assert!(seen.message().ends_with("once."), "{}", seen.message());
}

#[tokio::test]
async fn without_authentication_only_this_machines_names_are_answered() {
    for own in ["localhost:8080", "127.0.0.1", "[::1]:8080"] {
        let seen = ask(edge(anybody()), with(post(KEYS), "host", own)).await;
        assert_eq!(seen.json()["data"]["keys"], "leadlex: true, composio: true");
    }
    for foreign in ["rebound.example:8080", "127.0.0.1.nip.io", "192.168.1.2:8080", "not a host"] {
        let seen = ask(edge(anybody()), with(post(KEYS), "host", foreign)).await;
        assert_eq!((seen.status, seen.code().as_str()), (StatusCode::FORBIDDEN, "FORBIDDEN"), "{foreign}");
        assert!(seen.message().contains("call the server by `localhost`"), "{}", seen.message());
    }
}

#[tokio::test]
async fn without_authentication_nothing_at_all_is_answered_by_another_name() {
    let with_graphiql = HttpSettings { graphiql: true, ..http_settings() };
    for (router, path) in [
        (edge(anybody()), "/"),
        (edge_with(anybody(), with_graphiql.clone()), "/"),
        (edge_with(anybody(), with_graphiql), "/graphiql/nothing.js"),
        (edge(anybody()), "/nothing"),
        (edge(anybody()), "/graphql?query=%7Bkeys%7D"),
        (ops::router(&anybody(), &ops::Readiness::default(), Metrics::default()), "/live"),
        (ops::router(&anybody(), &ops::Readiness::default(), Metrics::default()), "/metrics"),
        (ops::router(&anybody(), &ops::Readiness::default(), Metrics::default()), "/nothing"),
    ] {
        let seen = ask(router.clone(), with(get(path), "host", "rebound.example")).await;
        assert_eq!((seen.status, seen.code().as_str()), (StatusCode::FORBIDDEN, "FORBIDDEN"), "{path}");
        assert_ne!(ask(router, with(get(path), "host", "localhost")).await.status, StatusCode::FORBIDDEN);
    }
    let seen = ask(
        ops::router(&Authenticator::Passthrough, &ops::Readiness::default(), Metrics::default()),
        with(get("/live"), "host", "10.0.0.7:9090"),
    )
    .await;
    assert_eq!(seen.status, StatusCode::OK);
}

#[tokio::test]
async fn with_keys_of_their_own_callers_may_use_any_name() {
    let request = with(with(post(KEYS), "host", "graph.example"), "x-api-key", "ak_a");
    assert_eq!(ask(edge(Authenticator::Passthrough), request).await.status, StatusCode::OK);
}
