//! What one drops, all drop.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use switchboard::sandbox::{EmulatedUpstream, Fault, Tenant};

use super::{Fleet, PAGE};
use crate::replicas::memory::{Command, Serves};
use crate::world::{PROVIDERS, Setup, at, list, only_error, tenant_a};

const REFRESH: &str = "mutation { refresh { retryAt } }";
const STATUS: &str = "{ connectedAccounts(first: 1) { nodes { status } } }";

fn change_all(fleet: &Fleet, status: &'static str) {
    fleet.replicas[0].sandbox.change_accounts(Tenant::A, |rows| {
        for row in rows {
            row.status = status;
        }
    });
}

async fn status(fleet: &Fleet, replica: usize) -> serde_json::Value {
    at(&fleet.replicas[replica].data(STATUS).await, "connectedAccounts.nodes.0.status")
}

#[tokio::test(start_paused = true)]
async fn a_refresh_of_one_is_seen_by_all_for_the_calls_of_one() {
    let fleet = Fleet::new().await;
    for replica in &fleet.replicas {
        replica.data(PAGE).await;
        replica.data(STATUS).await;
    }
    fleet.calls();
    change_all(&fleet, "FAILED");
    fleet.replicas[1].advance(Duration::from_secs(1)).await;
    fleet.replicas[1].data(REFRESH).await;
    assert_eq!(fleet.calls(), [list(&[]), PROVIDERS.to_owned()]);
    fleet.settle().await;
    for replica in 0..3 {
        assert_eq!(status(&fleet, replica).await, "FAILED", "{replica}");
        fleet.replicas[replica].data(PAGE).await;
    }
    assert_eq!(fleet.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_to_one_is_word_to_all() {
    let fleet = Fleet::new().await;
    let query = "subscription { connectedAccountChanged { kind cause connectedAccount { status } } }";
    let mut listening = Vec::new();
    for replica in &fleet.replicas {
        replica.data(PAGE).await;
        listening.push(replica.subscribe(tenant_a(), query).await);
    }
    fleet.calls();
    let last = fleet.replicas[0].sandbox.accounts(Tenant::A)[0].id.clone();
    fleet.replicas[0].sandbox.change_accounts(Tenant::A, |rows| {
        let newest = rows.iter().map(|row| row.updated_at).max().unwrap();
        let row = rows.iter_mut().find(|row| row.id == last).unwrap();
        row.status = "REVOKED";
        row.updated_at = newest + jiff::SignedDuration::from_secs(1);
    });
    fleet.replicas[2].accounts_changed();
    for subscription in &mut listening {
        let message = subscription.next().await.unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&message.response.body).unwrap();
        assert_eq!(at(&answer, "data.connectedAccountChanged.connectedAccount.status"), "REVOKED");
        assert_eq!(at(&answer, "data.connectedAccountChanged.cause"), "WEBHOOK");
    }
    assert!(fleet.calls().iter().all(|call| call.contains("connected_accounts")));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_refused_to_one_shows_nothing_at_any() {
    let fleet = Fleet::new().await;
    for replica in &fleet.replicas {
        replica.data(PAGE).await;
    }
    fleet.calls();
    fleet.replicas[0].sandbox.emulate(EmulatedUpstream::Composio, Some(Fault::parse("status=401").unwrap()));
    let query = "{ connectedAccounts(first: 5, filter: { statuses: [ACTIVE] }) { nodes { id } } }";
    let answer = fleet.replicas[0].query(query).await;
    assert_eq!(only_error(&answer)["extensions"]["code"], "UPSTREAM_UNAUTHORIZED");
    fleet.settle().await;
    for replica in &fleet.replicas {
        let answer = replica.query(PAGE).await;
        assert_eq!(answer["data"]["connectedAccounts"], json!(null));
        assert_eq!(only_error(&answer)["extensions"]["code"], "UPSTREAM_UNAUTHORIZED");
        assert_eq!(answer["data"]["providers"]["nodes"].as_array().unwrap().len(), 5);
    }
}

#[tokio::test(start_paused = true)]
async fn another_tenants_refresh_drops_nothing() {
    let fleet = Fleet::new().await;
    for replica in &fleet.replicas {
        replica.data(PAGE).await;
    }
    fleet.calls();
    let refresh = json!({ "query": REFRESH });
    fleet.replicas[0].run(crate::world::tenant_b(), &refresh).await;
    fleet.calls();
    fleet.settle().await;
    for replica in &fleet.replicas {
        replica.data(PAGE).await;
    }
    assert_eq!(fleet.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn who_could_not_hear_finds_out_when_it_can_again() {
    let fleet = Fleet::new().await;
    for replica in 0..3 {
        status(&fleet, replica).await;
    }
    fleet.lines[2].serve(Serves::Away);
    change_all(&fleet, "FAILED");
    fleet.replicas[0].data(REFRESH).await;
    fleet.settle().await;
    assert_ne!(status(&fleet, 2).await, "FAILED");
    fleet.lines[2].serve(Serves::Well);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(status(&fleet, 2).await, "FAILED");
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_while_the_store_is_away_is_dropped_there_when_it_is_back() {
    let fleet = Fleet::new().await;
    for replica in 0..3 {
        status(&fleet, replica).await;
    }
    fleet.calls();
    fleet.lines[0].serve(Serves::Away);
    change_all(&fleet, "FAILED");
    // What stands in the store is of before, and not taken for the new one.
    fleet.replicas[0].data(REFRESH).await;
    assert_eq!(status(&fleet, 0).await, "FAILED");
    assert_ne!(status(&fleet, 1).await, "FAILED");
    fleet.lines[0].serve(Serves::Well);
    tokio::time::sleep(Duration::from_secs(1)).await;
    fleet.settle().await;
    for replica in 0..3 {
        assert_eq!(status(&fleet, replica).await, "FAILED", "{replica}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_drop_that_the_store_does_not_take_at_once_is_told_and_made_when_it_does() {
    for serves in [Serves::Full, Serves::Refusing, Serves::Slow(Duration::from_millis(60))] {
        let fleet = Fleet::new().await;
        for replica in 0..3 {
            status(&fleet, replica).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Of the one that drops alone, whose subscription goes on, as do those of the others.
        fleet.lines[0].serve(serves);
        change_all(&fleet, "FAILED");
        fleet.replicas[0].data(REFRESH).await;
        fleet.settle().await;
        fleet.lines[0].serve(Serves::Well);
        tokio::time::sleep(Duration::from_secs(5)).await;
        for replica in 0..3 {
            assert_eq!(status(&fleet, replica).await, "FAILED", "{serves:?} {replica}");
        }
        let started =
            fleet.replicas[0].add_replica(Setup::default(), Arc::new(fleet.lines[0].another_line()));
        let told = started.data(STATUS).await;
        assert_eq!(at(&told, "connectedAccounts.nodes.0.status"), "FAILED", "{serves:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_store_forgets_what_was_dropped() {
    let fleet = Fleet::new().await;
    for replica in 0..3 {
        status(&fleet, replica).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for line in &fleet.lines {
        line.serve(Serves::Full);
    }
    change_all(&fleet, "FAILED");
    fleet.replicas[0].data(REFRESH).await;
    fleet.settle().await;
    for replica in 0..3 {
        assert_eq!(status(&fleet, replica).await, "FAILED", "{replica}");
    }
    let started = fleet.replicas[0].add_replica(Setup::default(), Arc::new(fleet.lines[0].another_line()));
    let told = started.data(STATUS).await;
    assert_eq!(at(&told, "connectedAccounts.nodes.0.status"), "FAILED");
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_the_store_was_there_is_dropped_with_it() {
    for first in 0..3 {
        let fleet = Fleet::new().await;
        for line in &fleet.lines {
            line.serve(Serves::Away);
        }
        for replica in 0..3 {
            status(&fleet, replica).await;
        }
        change_all(&fleet, "FAILED");
        tokio::time::sleep(Duration::from_secs(1)).await;
        fleet.replicas[0].data(REFRESH).await;
        // Whoever is back first.
        for turn in 0..3 {
            fleet.lines[(first + turn) % 3].serve(Serves::Well);
            tokio::time::sleep(Duration::from_secs(6)).await;
        }
        for replica in 0..3 {
            assert_eq!(status(&fleet, replica).await, "FAILED", "{first} {replica}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_key_is_told_of_once() {
    let fleet = Fleet::new().await;
    fleet.replicas[0].sandbox.emulate(EmulatedUpstream::Composio, Some(Fault::parse("status=401").unwrap()));
    for _ in 0..50 {
        fleet.replicas[0].query(STATUS).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let told = fleet.lines[0].commands().into_iter().filter(|command| {
        matches!(command, Command::Publish(news) if String::from_utf8_lossy(news).contains("drops"))
    });
    assert_eq!(told.count(), 1);
}
