//! How long an operation may take, and how many find room at once.

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

const DEAR: &str = "{ connectedAccounts(first: 100) { nodes { id userId status createdAt rawStatus updatedAt wordId alias isDisabled accountType } } }";
const CHEAP: &str = "{ connectedAccounts(first: 1) { nodes { id } } }";

/// A world whose upstreams answer only once `go` has a permit.
fn waiting(limits: LimitSettings) -> (World, Arc<Semaphore>) {
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
async fn an_operation_whose_upstreams_take_too_long_says_so_at_its_fields() {
    let (world, _go) = waiting(LimitSettings { operation_timeout_ms: 1_000, ..shipped() });
    let began = Instant::now();
    let (answer, outcome) = world.outcome(json!({ "query": DEAR })).await;
    assert_eq!(outcome, Outcome::Executed { whole: false });
    assert_eq!(began.elapsed(), Duration::from_millis(980), "and has time to say it");
    assert_eq!(answer["data"], json!({ "connectedAccounts": null }));
    let error = only_error(&answer);
    assert_eq!(error["path"], json!(["connectedAccounts"]));
    let extensions = json!({ "code": "UPSTREAM_TIMEOUT", "upstream": "COMPOSIO", "retryable": true });
    assert_eq!(error["extensions"], extensions);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_dear_operations_is_refused_early_and_leaves_room_for_cheap_ones() {
    let limits = LimitSettings { complexity_at_once: 4_000, wait_ms: 1_000, ..shipped() };
    let (world, go) = waiting(limits);
    let world = Arc::new(world);
    let flood: Vec<_> = (0..20)
        .map(|number| {
            let world = Arc::clone(&world);
            // Those who ask for the same would wait for one execution.
            let query = format!("{DEAR} # {number}");
            tokio::spawn(async move { world.outcome(json!({ "query": query })).await })
        })
        .collect();
    // All of them have begun, and those that found no place have waited for it.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let done = flood.iter().filter(|task| task.is_finished()).count();
    assert_eq!(done, 18, "3,000 of 4,000 are for dear operations, of which each takes 1,002");
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
    // Whoever comes later finds the room that the others left.
    let (later, _) = world.outcome(json!({ "query": DEAR })).await;
    assert_ne!(later["data"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_flood_out_of_the_cache_does_not_keep_the_processor_from_cheap_ones() {
    let world = World::new().with_limits(LimitSettings { complexity_at_once: 4_000, ..shipped() });
    for query in [DEAR, CHEAP] {
        assert_eq!(world.outcome(json!({ "query": query })).await.0.get("errors"), None);
    }
    let (world, order) = (Arc::new(world), Arc::new(Mutex::new(Vec::new())));
    let tasks: Vec<_> = std::iter::repeat_n(DEAR, 20)
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
    let before = order.lock().unwrap().iter().take_while(|query| **query == DEAR).count();
    assert!(before <= 2, "{before} dear ones ended before the cheap one that came last");
}
