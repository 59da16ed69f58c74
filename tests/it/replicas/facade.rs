//! What the layers above hold of a store that fails, and claims on work; in memory, on the paused clock.

use std::sync::Arc;
use std::time::Duration;

use switchboard::replicas::lease::{Lease, LeaseAttempt};
use switchboard::replicas::stats::CommandKind;
use switchboard::replicas::{CommandFailure, Replicas};
use tokio::time::{Instant, advance, sleep};

use super::memory::{Command, MemoryStore, Serves};
use super::{entry, settings};

fn replica(store: &MemoryStore) -> Replicas {
    Replicas::start(Arc::new(store.clone()), settings())
}

async fn held(replicas: &Replicas) -> Lease {
    match replicas.acquire_lease("work".into()).await {
        LeaseAttempt::Acquired(claimed) => claimed,
        LeaseAttempt::Taken => panic!("it is taken"),
        LeaseAttempt::Unavailable => panic!("the store is away"),
    }
}

async fn is_taken(replicas: &Replicas) -> bool {
    matches!(replicas.acquire_lease("work".into()).await, LeaseAttempt::Taken)
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_costs_one_timeout_and_then_nothing_until_it_is_quick_again() {
    let store = MemoryStore::new();
    let replicas = replica(&store);
    assert!(replicas.set(vec![entry("a", b"1")]).await);
    store.serve(Serves::Slow(Duration::from_millis(51)));
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

    // Slow for ever, away for ever.
    sleep(Duration::from_secs(30)).await;
    assert!(replicas.stats().is_unavailable);
    store.serve(Serves::Slow(Duration::from_millis(49)));
    sleep(Duration::from_millis(300)).await;
    assert!(!replicas.stats().is_unavailable);
    assert_eq!(replicas.get(vec!["a".into()]).await, Some(vec![Some(b"1".to_vec())]));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_away_is_back_by_itself_and_asked_by_nobody_meanwhile() {
    let store = MemoryStore::new();
    let replicas = replica(&store);
    assert_eq!(replicas.get(vec!["a".into()]).await, Some(vec![None]));
    store.serve(Serves::Away);
    assert_eq!(replicas.get(vec!["a".into()]).await, None);
    let asked = store.commands().len();
    sleep(Duration::from_millis(1_020)).await;
    let meanwhile = &store.commands()[asked..];
    assert_eq!(meanwhile, [Command::Ping, Command::Ping, Command::Ping, Command::Ping, Command::Ping]);
    store.serve(Serves::Well);
    sleep(Duration::from_millis(250)).await;
    assert_eq!(replicas.get(vec!["a".into()]).await, Some(vec![None]));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_is_not_away() {
    let store = MemoryStore::new();
    let replicas = replica(&store);
    store.serve(Serves::Full);
    assert!(!replicas.set(vec![entry("a", b"1")]).await);
    assert_eq!(replicas.get(vec!["a".into()]).await, Some(vec![None]));
    store.serve(Serves::Refusing);
    assert_eq!(replicas.get(vec!["a".into()]).await, None);
    assert!(!replicas.stats().is_unavailable);
    // Nor does one stay away that answers by errors: it answers.
    store.serve(Serves::Away);
    assert_eq!(replicas.get(vec!["a".into()]).await, None);
    assert!(replicas.stats().is_unavailable);
    store.serve(Serves::Refusing);
    sleep(Duration::from_millis(300)).await;
    assert!(!replicas.stats().is_unavailable);
}

#[tokio::test(start_paused = true)]
async fn of_two_who_set_what_is_absent_both_get_what_the_first_has_set() {
    let store = MemoryStore::new();
    let (one, two) = (replica(&store), replica(&store.another_line()));
    assert_eq!(one.set_if_absent(entry("a", b"1")).await, Some(b"1".to_vec()));
    assert_eq!(two.set_if_absent(entry("a", b"2")).await, Some(b"1".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_held_for_as_long_as_the_work_takes() {
    let store = MemoryStore::new();
    let (one, two) = (replica(&store), replica(&store.another_line()));
    let claimed = held(&one).await;
    for _ in 0..100 {
        sleep(Duration::from_millis(100)).await;
        assert!(is_taken(&two).await && is_taken(&one).await);
    }
    claimed.release().await;
    assert!(store.entries().is_empty());
    store.put("work", b"of whoever else writes there");
    assert!(is_taken(&two).await);
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_holder_died_is_free_after_its_time() {
    let store = MemoryStore::new();
    let (one, two) = (replica(&store), replica(&store.another_line()));
    drop(held(&one).await);
    sleep(Duration::from_millis(999)).await;
    assert!(is_taken(&two).await);
    sleep(Duration::from_millis(2)).await;
    held(&two).await.release().await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_was_lost_lets_go_of_no_later_one() {
    let store = MemoryStore::new();
    let (one, two) = (replica(&store), replica(&store.another_line()));
    let lost = held(&one).await;
    store.serve(Serves::Away);
    sleep(Duration::from_millis(1_001)).await;
    let later = held(&two).await;
    store.serve(Serves::Well);
    sleep(Duration::from_secs(1)).await;
    lost.release().await;
    assert!(is_taken(&one).await);
    later.release().await;

    // Not even of this replica's own.
    let lost = held(&one).await;
    store.restart_empty();
    let later = held(&one).await;
    lost.release().await;
    assert!(is_taken(&two).await);
    later.release().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_claim_does_when_the_clock_jumps_is_done_once() {
    let store = MemoryStore::new();
    let one = replica(&store);
    let claimed = held(&one).await;
    advance(Duration::from_secs(10)).await;
    sleep(Duration::from_secs(10)).await;
    let extended = store.commands().iter().filter(|command| matches!(command, Command::Extend(_))).count();
    assert_eq!(extended, 1, "a claim that ran out is not asked for again");
    claimed.release().await;
}
