//! Limits over time of each caller: requests, complexity and upstream calls.

use std::time::Duration;

use serde_json::{Value, json};
use switchboard::domain::caller::Caller;
use switchboard::domain::role::MemberId;
use switchboard::operation::rate_limits::settings::{RateLimitSettings, RateLimits};
use switchboard::operation::request::OperationRequest;
use switchboard::operation::subscription::OperationOutput;
use switchboard::operation::{OperationEngine, OperationResponse, Outcome, TransportRules};
use tokio::time::advance;

use super::shipped;
use crate::world::{World, only_error, run, tenant_a};

const NAMES: &str = "{ providers(first: 2) { nodes { name } } }";
/// It needs no upstream.
const TOOLKIT: &str = "{ toolkit(slug: \"gmail\") { slug } }";

fn limits(requests: u64, complexity: u64, upstream_calls: u64) -> RateLimits {
    RateLimits { requests, complexity, upstream_calls }
}

fn settings(admin: RateLimits, member: RateLimits) -> RateLimitSettings {
    RateLimitSettings { window_ms: 60_000, callers_max: 100, admin, member }
}

/// A world whose admins have limits.
fn engine(world: &World, admin: RateLimits) -> OperationEngine {
    world.operations().with_rate_limits(&settings(admin, RateLimits::default()), [])
}

fn world() -> World {
    World::new().with_limits(shipped())
}

fn named(name: &str) -> Caller {
    Caller::admin(name, tenant_a().tenant)
}

async fn send(operations: &OperationEngine, caller: Caller, query: &str) -> OperationResponse {
    run(operations, caller, &json!({ "query": query })).await
}

/// The reason and `retryAfterMs` of a refused operation; `None` if it ran.
async fn refused(operations: &OperationEngine, caller: Caller, query: &str) -> Option<(String, u64)> {
    let response = send(operations, caller, query).await;
    if response.outcome != Outcome::RateLimited {
        assert_eq!(response.outcome, Outcome::Executed { whole: true });
        return None;
    }
    let body: Value = serde_json::from_slice(&response.body).unwrap();
    let extensions = &only_error(&body)["extensions"];
    assert_eq!((&extensions["code"], &extensions["retryable"]), (&json!("RATE_LIMITED"), &json!(true)));
    assert_eq!(body.get("data"), None);
    let retry_after_ms = extensions["retryAfterMs"].as_u64().unwrap();
    let retry_after = response.rate_limit.unwrap().retry_after;
    assert_eq!(retry_after, Some(Duration::from_millis(retry_after_ms)));
    Some((extensions["reason"].as_str().unwrap().to_owned(), retry_after_ms))
}

fn remaining(response: &OperationResponse) -> Vec<(&'static str, u64)> {
    let limits = response.rate_limit.iter().flat_map(|status| &status.limits);
    limits.map(|limit| (limit.policy, limit.remaining)).collect()
}

#[tokio::test(start_paused = true)]
async fn requests_are_counted_per_caller_also_from_the_cache() {
    let world = world();
    let operations = engine(&world, limits(3, 0, 0));
    for left in [2, 1, 0] {
        assert_eq!(remaining(&send(&operations, named("ann"), NAMES).await), [("requests", left)]);
    }
    world.executions();
    assert_eq!(refused(&operations, named("ann"), NAMES).await, Some(("REQUESTS".to_owned(), 80_000)));
    assert_eq!(world.executions(), 0);
    assert_eq!(refused(&operations, named("ben"), NAMES).await, None);
    advance(Duration::from_millis(79_999)).await;
    assert_eq!(refused(&operations, named("ann"), NAMES).await, Some(("REQUESTS".to_owned(), 1)));
    advance(Duration::from_millis(1)).await;
    assert_eq!(refused(&operations, named("ann"), NAMES).await, None);
}

#[tokio::test(start_paused = true)]
async fn complexity_is_counted_only_for_executed_operations() {
    let world = world();
    // Each execution has a complexity of 4.
    let operations = engine(&world, limits(0, 12, 0));
    let mut left = Vec::new();
    for _ in 0..4 {
        left.push(remaining(&send(&operations, named("ann"), NAMES).await)[0].1);
    }
    assert_eq!(left, [8, 4, 4, 4]);
    assert_eq!(
        refused(&operations, named("ann"), "{ providers(first: 3) { nodes { name id } } }").await.unwrap().0,
        "COMPLEXITY"
    );
    assert_eq!(refused(&operations, named("ann"), NAMES).await, None);
}

#[tokio::test(start_paused = true)]
async fn upstream_calls_are_counted_after_they_were_made() {
    let world = world();
    let operations = engine(&world, limits(0, 0, 2));
    let both = "{ providers(first: 1) { nodes { name } } connectedAccounts(first: 1) { nodes { id } } toolkit(slug: \"gmail\") { connectedAccounts(first: 1) { nodes { id } } } }";
    let response = send(&operations, named("ann"), both).await;
    assert_eq!((world.calls().len(), remaining(&response)), (3, vec![("upstream-calls", 0)]));
    // Cached responses and operations without upstream calls need no quota.
    assert_eq!(refused(&operations, named("ann"), TOOLKIT).await, None);
    assert_eq!(refused(&operations, named("ann"), NAMES).await.unwrap().0, "UPSTREAM_CALLS");
    assert_eq!(world.calls(), [""; 0]);
    assert_eq!(refused(&operations, named("ben"), NAMES).await, None);
    advance(Duration::from_secs(120)).await;
    assert_eq!(refused(&operations, named("ann"), NAMES).await, None);
}

#[tokio::test(start_paused = true)]
async fn roles_and_tokens_have_their_own_limits() {
    let world = world();
    let settings = settings(limits(1, 0, 0), limits(2, 0, 0));
    let tokens = [("backend".into(), limits(3, 0, 0)), ("batch".into(), limits(0, 500, 0))];
    let operations = world.operations().with_rate_limits(&settings, tokens);
    let member = Caller::member("ann", MemberId::new("user_1").unwrap(), tenant_a().tenant);
    for (caller, allowed) in [(named("ops"), 1), (member, 2), (named("backend"), 3), (named("batch"), 1)] {
        for request in 0..=allowed {
            let limited = refused(&operations, caller.clone(), TOOLKIT).await;
            assert_eq!(limited.is_some(), request == allowed, "{} {request}", caller.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_without_limits_has_no_status() {
    let world = world();
    let operations = world.operations().with_rate_limits(&settings(limits(0, 0, 0), limits(1, 0, 0)), []);
    let response = send(&operations, named("ann"), NAMES).await;
    assert_eq!(response.rate_limit, None);
    assert_eq!(send(&engine(&world, limits(0, 0, 0)), named("ann"), NAMES).await.rate_limit, None);
}

#[tokio::test(start_paused = true)]
async fn usage_outlives_a_reload_of_the_limits() {
    let world = world();
    let operations = engine(&world, limits(2, 0, 0));
    send(&operations, named("ann"), TOOLKIT).await;
    let reloaded = engine(&world, limits(5, 0, 0)).keeping_usage_of(&operations);
    assert_eq!(remaining(&send(&reloaded, named("ann"), TOOLKIT).await), [("requests", 3)]);
    let fresh = engine(&world, limits(5, 0, 0));
    assert_eq!(remaining(&send(&fresh, named("ann"), TOOLKIT).await), [("requests", 4)]);
}

#[tokio::test(start_paused = true)]
async fn the_start_of_a_subscription_is_a_request() {
    let world = world();
    let operations = engine(&world, limits(1, 0, 0));
    let subscribe = async || {
        let query = json!({ "query": "subscription { providerChanged { kind } }" }).to_string();
        let request = OperationRequest::from_json(query.as_bytes()).unwrap();
        let rules = TransportRules { mutations: true };
        operations.run_or_subscribe(request, rules, named("ann"), None).await
    };
    let first = subscribe().await;
    let OperationOutput::Subscription(first) = first else { panic!("it is refused") };
    assert_eq!(first.rate_limit().unwrap().limits[0].remaining, 0);
    let OperationOutput::Response(second) = subscribe().await else { panic!("it is not refused") };
    assert_eq!(second.outcome, Outcome::RateLimited);
}

#[tokio::test(start_paused = true)]
async fn refusals_are_counted_by_limit_and_role() {
    let world = world();
    let operations = engine(&world, limits(1, 0, 0));
    for _ in 0..3 {
        send(&operations, named("ann"), TOOLKIT).await;
    }
    let metrics = operations.metrics().page();
    assert!(
        metrics.contains("switchboard_rate_limited_total{limit=\"requests\",role=\"admin\"} 2"),
        "{metrics}"
    );
}
