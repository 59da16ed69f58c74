//! The store fails in every way that it can: a miss each, never an error nor a wrong answer, and 50 ms at most.

use std::time::Duration;

use tokio::time::Instant;

use super::{Fleet, PAGE};
use crate::replicas::memory::Serves;
use crate::world::{LONGEST_TTL, PROVIDERS, list, tenant_a};

/// The longest that a store may hold up a request.
const LOST_AT_MOST: Duration = Duration::from_millis(51);

#[tokio::test(start_paused = true)]
async fn however_it_fails_each_goes_on_by_itself_and_shares_again_when_it_is_back() {
    for serves in [
        Serves::Away,
        Serves::Refusing,
        Serves::Full,
        Serves::Slow(Duration::from_secs(3_600)),
        Serves::Slow(Duration::from_millis(60)),
    ] {
        let fleet = Fleet::new().await;
        for line in &fleet.lines {
            line.serve(serves);
        }
        for (number, replica) in fleet.replicas.iter().enumerate() {
            let asked_at = Instant::now();
            let data = replica.data(PAGE).await;
            assert_eq!(data["providers"]["nodes"].as_array().unwrap().len(), 5);
            assert!(asked_at.elapsed() <= LOST_AT_MOST, "{serves:?}: {number} lost {:?}", asked_at.elapsed());
            assert_eq!(fleet.calls(), [list(&[]), PROVIDERS.to_owned()], "{serves:?} {number}");
        }
        for line in &fleet.lines {
            line.serve(Serves::Well);
        }
        tokio::time::sleep(LONGEST_TTL + Duration::from_secs(1)).await;
        for replica in &fleet.replicas {
            replica.data(PAGE).await;
        }
        assert_eq!(fleet.calls(), [list(&[]), PROVIDERS.to_owned()], "{serves:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_emptied_is_filled_again_by_one() {
    let fleet = Fleet::new().await;
    for replica in &fleet.replicas {
        replica.data(PAGE).await;
    }
    fleet.calls();
    fleet.lines[0].restart_empty();
    tokio::time::sleep(Duration::from_secs(2)).await;
    fleet.settle().await;
    for replica in &fleet.replicas {
        replica.data(PAGE).await;
    }
    // It may have held a drop that nobody has heard of: what is kept is read again, once.
    assert_eq!(fleet.calls(), [list(&[]), PROVIDERS.to_owned()]);
    for replica in &fleet.replicas {
        replica.data(PAGE).await;
    }
    assert_eq!(fleet.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn who_reads_and_dies_costs_the_others_its_claim() {
    let fleet = Fleet::new().await;
    // Whose claims are never held on to, nor let go.
    let key = {
        fleet.replicas[0].data("{ providers { nodes { name } } }").await;
        let commands = fleet.lines[0].commands();
        commands.iter().find_map(|command| match command {
            crate::replicas::memory::Command::SetIfAbsent(entry) if entry.key.contains(":claim:") => {
                Some(entry.clone())
            }
            _ => None,
        })
    };
    let entry = key.expect("a claim was made");
    fleet.calls();
    fleet.replicas[0].expire(&tenant_a());
    fleet.settle().await;
    use switchboard::replicas::store::Store as _;
    fleet.lines[2].set(vec![entry.clone()]).await.unwrap();
    let asked_at = Instant::now();
    let answers = fleet.ask_all(&tenant_a(), "{ providers { nodes { name } } }").await;
    assert!(answers.iter().all(|answer| answer["data"] != serde_json::Value::Null));
    let waited = asked_at.elapsed();
    assert!(waited >= entry.ttl && waited <= entry.ttl + Duration::from_millis(200), "{waited:?}");
    assert_eq!(fleet.calls(), [PROVIDERS]);
}
