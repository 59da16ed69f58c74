//! Mode `jwt`: what a token must be to be believed, and what it then says of its bearer.

use axum::http::StatusCode;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use switchboard::http::caller::settings::JwtSettings;

use super::Seen;
use super::issuer::{Issuer, Key, by_hand, claims, now, settings};
use super::tokens::key_of;

#[track_caller]
fn refused(seen: &Seen, sentence: &str) {
    assert_eq!(
        (seen.status, seen.code().as_str()),
        (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
        "{sentence}"
    );
    assert_eq!(seen.header("www-authenticate"), "Bearer realm=\"switchboard\", error=\"invalid_token\"");
    assert!(seen.message().contains(sentence), "{sentence}: {}", seen.message());
    assert!(!seen.text.contains("eyJ"), "no part of a token is repeated: {}", seen.text);
}

#[tokio::test(start_paused = true)]
async fn a_token_signed_by_each_kind_of_key_is_its_bearer() {
    let keys = [Key::rsa("r"), Key::ec("e"), Key::ed("d")];
    let issuer = Issuer::of(&keys.iter().collect::<Vec<_>>());
    for key in &keys {
        let seen = issuer.ask(&key.sign(&claims(json!({})))).await;
        let who = format!("user_1 Admin {}", key_of("default"));
        assert_eq!(
            (seen.status, &seen.json()["data"]["whoami"]),
            (StatusCode::OK, &who.into()),
            "{:?}",
            key.algorithm
        );
    }
    let member = claims(json!({ "role": "Member", "tenant": "acme", "aud": "other" }));
    let seen = issuer.ask(&keys[2].sign(&member)).await;
    let who = format!("user_1 Member(MemberId(\"user_1\")) {}", key_of("acme"));
    assert_eq!(seen.json()["data"]["whoami"], who);
    assert_eq!(issuer.reads(), 1, "the keys are read once");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_believed_only_in_its_time_from_its_issuer_and_for_this_audience() {
    let key = Key::ed("d");
    let issuer = Issuer::of(&[&key]);
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
        (json!({ "iss": null }), "lacks `exp`, `iss` or `aud`"),
        (json!({ "aud": "Graph" }), "another audience"),
        (json!({ "aud": [] }), "another audience"),
        (json!({ "aud": null }), "lacks `exp`, `iss` or `aud`"),
        (json!({ "aud": 7 }), "lacks `exp`, `iss` or `aud`"),
    ] {
        refused(&issuer.ask(&key.sign(&claims(change))).await, sentence);
    }
    for change in
        [json!({ "exp": now() - 29 }), json!({ "nbf": now() + 30 }), json!({ "exp": 1e15, "nbf": 0.5 })]
    {
        assert_eq!(issuer.ask(&key.sign(&claims(change))).await.status, StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn a_forged_token_is_no_token_whatever_it_says_of_itself() {
    let (key, ec, stranger) = (Key::rsa("r"), Key::ec("e"), Key::rsa("r"));
    let issuer = Issuer::of(&[&key, &ec]);
    let claims = claims(json!({}));
    let right = key.sign(&claims);
    assert_eq!(issuer.ask(&right).await.status, StatusCode::OK);

    // Signed by nobody, in every spelling.
    for none in ["none", "None", "NONE", ""] {
        for signature in [&b""[..], b"x"] {
            let token = by_hand(json!({ "alg": none, "typ": "JWT", "kid": "r" }), &claims, signature);
            refused(&issuer.ask(&token).await, "is no JWT that is signed as it must be");
        }
    }
    // Signed with the public key, as if it were a secret that both know.
    let public = serde_json::to_value(key.public()).unwrap();
    let modulus = public["n"].as_str().unwrap();
    for secret in [modulus.as_bytes().to_vec(), public.to_string().into_bytes()] {
        for algorithm in [Algorithm::HS256, Algorithm::HS512] {
            let header = Header { kid: Some("r".to_owned()), ..Header::new(algorithm) };
            let token = encode(&header, &claims, &EncodingKey::from_secret(&secret)).unwrap();
            refused(&issuer.ask(&token).await, "is no JWT that is signed as it must be");
        }
    }
    // Signed with another key under a known name, and with a known key under another's name.
    refused(&issuer.ask(&stranger.sign(&claims)).await, "signature is wrong");
    let swapped = Header { kid: Some("e".to_owned()), ..Header::new(Algorithm::RS256) };
    refused(&issuer.ask(&encode(&swapped, &claims, &key.private).unwrap()).await, "does not publish");
    // An algorithm of the right key that is not configured.
    let other = Header { kid: Some("r".to_owned()), ..Header::new(Algorithm::PS256) };
    refused(
        &issuer.ask(&encode(&other, &claims, &key.private).unwrap()).await,
        "is no JWT that is signed as it must be",
    );
    // Its own key in its header, and an extension that must be understood.
    let own = Header { kid: None, jwk: Some(stranger.public()), ..Header::new(Algorithm::RS256) };
    refused(&issuer.ask(&encode(&own, &claims, &stranger.private).unwrap()).await, "signature is wrong");
    let critical = Header { crit: Some(vec!["exp".to_owned()]), ..key.header() };
    refused(&issuer.ask(&encode(&critical, &claims, &key.private).unwrap()).await, "is no JWT");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_changed_or_is_none_is_refused() {
    let key = Key::ed("d");
    let issuer = Issuer::of(&[&key]);
    let right = key.sign(&claims(json!({ "role": "MEMBER" })));
    let other = key.sign(&claims(json!({ "role": "ADMIN" })));
    let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (right_parts, other_parts) = (parts(&right), parts(&other));
    let promoted = format!("{}.{}.{}", right_parts[0], other_parts[1], right_parts[2]);
    refused(&issuer.ask(&promoted).await, "signature is wrong");
    refused(&issuer.ask(&format!("{}.{}.", right_parts[0], right_parts[1])).await, "signature is wrong");
    let long = "x".repeat(16 * 1024 + 1);
    for none in ["x", "..", "a.b.c", &format!("{right}.x"), &right_parts[0], &long, "swb_x"] {
        refused(&issuer.ask(none).await, "is no JWT");
    }
    let absent = super::ask(
        super::edge(switchboard::http::caller::Authenticator::Passthrough),
        super::post(super::tokens::WHOAMI),
    );
    assert_eq!(absent.await.header("www-authenticate"), "Bearer realm=\"switchboard\"");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_known_and_has_no_place_here_is_forbidden_and_not_unknown() {
    let key = Key::ed("d");
    let issuer = Issuer::of(&[&key]);
    let member = |id: Value| json!({ "role": "MEMBER", "sub": id });
    for (change, sentence) in [
        (json!({ "role": null }), "give no role here"),
        (json!({ "role": "owner" }), "give no role here"),
        (json!({ "role": ["ADMIN", "MEMBER"] }), "give no role here"),
        (json!({ "tenant": null }), "give no tenant"),
        (json!({ "tenant": "unknown" }), "give no tenant"),
        (json!({ "tenant": ["default"] }), "give no tenant"),
        (member(Value::Null), "give no user id"),
        (member("".into()), "give no user id"),
        (member(" ".into()), "give no user id"),
        (member("user_1,user_2".into()), "give no user id"),
        (member("user_1\n".into()), "give no user id"),
        (member(7.into()), "give no user id"),
        (member(json!(true)), "give no user id"),
    ] {
        let seen = issuer.ask(&key.sign(&claims(change.clone()))).await;
        assert_eq!((seen.status, seen.code().as_str()), (StatusCode::FORBIDDEN, "FORBIDDEN"), "{change}");
        assert!(seen.message().contains(sentence), "{change}: {}", seen.message());
        assert!(!seen.text.contains("acme"), "nobody is told which tenants there are: {}", seen.text);
    }
}

#[tokio::test(start_paused = true)]
async fn claims_are_found_where_the_settings_say() {
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
    let seen = issuer.ask(&key.sign(&claims(change))).await;
    let who = format!("auth0|7 Member(MemberId(\"user_7\")) {}", key_of("default"));
    assert_eq!(seen.json()["data"]["whoami"], who, "{}", seen.text);
}
