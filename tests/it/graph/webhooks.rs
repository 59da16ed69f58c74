//! Webhook deliveries of Composio: a valid one takes effect immediately, and no other has any effect.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::BodyExt as _;
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::Sha256;
use switchboard::http::caller::Authenticator;
use switchboard::http::webhook::Webhooks;
use switchboard::http::{EdgeParts, router};
use switchboard::sandbox::Tenant;
use tower::ServiceExt as _;

use crate::world::{Setup, World, at, tenant_a, tenant_b};

const SECRET: &str = "whsec_of_tenant_a_0123456789";
const NEXT_SECRET: &str = "whsec_of_tenant_a_after_rotation";
const SECRET_OF_B: &str = "whsec_of_tenant_b_0123456789";
const EXPIRED: &str = r#"{"id":"msg_1","type":"composio.connected_account.expired","data":{"id":"ca_1","data":{"access_token":"CANARY"}}}"#;

const LISTED: &str = "{ connectedAccounts(first: 1) { nodes { status } freshness { fetchedAt } } }";
const CHANGED: &str =
    "subscription { connectedAccountChanged { cause previousStatus connectedAccount { status } } }";

fn edge(world: &World) -> Router {
    let of = |secret: &str, tenant| (SecretString::from(secret), tenant);
    let secrets = vec![
        of(SECRET, tenant_a().tenant),
        of(NEXT_SECRET, tenant_a().tenant),
        of(SECRET_OF_B, tenant_b().tenant),
    ];
    router(EdgeParts {
        operations: world.operations(),
        callers: Authenticator::Open(tenant_a().tenant),
        webhooks: Webhooks::new(secrets, world.clock()),
        settings: Setup::as_shipped().config.http,
    })
}

fn signature(secret: &str, id: &str, timestamp: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

struct Delivery<'a> {
    id: &'a str,
    late_by_seconds: i64,
    signature: Option<String>,
    secret: &'a str,
    body: &'a str,
}

const RIGHT: Delivery<'_> =
    Delivery { id: "msg_1", late_by_seconds: 0, signature: None, secret: SECRET, body: EXPIRED };

async fn deliver(edge: &Router, world: &World, delivery: Delivery<'_>) -> (StatusCode, String) {
    let Delivery { id, late_by_seconds, signature: given, secret, body } = delivery;
    let timestamp = world.clock().now().as_second() - late_by_seconds;
    let signed = given.unwrap_or_else(|| signature(secret, id, timestamp, body));
    let request = Request::post("/webhooks/composio")
        .header("content-type", "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signed)
        .body(Body::from(body.to_owned()))
        .unwrap();
    let answer = edge.clone().oneshot(request).await.unwrap();
    let status = answer.status();
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(text.to_vec()).unwrap())
}

fn expire_first(world: &World) {
    world.sandbox.change_accounts(Tenant::A, |rows| {
        rows[0].status = if rows[0].status == "ACTIVE" { "EXPIRED" } else { "ACTIVE" };
        rows[0].updated_at = world.clock().now();
    });
}

#[tokio::test(start_paused = true)]
async fn signed_delivery_reaches_subscribers_and_readers_immediately() {
    let world = World::new_with(Setup::as_shipped());
    let edge = edge(&world);
    world.sandbox.change_accounts(Tenant::A, |rows| rows[0].status = "ACTIVE");
    let mut subscription = world.subscribe(tenant_a(), CHANGED).await;
    world.data(LISTED).await;
    world.calls();
    for (number, secret) in [SECRET, NEXT_SECRET].into_iter().enumerate() {
        expire_first(&world);
        let before = tokio::time::Instant::now();
        let id = format!("msg_{number}");
        assert_eq!(
            deliver(&edge, &world, Delivery { id: &id, secret, ..RIGHT }).await.0,
            StatusCode::NO_CONTENT
        );
        let message = subscription.next().await.unwrap();
        assert_eq!(before.elapsed(), std::time::Duration::ZERO, "the event did not wait for the next check");
        let heard: Value = serde_json::from_slice(&message.response.body).unwrap();
        let (was, is) = if number == 0 { ("ACTIVE", "EXPIRED") } else { ("EXPIRED", "ACTIVE") };
        assert_eq!(
            at(&heard, "data.connectedAccountChanged"),
            json!({ "cause": "WEBHOOK", "previousStatus": was, "connectedAccount": { "status": is } })
        );
        assert_eq!(at(&world.data(LISTED).await, "connectedAccounts.nodes.0.status"), json!(is));
        world.advance(std::time::Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn forged_old_and_repeated_deliveries_change_nothing() {
    let world = World::new_with(Setup::as_shipped());
    let edge = edge(&world);
    world.data(LISTED).await;
    assert_eq!(deliver(&edge, &world, RIGHT).await.0, StatusCode::NO_CONTENT);
    world.data(LISTED).await;
    world.calls();
    let forged = |signature: &str| Some(signature.to_owned());
    let of_another_body = signature(SECRET, "msg_2", world.clock().now().as_second(), "{}");
    for (delivery, expected) in [
        (RIGHT, StatusCode::OK),
        (Delivery { id: "msg_2", secret: "whsec_of_nobody_at_all_0123", ..RIGHT }, StatusCode::UNAUTHORIZED),
        (Delivery { id: "msg_2", signature: forged("v1,AAAA"), ..RIGHT }, StatusCode::UNAUTHORIZED),
        (Delivery { id: "msg_2", signature: Some(of_another_body), ..RIGHT }, StatusCode::UNAUTHORIZED),
        (Delivery { id: "msg_2", late_by_seconds: 301, ..RIGHT }, StatusCode::UNAUTHORIZED),
        (Delivery { id: "msg_2", late_by_seconds: -301, ..RIGHT }, StatusCode::UNAUTHORIZED),
        (Delivery { id: "", ..RIGHT }, StatusCode::BAD_REQUEST),
        (Delivery { id: "msg_2", body: "no JSON", ..RIGHT }, StatusCode::BAD_REQUEST),
        (
            Delivery { id: "msg_3", body: r#"{"type":"composio.trigger.message"}"#, ..RIGHT },
            StatusCode::NO_CONTENT,
        ),
        // Validly signed, but for another tenant.
        (Delivery { id: "msg_4", secret: SECRET_OF_B, ..RIGHT }, StatusCode::NO_CONTENT),
    ] {
        let (status, body) = deliver(&edge, &world, delivery).await;
        assert_eq!(status, expected, "{body}");
        assert!(!body.contains("CANARY") && !body.contains("whsec"), "{body}");
    }
    world.data(LISTED).await;
    assert_eq!(world.calls(), [""; 0], "tenant A's cached data is unchanged");
    // A refused delivery is not remembered as a repetition.
    assert_eq!(
        deliver(&edge, &world, Delivery { id: "msg_2", late_by_seconds: 299, ..RIGHT }).await.0,
        StatusCode::NO_CONTENT
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_secret_the_webhook_path_is_404() {
    let world = World::new();
    let edge = router(EdgeParts {
        operations: world.operations(),
        callers: Authenticator::Open(tenant_a().tenant),
        webhooks: Webhooks::none(),
        settings: Setup::as_shipped().config.http,
    });
    let (status, body) = deliver(&edge, &world, RIGHT).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{body}");
    let by_get = Request::get("/webhooks/composio").body(Body::empty()).unwrap();
    let answer = edge.oneshot(by_get).await.unwrap();
    assert_eq!(
        (answer.status(), &answer.headers()["allow"]),
        (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().unwrap())
    );
}
