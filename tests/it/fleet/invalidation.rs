//! An invalidation on one replica applies to all.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use switchboard::sandbox::{EmulatedUpstream, Fault, Tenant};

use super::{Fleet, PAGE};
use crate::replicas::memory::{Behaviour, Command};
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
async fn refresh_on_one_replica_reaches_all_for_the_calls_of_one() {
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
async fn webhook_to_one_replica_reaches_all() {
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
async fn refused_key_hides_data_on_all_replicas() {
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
async fn refresh_of_another_tenant_invalidates_nothing() {
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
async fn disconnected_replica_learns_of_invalidations_on_reconnect() {
    let fleet = Fleet::new().await;
    for replica in 0..3 {
        status(&fleet, replica).await;
    }
    fleet.stores[2].set_behaviour(Behaviour::Away);
    change_all(&fleet, "FAILED");
    fleet.replicas[0].data(REFRESH).await;
    fleet.settle().await;
    assert_ne!(status(&fleet, 2).await, "FAILED");
    fleet.stores[2].set_behaviour(Behaviour::Well);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(status(&fleet, 2).await, "FAILED");
}

#[tokio::test(start_paused = true)]
async fn invalidations_during_an_outage_are_applied_afterwards() {
    let fleet = Fleet::new().await;
    for replica in 0..3 {
        status(&fleet, replica).await;
    }
    fleet.calls();
    fleet.stores[0].set_behaviour(Behaviour::Away);
    change_all(&fleet, "FAILED");
    // The store still has the old data, which must not be taken for the new.
    fleet.replicas[0].data(REFRESH).await;
    assert_eq!(status(&fleet, 0).await, "FAILED");
    assert_ne!(status(&fleet, 1).await, "FAILED");
    fleet.stores[0].set_behaviour(Behaviour::Well);
    tokio::time::sleep(Duration::from_secs(1)).await;
    fleet.settle().await;
    for replica in 0..3 {
        assert_eq!(status(&fleet, replica).await, "FAILED", "{replica}");
    }
}

#[tokio::test(start_paused = true)]
async fn rejected_invalidation_is_retried_and_reported() {
    for serves in [Behaviour::Full, Behaviour::Refusing, Behaviour::Slow(Duration::from_millis(60))] {
        let fleet = Fleet::new().await;
        for replica in 0..3 {
            status(&fleet, replica).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Only of the invalidating replica, whose subscription goes on, as do the others'.
        fleet.stores[0].set_behaviour(serves);
        change_all(&fleet, "FAILED");
        fleet.replicas[0].data(REFRESH).await;
        fleet.settle().await;
        fleet.stores[0].set_behaviour(Behaviour::Well);
        tokio::time::sleep(Duration::from_secs(5)).await;
        for replica in 0..3 {
            assert_eq!(status(&fleet, replica).await, "FAILED", "{serves:?} {replica}");
        }
        let started =
            fleet.replicas[0].add_replica(Setup::default(), Arc::new(fleet.stores[0].another_connection()));
        let result = started.data(STATUS).await;
        assert_eq!(at(&result, "connectedAccounts.nodes.0.status"), "FAILED", "{serves:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn full_store_still_applies_invalidations() {
    let fleet = Fleet::new().await;
    for replica in 0..3 {
        status(&fleet, replica).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for line in &fleet.stores {
        line.set_behaviour(Behaviour::Full);
    }
    change_all(&fleet, "FAILED");
    fleet.replicas[0].data(REFRESH).await;
    fleet.settle().await;
    for replica in 0..3 {
        assert_eq!(status(&fleet, replica).await, "FAILED", "{replica}");
    }
    let started =
        fleet.replicas[0].add_replica(Setup::default(), Arc::new(fleet.stores[0].another_connection()));
    let result = started.data(STATUS).await;
    assert_eq!(at(&result, "connectedAccounts.nodes.0.status"), "FAILED");
}

#[tokio::test(start_paused = true)]
async fn data_from_before_the_store_connected_is_invalidated() {
    for first in 0..3 {
        let fleet = Fleet::new().await;
        for line in &fleet.stores {
            line.set_behaviour(Behaviour::Away);
        }
        for replica in 0..3 {
            status(&fleet, replica).await;
        }
        change_all(&fleet, "FAILED");
        tokio::time::sleep(Duration::from_secs(1)).await;
        fleet.replicas[0].data(REFRESH).await;
        // Whichever replica reconnects first.
        for turn in 0..3 {
            fleet.stores[(first + turn) % 3].set_behaviour(Behaviour::Well);
            tokio::time::sleep(Duration::from_secs(6)).await;
        }
        for replica in 0..3 {
            assert_eq!(status(&fleet, replica).await, "FAILED", "{first} {replica}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_key_is_published_once() {
    let fleet = Fleet::new().await;
    fleet.replicas[0].sandbox.emulate(EmulatedUpstream::Composio, Some(Fault::parse("status=401").unwrap()));
    for _ in 0..50 {
        fleet.replicas[0].query(STATUS).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let result = fleet.stores[0].commands().into_iter().filter(|command| {
        matches!(command, Command::Publish(news) if String::from_utf8_lossy(news).contains("drops"))
    });
    assert_eq!(result.count(), 1);
}
