//! Operation timeout: fields that are not ready in time are null, and other requests are not affected.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Request, Response};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use switchboard::domain::caller::Caller;
use switchboard::domain::clock::Clock;
use switchboard::loaders::cache::upstream_cache::DataState;
use switchboard::loaders::settings::Shares;
use switchboard::loaders::stats::OperationStats;
use switchboard::operation::Executor;
use switchboard::operation::settings::LimitSettings;
use switchboard::sandbox::{EmulatedUpstream, Fault};
use tokio::time::Instant;

use super::shipped;
use crate::world::{NOW, Setup, World, engine, only_error, run, strings_at, tenant_a};

const BOTH: &str = "{
    providers(first: 2) { nodes { name } }
    connectedAccounts(first: 2) { freshness { state } nodes { userId } }
}";

/// Three seconds for an operation, five for a call.
fn world() -> World {
    World::new_with(Setup::as_shipped())
        .with_limits(LimitSettings { operation_timeout_ms: 3_000, ..shipped() })
}

fn slow_down(world: &World, upstream: EmulatedUpstream, milliseconds: u64) {
    let fault = Fault { latency_ms: milliseconds, ..Fault::default() };
    world.sandbox.emulate(upstream, Some(fault));
}

fn error_summary(answer: &Value) -> Value {
    let error = only_error(answer);
    json!([error["path"], error["extensions"]["code"], error["extensions"]["upstream"]])
}

#[tokio::test(start_paused = true)]
async fn slow_upstream_keeps_the_other_half() {
    let world = world();
    slow_down(&world, EmulatedUpstream::Composio, 4_000);
    let began = Instant::now();
    let answer = world.query(BOTH).await;
    assert_eq!(began.elapsed(), Duration::from_millis(2_940));
    assert_eq!(error_summary(&answer), json!([["connectedAccounts"], "UPSTREAM_TIMEOUT", "COMPOSIO"]));
    assert_eq!(answer["data"]["connectedAccounts"], Value::Null);
    assert_eq!(strings_at(&answer["data"], "providers.nodes.*.name").len(), 2);

    // The call completes anyway and serves later requests.
    world.advance(Duration::from_secs(2)).await;
    world.settle().await;
    assert_eq!(world.query(BOTH).await.get("errors"), None);
    assert_eq!(world.calls().len(), 2, "one call to each upstream");
}

#[tokio::test(start_paused = true)]
async fn shared_call_keeps_each_operations_deadline() {
    for queries in [[BOTH, BOTH], [BOTH, "{ connectedAccounts(first: 5) { nodes { id } } }"]] {
        let world = Arc::new(world());
        slow_down(&world, EmulatedUpstream::Composio, 4_000);
        let [leader, follower] = queries.map(str::to_owned);
        let asking = Arc::clone(&world);
        let leader = tokio::spawn(async move { asking.query(&leader).await });
        tokio::time::sleep(Duration::from_secs(2)).await;
        let answer = world.query(&follower).await;
        assert_eq!(answer.get("errors"), None, "its deadline was second five: {answer}");
        assert_eq!(error_summary(&leader.await.unwrap())[1], "UPSTREAM_TIMEOUT");
        let calls = world.calls();
        assert_eq!(calls.len(), 2, "both operations shared the call: {calls:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn stale_data_is_served_if_the_deadline_is_too_short() {
    let world = world();
    world.data(BOTH).await;
    slow_down(&world, EmulatedUpstream::Composio, 4_000);
    world.advance(Duration::from_secs(3_600)).await;
    let answer = world.query(BOTH).await;
    assert_eq!(answer.get("errors"), None);
    assert_eq!(answer["data"]["connectedAccounts"]["freshness"]["state"], "STALE");
    // This response is not shared. A later request has time to wait for the new data.
    assert_eq!(world.query(BOTH).await["data"]["connectedAccounts"]["freshness"]["state"], "FRESH");
}

/// An executor that never completes.
struct Endless;

impl Executor for Endless {
    fn sdl(&self) -> String {
        "type Query { a: Int }".to_owned()
    }

    fn execute(&self, _: Request, _: Caller, _: Arc<OperationStats>) -> BoxFuture<'_, Response> {
        Box::pin(std::future::pending())
    }

    fn data_state(&self, _: &Caller) -> DataState {
        DataState::default()
    }
}

#[tokio::test(start_paused = true)]
async fn endless_operation_is_ended_at_its_timeout() {
    let limits = LimitSettings { operation_timeout_ms: 1_000, ..shipped() };
    let clock = Clock::starting_at(NOW.parse().unwrap());
    let operations = engine(Endless, &Shares::of(0), clock, limits);
    let answer = run(&operations, tenant_a(), &json!({ "query": "{ a }" })).await;
    assert_eq!(
        serde_json::from_slice::<Value>(&answer.body).unwrap(),
        json!({
            "errors": [{
                "message": "The operation took longer than 1000 ms and was ended: ask for less at once, or again later.",
                "extensions": { "code": "DEADLINE_EXCEEDED" },
            }],
            "data": null,
        })
    );
}
