//! A cached response equals, byte for byte, the response that execution gives at the same time.
//!
//! Two engines share one graph: one caches responses, the other always executes. After each response from the
//! cache, the other engine runs the same request at the same time. The cached response reads nothing, so it
//! does not disturb the comparison. Between requests time passes, data changes, upstreams fail, caches are
//! dropped, and the second engine is used too.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use switchboard::domain::caller::Caller;
use switchboard::sandbox::{Account, EmulatedUpstream, Fault, Tenant};

use super::{cases, one_tenth, settle, with_paused_clock};
use crate::world::{NOW, Setup, World, at, caller, global_id, run, tenant_a};

const ACCOUNTS: usize = 23;

const FRESHNESS: &str = "freshness { state fetchedAt refreshDueAt }";

#[derive(Debug, Clone)]
enum Step {
    /// Runs one of the requests as one of the callers.
    Request(usize, usize),
    /// Runs it on the engine that always executes.
    Execute(usize, usize),
    /// Lets that many milliseconds pass.
    Pass(u64),
    AddAccount(usize),
    RemoveAccount(usize),
    RenameProvider(usize),
    Fail(EmulatedUpstream, &'static str),
    Recover(EmulatedUpstream),
    /// Responses have unreadable rows and values, which are reported, or none again.
    Drift(bool),
    Expire,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let request_index = || 0..REQUESTS;
    let upstream = || prop_oneof![Just(EmulatedUpstream::Leadlex), Just(EmulatedUpstream::Composio)];
    let fault = prop_oneof![
        Just("status=503"),
        Just("status=429; retry-after=9"),
        Just("status=503; times=1"),
        Just("latency-ms=700"),
        Just("latency-ms=9000"),
    ];
    let milliseconds = prop_oneof![1..2_000_u64, 2_000..40_000_u64, 40_000..200_000_u64];
    let step = prop_oneof![
        // A few requests often, so that responses are cached.
        30 => (0..3_usize, 0..2_usize).prop_map(|(request_index, caller)| Step::Request(request_index, caller)),
        30 => (request_index(), 0..CALLERS).prop_map(|(request_index, caller)| Step::Request(request_index, caller)),
        4 => (request_index(), 0..CALLERS).prop_map(|(request_index, caller)| Step::Execute(request_index, caller)),
        10 => milliseconds.prop_map(Step::Pass),
        2 => any::<usize>().prop_map(Step::AddAccount),
        2 => any::<usize>().prop_map(Step::RemoveAccount),
        2 => any::<usize>().prop_map(Step::RenameProvider),
        3 => (upstream(), fault).prop_map(|(upstream, fault)| Step::Fail(upstream, fault)),
        4 => upstream().prop_map(Step::Recover),
        2 => any::<bool>().prop_map(Step::Drift),
        1 => Just(Step::Expire),
    ];
    prop::collection::vec(step, 1..120)
}

const CALLERS: usize = 3;

fn callers() -> [Caller; CALLERS] {
    // The same keys; the LeadLex key alone; the Composio key with another tenant's LeadLex key.
    [tenant_a(), caller(Some("wbk_sandbox_a"), None), caller(Some("wbk_sandbox_b"), Some("ak_sandbox_a"))]
}

const REQUESTS: usize = 20;

/// Every root field and several shapes. Ids and cursors are those of the initial data.
async fn requests(world: &World) -> [Value; REQUESTS] {
    let uncached = world.operations_that_execute();
    let initial_query = "{ providers(first: 2) { nodes { id } } connectedAccounts(first: 3) { nodes { id connectedAccountId } pageInfo { startCursor endCursor } } }";
    let response = run(&uncached, tenant_a(), &json!({ "query": initial_query })).await;
    let initial: Value = serde_json::from_slice(&response.body).unwrap();
    let text = |path: &str| at(&initial["data"], path).as_str().unwrap().to_owned();
    let (provider, account) = (text("providers.nodes.1.id"), text("connectedAccounts.nodes.0.id"));
    let own_id = text("connectedAccounts.nodes.2.connectedAccountId");
    let (start, end) =
        (text("connectedAccounts.pageInfo.startCursor"), text("connectedAccounts.pageInfo.endCursor"));
    let toolkit = global_id("Toolkit", "gmail");
    let accounts = format!("nodes {{ connectedAccountId status {FRESHNESS} }} {FRESHNESS}");
    let page = "query ($first: Int, $last: Int, $after: String, $before: String) {
        connectedAccounts(first: $first, last: $last, after: $after, before: $before) {
            edges { cursor node { connectedAccountId } } pageInfo { hasNextPage hasPreviousPage } isComplete
            freshness { state fetchedAt } } }";
    let request = |query: String| json!({ "query": query });
    let page_request = |variables: Value| json!({ "query": page, "variables": variables });
    let with_representations = |of: Value| {
        let query = format!(
            "query ($of: [_Any!]!) {{ _entities(representations: $of) {{ __typename
                ... on Provider {{ displayName {FRESHNESS} }} ... on ConnectedAccount {{ status {FRESHNESS} }}
                ... on Toolkit {{ providers {{ name }} }} ... on User {{ connectedAccounts(first: 2) {{ {accounts} }} }} }} }}"
        );
        json!({ "query": query, "variables": { "of": of } })
    };
    [
        request(format!("{{ connectedAccounts(first: 4) {{ {accounts} }} }}")),
        request(format!(
            "{{ providers {{ nodes {{ name displayName status {FRESHNESS} }} {FRESHNESS} totalCount }} }}"
        )),
        request(format!(
            "{{ providers(first: 20) {{ nodes {{ name connectedAccounts(first: 2) {{ {accounts} totalCount }} }} }} }}"
        )),
        request(format!(
            "{{ connectedAccounts(first: 2) {{ totalCount statusCounts {{ status count }} {FRESHNESS} }} }}"
        )),
        request(format!(
            "{{ connectedAccounts(first: 0) {{ totalCount pageInfo {{ hasNextPage }} {FRESHNESS} }} }}"
        )),
        page_request(json!({ "first": 3 })),
        page_request(json!({ "last": 7 })),
        page_request(json!({ "first": 5, "after": end })),
        page_request(json!({ "last": 2, "before": end })),
        page_request(json!({ "first": 20, "after": start })),
        request(format!(
            "{{ node(id: \"{account}\") {{ ... on ConnectedAccount {{ status {FRESHNESS} providers {{ name }} }} }} }}"
        )),
        request(format!("{{ nodes(ids: [\"{account}\", \"{toolkit}\", \"{provider}\"]) {{ id }} }}")),
        request(format!(
            "{{ provider(id: \"{provider}\") {{ displayName {FRESHNESS} connectedAccounts(last: 1) {{ {accounts} }} }} }}"
        )),
        request(format!("{{ providersByIds(ids: [\"{provider}\"]) {{ name toolkits {{ slug name }} }} }}")),
        request(format!(
            "{{ connectedAccount(id: \"{own_id}\") {{ alias authConfig {{ connectedAccounts(first: 1) {{ {accounts} }} }} }} }}"
        )),
        request(format!(
            "{{ connectedAccountsByIds(ids: [\"{own_id}\", \"ca_nobody\", \"{account}\"]) {{ id {FRESHNESS} }} }}"
        )),
        with_representations(json!([
            { "__typename": "User", "id": "user_1" }, { "__typename": "Provider", "id": provider }, { "id": "?" },
            { "__typename": "ConnectedAccount", "connectedAccountId": own_id }, { "__typename": "Toolkit", "slug": "gmail" },
        ])),
        request(format!(
            "{{ toolkit(slug: \"gmail\") {{ slug providers {{ name }} connectedAccounts(first: 50) {{ {accounts} }} }} }}"
        )),
        request(format!(
            "{{ toolkitsBySlugs(slugs: [\"slack\", \"github\", \"x\"]) {{ logoUrl categories connectedAccounts(first: 3) {{ {accounts} totalCount }} }} }}"
        )),
        request(format!(
            "{{ user(id: \"user_1\") {{ connectedAccounts {{ {accounts} }} }} usersByIds(ids: [\"user_0\", \"user_2\"]) {{ connectedAccounts(first: 1) {{ {accounts} isComplete }} }} }}"
        )),
    ]
}

fn world(page_rows: usize) -> World {
    let mut setup = Setup::as_shipped();
    setup.sandbox.accounts = ACCOUNTS;
    setup.config.lists.page_rows = page_rows;
    // Short, so that values pass each freshness window.
    setup.config.cache.stale_while_revalidate_ms = 20_000;
    setup.config.cache.stale_if_error_ms = 120_000;
    setup.config.cache.jitter_percent = 10;
    World::new_with(setup)
}

/// Returns the number of responses that were not executed.
async fn check_cached_responses(steps: Vec<Step>, page_rows: usize) -> usize {
    let world = world(page_rows);
    let uncached = world.operations_that_execute();
    let (requests, callers) = (requests(&world).await, callers());
    let mut cached_responses = 0;
    for (nth, step) in steps.into_iter().enumerate() {
        match step {
            Step::Request(request_index, caller) => {
                let (request, caller) = (&requests[request_index], &callers[caller]);
                world.executions();
                let response = world.run(caller.clone(), request).await;
                if world.executions() == 0 {
                    let executed = run(&uncached, caller.clone(), request).await;
                    assert_eq!(response.body, executed.body, "step {nth}: {request}");
                    assert_eq!(response.read_at, executed.read_at);
                    cached_responses += 1;
                }
            }
            Step::Execute(request_index, caller) => {
                run(&uncached, callers[caller].clone(), &requests[request_index]).await;
            }
            Step::Pass(milliseconds) => world.advance(Duration::from_millis(milliseconds)).await,
            Step::AddAccount(number) => world.sandbox.change_accounts(Tenant::A, |rows| {
                let (id, user) = (format!("ca_new_{nth}"), format!("user_{}", number % 3));
                rows.push(Account::new(&id, "gmail", &user, NOW.parse().unwrap()));
            }),
            Step::RemoveAccount(number) => world.sandbox.change_accounts(Tenant::A, |rows| {
                if !rows.is_empty() {
                    rows.remove(number % rows.len());
                }
            }),
            Step::RenameProvider(number) => world.sandbox.change_providers(Tenant::A, |rows| {
                let row = number % rows.len();
                rows[row]["display_name"] = json!(format!("renamed {nth}"));
            }),
            Step::Fail(upstream, fault) => {
                world.sandbox.emulate(upstream, Some(Fault::parse(fault).unwrap()))
            }
            Step::Recover(upstream) => world.sandbox.emulate(upstream, None),
            Step::Drift(drifts) => world.sandbox.set_drift(drifts),
            Step::Expire => world.expire(&tenant_a()),
        }
        settle().await;
    }
    cached_responses
}

#[test]
fn cached_responses_equal_executed_responses() {
    let cached_responses = AtomicUsize::new(0);
    let config = one_tenth(cases());
    let cases = config.cases as usize;
    let mut runner = TestRunner::new(config);
    let ran = runner.run(&(steps(), prop_oneof![2..9_usize, Just(100)]), |(steps, page_rows)| {
        with_paused_clock(async {
            cached_responses.fetch_add(check_cached_responses(steps, page_rows).await, Ordering::Relaxed);
        });
        Ok(())
    });
    ran.unwrap_or_else(|failure| panic!("{failure}"));
    let cached_responses = cached_responses.into_inner();
    assert!(cached_responses > cases, "{cached_responses} cached responses in {cases} cases are too few");
}
