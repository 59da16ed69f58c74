//! Two tenants on one server at the same time: neither sees data of the other.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};
use switchboard::domain::caller::Caller;
use switchboard::sandbox::{EmulatedUpstream, Tenant};

use crate::world::{World, caller, global_id, only_error, strings_at, tenant_a, tenant_b};

fn caller_of(tenant: Tenant) -> Caller {
    match tenant {
        Tenant::A => tenant_a(),
        Tenant::B => tenant_b(),
    }
}

/// All strings that belong to one tenant and could appear in a response.
fn tenant_strings(world: &World, tenant: Tenant) -> BTreeSet<String> {
    let accounts = world.sandbox.accounts(tenant).into_iter();
    let own = accounts.flat_map(|a| [global_id("ConnectedAccount", &a.id), a.id, a.user_id]);
    let rows = world.sandbox.providers(tenant);
    let names = rows.iter().filter_map(|row| row["display_name"].as_str().map(str::to_owned));
    own.chain(names).collect()
}

fn collect_strings(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => drop(into.insert(text.clone())),
        Value::Array(all) => all.iter().for_each(|value| collect_strings(value, into)),
        Value::Object(fields) => fields.values().for_each(|value| collect_strings(value, into)),
        _ => {}
    }
}

const QUERIES: [&str; 5] = [
    "{ providers { edges { cursor } nodes { id name displayName accountId connectedAccounts(first: 3) { edges { cursor } nodes { id connectedAccountId userId authConfig { id } } } } } }",
    "{ connectedAccounts(first: 50) { totalCount edges { cursor node { id userId wordId alias } } } }",
    "{ toolkit(slug: \"gmail\") { providers { id displayName } connectedAccounts { totalCount nodes { id userId authConfig { id connectedAccounts(first: 2) { nodes { id } } } } } } }",
    "{ usersByIds(ids: [\"user_1\", \"member_1\"]) { id connectedAccounts { totalCount nodes { id } } } }",
    "{ connectedAccounts(first: 0, filter: { statuses: [ACTIVE] }) { totalCount } }",
];

#[tokio::test(start_paused = true)]
async fn interleaved_requests_never_return_the_other_tenants_data() {
    let world = World::new();
    // Each tenant alone, on a server of its own.
    let mut alone = Vec::new();
    for tenant in [Tenant::A, Tenant::B] {
        for query in QUERIES {
            alone.push(World::new().query_as(caller_of(tenant), query, json!({})).await);
        }
    }
    // Then both together, cold and warm, concurrent and alternating.
    for _ in 0..3 {
        let requests = (0..60).map(|turn| {
            let tenant = if turn % 2 == 0 { Tenant::A } else { Tenant::B };
            let query = turn / 2 % QUERIES.len();
            let place = query + if tenant == Tenant::A { 0 } else { QUERIES.len() };
            let asked = world.query_as(caller_of(tenant), QUERIES[query], json!({}));
            async move { (tenant, place, asked.await) }
        });
        for (tenant, place, answer) in join_all(requests).await {
            assert_eq!(answer, alone[place]);
            let other = if tenant == Tenant::A { Tenant::B } else { Tenant::A };
            let mut returned = BTreeSet::new();
            collect_strings(&answer["data"], &mut returned);
            // A response contains the requested user ids for every caller.
            returned.retain(|text| text != "user_1" && text != "member_1");
            let leaked: Vec<_> = returned.intersection(&tenant_strings(&world, other)).cloned().collect();
            assert!(leaked.is_empty(), "{tenant:?} received {leaked:?}");
            if place != 4 && place != 9 {
                assert!(
                    !returned.is_disjoint(&tenant_strings(&world, tenant)),
                    "{tenant:?} received nothing of its own"
                );
            }
        }
    }
    let of_other = &alone[3]["data"]["usersByIds"][1]["connectedAccounts"];
    assert_eq!(*of_other, json!({ "totalCount": 0, "nodes": [] }));
}

#[tokio::test(start_paused = true)]
async fn each_key_is_sent_only_to_its_own_upstream() {
    let world = World::new();
    for tenant in [Tenant::A, Tenant::B] {
        world.query_as(caller_of(tenant), QUERIES[0], json!({})).await;
    }
    let requests = world.sandbox.requests();
    assert_eq!(requests.len(), 4);
    for (request, tenant) in requests.iter().zip([Tenant::A, Tenant::A, Tenant::B, Tenant::B]) {
        let keys = (request.header("authorization"), request.header("x-api-key"));
        let bearer = format!("Bearer {}", tenant.leadlex_key());
        match request.upstream {
            EmulatedUpstream::Leadlex => assert_eq!(keys, (Some(bearer.as_str()), None)),
            EmulatedUpstream::Composio => assert_eq!(keys, (None, Some(tenant.composio_key()))),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn ids_and_cursors_of_one_tenant_are_useless_to_the_other() {
    let world = World::new();
    let first = world.data(QUERIES[0]).await;
    let provider = strings_at(&first, "providers.nodes.*.id").remove(0);
    let account = world.sandbox.accounts(Tenant::A).remove(0).id;
    let query = "query ($p: ID!, $a: ID!, $ca: ID!) {
        node(id: $p) { id } provider(id: $p) { id } providersByIds(ids: [$p]) { id }
        nodes(ids: [$p, $a]) { id } connectedAccount(id: $a) { id } connectedAccountsByIds(ids: [$ca]) { id }
    }";
    let variables = json!({ "p": provider, "a": global_id("ConnectedAccount", &account), "ca": account });
    let answer = world.query_as(tenant_b(), query, variables.clone()).await;
    let nothing = json!({
        "node": null, "provider": null, "providersByIds": [null],
        "nodes": [null, null], "connectedAccount": null, "connectedAccountsByIds": [null],
    });
    assert_eq!(answer, json!({ "data": nothing }));
    assert!(!world.data_with(query, variables).await["node"].is_null());

    let of_providers = strings_at(&first, "providers.edges.*.cursor").remove(0);
    let of_accounts = strings_at(&first, "providers.nodes.0.connectedAccounts.edges.*.cursor").remove(0);
    let gmail =
        "query ($c: String) { toolkit(slug: \"gmail\") { connectedAccounts(after: $c) { totalCount } } }";
    world.data_with(gmail, json!({ "c": of_accounts })).await;
    for (query, cursor) in
        [("query ($c: String) { providers(after: $c) { totalCount } }", of_providers), (gmail, of_accounts)]
    {
        let answer = world.query_as(tenant_b(), query, json!({ "c": cursor })).await;
        assert_eq!(only_error(&answer)["extensions"]["reason"], "BAD_CURSOR", "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn cache_entries_are_separate_by_upstream_key() {
    let world = World::new();
    world.data(QUERIES[0]).await;
    world.calls();
    // A's LeadLex key with B's Composio key: A's list is cached, B's accounts are not.
    let mixed = caller(Some("wbk_sandbox_a"), Some("ak_sandbox_b"));
    let answer = world.query_as(mixed, QUERIES[0], json!({})).await;
    assert_eq!(answer["data"]["providers"]["nodes"][0]["displayName"], "Team Mailbox");
    let calls = world.calls();
    assert!(calls.len() == 1 && calls[0].contains("connected_accounts"), "{calls:?}");
    let users = strings_at(&answer["data"], "providers.nodes.0.connectedAccounts.nodes.*.userId");
    assert!(users.iter().all(|user| user.starts_with("member_")), "{users:?}");
}
