//! graphql-transport-ws: every message and every close code.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use switchboard::http::cors::AllowedOrigins;
use switchboard::http::settings::HttpSettings;
use switchboard::sandbox::Tenant;
use tokio_tungstenite::tungstenite::Message;

use super::faulty_schema::FaultySchema;
use super::operations;
use super::stream_server::{
    Client, Ended, MESSAGE_MAX, PROVIDER_CHANGED, Server, settings, tenant_a_callers,
};
use crate::world::{Setup, World, at};

/// Changes the first integration and triggers a check.
async fn change(world: &World, status: &str) {
    world.sandbox.change_providers(Tenant::A, |rows| rows[0]["status"] = json!(status));
    world.data("mutation { refresh(upstream: LEADLEX) { retryAt } }").await;
}

/// Subscribes and waits until the first state is read.
async fn subscribe_and_settle(world: &World, client: &mut Client, id: &str) {
    client.subscribe(id, PROVIDER_CHANGED).await;
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn subscription_sends_changes_until_complete() {
    let world = World::new();
    let server = Server::for_world(&world);
    let mut client = server.acknowledged().await;
    subscribe_and_settle(&world, &mut client, "s1").await;
    for status in ["degraded", "needs_reauth"] {
        change(&world, status).await;
        let message = client.next().await;
        assert_eq!((&message["id"], &message["type"]), (&json!("s1"), &json!("next")));
        assert_eq!(
            at(&message, "payload.data.providerChanged.provider.status"),
            json!(status.to_uppercase())
        );
    }
    client.send(json!({ "id": "s1", "type": "complete" })).await;
    client.send(json!({ "type": "ping" })).await;
    assert_eq!(client.next().await, json!({ "type": "pong" }));
    change(&world, "healthy").await;
    // The id is free again, and no message came meanwhile.
    client.subscribe("s1", "{ viewer { name } }").await;
    let answered = client.next().await;
    assert_eq!(
        answered,
        json!({ "id": "s1", "type": "next", "payload": { "data": { "viewer": { "name": "local" } } } })
    );
    assert_eq!(client.next().await, json!({ "id": "s1", "type": "complete" }));
    // Completing an unknown id is not an error.
    client.send(json!({ "id": "s1", "type": "complete" })).await;
    client.send(json!({ "type": "pong" })).await;
    client.send(json!({ "type": "ping", "payload": { "n": 1 } })).await;
    assert_eq!(client.next().await, json!({ "type": "pong", "payload": { "n": 1 } }));
}

#[tokio::test(start_paused = true)]
async fn queries_and_mutations_send_one_result_and_refused_operations_an_error() {
    let server = Server::with(operations(FaultySchema::new()), super::default_callers(), settings());
    let mut client = server.acknowledged().await;
    client.subscribe("m", "mutation { bump }").await;
    assert_eq!(
        client.next().await,
        json!({ "id": "m", "type": "next", "payload": { "data": { "bump": 1 } } })
    );
    assert_eq!(client.next().await, json!({ "id": "m", "type": "complete" }));
    client.subscribe("f", "{ limited hello }").await;
    let failed = client.next().await;
    assert_eq!((&failed["type"], &failed["payload"]["data"]["hello"]), (&json!("next"), &json!("hello")));
    assert_eq!(at(&failed, "payload.errors.0.extensions.code"), "UPSTREAM_RATE_LIMITED");
    assert_eq!(client.next().await["type"], "complete");
    for (query, code) in [
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("query A { hello } query B { hello }", "OPERATION_RESOLUTION_FAILURE"),
        ("query ($n: Int!) { echo(number: $n) }", "BAD_USER_INPUT"),
    ] {
        client.subscribe("r", query).await;
        let refused = client.next().await;
        assert_eq!((&refused["id"], &refused["type"]), (&json!("r"), &json!("error")), "{refused}");
        assert_eq!(at(&refused, "payload.0.extensions.code"), code);
    }
    // An error ends the operation, so its id is free.
    client.subscribe("r", "{ hello }").await;
    assert_eq!(client.next().await["type"], "next");
}

#[tokio::test(start_paused = true)]
async fn protocol_violations_close_with_their_code() {
    let world = World::new();
    let server = Server::for_world(&world);
    let subscribe =
        |id: &str| json!({ "id": id, "type": "subscribe", "payload": { "query": PROVIDER_CHANGED } });
    let long = format!("{{\"type\":\"ping\",\"payload\":{{\"x\":\"{}\"}}}}", "x".repeat(MESSAGE_MAX));
    let acknowledged: &[(&[String], u16, &str)] = &[
        (&["hello".to_owned()], 4400, "not a JSON object"),
        (&["[1]".to_owned()], 4400, "not a JSON object"),
        (&[json!({ "type": "start" }).to_string()], 4400, "clients cannot send"),
        (
            &[json!({ "type": "subscribe", "payload": { "query": "{ a }" } }).to_string()],
            4400,
            "`id` is missing",
        ),
        (&[json!({ "id": "1", "type": "subscribe" }).to_string()], 4400, "`payload` is missing"),
        (&[json!({ "id": "1", "type": "subscribe", "payload": {} }).to_string()], 4400, "`query` is missing"),
        (&[json!({ "id": "1", "type": "subscribe", "payload": [] }).to_string()], 4400, "not an object"),
        (&[json!({ "type": "connection_init" }).to_string()], 4429, "Too many initialisation requests"),
        (&[subscribe("x").to_string(), subscribe("x").to_string()], 4409, "Subscriber for x already exists"),
        (&[long], 1009, "too long"),
    ];
    for (messages, code, part) in acknowledged {
        let mut client = server.acknowledged().await;
        for message in *messages {
            client.send_text(message).await;
        }
        let (ended, reason) = client.code().await;
        assert_eq!(ended, *code, "{reason}");
        assert!(reason.contains(part), "{reason}");
    }
    let mut client = server.acknowledged().await;
    client.send_message(Message::binary(b"{\"type\":\"ping\"}".to_vec())).await;
    assert_eq!(client.code().await.0, 4400);

    let mut early = server.websocket(&[]).await.unwrap();
    early.send(json!({ "type": "ping" })).await;
    assert_eq!(early.next_message().await, json!({ "type": "pong" }), "a ping is allowed at any time");
    early.send(subscribe("1")).await;
    let (code, reason) = early.code().await;
    assert_eq!((code, reason.contains("Unauthorized")), (4401, true));

    let long_id = "é".repeat(200);
    let mut client = server.acknowledged().await;
    client.send(subscribe(&long_id)).await;
    client.send(subscribe(&long_id)).await;
    assert_eq!(client.code().await.0, 4409, "a long reason is truncated");
}

#[tokio::test(start_paused = true)]
async fn missing_connection_init_times_out() {
    let world = World::new();
    let server = Server::for_world(&world);
    let mut silent = server.websocket(&[]).await.unwrap();
    let since = tokio::time::Instant::now();
    assert_eq!(silent.code().await, (4408, "Connection initialisation timeout".to_owned()));
    assert_eq!(since.elapsed().as_millis(), 5_000);
}

#[tokio::test(start_paused = true)]
async fn unanswered_ping_closes_the_connection() {
    let world = World::new();
    let server = Server::for_world(&world);
    let mut client = server.acknowledged().await;
    let since = tokio::time::Instant::now();
    for _ in 0..3 {
        assert_eq!(client.next_message().await, json!({ "type": "ping" }));
        client.send(json!({ "type": "pong" })).await;
    }
    assert_eq!(client.next_message().await, json!({ "type": "ping" }));
    assert_eq!(since.elapsed().as_secs(), 60);
    assert_eq!(client.ended().await, Ended::WithoutAWord);
    assert_eq!(since.elapsed().as_secs(), 75);
}

#[tokio::test(start_paused = true)]
async fn upgrade_requires_an_allowed_origin_and_the_protocol() {
    let world = World::new();
    let cors_origins = AllowedOrigins::try_from("https://app.example.com".to_owned()).unwrap();
    let server =
        Server::with(world.operations(), tenant_a_callers(), HttpSettings { cors_origins, ..settings() });
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://localhost:9999"),
        ("sec-fetch-site", "cross-site"),
        ("host", "rebound.example:8080"),
    ] {
        let (status, refused) = server.websocket(&[(name, value)]).await.unwrap_err();
        assert_eq!(status, StatusCode::FORBIDDEN, "{name}: {value}");
        assert_eq!(at(&refused, "errors.0.extensions.code"), "FORBIDDEN");
    }
    for (name, value) in [("origin", "https://app.example.com"), ("origin", "http://localhost:8080")] {
        server.websocket(&[(name, value)]).await.unwrap().init(json!(null)).await;
    }
    for other in ["graphql-ws", "soap, graphql-ws", ""] {
        let (status, refused) = server.websocket(&[("sec-websocket-protocol", other)]).await.unwrap_err();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{other}");
        assert!(at(&refused, "errors.0.message").to_string().contains("graphql-transport-ws"), "{refused}");
    }
    let (status, _) = server.websocket(&[("sec-websocket-version", "8")]).await.unwrap_err();
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn too_many_subscriptions_are_refused_and_others_continue() {
    let world = World::new();
    let server = Server::for_world(&world);
    let mut client = server.acknowledged().await;
    for id in ["1", "2", "3"] {
        subscribe_and_settle(&world, &mut client, id).await;
    }
    client.subscribe("4", PROVIDER_CHANGED).await;
    let refused = client.next().await;
    assert_eq!((&refused["id"], &refused["type"]), (&json!("4"), &json!("error")));
    assert_eq!(at(&refused, "payload.0.extensions.code"), "LIMIT_EXCEEDED");
    client.send(json!({ "id": "2", "type": "complete" })).await;
    subscribe_and_settle(&world, &mut client, "4").await;
    change(&world, "degraded").await;
    let mut message = Vec::new();
    for _ in 0..3 {
        message.push(client.next().await["id"].as_str().unwrap().to_owned());
    }
    message.sort_unstable();
    assert_eq!(message, ["1", "3", "4"]);
}

#[tokio::test(start_paused = true)]
async fn resume_position_replays_missed_changes() {
    let world = World::new();
    let server = Server::for_world(&world);
    let mut client = server.acknowledged().await;
    subscribe_and_settle(&world, &mut client, "s").await;
    change(&world, "degraded").await;
    let position = at(&client.next().await, "payload.extensions.switchboard.position");
    drop(client);
    world.settle().await;
    change(&world, "needs_reauth").await;
    world.settle().await;

    let mut client = server.acknowledged().await;
    let after = |position: &Value| {
        json!({
            "id": "s", "type": "subscribe",
            "payload": { "query": PROVIDER_CHANGED, "extensions": { "switchboard": { "after": position } } },
        })
    };
    client.send(after(&position)).await;
    assert_eq!(at(&client.next().await, "payload.data.providerChanged.provider.status"), "NEEDS_REAUTH");
    client.send(json!({ "id": "s", "type": "complete" })).await;
    client.send(after(&json!("0123456789abcdef-7"))).await;
    let refused = client.next().await;
    assert_eq!(refused["type"], "error");
    assert_eq!(at(&refused, "payload.0.extensions.reason"), "BAD_POSITION");
}

#[tokio::test(start_paused = true)]
async fn client_that_reads_nothing_is_cut_after_write_timeout() {
    let world = World::new();
    let server = Server::for_world(&world);
    let mut client = server.acknowledged().await;
    let query = "{ providers(first: 100) { nodes { id name status errorMessage health { state } } } }";
    for id in ["1", "2", "3"] {
        client.subscribe(id, query).await;
    }
    world.settle().await;
    // 30 s is `server.write_timeout_ms`. No other timer is running.
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(client.ended().await, Ended::WithoutAWord);
}

#[tokio::test(start_paused = true)]
async fn lost_changes_end_the_subscription_with_an_error() {
    let mut setup = Setup::default();
    setup.config.subscriptions.events_max = 2;
    let world = World::new_with(setup);
    let server = Server::for_world(&world);
    let mut client = server.acknowledged().await;
    subscribe_and_settle(&world, &mut client, "s").await;
    world.sandbox.change_providers(Tenant::A, |rows| {
        for row in rows.iter_mut() {
            row["status"] = json!("degraded");
        }
    });
    world.data("mutation { refresh(upstream: LEADLEX) { retryAt } }").await;
    let message = client.next().await;
    assert_eq!((&message["id"], &message["type"]), (&json!("s"), &json!("error")), "{message}");
    assert_eq!(at(&message, "payload.0.extensions.code"), "OVERLOADED");
    client.subscribe("s", "{ viewer { name } }").await;
    assert_eq!(client.next().await["type"], "next");
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_subscriptions_and_completes_queries() {
    let world = World::new();
    let mut server = Server::for_world(&world);
    let mut client = server.acknowledged().await;
    subscribe_and_settle(&world, &mut client, "s").await;
    server.stop();
    let (code, reason) = client.code().await;
    assert_eq!(code, 1001, "{reason}");
    drop(client);
    assert_eq!(server.ended().await, Duration::ZERO);

    let (faulty, gate) = FaultySchema::with_gate();
    let mut server = Server::with(operations(faulty), super::default_callers(), settings());
    let mut client = server.acknowledged().await;
    client.subscribe("q", "{ waits }").await;
    gate.wait_for_executions(1).await;
    server.stop();
    world.settle().await;
    gate.open();
    assert_eq!(
        client.next().await,
        json!({ "id": "q", "type": "next", "payload": { "data": { "waits": 1 } } })
    );
    assert_eq!(client.next().await, json!({ "id": "q", "type": "complete" }));
    assert_eq!(client.code().await.0, 1001);
}

#[tokio::test(start_paused = true)]
async fn idle_client_does_not_delay_shutdown() {
    let (faulty, gate) = FaultySchema::with_gate();
    let mut server = Server::with(operations(faulty), super::default_callers(), settings());
    let mut client = server.acknowledged().await;
    client.subscribe("q", "{ waits }").await;
    gate.wait_for_executions(1).await;
    server.stop();
    assert_eq!(server.ended().await, Duration::from_secs(20), "`server.shutdown_ms`");
    assert_eq!(client.ended().await, Ended::WithoutAWord);
}
