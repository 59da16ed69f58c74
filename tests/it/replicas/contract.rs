//! The contract of `Store`, tested against each implementation.

use std::time::Duration;

use futures_util::StreamExt as _;
use switchboard::replicas::quota::{CALLS_MAX, QuotaExchange, QuotaReply, QuotaWrite, SharedCall};
use switchboard::replicas::store::{Entry, Store};
use tokio::time::Instant;

use super::memory::MemoryStore;

/// Runs all contract tests. `prefix` separates their keys from other data in the store.
pub(crate) async fn check_contract(store: &dyn Store, prefix: &str) {
    values(store, prefix).await;
    claims(store, prefix).await;
    quota_calls(store, prefix).await;
    quota_value(store, prefix).await;
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

/// The time of the first exchange, in milliseconds.
const NOW: u64 = 1_795_000_000_000;

/// An exchange of replica `replica` that changes nothing, `at` milliseconds after the first.
fn exchange(prefix: &str, replica: &str, at: u64) -> QuotaExchange {
    QuotaExchange {
        key: format!("{prefix}:quota:{{tag}}"),
        now: NOW + at,
        expired_before: NOW + at - 5_000,
        ttl: Duration::from_secs(60),
        replica: replica.to_owned(),
        replica_until: NOW + at + 30_000,
        calls: vec![],
        write: None,
    }
}

/// A call that counts until these times after the first exchange; 0: not.
fn call(id: &str, minute_until: u64, unconfirmed_until: u64) -> SharedCall {
    let until = |after: u64| if after == 0 { 0 } else { NOW + after };
    let (minute_until, unconfirmed_until) = (until(minute_until), until(unconfirmed_until));
    SharedCall { id: id.to_owned(), minute_until, unconfirmed_until }
}

fn listed(calls: &[(String, u64)]) -> Vec<(&str, u64)> {
    calls.iter().map(|(id, until)| (id.as_str(), until - NOW)).collect()
}

async fn quota_calls(store: &dyn Store, prefix: &str) {
    let prefix = &format!("{prefix}:calls");
    let send = async |replica: &str, at: u64, calls: Vec<SharedCall>| {
        store.exchange_quota(QuotaExchange { calls, ..exchange(prefix, replica, at) }).await.unwrap()
    };
    let first = send("a", 0, vec![]).await;
    assert_eq!(first, QuotaReply { tick: NOW, replicas: 1, ..QuotaReply::default() });

    // Calls in flight of two replicas; a repeated request counts once.
    send("a", 1, vec![call("a:0", 120_000, 120_000), call("a:1", 120_001, 120_001)]).await;
    send("a", 1, vec![call("a:1", 120_001, 120_001)]).await;
    let reply = send("b", 0, vec![call("b:0", 120_002, 120_002)]).await;
    assert_eq!((reply.sent, reply.lost, reply.replicas), (3, 0, 2));
    assert!(reply.tick > NOW + 1, "ticks grow although this replica's clock is behind");
    assert_eq!(listed(&reply.minute), [("a:0", 120_000), ("a:1", 120_001), ("b:0", 120_002)]);
    assert_eq!(reply.unconfirmed, reply.minute);

    // One is confirmed, one gets no response, and one was not sent after all.
    let ended =
        vec![call("a:0", 60_500, 0), call("a:1", 60_600, 120_001), call("b:0", 0, 0), call("b:1", 0, 0)];
    let reply = send("a", 500, ended).await;
    assert_eq!((reply.sent, reply.lost), (2, 0));
    assert_eq!(listed(&reply.minute), [("a:0", 60_500), ("a:1", 60_600)]);
    assert_eq!(listed(&reply.unconfirmed), [("a:1", 120_001)]);

    // Times decide what has expired, not the server's clock. A call without a response counts as lost.
    let reply = send("b", 65_500, vec![]).await;
    assert_eq!((listed(&reply.minute), reply.replicas), (vec![("a:1", 60_600)], 1));
    let reply = send("b", 125_001, vec![]).await;
    assert_eq!((reply.sent, reply.lost), (2, 1));
    assert_eq!((reply.minute, reply.unconfirmed), (vec![], vec![]));

    // Only the latest calls are listed, but all count.
    let many = (0..300).map(|n| call(&format!("b:{n:03}"), 200_000 + n, 200_000 + n)).collect();
    let reply = send("b", 130_000, many).await;
    assert_eq!((reply.sent, reply.minute.len(), reply.unconfirmed.len()), (302, CALLS_MAX, CALLS_MAX));
    assert_eq!(reply.minute.last(), Some(&("b:299".to_owned(), NOW + 200_299)));
}

async fn quota_value(store: &dyn Store, prefix: &str) {
    let prefix = &format!("{prefix}:value");
    let write = async |version: u64, value: &[u8], ttl: Duration| {
        let write = Some(QuotaWrite { version, value: value.to_vec() });
        let reply =
            store.exchange_quota(QuotaExchange { ttl, write, ..exchange(prefix, "a", 0) }).await.unwrap();
        (reply.is_accepted, reply.version, reply.value)
    };
    let (minute, short) = (Duration::from_secs(60), Duration::from_millis(30));
    // Where there is no value, any version is accepted.
    assert_eq!(write(7, b"first", minute).await, (true, 1, b"first".to_vec()));
    assert_eq!(write(0, b"late", minute).await, (false, 1, b"first".to_vec()));
    assert_eq!(write(1, b"\0\xff\r\n", minute).await, (true, 2, b"\0\xff\r\n".to_vec()));
    assert_eq!(write(1, b"late", minute).await, (false, 2, b"\0\xff\r\n".to_vec()));
    let set_at = Instant::now();
    assert_eq!(write(2, b"last", short).await, (true, 3, b"last".to_vec()));
    let read = async || store.exchange_quota(exchange(prefix, "b", 0)).await.unwrap();
    tokio::time::sleep(short * 2).await;
    while read().await.version != 0 {
        assert!(set_at.elapsed() < minute / 2, "the state never expires");
        write(3, b"last", short).await;
        tokio::time::sleep(short * 2).await;
    }
}

fn entry(key: String, value: &[u8], ttl: Duration) -> Entry {
    Entry { key, value: value.to_vec(), ttl }
}

#[tokio::test(start_paused = true)]
async fn memory_store_keeps_the_contract() {
    check_contract(&MemoryStore::new(), "contract").await;
}
