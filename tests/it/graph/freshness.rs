//! Age of data, and how it is refreshed. Each response is asserted with the upstream calls behind it.

use std::time::Duration;

use serde_json::{Value, json};
use switchboard::sandbox::{EmulatedUpstream, Fault, Settings, Tenant};

use crate::world::{NOW, PROVIDERS, Setup, World, at, by_ids, list, strings_at};

const PROVIDERS_TTL: Duration = Duration::from_secs(60);
const ACCOUNTS_TTL: Duration = Duration::from_secs(30);
const STALE_WHILE_REVALIDATE: Duration = Duration::from_secs(300);

const PAGE: &str = "{ providers(first: 2) {
    freshness { fetchedAt state refreshDueAt }
    nodes { name freshness { fetchedAt state } }
} }";

const JOINED: &str = "{ providers(first: 20) { nodes { connectedAccounts(first: 10) { freshness { state } nodes { id } } } } }";

fn shipped() -> World {
    World::new_with(Setup::as_shipped())
}

fn inject_fault(world: &World, upstream: EmulatedUpstream, fault: Option<&str>) {
    world.sandbox.emulate(upstream, fault.map(|fault| Fault::parse(fault).unwrap()));
}

#[tokio::test(start_paused = true)]
async fn freshness_has_stable_timestamps() {
    let world = shipped();
    let first = world.data(PAGE).await;
    assert_eq!(
        at(&first, "providers.freshness"),
        json!({ "fetchedAt": NOW, "state": "FRESH", "refreshDueAt": "2026-11-21T12:01:00Z" })
    );
    assert_eq!(strings_at(&first, "providers.nodes.*.freshness.fetchedAt"), [NOW, NOW]);
    world.advance(Duration::from_secs(40)).await;
    assert_eq!(world.data(PAGE).await, first);
    assert_eq!(world.calls(), [PROVIDERS]);
}

#[tokio::test(start_paused = true)]
async fn data_ages_by_forward_jumps_of_the_wall_clock() {
    let world = shipped();
    world.data(PAGE).await;
    assert_eq!(at(&world.data(PAGE).await, "providers.freshness.fetchedAt"), NOW);
    assert_eq!(world.calls(), [PROVIDERS]);
    // Tokio's clock stands still while a machine is suspended.
    world.clock().follow("2026-11-21T20:00:00Z".parse().unwrap());
    let after = world.data(PAGE).await;
    assert_eq!(
        at(&after, "providers.freshness"),
        json!({ "fetchedAt": "2026-11-21T20:00:00Z", "state": "FRESH", "refreshDueAt": "2026-11-21T20:01:00Z" })
    );
    assert_eq!(world.calls(), [PROVIDERS]);
    world.clock().follow("2026-11-21T20:01:00Z".parse().unwrap());
    assert_eq!(at(&world.data(PAGE).await, "providers.freshness.state"), "STALE");
    world.settle().await;
    assert_eq!(world.calls(), [PROVIDERS]);
}

#[tokio::test(start_paused = true)]
async fn data_keeps_its_age_if_the_wall_clock_is_set_back() {
    let world = shipped();
    world.data(PAGE).await;
    world.data(PAGE).await;
    world.advance(Duration::from_secs(40)).await;
    world.clock().follow("2026-11-21T10:00:40Z".parse().unwrap());
    let freshness = at(&world.data(PAGE).await, "providers.freshness");
    let expected = json!({ "fetchedAt": "2026-11-21T10:00:00Z", "state": "FRESH", "refreshDueAt": "2026-11-21T10:01:00Z" });
    assert_eq!(freshness, expected);
    world.advance(Duration::from_secs(20)).await;
    assert_eq!(at(&world.data(PAGE).await, "providers.freshness.state"), "STALE");
    world.settle().await;
    assert_eq!(world.calls(), [PROVIDERS, PROVIDERS]);
}

#[tokio::test(start_paused = true)]
async fn stale_list_is_served_and_refreshed_once_in_background() {
    let world = shipped();
    world.data(PAGE).await;
    world.advance(PROVIDERS_TTL).await;
    world.sandbox.change_providers(Tenant::A, |rows| rows.truncate(1));
    world.calls();
    let (one, another) = tokio::join!(world.data(PAGE), world.data(PAGE));
    for stale in [one, another] {
        assert_eq!(at(&stale, "providers.freshness.state"), "STALE");
        assert_eq!(at(&stale, "providers.freshness.fetchedAt"), NOW);
        assert_eq!(strings_at(&stale, "providers.nodes.*.freshness.state"), ["STALE", "STALE"]);
    }
    world.settle().await;
    assert_eq!(world.calls(), [PROVIDERS]);
    let fresh = world.data(PAGE).await;
    assert_eq!(at(&fresh, "providers.freshness.fetchedAt"), "2026-11-21T12:01:00Z");
    assert_eq!(strings_at(&fresh, "providers.nodes.*.freshness.state"), ["FRESH"]);
    assert_eq!(world.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn expired_data_is_read_before_the_response() {
    let world = shipped();
    world.data(PAGE).await;
    world.advance(PROVIDERS_TTL + STALE_WHILE_REVALIDATE).await;
    assert_eq!(at(&world.data(PAGE).await, "providers.freshness.state"), "FRESH");
    assert_eq!(world.calls(), [PROVIDERS, PROVIDERS]);
}

#[tokio::test(start_paused = true)]
async fn stale_data_of_a_failing_upstream_is_served_and_marked() {
    let world = shipped();
    let query = "{ providers(first: 1) { freshness { state } nodes { name } }
        connectedAccounts(first: 1) { freshness { state } nodes { id freshness { state } } } }";
    let before = world.data(query).await;
    inject_fault(&world, EmulatedUpstream::Composio, Some("status=503"));
    for _ in 0..10 {
        world.advance(PROVIDERS_TTL + STALE_WHILE_REVALIDATE).await;
        let data = world.data(query).await;
        assert_eq!(at(&data, "providers.freshness.state"), "FRESH");
        assert_eq!(at(&data, "connectedAccounts.freshness.state"), "STALE_ON_ERROR");
        assert_eq!(strings_at(&data, "connectedAccounts.nodes.*.freshness.state"), ["STALE_ON_ERROR"]);
        assert_eq!(at(&data, "connectedAccounts.nodes.0.id"), at(&before, "connectedAccounts.nodes.0.id"));
    }
    // A day after the last successful read, the data is gone.
    world.advance(Duration::from_secs(86_400)).await;
    let answer = world.query(query).await;
    assert_eq!(answer["data"]["connectedAccounts"], Value::Null);
    assert_eq!(at(&answer, "errors.0.extensions.code"), "UPSTREAM_UNAVAILABLE");
    assert_eq!(at(&answer, "data.providers.freshness.state"), "FRESH");
    inject_fault(&world, EmulatedUpstream::Composio, None);
    world.advance(Duration::from_secs(60)).await;
    assert_eq!(at(&world.data(query).await, "connectedAccounts.freshness.state"), "FRESH");
}

#[tokio::test(start_paused = true)]
async fn refused_key_hides_all_data_read_with_it() {
    for (fault, code) in [("status=401", "UPSTREAM_UNAUTHORIZED"), ("status=403", "UPSTREAM_FORBIDDEN")] {
        let world = shipped();
        let kept = "{ connectedAccounts(first: 1) { nodes { id } } providers(first: 1) { nodes { id } } }";
        let before = world.data(kept).await;
        // The list and its cached response are still fresh.
        assert_eq!(world.data(kept).await, before);
        inject_fault(&world, EmulatedUpstream::Composio, Some(fault));
        let other = world
            .query("{ connectedAccounts(first: 1, filter: { statuses: [ACTIVE] }) { nodes { id } } }")
            .await;
        assert_eq!(at(&other, "errors.0.extensions.code"), code);
        let answer = world.query(kept).await;
        assert_eq!(answer["data"]["connectedAccounts"], Value::Null, "{fault}");
        assert_eq!(at(&answer, "errors.0.extensions.code"), code);
        assert_eq!(answer["data"]["providers"], before["providers"], "the other upstream accepts its key");

        // The data does not come back if the next read fails for another reason.
        world.advance(Duration::from_secs(60)).await;
        inject_fault(&world, EmulatedUpstream::Composio, Some("status=503"));
        let answer = world.query(kept).await;
        assert_eq!(answer["data"]["connectedAccounts"], Value::Null, "{fault}");
        assert_eq!(at(&answer, "errors.0.extensions.code"), "UPSTREAM_UNAVAILABLE");
        inject_fault(&world, EmulatedUpstream::Composio, None);
        world.advance(Duration::from_secs(60)).await;
        assert_eq!(world.data(kept).await["connectedAccounts"], before["connectedAccounts"]);
    }
}

#[tokio::test(start_paused = true)]
async fn hanging_upstream_is_awaited_only_once() {
    let world = shipped();
    let query = "{ connectedAccounts(first: 1) { freshness { state } } }";
    world.data(query).await;
    world.advance(ACCOUNTS_TTL + STALE_WHILE_REVALIDATE).await;
    inject_fault(&world, EmulatedUpstream::Composio, Some("latency-ms=600000"));
    let state = async || at(&world.data(query).await, "connectedAccounts.freshness.state");
    assert_eq!(state().await, "STALE_ON_ERROR");
    let waited = tokio::time::Instant::now();
    for _ in 0..10 {
        assert_eq!(state().await, "STALE_ON_ERROR");
    }
    assert_eq!(waited.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn stale_parents_are_refreshed_in_batches() {
    let world = World::new_with(Setup {
        sandbox: Settings { accounts: 1_000, ..Settings::default() },
        ..Setup::as_shipped()
    });
    world.data(JOINED).await;
    let cold = world.calls_sorted();
    assert_eq!(cold.len(), 3);
    world.advance(PROVIDERS_TTL).await;
    let stale = world.data(JOINED).await;
    let states = strings_at(&stale, "providers.nodes.*.connectedAccounts.freshness.state");
    assert_eq!(states, vec!["STALE"; 20]);
    world.settle().await;
    assert_eq!(world.calls_sorted(), cold);
    let fresh = world.data(JOINED).await;
    let states = strings_at(&fresh, "providers.nodes.*.connectedAccounts.freshness.state");
    assert_eq!(states, vec!["FRESH"; 20]);
    assert_eq!(world.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn freshness_of_a_page_is_its_oldest_part() {
    let world = World::new_with({
        let mut setup = Setup::as_shipped();
        setup.config.lists.page_rows = 10;
        setup
    });
    world.data("{ connectedAccounts(first: 5) { nodes { id } } }").await;
    world.advance(Duration::from_secs(7)).await;
    let data = world
        .data(
            "{ connectedAccounts(first: 15) { freshness { fetchedAt } nodes { freshness { fetchedAt } } } }",
        )
        .await;
    assert_eq!(at(&data, "connectedAccounts.freshness.fetchedAt"), NOW);
    let moments = strings_at(&data, "connectedAccounts.nodes.*.freshness.fetchedAt");
    assert_eq!(moments[..10], vec![NOW; 10]);
    assert_eq!(moments[10..], vec!["2026-11-21T12:00:07Z"; 5]);
}

#[tokio::test(start_paused = true)]
async fn freshness_is_null_without_upstream_data() {
    let world = shipped();
    let data = world.data("{ connectedAccounts(first: 0) { freshness { state } } }").await;
    assert_eq!(at(&data, "connectedAccounts.freshness"), Value::Null);
    assert_eq!(world.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn account_by_id_is_refreshed_and_not_found_is_retried_soon() {
    let world = shipped();
    let id = world.sandbox.accounts(Tenant::A)[0].id.clone();
    let query = format!(
        "{{ here: connectedAccount(id: \"{id}\") {{ id freshness {{ state }} }} missing: connectedAccount(id: \"ca_missing\") {{ id }} }}"
    );
    let both = by_ids([&*id, "ca_missing"]);
    world.data(&query).await;
    assert_eq!(world.calls(), std::slice::from_ref(&both));
    world.advance(Duration::from_secs(5)).await;
    let data = world.data(&query).await;
    assert_eq!((at(&data, "here.freshness.state"), at(&data, "missing")), (json!("FRESH"), Value::Null));
    assert_eq!(world.calls(), [by_ids(["ca_missing"])]);
    world.advance(ACCOUNTS_TTL).await;
    let query = format!("{{ connectedAccount(id: \"{id}\") {{ freshness {{ state }} }} }}");
    assert_eq!(at(&world.data(&query).await, "connectedAccount.freshness.state"), "STALE");
    world.settle().await;
    assert_eq!(world.calls(), [by_ids([&*id])]);
    assert_eq!(at(&world.data(&query).await, "connectedAccount.freshness.state"), "FRESH");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_cold_requests_share_calls_even_if_the_first_disconnects() {
    let world = World::new_with(Setup {
        sandbox: Settings { accounts: 1_000, latency_ms: 50, ..Settings::default() },
        ..Setup::as_shipped()
    });
    let world = std::sync::Arc::new(world);
    let mut asking: Vec<_> = (0..1_000)
        .map(|_| {
            let world = std::sync::Arc::clone(&world);
            tokio::spawn(async move { world.data(JOINED).await })
        })
        .collect();
    world.settle().await;
    asking.remove(0).abort();
    let first = asking.remove(0).await.unwrap();
    for answer in asking {
        assert_eq!(answer.await.unwrap(), first);
    }
    assert_eq!(world.calls().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn revoked_key_reads_no_cached_data() {
    for status in ["status=401", "status=403"] {
        let world = shipped();
        let query = "{ connectedAccounts(first: 1) { nodes { id } } }";
        world.data(query).await;
        inject_fault(&world, EmulatedUpstream::Composio, Some(status));
        world.advance(ACCOUNTS_TTL).await;
        world.query(query).await;
        world.settle().await;
        let answer = world.query(query).await;
        assert_eq!(answer["data"]["connectedAccounts"], Value::Null, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn cached_response_with_unknown_upstream_state_ends_when_the_state_is_known() {
    let world = shipped();
    let query = "{ connectedAccounts(first: 0) { pageInfo { hasNextPage } freshness { fetchedAt } } }";
    let more = async || at(&world.data(query).await, "connectedAccounts.pageInfo.hasNextPage");
    assert_eq!((more().await, more().await), (json!(false), json!(false)));
    world.data("{ connectedAccounts(first: 1) { nodes { id } } }").await;
    assert_eq!(more().await, true);
    assert_eq!(at(&world.data(query).await, "connectedAccounts.freshness.fetchedAt"), NOW);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_began_before_a_refresh_is_not_joined_after_it() {
    let world = std::sync::Arc::new(World::new_with(Setup {
        sandbox: Settings { latency_ms: 1_000, ..Settings::default() },
        ..Setup::as_shipped()
    }));
    let query = "{ providers { nodes { name } } }";
    let before = {
        let world = std::sync::Arc::clone(&world);
        tokio::spawn(async move { world.data(query).await })
    };
    world.settle().await;
    world.expire(&crate::world::tenant_a());
    let after = world.data(query).await;
    assert_eq!(before.await.unwrap(), after);
    assert_eq!(world.calls(), [PROVIDERS, PROVIDERS]);
}

#[tokio::test(start_paused = true)]
async fn next_page_of_a_stale_page_skips_nothing() {
    let mut setup = Setup::as_shipped();
    setup.config.lists.page_rows = 10;
    let world = World::new_with(setup);
    let page = "query ($after: String) { connectedAccounts(first: 10, after: $after) {
        nodes { connectedAccountId } pageInfo { endCursor }
    } }";
    let first = world.data(page).await;
    let shown = strings_at(&first, "connectedAccounts.nodes.*.connectedAccountId");
    world.advance(ACCOUNTS_TTL).await;
    world.sandbox.change_accounts(Tenant::A, |rows| rows.retain(|row| !shown[..3].contains(&row.id)));
    let standing: Vec<_> = {
        let rows = world.sandbox.accounts(Tenant::A).into_iter();
        rows.filter(|row| !row.shared && !shown.contains(&row.id)).map(|row| row.id).take(10).collect()
    };
    let after = at(&first, "connectedAccounts.pageInfo.endCursor");
    let second = world.data_with(page, json!({ "after": after })).await;
    assert_eq!(strings_at(&second, "connectedAccounts.nodes.*.connectedAccountId"), standing);
}

#[tokio::test(start_paused = true)]
async fn ttl_of_zero_reads_for_every_request() {
    let mut setup = Setup::as_shipped();
    (setup.config.cache.accounts_ttl_ms, setup.config.cache.providers_ttl_ms) = (0, 0);
    let world = World::new_with(setup);
    for _ in 0..3 {
        world.data("{ connectedAccounts(first: 1) { nodes { id } } }").await;
        assert_eq!(world.calls(), [list(&[])]);
        world.advance(Duration::from_millis(1)).await;
    }
}
