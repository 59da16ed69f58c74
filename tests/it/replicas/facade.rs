//! The facade over a failing store, and leases on work; in memory with a paused clock.

use std::sync::Arc;
use std::time::Duration;

use switchboard::replicas::lease::{Lease, LeaseAttempt};
use switchboard::replicas::stats::CommandKind;
use switchboard::replicas::{CommandFailure, Replicas};
use tokio::time::{Instant, advance, sleep};

use super::memory::{Behaviour, Command, MemoryStore};
use super::{entry, settings};

fn replica(store: &MemoryStore) -> Replicas {
    Replicas::start(Arc::new(store.clone()), settings())
}

async fn acquire(replicas: &Replicas) -> Lease {
    match replicas.acquire_lease("work".into()).await {
        LeaseAttempt::Acquired(claimed) => claimed,
        LeaseAttempt::Taken => panic!("the lease is taken"),
        LeaseAttempt::Unavailable => panic!("the store is away"),
    }
}

async fn is_taken(replicas: &Replicas) -> bool {
    matches!(replicas.acquire_lease("work".into()).await, LeaseAttempt::Taken)
}

#[tokio::test(start_paused = true)]
async fn slow_store_costs_one_timeout_until_it_recovers() {
    let store = MemoryStore::new();
    let replicas = replica(&store);
    assert!(replicas.set(vec![entry("a", b"1")]).await);
    store.set_behaviour(Behaviour::Slow(Duration::from_millis(51)));
    let began = Instant::now();
    assert_eq!(replicas.get(vec!["a".into()]).await, None);
    assert_eq!(began.elapsed(), Duration::from_millis(50));
    for _ in 0..1_000 {
        assert_eq!(replicas.get(vec!["a".into()]).await, None);
        assert!(!replicas.set(vec![entry("a", b"2")]).await);
        assert!(matches!(replicas.acquire_lease("work".into()).await, LeaseAttempt::Unavailable));
        assert_eq!(replicas.set_if_absent(entry("a", b"2")).await, None);
    }
    assert_eq!(began.elapsed(), Duration::from_millis(50));
    assert_eq!(replicas.stats().failed[&(CommandKind::Get, CommandFailure::Timeout)], 1);
    assert_eq!(replicas.stats().failed[&(CommandKind::Get, CommandFailure::Unavailable)], 1_000);

    // Permanently slow, permanently unreachable.
    sleep(Duration::from_secs(30)).await;
    assert!(replicas.stats().is_unavailable);
    store.set_behaviour(Behaviour::Slow(Duration::from_millis(49)));
    sleep(Duration::from_millis(300)).await;
    assert!(!replicas.stats().is_unavailable);
    assert_eq!(replicas.get(vec!["a".into()]).await, Some(vec![Some(b"1".to_vec())]));
}

#[tokio::test(start_paused = true)]
async fn unreachable_store_is_not_called_until_it_recovers() {
    let store = MemoryStore::new();
    let replicas = replica(&store);
    assert_eq!(replicas.get(vec!["a".into()]).await, Some(vec![None]));
    store.set_behaviour(Behaviour::Away);
    assert_eq!(replicas.get(vec!["a".into()]).await, None);
    let asked = store.commands().len();
    sleep(Duration::from_millis(1_020)).await;
    let meanwhile = &store.commands()[asked..];
    assert_eq!(meanwhile, [Command::Ping, Command::Ping, Command::Ping, Command::Ping, Command::Ping]);
    store.set_behaviour(Behaviour::Well);
    sleep(Duration::from_millis(250)).await;
    assert_eq!(replicas.get(vec!["a".into()]).await, Some(vec![None]));
}

#[tokio::test(start_paused = true)]
async fn refusing_store_is_not_unreachable() {
    let store = MemoryStore::new();
    let replicas = replica(&store);
    store.set_behaviour(Behaviour::Full);
    assert!(!replicas.set(vec![entry("a", b"1")]).await);
    assert_eq!(replicas.get(vec!["a".into()]).await, Some(vec![None]));
    store.set_behaviour(Behaviour::Refusing);
    assert_eq!(replicas.get(vec!["a".into()]).await, None);
    assert!(!replicas.stats().is_unavailable);
    // A store that responds with errors after an outage is reachable again.
    store.set_behaviour(Behaviour::Away);
    assert_eq!(replicas.get(vec!["a".into()]).await, None);
    assert!(replicas.stats().is_unavailable);
    store.set_behaviour(Behaviour::Refusing);
    sleep(Duration::from_millis(300)).await;
    assert!(!replicas.stats().is_unavailable);
}

#[tokio::test(start_paused = true)]
async fn concurrent_set_if_absent_returns_the_first_value() {
    let store = MemoryStore::new();
    let (one, two) = (replica(&store), replica(&store.another_connection()));
    assert_eq!(one.set_if_absent(entry("a", b"1")).await, Some(b"1".to_vec()));
    assert_eq!(two.set_if_absent(entry("a", b"2")).await, Some(b"1".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn lease_is_extended_while_the_work_runs() {
    let store = MemoryStore::new();
    let (one, two) = (replica(&store), replica(&store.another_connection()));
    let claimed = acquire(&one).await;
    for _ in 0..100 {
        sleep(Duration::from_millis(100)).await;
        assert!(is_taken(&two).await && is_taken(&one).await);
    }
    claimed.release().await;
    assert!(store.entries().is_empty());
    store.put("work", b"of another writer");
    assert!(is_taken(&two).await);
}

#[tokio::test(start_paused = true)]
async fn lease_of_a_dead_holder_expires() {
    let store = MemoryStore::new();
    let (one, two) = (replica(&store), replica(&store.another_connection()));
    drop(acquire(&one).await);
    sleep(Duration::from_millis(999)).await;
    assert!(is_taken(&two).await);
    sleep(Duration::from_millis(2)).await;
    acquire(&two).await.release().await;
}

#[tokio::test(start_paused = true)]
async fn lost_lease_does_not_release_a_later_one() {
    let store = MemoryStore::new();
    let (one, two) = (replica(&store), replica(&store.another_connection()));
    let lost = acquire(&one).await;
    store.set_behaviour(Behaviour::Away);
    sleep(Duration::from_millis(1_001)).await;
    let later = acquire(&two).await;
    store.set_behaviour(Behaviour::Well);
    sleep(Duration::from_secs(1)).await;
    lost.release().await;
    assert!(is_taken(&one).await);
    later.release().await;

    // Not even a later lease of this replica.
    let lost = acquire(&one).await;
    store.restart_empty();
    let later = acquire(&one).await;
    lost.release().await;
    assert!(is_taken(&two).await);
    later.release().await;
}

#[tokio::test(start_paused = true)]
async fn clock_jump_extends_a_lease_once() {
    let store = MemoryStore::new();
    let one = replica(&store);
    let claimed = acquire(&one).await;
    advance(Duration::from_secs(10)).await;
    sleep(Duration::from_secs(10)).await;
    let extended = store.commands().iter().filter(|command| matches!(command, Command::Extend(_))).count();
    assert_eq!(extended, 1, "an expired lease is not extended");
    claimed.release().await;
}
