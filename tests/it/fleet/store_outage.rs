//! The store fails in every way: each failure is a cache miss, never an error or a wrong response, and delays
//! a request by at most 50 ms.

use std::time::Duration;

use tokio::time::Instant;

use super::{Fleet, PAGE};
use crate::replicas::memory::Behaviour;
use crate::world::{LONGEST_TTL, PROVIDERS, list, tenant_a};

/// The longest delay that a store may cause.
const DELAY_MAX: Duration = Duration::from_millis(51);

#[tokio::test(start_paused = true)]
async fn without_the_store_replicas_work_alone_and_share_again_afterwards() {
    for serves in [
        Behaviour::Away,
        Behaviour::Refusing,
        Behaviour::Full,
        Behaviour::Slow(Duration::from_secs(3_600)),
        Behaviour::Slow(Duration::from_millis(60)),
    ] {
        let fleet = Fleet::new().await;
        for line in &fleet.stores {
            line.set_behaviour(serves);
        }
        for (number, replica) in fleet.replicas.iter().enumerate() {
            let asked_at = Instant::now();
            let data = replica.data(PAGE).await;
            assert_eq!(data["providers"]["nodes"].as_array().unwrap().len(), 5);
            assert!(asked_at.elapsed() <= DELAY_MAX, "{serves:?}: {number} lost {:?}", asked_at.elapsed());
            assert_eq!(fleet.calls(), [list(&[]), PROVIDERS.to_owned()], "{serves:?} {number}");
        }
        for line in &fleet.stores {
            line.set_behaviour(Behaviour::Well);
        }
        tokio::time::sleep(LONGEST_TTL + Duration::from_secs(1)).await;
        for replica in &fleet.replicas {
            replica.data(PAGE).await;
        }
        assert_eq!(fleet.calls(), [list(&[]), PROVIDERS.to_owned()], "{serves:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_replica_refills_an_emptied_store() {
    let fleet = Fleet::new().await;
    for replica in &fleet.replicas {
        replica.data(PAGE).await;
    }
    fleet.calls();
    fleet.stores[0].restart_empty();
    tokio::time::sleep(Duration::from_secs(2)).await;
    fleet.settle().await;
    for replica in &fleet.replicas {
        replica.data(PAGE).await;
    }
    // The store may have lost an invalidation that no replica received. So cached data is read again, once.
    assert_eq!(fleet.calls(), [list(&[]), PROVIDERS.to_owned()]);
    for replica in &fleet.replicas {
        replica.data(PAGE).await;
    }
    assert_eq!(fleet.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn lease_of_a_dead_replica_expires() {
    let fleet = Fleet::new().await;
    // Its lease is neither extended nor released.
    let key = {
        fleet.replicas[0].data("{ providers { nodes { name } } }").await;
        let commands = fleet.stores[0].commands();
        commands.iter().find_map(|command| match command {
            crate::replicas::memory::Command::SetIfAbsent(entry) if entry.key.contains(":claim:") => {
                Some(entry.clone())
            }
            _ => None,
        })
    };
    let entry = key.expect("a lease exists");
    fleet.calls();
    fleet.replicas[0].expire(&tenant_a());
    fleet.settle().await;
    use switchboard::replicas::store::Store as _;
    fleet.stores[2].set(vec![entry.clone()]).await.unwrap();
    let asked_at = Instant::now();
    let answers = fleet.query_all(&tenant_a(), "{ providers { nodes { name } } }").await;
    assert!(answers.iter().all(|answer| answer["data"] != serde_json::Value::Null));
    let waited = asked_at.elapsed();
    assert!(waited >= entry.ttl && waited <= entry.ttl + Duration::from_millis(200), "{waited:?}");
    assert_eq!(fleet.calls(), [PROVIDERS]);
}
