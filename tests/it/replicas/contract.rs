//! The contract of `Store`, tested against each implementation.

use std::time::Duration;

use futures_util::StreamExt as _;
use switchboard::replicas::store::{Entry, Store};
use tokio::time::Instant;

use super::memory::MemoryStore;

/// Runs all contract tests. `prefix` separates their keys from other data in the store.
pub(crate) async fn check_contract(store: &dyn Store, prefix: &str) {
    values(store, prefix).await;
    claims(store, prefix).await;
    channels(store, prefix).await;
}

async fn values(store: &dyn Store, prefix: &str) {
    let key = |name: &str| format!("{prefix}:{name}");
    store.ping().await.unwrap();
    assert_eq!(store.get(vec![]).await.unwrap(), Vec::<Option<Vec<u8>>>::new());
    store.set(vec![]).await.unwrap();
    assert_eq!(store.get(vec![key("a"), key("b")]).await.unwrap(), [None, None]);

    let binary = vec![0, 255, b'\r', b'\n', b'$', 0];
    let large = vec![b'x'; 1_000_000];
    let minute = Duration::from_secs(60);
    store
        .set(vec![
            entry(key("a"), &binary, minute),
            entry(key("b"), &large, minute),
            entry(key("e"), b"", minute),
        ])
        .await
        .unwrap();
    let found = store.get(vec![key("b"), key("none"), key("a"), key("e"), key("a")]).await.unwrap();
    assert_eq!(found, [Some(large), None, Some(binary.clone()), Some(vec![]), Some(binary)]);

    // A second write has the new value and lifetime, and expires after that.
    let set_at = Instant::now();
    store.set(vec![entry(key("a"), b"2", Duration::from_millis(30))]).await.unwrap();
    assert_eq!(store.get(vec![key("e")]).await.unwrap(), [Some(vec![])]);
    while store.get(vec![key("a")]).await.unwrap() != [None] {
        assert!(set_at.elapsed() < minute / 2, "the entry never expires");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn claims(store: &dyn Store, prefix: &str) {
    let (key, minute) = (format!("{prefix}:claim"), Duration::from_secs(60));
    assert!(store.set_if_absent(entry(key.clone(), b"1", minute)).await.unwrap());
    assert!(!store.set_if_absent(entry(key.clone(), b"2", minute)).await.unwrap());
    assert_eq!(store.get(vec![key.clone()]).await.unwrap(), [Some(b"1".to_vec())]);

    // Only the holder extends or removes it.
    let short = Duration::from_millis(30);
    assert!(!store.extend(entry(key.clone(), b"2", short)).await.unwrap());
    store.remove(key.clone(), b"2".to_vec()).await.unwrap();
    assert_eq!(store.get(vec![key.clone()]).await.unwrap(), [Some(b"1".to_vec())]);
    assert!(store.extend(entry(key.clone(), b"1", minute)).await.unwrap());
    store.remove(key.clone(), b"1".to_vec()).await.unwrap();
    assert_eq!(store.get(vec![key.clone()]).await.unwrap(), [None]);
    assert!(
        !store.extend(entry(key.clone(), b"1", minute)).await.unwrap(),
        "a removed entry is not extended"
    );
    store.remove(key.clone(), b"1".to_vec()).await.unwrap();

    // The last lifetime counts. After it the key is free.
    assert!(store.set_if_absent(entry(key.clone(), b"1", minute)).await.unwrap());
    let extended_at = Instant::now();
    assert!(store.extend(entry(key.clone(), b"1", short)).await.unwrap());
    while !store.set_if_absent(entry(key.clone(), b"3", minute)).await.unwrap() {
        assert!(extended_at.elapsed() < minute / 2, "the key is never free");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn channels(store: &dyn Store, prefix: &str) {
    let (one, two) = (format!("{prefix}:one"), format!("{prefix}:two"));
    store.publish(one.clone(), b"to no subscriber".to_vec()).await.unwrap();
    let mut first = store.subscribe(one.clone()).await.unwrap();
    let mut second = store.subscribe(one.clone()).await.unwrap();
    store.publish(two, b"elsewhere".to_vec()).await.unwrap();
    for message in [b"\r\n\0\xff".to_vec(), vec![], b"last".to_vec()] {
        store.publish(one.clone(), message.clone()).await.unwrap();
        assert_eq!(first.next().await, Some(message.clone()));
        assert_eq!(second.next().await, Some(message));
    }
    // A closed subscription does not disturb the others.
    drop(first);
    store.publish(one, b"more".to_vec()).await.unwrap();
    assert_eq!(second.next().await, Some(b"more".to_vec()));
}

fn entry(key: String, value: &[u8], ttl: Duration) -> Entry {
    Entry { key, value: value.to_vec(), ttl }
}

#[tokio::test(start_paused = true)]
async fn memory_store_keeps_the_contract() {
    check_contract(&MemoryStore::new(), "contract").await;
}
