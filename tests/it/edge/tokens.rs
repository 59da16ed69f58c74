//! Mode `tokens`: who is let in, as whom, and what everybody else is told.

use std::sync::Arc;

use axum::http::StatusCode;
use switchboard::domain::caller::Tenant;
use switchboard::domain::credential::Credential;
use switchboard::http::caller::Authenticator;
use switchboard::http::caller::settings::{RoleWord, TokenSettings};
use switchboard::http::caller::tokens::{NewToken, Tenants, Tokens};

use super::{Seen, ask, edge, post, with};

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

/// How a tenant is told apart where the caller is shown.
pub(super) fn key_of(tenant: &str) -> String {
    format!("{:?}", tenants()[tenant].composio.as_ref().map(Credential::fingerprint))
}

/// An ADMIN of `default`, and a MEMBER of `acme`, with their tokens.
struct Known {
    callers: Authenticator,
    admin: String,
    member: String,
}

fn known() -> Known {
    let (admin, member) = (NewToken::random().unwrap(), NewToken::random().unwrap());
    let entry = |name: &str, token: &NewToken, role, tenant: &str, user_id: &str| TokenSettings {
        name: name.to_owned(),
        sha256: token.sha256.clone(),
        role,
        tenant: tenant.to_owned(),
        user_id: user_id.to_owned(),
    };
    let settings = [
        entry("back office", &admin, RoleWord::Admin, "default", ""),
        entry("ann", &member, RoleWord::Member, "acme", "user_1"),
    ];
    let tokens = Tokens::new(&settings, &tenants()).unwrap();
    Known { callers: Authenticator::Tokens(Arc::new(tokens)), admin: admin.text, member: member.text }
}

async fn with_header(callers: &Authenticator, authorization: &str) -> Seen {
    ask(edge(callers.clone()), with(post(WHOAMI), "authorization", authorization)).await
}

#[tokio::test]
async fn a_token_is_its_bearer_with_its_role_and_its_tenant() {
    let known = known();
    for (authorization, who) in [
        (format!("Bearer {}", known.admin), format!("back office Admin {}", key_of("default"))),
        (format!("bearer  {}", known.member), format!("ann Member(MemberId(\"user_1\")) {}", key_of("acme"))),
    ] {
        let seen = with_header(&known.callers, &authorization).await;
        assert_eq!((seen.status, &seen.json()["data"]["whoami"]), (StatusCode::OK, &who.into()));
    }
    assert_ne!(key_of("default"), key_of("acme"));
}

#[tokio::test]
async fn no_token_and_a_wrong_token_are_different_answers() {
    let known = known();
    let absent = ask(edge(known.callers.clone()), post(WHOAMI)).await;
    let other_scheme = with_header(&known.callers, "Basic aHVudGVyMg==").await;
    for seen in [absent, other_scheme] {
        assert_eq!((seen.status, seen.code().as_str()), (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"));
        // RFC 6750, 3.1: nothing of an error where nothing was shown.
        assert_eq!(seen.header("www-authenticate"), "Bearer realm=\"switchboard\"");
        assert_eq!(seen.message(), "A token is missing: send `Authorization: Bearer` with it.");
        assert!(!seen.text.contains("aHVudGVyMg"), "{}", seen.text);
    }
    let cut: String = known.admin.chars().take(known.admin.len() - 1).collect();
    for (wrong, sentence) in [
        ("Bearer swb_hunter2", "is not one that is known here"),
        (&format!("Bearer {cut}"), "is not one that is known here"),
        (&format!("Bearer {}x", known.admin), "is not one that is known here"),
        ("Bearer", "holds no token"),
        ("Bearer ", "holds no token"),
        (&format!("Bearer {} {}", known.admin, known.member), "holds no token"),
        (&format!("Bearer {},{}", known.admin, known.member), "is not one that is known here"),
        ("Bearer ü", "holds no token"),
    ] {
        let seen = with_header(&known.callers, wrong).await;
        assert_eq!(
            (seen.status, seen.code().as_str()),
            (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
            "{wrong}"
        );
        assert_eq!(seen.header("www-authenticate"), "Bearer realm=\"switchboard\", error=\"invalid_token\"");
        assert!(seen.message().contains(sentence), "{wrong}: {}", seen.message());
        assert!(!seen.text.contains("swb_"), "{}", seen.text);
    }
}

#[tokio::test]
async fn two_authorization_headers_are_no_token() {
    let known = known();
    let bearer = format!("Bearer {}", known.admin);
    let mut request = with(post(WHOAMI), "authorization", &bearer);
    request.headers_mut().append("authorization", bearer.parse().unwrap());
    let seen = ask(edge(known.callers), request).await;
    assert_eq!(seen.status, StatusCode::UNAUTHORIZED);
    assert!(seen.message().ends_with("once."), "{}", seen.message());
}

#[tokio::test]
async fn a_hash_opens_nothing_and_neither_do_an_upstreams_keys() {
    let known = known();
    let hash = NewToken::random().unwrap().sha256;
    for wrong in [format!("Bearer {hash}"), "Bearer wbk_x".to_owned(), "Bearer ak_default".to_owned()] {
        let seen = with_header(&known.callers, &wrong).await;
        assert_eq!(seen.status, StatusCode::UNAUTHORIZED, "{wrong}");
    }
    let request = with(with(post(WHOAMI), "x-api-key", "ak_default"), "host", "graph.example");
    assert_eq!(ask(edge(known.callers), request).await.status, StatusCode::UNAUTHORIZED);
}
