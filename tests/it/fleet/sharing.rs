//! What one has read, the others do not read.

use std::time::Duration;

use serde_json::json;
use switchboard::sandbox::{EmulatedUpstream, Fault, Scenario, Settings, Tenant};

use super::{Fleet, PAGE, member};
use crate::world::{
    LONGEST_TTL, PAGE_ROWS, PROVIDERS, Setup, World, at, by_ids, global_id, list, only_error, strings_at,
    tenant_a,
};

#[tokio::test(start_paused = true)]
async fn the_others_answer_with_what_one_has_read_and_say_when_it_was() {
    let fleet = Fleet::new().await;
    let [first, second, third] = &*fleet.replicas else { panic!() };
    let told = first.data(PAGE).await;
    assert_eq!(fleet.calls(), [list(&[]), PROVIDERS.to_owned()]);
    first.advance(Duration::from_secs(5)).await;
    for other in [second, third] {
        assert_eq!(other.data(PAGE).await, told);
    }
    assert_eq!(fleet.calls(), [""; 0]);

    let traced =
        second.query_traced(tenant_a(), "{ connectedAccounts(first: 3) { nodes { id } } }", true).await;
    assert_eq!(at(&traced, "extensions.switchboard.trace.calls"), json!([]));
    // Their time is over everywhere at the same moment, and again one reads.
    first.advance(LONGEST_TTL).await;
    for replica in &fleet.replicas {
        replica.data(PAGE).await;
    }
    assert_eq!(fleet.calls(), [list(&[]), PROVIDERS.to_owned()]);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_cold_requests_over_three_make_the_calls_of_one() {
    let settings = Settings { latency_ms: 300, ..Settings::default() };
    let fleet = Fleet::of(Setup { sandbox: settings, ..Setup::default() }).await;
    let query =
        "{ providers { nodes { name connectedAccounts(first: 5) { nodes { connectedAccountId } } } } }";
    let one = World::with_sandbox(Settings { latency_ms: 300, ..Settings::default() });
    let expected = one.data(query).await;
    let calls = one.calls_sorted();
    let caller = tenant_a();
    let rounds = (0..334).map(|_| fleet.ask_all(&caller, query));
    for answer in futures_util::future::join_all(rounds).await.into_iter().flatten() {
        assert_eq!(answer["data"], expected);
    }
    assert_eq!(fleet.calls(), calls);
}

#[tokio::test(start_paused = true)]
async fn of_accounts_by_their_ids_each_is_read_once() {
    let fleet = Fleet::new().await;
    let ids: Vec<_> =
        fleet.replicas[0].sandbox.accounts(Tenant::A).into_iter().take(4).map(|a| a.id).collect();
    let query = |ids: &[String]| {
        format!("{{ connectedAccountsByIds(ids: {ids:?}) {{ connectedAccountId status }} }}")
    };
    fleet.replicas[0].data(&query(&ids[..3])).await;
    fleet.calls();
    let told = fleet.replicas[1].data(&query(&ids[1..])).await;
    assert_eq!(strings_at(&told, "connectedAccountsByIds.*.connectedAccountId"), ids[1..]);
    assert_eq!(fleet.calls(), [by_ids([ids[3].as_str()])]);
    // One that there is none of is believed to be missing for five seconds, by all.
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
async fn a_failure_is_everybodys_who_waited_for_it_and_nobodys_after() {
    let settings = Settings { latency_ms: 300, ..Settings::default() };
    let fleet = Fleet::of(Setup { sandbox: settings, ..Setup::default() }).await;
    fleet.replicas[0].sandbox.emulate(EmulatedUpstream::Leadlex, Some(Fault::parse("status=503").unwrap()));
    let query = "{ providers { nodes { name } } }";
    for answer in fleet.ask_all(&tenant_a(), query).await {
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
async fn what_could_not_be_read_is_told_by_all_and_read_by_one() {
    let fleet = Fleet::new().await;
    Scenario::Drift.arrange(&fleet.replicas[0].sandbox);
    let query = "{ providers { nodes { name } } connectedAccounts { nodes { id } } }";
    let told = fleet.replicas[0].query(query).await;
    assert!(!told["extensions"]["switchboard"]["problems"].as_array().unwrap().is_empty());
    assert_eq!(fleet.calls().len(), 2);
    for other in &fleet.replicas[1..] {
        assert_eq!(other.query(query).await, told);
    }
    // By ids too: each account is an entry of its own, and the answer that all came with is told once.
    let ids: Vec<_> =
        fleet.replicas[0].sandbox.accounts(Tenant::A).into_iter().take(3).map(|a| a.id).collect();
    let query = format!("{{ connectedAccountsByIds(ids: {ids:?}) {{ id }} }}");
    fleet.calls();
    let told = fleet.replicas[0].query(&query).await;
    assert_eq!(fleet.replicas[1].query(&query).await, told);
    assert_eq!(fleet.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_member_has_read_is_a_members_and_no_other_view_is_made_of_it() {
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
async fn replicas_that_are_set_otherwise_do_not_read_each_others() {
    let fleet = Fleet::new().await;
    fleet.replicas[0].data("{ connectedAccounts(first: 1) { nodes { id } } }").await;
    fleet.calls();
    let mut setup = Setup::default();
    setup.config.lists.page_rows = PAGE_ROWS / 2;
    let line = std::sync::Arc::new(fleet.lines[0].another_line());
    let other = World::replicas(setup, [Some(line as _)]).pop().unwrap();
    other.data("{ connectedAccounts(first: 1) { nodes { id } } }").await;
    assert_eq!(other.calls(), [list(&[]).replace("limit=100", "limit=50")]);
}

#[tokio::test(start_paused = true)]
async fn listeners_of_all_are_told_and_the_fleet_polls_as_one() {
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
    // An hour of it.
    fleet.replicas[0].advance(Duration::from_secs(1)).await;
    for _ in 0..60 {
        tokio::time::sleep(LONGEST_TTL).await;
    }
    let calls = fleet.calls().len();
    assert!((55..=62).contains(&calls), "{calls}");
}

#[tokio::test(start_paused = true)]
async fn a_long_list_is_looked_through_once_for_all_who_watch_it() {
    let settings = Settings { accounts: 350, ..Settings::default() };
    let one = World::with_sandbox(settings.clone());
    let query = "subscription { connectedAccountChanged { kind connectedAccount { connectedAccountId } } }";
    drop(one.subscribe(tenant_a(), query).await);
    let calls = one.calls_sorted();
    let fleet = Fleet::of(Setup { sandbox: settings, ..Setup::default() }).await;
    let mut listening = Vec::new();
    for replica in &fleet.replicas {
        listening.push(replica.subscribe(tenant_a(), query).await);
    }
    // The first page stands in the store already when the list is walked.
    let told = fleet.calls();
    assert!(told.len() <= calls.len(), "{told:?} {calls:?}");
}
