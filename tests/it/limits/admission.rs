//! The time limit of an operation, and the admission of concurrent operations.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use switchboard::operation::Outcome;
use switchboard::operation::settings::LimitSettings;
use switchboard::sandbox::Settings;
use switchboard::upstream::transport::Network;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tower::service_fn;
use tower::util::BoxCloneSyncService;

use super::shipped;
use crate::world::{PAGE_ROWS, World, only_error};

const EXPENSIVE: &str = "{ connectedAccounts(first: 100) { nodes { id userId status createdAt rawStatus updatedAt wordId alias isDisabled accountType } } }";
const CHEAP: &str = "{ connectedAccounts(first: 1) { nodes { id } } }";

/// A world whose upstreams respond only when `go` has a permit.
fn blocked_world(limits: LimitSettings) -> (World, Arc<Semaphore>) {
    let go = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&go);
    let behind_a_gate = move |network: Network| -> Network {
        BoxCloneSyncService::new(service_fn(move |request: http::Request<bytes::Bytes>| {
            let (mut network, held) = (network.clone(), Arc::clone(&held));
            async move {
                drop(held.acquire().await);
                tower::ServiceExt::ready(&mut network).await?;
                tower::Service::call(&mut network, request).await
            }
        }))
    };
    (World::with_network(Settings::default(), PAGE_ROWS, behind_a_gate).with_limits(limits), go)
}

#[tokio::test(start_paused = true)]
async fn slow_upstreams_are_timeout_errors_at_their_fields() {
    let (world, _go) = blocked_world(LimitSettings { operation_timeout_ms: 1_000, ..shipped() });
    let began = Instant::now();
    let (answer, outcome) = world.outcome(json!({ "query": EXPENSIVE })).await;
    assert_eq!(outcome, Outcome::Executed { whole: false });
    assert_eq!(began.elapsed(), Duration::from_millis(980), "the response still arrives within the limit");
    assert_eq!(answer["data"], json!({ "connectedAccounts": null }));
    let error = only_error(&answer);
    assert_eq!(error["path"], json!(["connectedAccounts"]));
    let extensions = json!({ "code": "UPSTREAM_TIMEOUT", "upstream": "COMPOSIO", "retryable": true });
    assert_eq!(error["extensions"], extensions);
}

#[tokio::test(start_paused = true)]
async fn expensive_operations_are_refused_early_and_cheap_ones_admitted() {
    let limits = LimitSettings { complexity_at_once: 4_000, wait_ms: 1_000, ..shipped() };
    let (world, go) = blocked_world(limits);
    let world = Arc::new(world);
    let flood: Vec<_> = (0..20)
        .map(|number| {
            let world = Arc::clone(&world);
            // Identical operations would share one execution.
            let query = format!("{EXPENSIVE} # {number}");
            tokio::spawn(async move { world.outcome(json!({ "query": query })).await })
        })
        .collect();
    // All have begun. Those without admission waited for it.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let done = flood.iter().filter(|task| task.is_finished()).count();
    assert_eq!(done, 18, "3,000 of 4,000 are for expensive operations, of which each needs 1,002");
    go.add_permits(1);
    let (cheap, _) = world.outcome(json!({ "query": CHEAP })).await;
    assert_eq!(cheap.get("errors"), None);

    let mut refused = 0;
    for task in flood {
        let (answer, outcome) = task.await.unwrap();
        if outcome == Outcome::Overloaded {
            refused += 1;
            let error = only_error(&answer);
            assert_eq!(
                error["extensions"],
                json!({ "code": "OVERLOADED", "retryable": true, "retryAfterMs": 1_000 })
            );
        } else {
            assert_eq!(answer.get("errors"), None);
        }
    }
    assert_eq!(refused, 18);
    // Later operations get the released capacity.
    let (later, _) = world.outcome(json!({ "query": EXPENSIVE })).await;
    assert_ne!(later["data"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn cached_flood_does_not_starve_cheap_operations() {
    let world = World::new().with_limits(LimitSettings { complexity_at_once: 4_000, ..shipped() });
    for query in [EXPENSIVE, CHEAP] {
        assert_eq!(world.outcome(json!({ "query": query })).await.0.get("errors"), None);
    }
    let (world, order) = (Arc::new(world), Arc::new(Mutex::new(Vec::new())));
    let tasks: Vec<_> = std::iter::repeat_n(EXPENSIVE, 20)
        .chain([CHEAP])
        .map(|query| {
            let (world, order) = (Arc::clone(&world), Arc::clone(&order));
            tokio::spawn(async move {
                world.outcome(json!({ "query": query })).await;
                order.lock().unwrap().push(query);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let before = order.lock().unwrap().iter().take_while(|query| **query == EXPENSIVE).count();
    assert!(before <= 2, "{before} expensive operations ended before the cheap one that came last");
}
