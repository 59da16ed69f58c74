//! Data that one replica has read is not read by the others.

use std::time::Duration;

use serde_json::json;
use switchboard::sandbox::{EmulatedUpstream, Fault, Scenario, Settings, Tenant};

use super::{Fleet, PAGE, member};
use crate::world::{
    LONGEST_TTL, PAGE_ROWS, PROVIDERS, Setup, World, at, by_ids, global_id, list, only_error, strings_at,
    tenant_a,
};

#[tokio::test(start_paused = true)]
async fn shared_data_is_served_with_its_original_time() {
    let fleet = Fleet::new().await;
    let [first, second, third] = &*fleet.replicas else { panic!() };
    let result = first.data(PAGE).await;
    assert_eq!(fleet.calls(), [list(&[]), PROVIDERS.to_owned()]);
    first.advance(Duration::from_secs(5)).await;
    for other in [second, third] {
        assert_eq!(other.data(PAGE).await, result);
    }
    assert_eq!(fleet.calls(), [""; 0]);

    let traced =
        second.query_traced(tenant_a(), "{ connectedAccounts(first: 3) { nodes { id } } }", true).await;
    assert_eq!(at(&traced, "extensions.switchboard.trace.calls"), json!([]));
    // The data expires on all replicas at the same time, and again one of them reads.
    first.advance(LONGEST_TTL).await;
    for replica in &fleet.replicas {
        replica.data(PAGE).await;
    }
    assert_eq!(fleet.calls(), [list(&[]), PROVIDERS.to_owned()]);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_cold_requests_over_three_replicas_make_the_calls_of_one() {
    let settings = Settings { latency_ms: 300, ..Settings::default() };
    let fleet = Fleet::with_setup(Setup { sandbox: settings, ..Setup::default() }).await;
    let query =
        "{ providers { nodes { name connectedAccounts(first: 5) { nodes { connectedAccountId } } } } }";
    let one = World::with_sandbox(Settings { latency_ms: 300, ..Settings::default() });
    let expected = one.data(query).await;
    let calls = one.calls_sorted();
    let caller = tenant_a();
    let rounds = (0..334).map(|_| fleet.query_all(&caller, query));
    for answer in futures_util::future::join_all(rounds).await.into_iter().flatten() {
        assert_eq!(answer["data"], expected);
    }
    assert_eq!(fleet.calls(), calls);
}

#[tokio::test(start_paused = true)]
async fn each_account_by_id_is_read_once() {
    let fleet = Fleet::new().await;
    let ids: Vec<_> =
        fleet.replicas[0].sandbox.accounts(Tenant::A).into_iter().take(4).map(|a| a.id).collect();
    let query = |ids: &[String]| {
        format!("{{ connectedAccountsByIds(ids: {ids:?}) {{ connectedAccountId status }} }}")
    };
    fleet.replicas[0].data(&query(&ids[..3])).await;
    fleet.calls();
    let result = fleet.replicas[1].data(&query(&ids[1..])).await;
    assert_eq!(strings_at(&result, "connectedAccountsByIds.*.connectedAccountId"), ids[1..]);
    assert_eq!(fleet.calls(), [by_ids([ids[3].as_str()])]);
    // A missing account is cached as missing for five seconds, by all replicas.
    let missing = format!("{{ node(id: \"{}\") {{ id }} }}", global_id("ConnectedAccount", "ca_none"));
    for replica in &fleet.replicas {
        assert_eq!(replica.data(&missing).await["node"], json!(null));
    }
    assert_eq!(fleet.calls(), [by_ids(["ca_none"])]);
    fleet.replicas[0].advance(Duration::from_secs(6)).await;
    fleet.replicas[2].data(&missing).await;
    assert_eq!(fleet.calls(), [by_ids(["ca_none"])]);
}

#[tokio::test(start_paused = true)]
async fn toolkits_are_read_once_for_all_replicas() {
    let fleet = Fleet::new().await;
    let [first, second, third] = &*fleet.replicas else { panic!() };
    let query = r#"{ toolkitsBySlugs(slugs: ["gmail", "zoom"]) { name logoUrl } }"#;
    let result = first.data(query).await;
    first.advance(Duration::from_secs(3_600)).await;
    for other in [second, third] {
        assert_eq!(other.data(query).await, result);
    }
    assert_eq!(fleet.calls(), ["POST /api/v3.1/toolkits/multi"]);
}

#[tokio::test(start_paused = true)]
async fn failure_is_shared_with_waiters_and_not_cached() {
    let settings = Settings { latency_ms: 300, ..Settings::default() };
    let fleet = Fleet::with_setup(Setup { sandbox: settings, ..Setup::default() }).await;
    fleet.replicas[0].sandbox.emulate(EmulatedUpstream::Leadlex, Some(Fault::parse("status=503").unwrap()));
    let query = "{ providers { nodes { name } } }";
    for answer in fleet.query_all(&tenant_a(), query).await {
        assert_eq!(only_error(&answer)["extensions"]["code"], "UPSTREAM_UNAVAILABLE");
    }
    assert_eq!(fleet.calls(), [PROVIDERS]);
    fleet.replicas[0].sandbox.emulate(EmulatedUpstream::Leadlex, None);
    for replica in &fleet.replicas {
        replica.data(query).await;
    }
    assert_eq!(fleet.calls(), [PROVIDERS]);
}

#[tokio::test(start_paused = true)]
async fn problems_are_shared_with_the_data() {
    let fleet = Fleet::new().await;
    Scenario::Drift.arrange(&fleet.replicas[0].sandbox);
    let query = "{ providers { nodes { name } } connectedAccounts { nodes { id } } }";
    let result = fleet.replicas[0].query(query).await;
    assert!(!result["extensions"]["switchboard"]["problems"].as_array().unwrap().is_empty());
    assert_eq!(fleet.calls().len(), 2);
    for other in &fleet.replicas[1..] {
        assert_eq!(other.query(query).await, result);
    }
    // By ids too: each account is its own entry, and the problem of the shared response is reported once.
    let ids: Vec<_> =
        fleet.replicas[0].sandbox.accounts(Tenant::A).into_iter().take(3).map(|a| a.id).collect();
    let query = format!("{{ connectedAccountsByIds(ids: {ids:?}) {{ id }} }}");
    fleet.calls();
    let result = fleet.replicas[0].query(&query).await;
    assert_eq!(fleet.replicas[1].query(&query).await, result);
    assert_eq!(fleet.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn member_reads_are_shared_only_within_the_view() {
    let fleet = Fleet::new().await;
    let query = "{ connectedAccounts { totalCount nodes { userId } } }";
    let seen = |replica: usize, user: &'static str| {
        let replica = &fleet.replicas[replica];
        async move { replica.query_as(member(user), query, json!({})).await }
    };
    let one = seen(0, "user_1").await;
    assert_eq!(fleet.calls(), [list(&["user_ids=user_1"])]);
    assert_eq!(seen(1, "user_1").await, one);
    assert_eq!(fleet.calls(), [""; 0]);
    let other = seen(2, "user_2").await;
    assert!(strings_at(&other, "data.connectedAccounts.nodes.*.userId").iter().all(|user| user == "user_2"));
    assert_eq!(fleet.calls(), [list(&["user_ids=user_2"])]);
}

#[tokio::test(start_paused = true)]
async fn replicas_with_other_settings_do_not_share() {
    let fleet = Fleet::new().await;
    fleet.replicas[0].data("{ connectedAccounts(first: 1) { nodes { id } } }").await;
    fleet.calls();
    let mut setup = Setup::default();
    setup.config.lists.page_rows = PAGE_ROWS / 2;
    let line = std::sync::Arc::new(fleet.stores[0].another_connection());
    let other = World::replicas(setup, [Some(line as _)]).pop().unwrap();
    other.data("{ connectedAccounts(first: 1) { nodes { id } } }").await;
    assert_eq!(other.calls(), [list(&[]).replace("limit=100", "limit=50")]);
}

#[tokio::test(start_paused = true)]
async fn subscribers_of_all_replicas_share_one_poll() {
    let fleet = Fleet::new().await;
    let query = "subscription { providerChanged { kind cause provider { name status } } }";
    let mut listening = Vec::new();
    for replica in &fleet.replicas {
        listening.push(replica.subscribe(tenant_a(), query).await);
    }
    assert_eq!(fleet.calls(), [PROVIDERS]);
    fleet.replicas[0].sandbox.change_providers(Tenant::A, |held| held[0]["status"] = json!("needs_reauth"));
    for subscription in &mut listening {
        let message = subscription.next().await.unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&message.response.body).unwrap();
        assert_eq!(at(&answer, "data.providerChanged.provider.status"), "NEEDS_REAUTH");
        assert_eq!(at(&answer, "data.providerChanged.cause"), "POLL");
    }
    assert_eq!(fleet.calls(), [PROVIDERS]);
    // One hour.
    fleet.replicas[0].advance(Duration::from_secs(1)).await;
    for _ in 0..60 {
        tokio::time::sleep(LONGEST_TTL).await;
    }
    let calls = fleet.calls().len();
    assert!((55..=62).contains(&calls), "{calls}");
}

#[tokio::test(start_paused = true)]
async fn long_list_is_scanned_once_for_all_subscribers() {
    let settings = Settings { accounts: 350, ..Settings::default() };
    let one = World::with_sandbox(settings.clone());
    let query = "subscription { connectedAccountChanged { kind connectedAccount { connectedAccountId } } }";
    drop(one.subscribe(tenant_a(), query).await);
    let calls = one.calls_sorted();
    let fleet = Fleet::with_setup(Setup { sandbox: settings, ..Setup::default() }).await;
    let mut listening = Vec::new();
    for replica in &fleet.replicas {
        listening.push(replica.subscribe(tenant_a(), query).await);
    }
    // The first page is already in the store when the scan begins.
    let result = fleet.calls();
    assert!(result.len() <= calls.len(), "{result:?} {calls:?}");
}
