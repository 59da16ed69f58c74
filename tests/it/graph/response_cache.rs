//! Cached responses: which are reused without execution, and when they expire.

use std::time::Duration;

use serde_json::{Value, json};
use switchboard::sandbox::{EmulatedUpstream, Fault};

use crate::world::{LONGEST_TTL, PROVIDERS, Setup, World, by_ids, list, run, tenant_a, tenant_b};

/// Shipped lifetime of accounts. In its last tenth, accounts in demand are refreshed early.
const TTL: Duration = Duration::from_secs(30);
const EARLY: Duration = Duration::from_secs(27);

const ACCOUNTS: &str =
    "{ connectedAccounts(first: 2) { nodes { connectedAccountId } freshness { state fetchedAt } } }";

const SECOND: Duration = Duration::from_secs(1);

async fn response_text(world: &World, query: &str) -> String {
    let answer = world.run(tenant_a(), &json!({ "query": query })).await;
    String::from_utf8(answer.body.to_vec()).unwrap()
}

fn state(answer: &str) -> String {
    let answer: Value = serde_json::from_str(answer).unwrap();
    answer["data"]["connectedAccounts"]["freshness"]["state"].as_str().unwrap().to_owned()
}

/// Executions and upstream calls since the last call, after all background work has ended.
async fn work(world: &World) -> (usize, Vec<String>) {
    run_background_tasks().await;
    (world.executions(), world.calls_sorted())
}

async fn run_background_tasks() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// A world in which the response to a query is cached.
async fn with_cached_response(setup: Setup, query: &str) -> (World, String) {
    let world = World::new_with(setup);
    response_text(&world, query).await;
    let answer = response_text(&world, query).await;
    run_background_tasks().await;
    world.executions();
    world.calls();
    assert_eq!(response_text(&world, query).await, answer);
    assert_eq!(work(&world).await, (0, vec![]), "kept");
    (world, answer)
}

#[tokio::test(start_paused = true)]
async fn response_without_upstream_reads_is_cached() {
    let world = World::new();
    let cold = response_text(&world, ACCOUNTS).await;
    assert_eq!(work(&world).await, (1, vec![list(&[])]));
    assert_eq!(response_text(&world, ACCOUNTS).await, cold);
    assert_eq!(work(&world).await, (1, vec![]));
    for _ in 0..10 {
        assert_eq!(response_text(&world, ACCOUNTS).await, cold);
    }
    assert_eq!(work(&world).await, (0, vec![]));
}

#[tokio::test(start_paused = true)]
async fn response_without_upstream_data_does_not_expire() {
    let query = "{ toolkit(slug: \"gmail\") { id slug } __type(name: \"Toolkit\") { fields { name } } }";
    let world = World::new();
    let answer = response_text(&world, query).await;
    world.advance(100 * LONGEST_TTL).await;
    world.executions();
    assert_eq!(response_text(&world, query).await, answer);
    assert_eq!(world.executions(), 0);
}

#[tokio::test(start_paused = true)]
async fn response_expires_with_its_first_part() {
    let (world, answer) = with_cached_response(Setup::default(), ACCOUNTS).await;
    world.advance(EARLY - Duration::from_millis(1)).await;
    assert_eq!(response_text(&world, ACCOUNTS).await, answer);
    assert_eq!(work(&world).await, (0, vec![]));
    // A part in demand is refreshed in the background. The next response uses the new value.
    world.advance(Duration::from_millis(1)).await;
    assert_eq!(response_text(&world, ACCOUNTS).await, answer);
    assert_eq!(work(&world).await, (1, vec![list(&[])]));
    assert_ne!(response_text(&world, ACCOUNTS).await, answer);
    assert_eq!(work(&world).await, (1, vec![]));
}

#[tokio::test(start_paused = true)]
async fn earliest_expiry_of_all_parts_counts() {
    let both = "{ providers(first: 1) { freshness { fetchedAt } } connectedAccounts(first: 1) { freshness { fetchedAt } } }";
    let world = World::new();
    response_text(&world, "{ providers(first: 1) { nodes { id } } }").await;
    world.advance(Duration::from_secs(53)).await;
    response_text(&world, both).await;
    let answer = response_text(&world, both).await;
    work(&world).await;
    world.advance(Duration::from_millis(999)).await;
    assert_eq!((response_text(&world, both).await, work(&world).await), (answer.clone(), (0, vec![])));
    world.advance(Duration::from_millis(1)).await;
    // The providers, at 54 of their 60 seconds.
    assert_eq!(
        (response_text(&world, both).await, work(&world).await),
        (answer.clone(), (1, vec![PROVIDERS.to_owned()]))
    );
    assert_ne!(response_text(&world, both).await, answer);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_invalidates_only_the_responses_that_depend_on_it() {
    let (world, answer) = with_cached_response(Setup::default(), ACCOUNTS).await;
    run(&world.operations, tenant_b(), &json!({ "query": ACCOUNTS })).await;
    work(&world).await;
    assert_eq!((response_text(&world, ACCOUNTS).await, work(&world).await), (answer.clone(), (0, vec![])));

    let account: Value = serde_json::from_str(&answer).unwrap();
    let id = account["data"]["connectedAccounts"]["nodes"][0]["connectedAccountId"].as_str().unwrap();
    response_text(&world, &format!("{{ connectedAccount(id: \"{id}\") {{ status }} }}")).await;
    assert_eq!(work(&world).await, (1, vec![by_ids([id])]));
    assert_eq!((response_text(&world, ACCOUNTS).await, work(&world).await), (answer, (0, vec![])));
}

#[tokio::test(start_paused = true)]
async fn small_cache_keeps_responses_whose_parts_are_not_evicted() {
    let mut small = Setup::default();
    small.config.cache.limit_bytes = 1_048_576;
    let (world, answer) = with_cached_response(small, ACCOUNTS).await;
    let (mut cached, mut executed) = (0, 0);
    for number in 0..200 {
        let user = format!(
            "{{ connectedAccounts(first: 1, filter: {{ userIds: [\"user_{number}\"] }}) {{ totalCount }} }}"
        );
        response_text(&world, &user).await;
        work(&world).await;
        assert_eq!(response_text(&world, ACCOUNTS).await, answer);
        match work(&world).await.0 {
            0 => cached += 1,
            _ => executed += 1,
        }
    }
    assert!(cached > 9 * executed, "{cached} cached, {executed} executed");
}

#[tokio::test(start_paused = true)]
async fn stale_response_is_cached_until_the_refresh_ends() {
    let (world, fresh) = with_cached_response(Setup::as_shipped(), ACCOUNTS).await;
    world.sandbox.emulate(EmulatedUpstream::Composio, Some(Fault::parse("latency-ms=2000").unwrap()));
    world.advance(TTL).await;
    let stale = response_text(&world, ACCOUNTS).await;
    assert_eq!((state(&stale), work(&world).await), ("STALE".into(), (1, vec![list(&[])])));
    world.advance(SECOND).await;
    for _ in 0..10 {
        assert_eq!((response_text(&world, ACCOUNTS).await, work(&world).await), (stale.clone(), (0, vec![])));
    }
    world.advance(SECOND).await;
    run_background_tasks().await;
    let refreshed = response_text(&world, ACCOUNTS).await;
    assert_eq!((state(&refreshed), work(&world).await), ("FRESH".into(), (1, vec![])));
    assert_ne!(refreshed, fresh);
    assert_eq!((response_text(&world, ACCOUNTS).await, work(&world).await), (refreshed, (0, vec![])));
}

#[tokio::test(start_paused = true)]
async fn response_with_unreadable_parts_is_cached_until_the_next_attempt() {
    let (world, _) = with_cached_response(Setup::as_shipped(), ACCOUNTS).await;
    world.sandbox.emulate(EmulatedUpstream::Composio, Some(Fault::parse("status=503").unwrap()));
    world.advance(TTL).await;
    assert_eq!(state(&response_text(&world, ACCOUNTS).await), "STALE");
    assert_eq!(work(&world).await, (1, vec![list(&[])]));
    let held = response_text(&world, ACCOUNTS).await;
    assert_eq!((state(&held), work(&world).await), ("STALE_ON_ERROR".into(), (1, vec![])));
    world.advance(Duration::from_millis(4_999)).await;
    assert_eq!((response_text(&world, ACCOUNTS).await, work(&world).await), (held.clone(), (0, vec![])));
    world.advance(Duration::from_millis(1)).await;
    // The attempt runs in the background. This response cannot know yet that it fails.
    assert_eq!(state(&response_text(&world, ACCOUNTS).await), "STALE_ON_ERROR");
    assert_eq!(work(&world).await, (1, vec![list(&[])]));
}

#[tokio::test(start_paused = true)]
async fn response_with_errors_is_not_cached() {
    let world = World::new();
    world.sandbox.emulate(EmulatedUpstream::Composio, Some(Fault::parse("status=503").unwrap()));
    let both = "{ providers(first: 1) { nodes { name } } connectedAccounts(first: 1) { nodes { id } } }";
    response_text(&world, both).await;
    work(&world).await;
    for _ in 0..3 {
        assert!(response_text(&world, both).await.contains("UPSTREAM_UNAVAILABLE"));
        assert_eq!(work(&world).await, (1, vec![list(&[])]));
    }
}

#[tokio::test(start_paused = true)]
async fn cached_not_found_expires_after_its_ttl() {
    let query = "{ connectedAccount(id: \"ca_nobody\") { id } }";
    let (world, answer) = with_cached_response(Setup::default(), query).await;
    assert_eq!(answer, r#"{"data":{"connectedAccount":null}}"#);
    world.advance(Duration::from_secs(5)).await;
    assert_eq!(response_text(&world, query).await, answer);
    assert_eq!(work(&world).await, (1, vec![by_ids(["ca_nobody"])]));
}
