//! The `upstreams` field and the refresh mutation.

use std::time::Duration;

use serde_json::{Value, json};
use switchboard::domain::caller::Caller;
use switchboard::domain::role::{MemberId, Role};
use switchboard::sandbox::{EmulatedUpstream, Fault, LeadlexPlan, Settings, Tenant};

use crate::world::{
    NOW, PROVIDERS, Setup, World, at, caller, list, only_error, strings_at, tenant_a, tenant_b,
};

const UPSTREAMS: &str = "{ upstreams {
    name state quota { limit remaining resetsAt } lastSuccessAt lastError { code at requestId }
    cache { entries hits misses staleServed }
} }";

const READ: &str = "{ providers(first: 1) { nodes { name } } connectedAccounts(first: 1) { nodes { id } } }";

fn starter() -> World {
    World::new_with(Setup {
        sandbox: Settings { leadlex_plan: LeadlexPlan::Starter, ..Settings::default() },
        ..Setup::as_shipped()
    })
}

#[tokio::test(start_paused = true)]
async fn state_is_unknown_before_the_first_call() {
    let world = starter();
    let data = world.data(UPSTREAMS).await;
    let unknown = |name: &str| {
        json!({
            "name": name, "state": "UNKNOWN", "quota": { "limit": null, "remaining": null, "resetsAt": null },
            "lastSuccessAt": null, "lastError": null,
            "cache": { "entries": 0, "hits": 0, "misses": 0, "staleServed": 0 },
        })
    };
    assert_eq!(data["upstreams"], json!([unknown("LEADLEX"), unknown("COMPOSIO")]));
    assert_eq!(world.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_shown_in_the_response_that_has_it() {
    let world = World::new();
    world.sandbox.emulate(EmulatedUpstream::Composio, Some(Fault::parse("status=503").unwrap()));
    // Before the field that fails, and at a deeper level.
    let query = "{
        upstreams { name state lastError { code } }
        providers(first: 1) { nodes { connectedAccounts(first: 1) { nodes { id } } } }
    }";
    let response = world.query(query).await;
    assert_eq!(only_error(&response)["extensions"]["code"], "UPSTREAM_UNAVAILABLE");
    let data = &response["data"];
    assert_eq!(at(data, "upstreams.0"), json!({ "name": "LEADLEX", "state": "UP", "lastError": null }));
    assert_eq!(
        at(data, "upstreams.1"),
        json!({ "name": "COMPOSIO", "state": "DOWN", "lastError": { "code": "UPSTREAM_UNAVAILABLE" } })
    );
}

#[tokio::test(start_paused = true)]
async fn quota_last_success_last_error_and_cache_statistics_are_returned() {
    let world = starter();
    world.data(READ).await;
    world.data(READ).await;
    let data = world.data(UPSTREAMS).await;
    assert_eq!(strings_at(&data, "upstreams.*.state"), ["UP", "UP"]);
    assert_eq!(
        at(&data, "upstreams.0.quota"),
        json!({ "limit": 100, "remaining": 99, "resetsAt": "2026-11-22T00:00:00Z" })
    );
    assert_eq!(at(&data, "upstreams.0.lastSuccessAt"), NOW);
    assert_eq!(
        at(&data, "upstreams.0.cache"),
        json!({ "entries": 1, "hits": 1, "misses": 1, "staleServed": 0 })
    );

    world.sandbox.emulate(EmulatedUpstream::Composio, Some(Fault::parse("status=503").unwrap()));
    world.advance(Duration::from_secs(30)).await;
    world.data(READ).await;
    world.settle().await;
    let data = world.data(UPSTREAMS).await;
    assert_ne!(at(&data, "upstreams.1.state"), "UP");
    assert_eq!(at(&data, "upstreams.1.lastError.code"), "UPSTREAM_UNAVAILABLE");
    assert_eq!(at(&data, "upstreams.1.cache.staleServed"), 1);
}

#[tokio::test(start_paused = true)]
async fn each_tenant_has_its_own_statistics() {
    let world = starter();
    world.data(READ).await;
    let answer = world.query_as(tenant_b(), UPSTREAMS, json!({})).await;
    assert_eq!(strings_at(&answer["data"], "upstreams.*.state"), ["UNKNOWN", "UNKNOWN"]);
    assert_eq!(at(&answer["data"], "upstreams.*.cache.misses"), json!([0, 0]));
}

#[tokio::test(start_paused = true)]
async fn refresh_reads_both_upstreams_immediately() {
    let world = World::new_with(Setup::as_shipped());
    let query = "{ providers { nodes { name } freshness { fetchedAt } } }";
    world.data(query).await;
    world.data("{ connectedAccounts(first: 1, filter: { statuses: [ACTIVE] }) { nodes { id } } }").await;
    world.sandbox.change_providers(Tenant::A, |rows| rows.truncate(1));
    world.advance(Duration::from_secs(20)).await;
    world.calls();
    let data = world.data("mutation { refresh { retryAt upstreams { name state } } }").await;
    assert_eq!(
        data["refresh"],
        json!({ "retryAt": null, "upstreams": [
            { "name": "LEADLEX", "state": "UP" }, { "name": "COMPOSIO", "state": "UP" },
        ] })
    );
    assert_eq!(world.calls_sorted(), [list(&[]), PROVIDERS.to_owned()]);
    let data = world.data(query).await;
    assert_eq!(strings_at(&data, "providers.nodes.*.name").len(), 1);
    assert_eq!(at(&data, "providers.freshness.fetchedAt"), "2026-11-21T12:00:20Z");
    assert_eq!(world.calls(), [""; 0]);
    // Data that the refresh did not read is read before it is returned.
    world.data("{ connectedAccounts(first: 1, filter: { statuses: [ACTIVE] }) { nodes { id } } }").await;
    assert_eq!(world.calls(), [list(&["statuses=ACTIVE"])]);
}

#[tokio::test(start_paused = true)]
async fn refresh_of_one_upstream_keeps_the_other() {
    let world = World::new_with(Setup::as_shipped());
    world.data(READ).await;
    world.advance(Duration::from_secs(20)).await;
    world.calls();
    world.data("mutation { refresh(upstream: COMPOSIO) { retryAt } }").await;
    assert_eq!(world.calls(), [list(&[])]);
    world.data(READ).await;
    assert_eq!(world.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn refresh_without_quota_changes_nothing_and_says_when() {
    let world = starter();
    // At noon the unused quota of the morning is available at once. After that, the quota limits the rate.
    let mut refreshes = 0;
    let retry_at: jiff::Timestamp = loop {
        let data = world.data("mutation { refresh(upstream: LEADLEX) { retryAt } }").await;
        match at(&data, "refresh.retryAt").as_str() {
            Some(retry_at) => break retry_at.parse().unwrap(),
            None => refreshes += 1,
        }
        world.advance(Duration::from_secs(10)).await;
        assert!(refreshes < 60, "half of the day's calls are reserved for the second half");
    };
    assert_eq!(world.calls(), vec![PROVIDERS; refreshes]);
    let data = world.data("{ providers(first: 1) { freshness { state } } }").await;
    assert_eq!(at(&data, "providers.freshness.state"), "FRESH");
    let passed = jiff::SignedDuration::from_secs(10 * i64::try_from(refreshes).unwrap());
    let wait = retry_at.duration_since(NOW.parse::<jiff::Timestamp>().unwrap() + passed);
    world.advance(wait.try_into().unwrap()).await;
    let data = world.data("mutation { refresh(upstream: LEADLEX) { retryAt } }").await;
    assert_eq!(at(&data, "refresh.retryAt"), Value::Null);
    assert_eq!(world.calls(), [PROVIDERS]);
}

#[tokio::test(start_paused = true)]
async fn failed_refresh_keeps_data_and_reports_the_error() {
    let world = World::new_with(Setup::as_shipped());
    world.data(READ).await;
    world.advance(Duration::from_secs(20)).await;
    world.sandbox.emulate(EmulatedUpstream::Leadlex, Some(Fault::parse("status=503").unwrap()));
    let data = world.data("mutation { refresh(upstream: LEADLEX) { upstreams { name state } } }").await;
    assert_eq!(strings_at(&data, "refresh.upstreams.*.state"), ["DOWN", "UP"]);
    let data = world.data("{ providers(first: 1) { nodes { name } freshness { state fetchedAt } } }").await;
    assert_eq!(at(&data, "providers.freshness"), json!({ "state": "STALE_ON_ERROR", "fetchedAt": NOW }));
}

#[tokio::test(start_paused = true)]
async fn upstream_without_key_is_unknown_and_not_refreshed() {
    let world = World::new_with(Setup::as_shipped());
    let only_composio = || caller(None, Some("ak_sandbox_a"));
    let answer = world
        .query_as(
            only_composio(),
            "mutation { refresh { retryAt upstreams { state quota { limit } } } }",
            json!({}),
        )
        .await;
    assert_eq!(at(&answer, "data.refresh.upstreams.0"), json!({ "state": "UNKNOWN", "quota": null }));
    assert_eq!(at(&answer, "data.refresh.upstreams.1.state"), "UP");
    assert_eq!(world.calls(), [list(&[])]);
}

#[tokio::test(start_paused = true)]
async fn member_sees_name_and_state_and_may_not_refresh() {
    let world = World::new_with(Setup::as_shipped());
    world.data(READ).await;
    world.calls();
    let member = || Caller { role: Role::Member(MemberId::new("user_0").unwrap()), ..tenant_a() };
    let answer = world.query_as(member(), UPSTREAMS, json!({})).await;
    for (place, name) in ["LEADLEX", "COMPOSIO"].into_iter().enumerate() {
        assert_eq!(
            at(&answer["data"], &format!("upstreams.{place}")),
            json!({ "name": name, "state": "UP", "quota": null, "lastSuccessAt": null, "lastError": null, "cache": null })
        );
    }
    let answer = world.query_as(member(), "mutation { refresh { retryAt } }", json!({})).await;
    assert_eq!(only_error(&answer)["extensions"]["code"], "FORBIDDEN");
    assert_eq!(answer["data"], Value::Null);
    assert_eq!(world.calls(), [""; 0]);
}
