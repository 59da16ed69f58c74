//! The upstream keys that a request runs with, and access without authentication.

use axum::http::StatusCode;
use switchboard::http::caller::Authenticator;
use switchboard::http::ops;
use switchboard::http::settings::HttpSettings;
use switchboard::telemetry::metrics::Metrics;

use super::{
    TestResponse, default_callers, edge, edge_with_settings, get, http_settings, post, send, with_header,
};

const KEYS: &str = r#"{"query":"{ keys }"}"#;

async fn with_keys(headers: &[(&'static str, &str)]) -> TestResponse {
    let request = headers.iter().fold(post(KEYS), |request, (name, value)| with_header(request, name, value));
    send(edge(Authenticator::Passthrough), request).await
}

#[tokio::test]
async fn each_key_is_sent_only_to_its_upstream_and_one_may_be_missing() {
    let (bearer, api_key) = (("authorization", "Bearer wbk_a"), ("x-api-key", "ak_a"));
    for (headers, expected) in [
        (vec![bearer, api_key], "leadlex: true, composio: true"),
        (vec![bearer], "leadlex: true, composio: false"),
        (vec![api_key], "leadlex: false, composio: true"),
        (vec![("authorization", "bearer  wbk_a")], "leadlex: true, composio: false"),
    ] {
        let response = with_keys(&headers).await;
        assert_eq!((response.status, &response.json()["data"]["keys"]), (StatusCode::OK, &expected.into()));
    }
}

#[tokio::test]
async fn missing_key_and_malformed_key_have_different_errors() {
    let response = with_keys(&[]).await;
    assert_eq!((response.status, response.code().as_str()), (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"));
    assert_eq!(response.header("www-authenticate"), "Bearer realm=\"switchboard\"");
    assert!(
        response.message().starts_with("API keys are missing. Send `Authorization: Bearer wbk_…`"),
        "{}",
        response.message()
    );

    for broken in
        ["Bearer sk_hunter2", "Basic aHVudGVyMg==", "Bearer", "Bearer wbk_", "Bearer wbk_hunter2 x", ""]
    {
        let response = with_keys(&[("authorization", broken), ("x-api-key", "ak_a")]).await;
        assert_eq!(
            (response.status, response.code().as_str()),
            (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
            "{broken}"
        );
        assert_eq!(
            response.header("www-authenticate"),
            "Bearer realm=\"switchboard\", error=\"invalid_token\""
        );
        assert!(
            response.message().starts_with("The `Authorization` header has no key"),
            "{}",
            response.message()
        );
        assert!(!response.text.contains("hunter2"), "{}", response.text);
    }
    for broken in ["", "two words"] {
        let response = with_keys(&[("authorization", "Bearer wbk_a"), ("x-api-key", broken)]).await;
        assert_eq!(response.status, StatusCode::UNAUTHORIZED);
        assert!(
            response.message().starts_with("The `x-api-key` header is not a valid key"),
            "{}",
            response.message()
        );
    }
}

#[tokio::test]
async fn duplicate_key_header_is_refused() {
    let mut request = with_header(post(KEYS), "x-api-key", "ak_a");
    request.headers_mut().append("x-api-key", "ak_b".parse().unwrap());
    let response = send(edge(Authenticator::Passthrough), request).await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    assert!(response.message().ends_with("once."), "{}", response.message());
}

#[tokio::test]
async fn without_authentication_only_local_hosts_are_served() {
    for own in ["localhost:8080", "127.0.0.1", "[::1]:8080"] {
        let response = send(edge(default_callers()), with_header(post(KEYS), "host", own)).await;
        assert_eq!(response.json()["data"]["keys"], "leadlex: true, composio: true");
    }
    for foreign in ["rebound.example:8080", "127.0.0.1.nip.io", "192.168.1.2:8080", "not a host"] {
        let response = send(edge(default_callers()), with_header(post(KEYS), "host", foreign)).await;
        assert_eq!(
            (response.status, response.code().as_str()),
            (StatusCode::FORBIDDEN, "FORBIDDEN"),
            "{foreign}"
        );
        assert!(response.message().contains("Use the host `localhost`"), "{}", response.message());
    }
}

#[tokio::test]
async fn without_authentication_every_path_requires_a_local_host() {
    let with_graphiql = HttpSettings { graphiql: true, ..http_settings() };
    for (router, path) in [
        (edge(default_callers()), "/"),
        (edge_with_settings(default_callers(), with_graphiql.clone()), "/"),
        (edge_with_settings(default_callers(), with_graphiql), "/graphiql/nothing.js"),
        (edge(default_callers()), "/nothing"),
        (edge(default_callers()), "/graphql?query=%7Bkeys%7D"),
        (ops::router(&default_callers(), &ops::Readiness::default(), Metrics::default()), "/live"),
        (ops::router(&default_callers(), &ops::Readiness::default(), Metrics::default()), "/metrics"),
        (ops::router(&default_callers(), &ops::Readiness::default(), Metrics::default()), "/nothing"),
    ] {
        let response = send(router.clone(), with_header(get(path), "host", "rebound.example")).await;
        assert_eq!(
            (response.status, response.code().as_str()),
            (StatusCode::FORBIDDEN, "FORBIDDEN"),
            "{path}"
        );
        assert_ne!(
            send(router, with_header(get(path), "host", "localhost")).await.status,
            StatusCode::FORBIDDEN
        );
    }
    let response = send(
        ops::router(&Authenticator::Passthrough, &ops::Readiness::default(), Metrics::default()),
        with_header(get("/live"), "host", "10.0.0.7:9090"),
    )
    .await;
    assert_eq!(response.status, StatusCode::OK);
}

#[tokio::test]
async fn passthrough_callers_may_use_any_host() {
    let request = with_header(with_header(post(KEYS), "host", "graph.example"), "x-api-key", "ak_a");
    assert_eq!(send(edge(Authenticator::Passthrough), request).await.status, StatusCode::OK);
}
