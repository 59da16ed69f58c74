//! Mode `jwt`: which tokens are accepted, and which caller each one yields.

use axum::http::StatusCode;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use switchboard::http::caller::settings::JwtSettings;

use super::TestResponse;
use super::issuer::{Issuer, Key, claims, forged_token, now, settings};
use super::static_tokens::key_of;

#[track_caller]
fn refused(response: &TestResponse, sentence: &str) {
    assert_eq!(
        (response.status, response.code().as_str()),
        (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
        "{sentence}"
    );
    assert_eq!(response.header("www-authenticate"), "Bearer realm=\"switchboard\", error=\"invalid_token\"");
    assert!(response.message().contains(sentence), "{sentence}: {}", response.message());
    assert!(!response.text.contains("eyJ"), "the response repeats no part of a token: {}", response.text);
}

#[tokio::test(start_paused = true)]
async fn tokens_of_every_key_type_are_accepted() {
    let keys = [Key::rsa("r"), Key::ec("e"), Key::ed("d")];
    let issuer = Issuer::new(&keys.iter().collect::<Vec<_>>());
    for key in &keys {
        let response = issuer.send(&key.sign(&claims(json!({})))).await;
        let who = format!("user_1 Admin {}", key_of("default"));
        assert_eq!(
            (response.status, &response.json()["data"]["whoami"]),
            (StatusCode::OK, &who.into()),
            "{:?}",
            key.algorithm
        );
    }
    let member = claims(json!({ "role": "Member", "tenant": "acme", "aud": "other" }));
    let response = issuer.send(&keys[2].sign(&member)).await;
    let who = format!("user_1 Member(MemberId(\"user_1\")) {}", key_of("acme"));
    assert_eq!(response.json()["data"]["whoami"], who);
    assert_eq!(issuer.reads(), 1, "the key set is read once");
}

#[tokio::test(start_paused = true)]
async fn time_issuer_and_audience_are_checked() {
    let key = Key::ed("d");
    let issuer = Issuer::new(&[&key]);
    for (change, sentence) in [
        (json!({ "exp": now() - 31 }), "has expired"),
        (json!({ "exp": now() - 30 }), "has expired"),
        (json!({ "exp": 0 }), "has expired"),
        (json!({ "exp": -1e300 }), "lacks `exp`"),
        (json!({ "exp": null }), "lacks `exp`"),
        (json!({ "exp": "2099-01-01" }), "lacks `exp`"),
        (json!({ "nbf": now() + 31 }), "not valid yet"),
        (json!({ "nbf": "soon" }), "not valid yet"),
        (json!({ "iss": "https://issuer.example" }), "another issuer"),
        (json!({ "iss": ["https://evil.example/"] }), "another issuer"),
        (json!({ "iss": ["https://issuer.example/"] }), "one of them is malformed"),
        (json!({ "iss": null }), "lacks `exp`, `iss` or `aud`"),
        (json!({ "aud": "Graph" }), "another audience"),
        (json!({ "aud": [] }), "another audience"),
        (json!({ "aud": null }), "lacks `exp`, `iss` or `aud`"),
        (json!({ "aud": 7 }), "lacks `exp`, `iss` or `aud`"),
    ] {
        refused(&issuer.send(&key.sign(&claims(change))).await, sentence);
    }
    for change in
        [json!({ "exp": now() - 29 }), json!({ "nbf": now() + 30 }), json!({ "exp": 1e15, "nbf": 0.5 })]
    {
        assert_eq!(issuer.send(&key.sign(&claims(change))).await.status, StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn forged_tokens_are_refused() {
    let (key, ec, stranger) = (Key::rsa("r"), Key::ec("e"), Key::rsa("r"));
    let issuer = Issuer::new(&[&key, &ec]);
    let claims = claims(json!({}));
    let right = key.sign(&claims);
    assert_eq!(issuer.send(&right).await.status, StatusCode::OK);

    // Unsigned, in every spelling of `none`.
    for none in ["none", "None", "NONE", ""] {
        for signature in [&b""[..], b"x"] {
            let token = forged_token(json!({ "alg": none, "typ": "JWT", "kid": "r" }), &claims, signature);
            refused(&issuer.send(&token).await, "is not a JWT with an accepted signature algorithm");
        }
    }
    // Signed with the public key, as if it were a shared secret.
    let public = serde_json::to_value(key.public()).unwrap();
    let modulus = public["n"].as_str().unwrap();
    for secret in [modulus.as_bytes().to_vec(), public.to_string().into_bytes()] {
        for algorithm in [Algorithm::HS256, Algorithm::HS512] {
            let header = Header { kid: Some("r".to_owned()), ..Header::new(algorithm) };
            let secret = EncodingKey::from_secret(&secret).unwrap();
            let token = encode(&header, &claims, &secret).unwrap();
            refused(&issuer.send(&token).await, "is not a JWT with an accepted signature algorithm");
        }
    }
    // Signed with another key under a known key id, and with a known key under another key's id.
    refused(&issuer.send(&stranger.sign(&claims)).await, "signature is invalid");
    let swapped = Header { kid: Some("e".to_owned()), ..Header::new(Algorithm::RS256) };
    refused(&issuer.send(&encode(&swapped, &claims, &key.private).unwrap()).await, "is not published");
    // An algorithm that fits the key but is not configured.
    let other = Header { kid: Some("r".to_owned()), ..Header::new(Algorithm::PS256) };
    refused(
        &issuer.send(&encode(&other, &claims, &key.private).unwrap()).await,
        "is not a JWT with an accepted signature algorithm",
    );
    // A key in the token's own header, and a critical extension.
    let own = Header { kid: None, jwk: Some(stranger.public()), ..Header::new(Algorithm::RS256) };
    refused(&issuer.send(&encode(&own, &claims, &stranger.private).unwrap()).await, "signature is invalid");
    let critical = Header { crit: Some(vec!["exp".to_owned()]), ..key.header() };
    refused(&issuer.send(&encode(&critical, &claims, &key.private).unwrap()).await, "is not a JWT");
    // Claims that are not encoded (RFC 7797).
    let mut unencoded = key.header();
    unencoded.extras.insert("b64", false);
    refused(&issuer.send(&encode(&unencoded, &claims, &key.private).unwrap()).await, "is not a JWT");
}

#[tokio::test(start_paused = true)]
async fn altered_and_malformed_tokens_are_refused() {
    let key = Key::ed("d");
    let issuer = Issuer::new(&[&key]);
    let right = key.sign(&claims(json!({ "role": "MEMBER" })));
    let other = key.sign(&claims(json!({ "role": "ADMIN" })));
    let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (right_parts, other_parts) = (parts(&right), parts(&other));
    let promoted = format!("{}.{}.{}", right_parts[0], other_parts[1], right_parts[2]);
    refused(&issuer.send(&promoted).await, "signature is invalid");
    refused(&issuer.send(&format!("{}.{}.", right_parts[0], right_parts[1])).await, "signature is invalid");
    let long = "x".repeat(16 * 1024 + 1);
    for none in ["x", "..", "a.b.c", &format!("{right}.x"), &right_parts[0], &long, "swb_x"] {
        refused(&issuer.send(none).await, "is not a JWT");
    }
    let absent = super::send(
        super::edge(switchboard::http::caller::Authenticator::Passthrough),
        super::post(super::static_tokens::WHOAMI),
    );
    assert_eq!(absent.await.header("www-authenticate"), "Bearer realm=\"switchboard\"");
}

#[tokio::test(start_paused = true)]
async fn valid_token_without_role_tenant_or_user_is_forbidden() {
    let key = Key::ed("d");
    let issuer = Issuer::new(&[&key]);
    let member = |id: Value| json!({ "role": "MEMBER", "sub": id });
    for (change, sentence) in [
        (json!({ "role": null }), "contain no role"),
        (json!({ "role": "owner" }), "contain no role"),
        (json!({ "role": ["ADMIN", "MEMBER"] }), "contain no role"),
        (json!({ "tenant": null }), "contain no known tenant"),
        (json!({ "tenant": "unknown" }), "contain no known tenant"),
        (json!({ "tenant": ["default"] }), "contain no known tenant"),
        (member(Value::Null), "contain no valid user id"),
        (member("".into()), "contain no valid user id"),
        (member(" ".into()), "contain no valid user id"),
        (member("user_1,user_2".into()), "contain no valid user id"),
        (member("user_1\n".into()), "contain no valid user id"),
        (member(7.into()), "contain no valid user id"),
        (member(json!(true)), "contain no valid user id"),
    ] {
        let response = issuer.send(&key.sign(&claims(change.clone()))).await;
        assert_eq!(
            (response.status, response.code().as_str()),
            (StatusCode::FORBIDDEN, "FORBIDDEN"),
            "{change}"
        );
        assert!(response.message().contains(sentence), "{change}: {}", response.message());
        assert!(!response.text.contains("acme"), "the response names no tenant: {}", response.text);
    }
}

#[tokio::test(start_paused = true)]
async fn claim_names_are_configurable() {
    let key = Key::ed("d");
    let named = JwtSettings {
        role_claim: "/realm_access/roles".to_owned(),
        tenant_claim: String::new(),
        user_id_claim: "https://example.com/user".to_owned(),
        ..settings()
    };
    let issuer = Issuer::with(named, &[&key]);
    let change = json!({
        "role": "ADMIN", "tenant": "acme", "sub": "auth0|7",
        "realm_access": { "roles": ["viewer", "member"] }, "https://example.com/user": "user_7",
    });
    let response = issuer.send(&key.sign(&claims(change))).await;
    let who = format!("auth0|7 Member(MemberId(\"user_7\")) {}", key_of("default"));
    assert_eq!(response.json()["data"]["whoami"], who, "{}", response.text);
}
