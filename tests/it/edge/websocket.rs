//! graphql-transport-ws, message by message and code by code.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use switchboard::http::cors::AllowedOrigins;
use switchboard::http::settings::HttpSettings;
use switchboard::sandbox::Tenant;
use tokio_tungstenite::tungstenite::Message;

use super::faulty::Faulty;
use super::operations;
use super::streams::{Client, Ended, MESSAGE_MAX, PROVIDER_CHANGED, Server, anybody, settings};
use crate::world::{Setup, World, at};

/// Alters the first integration, and has it looked at.
async fn change(world: &World, status: &str) {
    world.sandbox.change_providers(Tenant::A, |rows| rows[0]["status"] = json!(status));
    world.data("mutation { refresh(upstream: LEADLEX) { retryAt } }").await;
}

/// Subscribes, and waits until it is known what there is to begin with.
async fn listening(world: &World, client: &mut Client, id: &str) {
    client.subscribe(id, PROVIDER_CHANGED).await;
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_subscription_tells_what_happens_until_its_client_has_had_enough() {
    let world = World::new();
    let server = Server::over(&world);
    let mut client = server.acknowledged().await;
    listening(&world, &mut client, "s1").await;
    for status in ["degraded", "needs_reauth"] {
        change(&world, status).await;
        let told = client.next().await;
        assert_eq!((&told["id"], &told["type"]), (&json!("s1"), &json!("next")));
        assert_eq!(at(&told, "payload.data.providerChanged.provider.status"), json!(status.to_uppercase()));
    }
    client.send(json!({ "id": "s1", "type": "complete" })).await;
    client.send(json!({ "type": "ping" })).await;
    assert_eq!(client.next().await, json!({ "type": "pong" }));
    change(&world, "healthy").await;
    // Its id is free again, and nothing came of it meanwhile.
    client.subscribe("s1", "{ viewer { name } }").await;
    let answered = client.next().await;
    assert_eq!(
        answered,
        json!({ "id": "s1", "type": "next", "payload": { "data": { "viewer": { "name": "local" } } } })
    );
    assert_eq!(client.next().await, json!({ "id": "s1", "type": "complete" }));
    // What is not there can be ended too.
    client.send(json!({ "id": "s1", "type": "complete" })).await;
    client.send(json!({ "type": "pong" })).await;
    client.send(json!({ "type": "ping", "payload": { "n": 1 } })).await;
    assert_eq!(client.next().await, json!({ "type": "pong", "payload": { "n": 1 } }));
}

#[tokio::test(start_paused = true)]
async fn queries_and_mutations_are_answered_once_and_what_did_not_begin_is_an_error_and_no_result() {
    let server = Server::with(operations(Faulty::new()), super::anybody(), settings());
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
    // Nothing follows an error: its id is free.
    client.subscribe("r", "{ hello }").await;
    assert_eq!(client.next().await["type"], "next");
}

#[tokio::test(start_paused = true)]
async fn what_is_against_the_protocol_ends_the_connection_with_its_code() {
    let world = World::new();
    let server = Server::over(&world);
    let subscribe =
        |id: &str| json!({ "id": id, "type": "subscribe", "payload": { "query": PROVIDER_CHANGED } });
    let long = format!("{{\"type\":\"ping\",\"payload\":{{\"x\":\"{}\"}}}}", "x".repeat(MESSAGE_MAX));
    let acknowledged: &[(&[String], u16, &str)] = &[
        (&["hello".to_owned()], 4400, "no JSON object"),
        (&["[1]".to_owned()], 4400, "no JSON object"),
        (&[json!({ "type": "start" }).to_string()], 4400, "none that a client sends"),
        (
            &[json!({ "type": "subscribe", "payload": { "query": "{ a }" } }).to_string()],
            4400,
            "`id` is missing",
        ),
        (&[json!({ "id": "1", "type": "subscribe" }).to_string()], 4400, "`payload` is missing"),
        (&[json!({ "id": "1", "type": "subscribe", "payload": {} }).to_string()], 4400, "`query` is missing"),
        (&[json!({ "id": "1", "type": "subscribe", "payload": [] }).to_string()], 4400, "no object"),
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
    assert_eq!(early.heard().await, json!({ "type": "pong" }), "a ping may come at any time");
    early.send(subscribe("1")).await;
    let (code, reason) = early.code().await;
    assert_eq!((code, reason.contains("Unauthorized")), (4401, true));

    let long_id = "é".repeat(200);
    let mut client = server.acknowledged().await;
    client.send(subscribe(&long_id)).await;
    client.send(subscribe(&long_id)).await;
    assert_eq!(client.code().await.0, 4409, "a reason that is too long is cut");
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_say_who_it_is_has_so_much_time() {
    let world = World::new();
    let server = Server::over(&world);
    let mut silent = server.websocket(&[]).await.unwrap();
    let since = tokio::time::Instant::now();
    assert_eq!(silent.code().await, (4408, "Connection initialisation timeout".to_owned()));
    assert_eq!(since.elapsed().as_millis(), 5_000);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_answer_a_ping_before_the_next_is_cut() {
    let world = World::new();
    let server = Server::over(&world);
    let mut client = server.acknowledged().await;
    let since = tokio::time::Instant::now();
    for _ in 0..3 {
        assert_eq!(client.heard().await, json!({ "type": "ping" }));
        client.send(json!({ "type": "pong" })).await;
    }
    assert_eq!(client.heard().await, json!({ "type": "ping" }));
    assert_eq!(since.elapsed().as_secs(), 60);
    assert_eq!(client.ended().await, Ended::WithoutAWord);
    assert_eq!(since.elapsed().as_secs(), 75);
}

#[tokio::test(start_paused = true)]
async fn a_websocket_begins_only_from_where_a_request_may_come_and_in_this_protocol() {
    let world = World::new();
    let cors_origins = AllowedOrigins::try_from("https://app.example.com".to_owned()).unwrap();
    let server = Server::with(world.operations(), anybody(), HttpSettings { cors_origins, ..settings() });
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
        server.websocket(&[(name, value)]).await.unwrap().greet(json!(null)).await;
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
async fn more_at_once_than_a_connection_may_have_is_refused_and_the_others_go_on() {
    let world = World::new();
    let server = Server::over(&world);
    let mut client = server.acknowledged().await;
    for id in ["1", "2", "3"] {
        listening(&world, &mut client, id).await;
    }
    client.subscribe("4", PROVIDER_CHANGED).await;
    let refused = client.next().await;
    assert_eq!((&refused["id"], &refused["type"]), (&json!("4"), &json!("error")));
    assert_eq!(at(&refused, "payload.0.extensions.code"), "LIMIT_EXCEEDED");
    client.send(json!({ "id": "2", "type": "complete" })).await;
    listening(&world, &mut client, "4").await;
    change(&world, "degraded").await;
    let mut told = Vec::new();
    for _ in 0..3 {
        told.push(client.next().await["id"].as_str().unwrap().to_owned());
    }
    told.sort_unstable();
    assert_eq!(told, ["1", "3", "4"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_back_with_its_position_hears_what_it_missed() {
    let world = World::new();
    let server = Server::over(&world);
    let mut client = server.acknowledged().await;
    listening(&world, &mut client, "s").await;
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
async fn a_reader_that_takes_nothing_is_waited_for_as_for_any_answer_and_then_cut() {
    let world = World::new();
    let server = Server::over(&world);
    let mut client = server.acknowledged().await;
    let query = "{ providers(first: 100) { nodes { id name status errorMessage health { state } } } }";
    for id in ["1", "2", "3"] {
        client.subscribe(id, query).await;
    }
    world.settle().await;
    // 30 s are `server.write_timeout_ms`; there is nobody else whom time could wait for.
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(client.ended().await, Ended::WithoutAWord);
}

#[tokio::test(start_paused = true)]
async fn whoever_missed_changes_is_told_so_and_that_is_the_end_of_it() {
    let mut setup = Setup::default();
    setup.config.subscriptions.events_max = 2;
    let world = World::new_with(setup);
    let server = Server::over(&world);
    let mut client = server.acknowledged().await;
    listening(&world, &mut client, "s").await;
    world.sandbox.change_providers(Tenant::A, |rows| {
        for row in rows.iter_mut() {
            row["status"] = json!("degraded");
        }
    });
    world.data("mutation { refresh(upstream: LEADLEX) { retryAt } }").await;
    let told = client.next().await;
    assert_eq!((&told["id"], &told["type"]), (&json!("s"), &json!("error")), "{told}");
    assert_eq!(at(&told, "payload.0.extensions.code"), "OVERLOADED");
    client.subscribe("s", "{ viewer { name } }").await;
    assert_eq!(client.next().await["type"], "next");
}

#[tokio::test(start_paused = true)]
async fn the_servers_end_is_the_end_of_what_has_none_and_waits_for_what_has_one() {
    let world = World::new();
    let mut server = Server::over(&world);
    let mut client = server.acknowledged().await;
    listening(&world, &mut client, "s").await;
    server.stop();
    let (code, reason) = client.code().await;
    assert_eq!(code, 1001, "{reason}");
    drop(client);
    assert_eq!(server.ended().await, Duration::ZERO);

    let (faulty, gate) = Faulty::with_gate();
    let mut server = Server::with(operations(faulty), super::anybody(), settings());
    let mut client = server.acknowledged().await;
    client.subscribe("q", "{ waits }").await;
    gate.is_reached_by(1).await;
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
async fn a_client_that_does_not_leave_does_not_hold_the_server_back() {
    let (faulty, gate) = Faulty::with_gate();
    let mut server = Server::with(operations(faulty), super::anybody(), settings());
    let mut client = server.acknowledged().await;
    client.subscribe("q", "{ waits }").await;
    gate.is_reached_by(1).await;
    server.stop();
    assert_eq!(server.ended().await, Duration::from_secs(20), "`server.shutdown_ms`");
    assert_eq!(client.ended().await, Ended::WithoutAWord);
}
