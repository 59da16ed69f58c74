//! Mode `tokens`: which callers are accepted, as whom, and how all others are refused.

use std::sync::Arc;

use axum::http::StatusCode;
use switchboard::domain::caller::Tenant;
use switchboard::domain::credential::Credential;
use switchboard::http::caller::Authenticator;
use switchboard::http::caller::settings::{RoleName, TokenSettings};
use switchboard::http::caller::tokens::{NewToken, Tenants, Tokens};

use super::{TestResponse, edge, post, send, with_header};

pub(super) const WHOAMI: &str = r#"{"query":"{ whoami }"}"#;

/// The tenants `default` and `acme`.
pub(super) fn tenants() -> Tenants {
    ["default", "acme"]
        .map(|name| {
            let composio = Credential::new(&format!("ak_{name}")).ok();
            (name.to_owned(), Tenant { leadlex: Credential::new("wbk_x").ok(), composio })
        })
        .into()
}

/// The form in which `whoami` shows a tenant.
pub(super) fn key_of(tenant: &str) -> String {
    format!("{:?}", tenants()[tenant].composio.as_ref().map(Credential::fingerprint))
}

/// An ADMIN of `default` and a MEMBER of `acme`, with their tokens.
struct KnownTokens {
    callers: Authenticator,
    admin: String,
    member: String,
}

fn known_tokens() -> KnownTokens {
    let (admin, member) = (NewToken::random().unwrap(), NewToken::random().unwrap());
    let entry = |name: &str, token: &NewToken, role, tenant: &str, user_id: &str| TokenSettings {
        name: name.to_owned(),
        sha256: token.sha256.clone(),
        role,
        tenant: tenant.to_owned(),
        user_id: user_id.to_owned(),
        rate_limit_requests: 0,
        rate_limit_complexity: 0,
        rate_limit_upstream_calls: 0,
    };
    let settings = [
        entry("back office", &admin, RoleName::Admin, "default", ""),
        entry("ann", &member, RoleName::Member, "acme", "user_1"),
    ];
    let tokens = Tokens::new(&settings, &tenants()).unwrap();
    KnownTokens { callers: Authenticator::Tokens(Arc::new(tokens)), admin: admin.text, member: member.text }
}

async fn with_authorization(callers: &Authenticator, authorization: &str) -> TestResponse {
    send(edge(callers.clone()), with_header(post(WHOAMI), "authorization", authorization)).await
}

#[tokio::test]
async fn token_yields_role_and_tenant() {
    let known_tokens = known_tokens();
    for (authorization, who) in [
        (format!("Bearer {}", known_tokens.admin), format!("back office Admin {}", key_of("default"))),
        (
            format!("bearer  {}", known_tokens.member),
            format!("ann Member(MemberId(\"user_1\")) {}", key_of("acme")),
        ),
    ] {
        let response = with_authorization(&known_tokens.callers, &authorization).await;
        assert_eq!((response.status, &response.json()["data"]["whoami"]), (StatusCode::OK, &who.into()));
    }
    assert_ne!(key_of("default"), key_of("acme"));
}

#[tokio::test]
async fn missing_token_and_wrong_token_have_different_errors() {
    let known_tokens = known_tokens();
    let absent = send(edge(known_tokens.callers.clone()), post(WHOAMI)).await;
    let other_scheme = with_authorization(&known_tokens.callers, "Basic aHVudGVyMg==").await;
    let bare = with_authorization(&known_tokens.callers, &known_tokens.admin).await;
    let scheme =
        "`Authorization` does not begin with the scheme `Bearer`. Send `Authorization: Bearer <token>`.";
    for (response, message, reason) in [
        (absent, "The token is missing. Send `Authorization: Bearer <token>`.", "TOKEN_MISSING"),
        (other_scheme, scheme, "TOKEN_SCHEME"),
        (bare, scheme, "TOKEN_SCHEME"),
    ] {
        assert_eq!(
            (response.status, response.code().as_str()),
            (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED")
        );
        // RFC 6750 section 3.1: without credentials, the challenge has no error code.
        assert_eq!(response.header("www-authenticate"), "Bearer realm=\"switchboard\"");
        assert_eq!(response.message(), message);
        assert_eq!(response.json()["errors"][0]["extensions"]["reason"], reason);
        assert!(!response.text.contains(&known_tokens.admin), "{}", response.text);
        assert!(!response.text.contains("aHVudGVyMg"), "{}", response.text);
    }
    let cut: String = known_tokens.admin.chars().take(known_tokens.admin.len() - 1).collect();
    for (wrong, sentence) in [
        ("Bearer swb_hunter2", "is not valid"),
        (&format!("Bearer {cut}"), "is not valid"),
        (&format!("Bearer {}x", known_tokens.admin), "is not valid"),
        ("Bearer", "is not valid"),
        ("Bearer ", "is not valid"),
        (&format!("Bearer {} {}", known_tokens.admin, known_tokens.member), "is not valid"),
        (&format!("Bearer {},{}", known_tokens.admin, known_tokens.member), "is not valid"),
        ("Bearer ü", "is not valid"),
    ] {
        let response = with_authorization(&known_tokens.callers, wrong).await;
        assert_eq!(
            (response.status, response.code().as_str()),
            (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
            "{wrong}"
        );
        assert_eq!(
            response.header("www-authenticate"),
            "Bearer realm=\"switchboard\", error=\"invalid_token\""
        );
        assert!(response.message().contains(sentence), "{wrong}: {}", response.message());
        assert!(!response.text.contains("swb_"), "{}", response.text);
    }
}

#[tokio::test]
async fn duplicate_authorization_headers_are_refused() {
    let known_tokens = known_tokens();
    let bearer = format!("Bearer {}", known_tokens.admin);
    let mut request = with_header(post(WHOAMI), "authorization", &bearer);
    request.headers_mut().append("authorization", bearer.parse().unwrap());
    let response = send(edge(known_tokens.callers), request).await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    assert!(response.message().ends_with("once."), "{}", response.message());
}

#[tokio::test]
async fn token_hash_and_upstream_keys_are_not_tokens() {
    let known_tokens = known_tokens();
    let hash = NewToken::random().unwrap().sha256;
    for wrong in [format!("Bearer {hash}"), "Bearer wbk_x".to_owned(), "Bearer ak_default".to_owned()] {
        let response = with_authorization(&known_tokens.callers, &wrong).await;
        assert_eq!(response.status, StatusCode::UNAUTHORIZED, "{wrong}");
    }
    let request = with_header(with_header(post(WHOAMI), "x-api-key", "ak_default"), "host", "graph.example");
    assert_eq!(send(edge(known_tokens.callers), request).await.status, StatusCode::UNAUTHORIZED);
}
