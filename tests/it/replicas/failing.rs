//! A real server that fails: what replicas observe, and their automatic recovery.
//!
//! Tests over real sockets do not sleep. They wait until the other process has reached the expected state.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use switchboard::replicas::channel::ChannelEvent;
use switchboard::replicas::lease::LeaseAttempt;
use switchboard::replicas::redis::RedisStore;
use switchboard::replicas::redis::probe::{ProbeFailure, probe};
use switchboard::replicas::settings::ReplicaSettings;
use switchboard::replicas::stats::CommandKind;
use switchboard::replicas::store::{Store as _, StoreError};
use switchboard::replicas::{CommandFailure, Replicas};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::broadcast::Receiver;

use super::contract;
use super::entry;
use super::server::{RedisServer, until};
use super::silent_proxy::SilenceableProxy;

fn store(settings: &ReplicaSettings) -> RedisStore {
    RedisStore::new(settings).unwrap()
}

fn replica(settings: ReplicaSettings) -> Replicas {
    Replicas::start(Arc::new(store(&settings)), settings)
}

/// Waits until the key is readable and returns its value.
async fn value_when_back(replicas: &Replicas, key: &str) -> Option<Vec<u8>> {
    let mut found = None;
    until("the store is back", async || {
        found = replicas.get(vec![key.to_owned()]).await;
        found.is_some()
    })
    .await;
    found.unwrap().remove(0)
}

fn failed(replicas: &Replicas, task: CommandKind, failure: CommandFailure) -> u64 {
    replicas.stats().failed.get(&(task, failure)).copied().unwrap_or_default()
}

async fn expect_gap(listener: &mut Receiver<ChannelEvent>) {
    assert!(matches!(listener.recv().await.unwrap(), ChannelEvent::Gap));
}

#[tokio::test]
async fn redis_keeps_the_contract() {
    let server = RedisServer::start(&[]).await;
    contract::check_contract(&store(&server.settings()), "contract").await;
    // In a separate database, with a user name.
    let server = RedisServer::start_with_password("a pass'word").await;
    let settings = ReplicaSettings { url: format!("{}/7", server.settings().url), ..server.settings() };
    contract::check_contract(&store(&settings), "contract").await;
}

#[tokio::test]
async fn redis_over_tls_keeps_the_contract_with_a_trusted_ca() {
    let server = RedisServer::start_with_tls().await;
    contract::check_contract(&store(&server.settings()), "contract").await;
    assert!(probe(&server.settings()).await.is_ok());

    let trusting_others = ReplicaSettings { ca_file: String::new(), ..server.settings() };
    assert_eq!(store(&trusting_others).ping().await, Err(StoreError::Unreachable));
    assert_eq!(probe(&trusting_others).await, Err(ProbeFailure::Tls));
    let url = format!("redis://127.0.0.1:{}", server.port());
    let unencrypted = ReplicaSettings { url, ca_file: String::new(), ..server.settings() };
    assert_eq!(store(&unencrypted).ping().await, Err(StoreError::Unreachable));
    assert_eq!(probe(&unencrypted).await, Err(ProbeFailure::Closed));
}

#[tokio::test]
async fn values_and_messages_that_are_too_long_are_not_read() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.settings());
    let (large, long) = ("x".repeat(5 * 1024 * 1024), "x".repeat(300 * 1024));
    server.command(&["SET", "large", &large]).await;
    store.set(vec![entry("small", b"1"), entry("mine", large.as_bytes())]).await.unwrap();
    let keys = ["large", "small", "mine"].map(str::to_owned).to_vec();
    assert_eq!(store.get(keys).await, Ok(vec![None, Some(b"1".to_vec()), None]));
    let mut messages = store.subscribe("channel".to_owned()).await.unwrap();
    for message in [long.as_str(), "short"] {
        store.publish("channel".to_owned(), message.into()).await.unwrap();
    }
    assert_eq!(messages.next().await.unwrap(), b"");
    assert_eq!(messages.next().await.unwrap(), b"short");
}

#[tokio::test]
async fn an_endless_value_breaks_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let endless = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // Replies to the client's handshake, then a value that does not end.
        stream.write_all(b"+OK\r\n+OK\r\n*1\r\n$999999999\r\n").await.unwrap();
        while stream.write_all(&[b'x'; 65_536]).await.is_ok() {}
    });
    let settings = ReplicaSettings { url, ..RedisServer::stopped(&[]).settings() };
    assert_eq!(store(&settings).get(vec!["a".into()]).await, Err(StoreError::Unreachable));
    endless.await.unwrap();
}

#[tokio::test]
async fn server_may_start_after_its_replicas() {
    let mut server = RedisServer::stopped(&[]);
    let replicas = replica(server.settings());
    assert_eq!(replicas.get(vec!["a".into()]).await, None);
    assert!(replicas.stats().is_unavailable);
    assert!(matches!(replicas.acquire_lease("a".into()).await, LeaseAttempt::Unavailable));
    assert!(!replicas.set(vec![entry("a", b"1")]).await);
    server.run().await;
    assert_eq!(value_when_back(&replicas, "a").await, None);
    assert!(replicas.set(vec![entry("a", b"1")]).await);
    assert!(!replicas.stats().is_unavailable);
}

#[tokio::test]
async fn killed_and_emptied_server_is_used_again() {
    let mut server = RedisServer::start(&[]).await;
    let replicas = replica(server.settings());
    let mut listener = replicas.subscribe();
    expect_gap(&mut listener).await;
    assert!(replicas.set(vec![entry("a", b"1")]).await);
    server.kill();
    until("the store is unreachable", async || replicas.get(vec!["a".into()]).await.is_none()).await;
    server.run().await;
    assert_eq!(value_when_back(&replicas, "a").await, None);
    assert!(replicas.set(vec![entry("a", b"2")]).await);
    expect_gap(&mut listener).await;
}

#[tokio::test]
async fn hanging_server_costs_one_timeout_and_loses_nothing() {
    let server = RedisServer::start(&[]).await;
    let replicas = replica(ReplicaSettings { timeout_ms: 50, ..server.settings() });
    until("the store is reachable", async || replicas.set(vec![entry("a", b"1")]).await).await;
    server.freeze();
    until("the store is unreachable", async || replicas.get(vec!["a".into()]).await.is_none()).await;
    let waits = failed(&replicas, CommandKind::Get, CommandFailure::Timeout);
    for _ in 0..100 {
        assert_eq!(replicas.get(vec!["a".into()]).await, None);
    }
    assert_eq!(failed(&replicas, CommandKind::Get, CommandFailure::Timeout), waits);
    server.unfreeze();
    assert_eq!(value_when_back(&replicas, "a").await, Some(b"1".to_vec()));
}

#[tokio::test]
async fn silent_connection_is_replaced() {
    let server = RedisServer::start(&[]).await;
    let wire = SilenceableProxy::start(server.port()).await;
    let url = format!("redis://127.0.0.1:{}", wire.port);
    let replicas = replica(ReplicaSettings { url, timeout_ms: 50, ..server.settings() });
    let mut listener = replicas.subscribe();
    expect_gap(&mut listener).await;
    until("the store is reachable", async || replicas.set(vec![entry("a", b"1")]).await).await;
    let before = wire.connections();
    wire.silence();
    until("the store is unreachable", async || replicas.get(vec!["a".into()]).await.is_none()).await;
    assert_eq!(value_when_back(&replicas, "a").await, Some(b"1".to_vec()));
    // The subscription's connection is silent as well. The replica notices because it does not receive its
    // own messages.
    expect_gap(&mut listener).await;
    assert!(wire.connections() >= before + 2);
}

#[tokio::test]
async fn wrong_password_is_an_outage_until_corrected() {
    let server = RedisServer::start_with_password("right").await;
    let wrong = ReplicaSettings { password: "wrong".into(), ..server.settings() };
    assert_eq!(probe(&wrong).await, Err(ProbeFailure::WrongCredentials));
    assert_eq!(store(&wrong).subscribe("a".into()).await.err(), Some(StoreError::Unauthenticated));
    let replicas = replica(wrong);
    assert_eq!(replicas.get(vec!["a".into()]).await, None);
    assert!(replicas.stats().is_unavailable);

    let none = ReplicaSettings { password: "".into(), ..server.settings() };
    assert_eq!(store(&none).ping().await, Err(StoreError::Unauthenticated));
    assert_eq!(store(&none).set(vec![entry("a", b"1")]).await, Err(StoreError::Unauthenticated));
    assert_eq!(probe(&none).await, Err(ProbeFailure::PasswordRequired));

    server.command(&["ACL", "SETUSER", "default", ">wrong"]).await;
    assert_eq!(value_when_back(&replicas, "a").await, None);
}

#[tokio::test]
async fn missing_permissions_are_reported_by_the_probe() {
    let server = RedisServer::start(&[]).await;
    server.command(&["ACL", "SETUSER", "me", "on", ">secret", "~test:*", "&test:*", "+@all", "-eval"]).await;
    let settings = ReplicaSettings { username: "me".into(), password: "secret".into(), ..server.settings() };
    let store = store(&settings);
    assert_eq!(store.set(vec![entry("test:a", b"1")]).await, Ok(()));
    assert_eq!(store.extend(entry("test:a", b"1")).await, Err(StoreError::Refused));
    assert_eq!(store.get(vec!["other:a".into()]).await, Err(StoreError::Refused));
    assert_eq!(store.subscribe("other:a".into()).await.err(), Some(StoreError::Refused));
    assert_eq!(probe(&settings).await, Err(ProbeFailure::Refused("EVAL")));
    server
        .command(&["ACL", "SETUSER", "me", "nocommands", "+ping", "+set", "+mget", "+eval", "+publish"])
        .await;
    server.command(&["ACL", "SETUSER", "me", "+get", "+pexpire", "+del", "+hget", "+hset"]).await;
    assert_eq!(probe(&settings).await, Err(ProbeFailure::Refused("EVAL")));
    let sorted_sets = ["+zadd", "+zcard", "+zrange", "+zrem", "+zremrangebyscore"];
    server.command(&[&["ACL", "SETUSER", "me"][..], &sorted_sets].concat()).await;
    assert_eq!(probe(&settings).await, Err(ProbeFailure::Refused("SUBSCRIBE")));
    // These permissions are sufficient.
    server.command(&["ACL", "SETUSER", "me", "+subscribe"]).await;
    assert!(probe(&settings).await.is_ok());
    let url = format!("{}/99", settings.url);
    assert_eq!(probe(&ReplicaSettings { url, ..settings }).await, Err(ProbeFailure::Database));
}

#[tokio::test]
async fn full_server_refuses_writes_and_allows_reads() {
    let server = RedisServer::start(&[]).await;
    let replicas = replica(server.settings());
    assert!(replicas.set(vec![entry("a", b"1")]).await);
    let LeaseAttempt::Acquired(claimed) = replicas.acquire_lease("work".into()).await else {
        panic!("no other replica exists")
    };
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1"]).await;
    assert!(!replicas.set(vec![entry("b", b"1")]).await);
    assert!(matches!(replicas.acquire_lease("other".into()).await, LeaseAttempt::Unavailable));
    assert_eq!(failed(&replicas, CommandKind::Set, CommandFailure::Refused), 1);
    assert_eq!(replicas.get(vec!["a".into(), "b".into()]).await, Some(vec![Some(b"1".to_vec()), None]));
    claimed.release().await;
    assert_eq!(replicas.get(vec!["work".into()]).await, Some(vec![None]));
    assert!(!replicas.stats().is_unavailable);
    assert_eq!(probe(&server.settings()).await, Err(ProbeFailure::Refused("SET")));
    server.command(&["CONFIG", "SET", "maxmemory", "0"]).await;
    assert!(replicas.set(vec![entry("b", b"1")]).await);
}

#[tokio::test]
async fn foreign_types_under_our_keys_are_ignored() {
    let server = RedisServer::start(&[]).await;
    let replicas = replica(server.settings());
    server.command(&["RPUSH", "list", "1"]).await;
    assert!(replicas.set(vec![entry("a", b"1")]).await);
    let found = replicas.get(vec!["list".into(), "a".into()]).await;
    assert_eq!(found, Some(vec![None, Some(b"1".to_vec())]));
    assert!(matches!(replicas.acquire_lease("list".into()).await, LeaseAttempt::Taken));
    assert_eq!(store(&server.settings()).extend(entry("list", b"1")).await, Err(StoreError::Refused));
    assert!(replicas.set(vec![entry("list", b"2")]).await);
    assert_eq!(replicas.get(vec!["list".into()]).await, Some(vec![Some(b"2".to_vec())]));
    assert!(!replicas.stats().is_unavailable);
}

#[tokio::test]
async fn read_only_server_is_read_and_then_reconnected() {
    let server = RedisServer::start(&[]).await;
    let wire = SilenceableProxy::start(server.port()).await;
    let url = format!("redis://127.0.0.1:{}", wire.port);
    let store = store(&ReplicaSettings { url, ..server.settings() });
    assert_eq!(store.set(vec![entry("a", b"1")]).await, Ok(()));
    server.command(&["REPLICAOF", "127.0.0.1", "1"]).await;
    assert_eq!(store.get(vec!["a".into()]).await, Ok(vec![Some(b"1".to_vec())]));
    // Another server may have the name by now.
    until("the replica reconnects", async || {
        assert_eq!(store.set(vec![entry("a", b"2")]).await, Err(StoreError::Refused));
        wire.connections() > 1
    })
    .await;
    server.command(&["REPLICAOF", "NO", "ONE"]).await;
    assert_eq!(store.set(vec![entry("a", b"2")]).await, Ok(()));
}

#[tokio::test]
async fn closed_subscription_is_reported_as_a_gap() {
    let server = RedisServer::start(&[]).await;
    let replicas = replica(server.settings());
    let mut listener = replicas.subscribe();
    expect_gap(&mut listener).await;
    server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    expect_gap(&mut listener).await;
    assert!(!replicas.stats().is_unavailable);
}

#[tokio::test]
async fn cancelled_commands_do_not_corrupt_the_connection() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.settings());
    for _ in 0..50 {
        let mut all: Vec<_> = (0..20).map(|_| store.get(vec!["a".into()])).collect();
        // Sent, partly answered, and cancelled.
        for asked in &mut all {
            let _ = futures_util::poll!(asked);
        }
        tokio::task::yield_now().await;
    }
    contract::check_contract(&store, "contract").await;
    let all = join_all((0..500).map(|at| store.set(vec![entry(&format!("key{at}"), b"1")]))).await;
    assert!(all.iter().all(Result::is_ok));
    let mut messages = store.subscribe("c".into()).await.unwrap();
    drop(store.subscribe("c".into()));
    store.publish("c".into(), b"1".to_vec()).await.unwrap();
    assert_eq!(messages.next().await, Some(b"1".to_vec()));
}

#[tokio::test]
async fn server_that_is_not_redis_is_an_outage() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut server = RedisServer::stopped(&[]);
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let settings = ReplicaSettings { url, ..server.settings() };
    let answering = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let _ = stream.try_write(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    assert_eq!(store(&settings).ping().await, Err(StoreError::Unreachable));
    assert_eq!(probe(&settings).await, Err(ProbeFailure::Closed));
    answering.abort();
    server.kill();
    assert_eq!(probe(&server.settings()).await, Err(ProbeFailure::Unreachable));
}
