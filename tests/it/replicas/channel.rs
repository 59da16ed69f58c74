//! Messages between replicas, over an in-memory store with a paused clock.

use std::sync::Arc;
use std::time::Duration;

use switchboard::replicas::Replicas;
use switchboard::replicas::channel::{ChannelEvent, ChannelMessage, Topic};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::{Instant, sleep};

use super::memory::{Behaviour, MemoryStore};
use super::settings;

fn replica(store: &MemoryStore) -> Replicas {
    Replicas::start(Arc::new(store.clone()), settings())
}

fn news(topic: Topic, body: &str) -> ChannelMessage {
    ChannelMessage { topic, tag: [7; 16], body: body.to_owned() }
}

/// The body of the next message, or "missed" for a gap.
async fn next_body(listener: &mut Receiver<ChannelEvent>) -> String {
    match listener.recv().await.unwrap() {
        ChannelEvent::Message { message: news, .. } => news.body.clone(),
        ChannelEvent::Gap => "missed".to_owned(),
    }
}

/// Whether no more messages are waiting.
fn is_drained(listener: &mut Receiver<ChannelEvent>) -> bool {
    matches!(listener.try_recv(), Err(TryRecvError::Empty))
}

#[tokio::test(start_paused = true)]
async fn messages_reach_all_others_by_topic() {
    let store = MemoryStore::new();
    let all: Vec<Replicas> = (0..3).map(|_| replica(&store.another_connection())).collect();
    let mut drops: Vec<_> = all.iter().map(|replica| replica.subscribe(Topic::Invalidations)).collect();
    let mut quota: Vec<_> = all.iter().map(|replica| replica.subscribe(Topic::Quota)).collect();
    for listener in drops.iter_mut().chain(&mut quota) {
        assert_eq!(next_body(listener).await, "missed", "a new subscription begins with a gap");
    }
    let told_at = Instant::now();
    all[0].publish(news(Topic::Invalidations, "drop"));
    all[0].publish(news(Topic::Quota, "call 1"));
    all[0].publish(news(Topic::Quota, "call 2"));
    for listener in &mut drops[1..] {
        assert_eq!(next_body(listener).await, "drop");
    }
    for listener in &mut quota[1..] {
        assert_eq!(
            (next_body(listener).await, next_body(listener).await),
            ("call 1".into(), "call 2".into())
        );
    }
    assert_eq!(told_at.elapsed(), Duration::ZERO);
    sleep(Duration::from_secs(60)).await;
    assert!(drops.iter_mut().chain(&mut quota).all(is_drained), "a quiet minute sends nothing");
}

#[tokio::test(start_paused = true)]
async fn replica_without_its_own_messages_resubscribes() {
    let store = MemoryStore::new();
    let (one, two) = (replica(&store), replica(&store.another_connection()));
    let (mut first, mut second) = (one.subscribe(Topic::Invalidations), two.subscribe(Topic::Invalidations));
    assert_eq!(
        (next_body(&mut first).await, next_body(&mut second).await),
        ("missed".into(), "missed".into())
    );
    store.half_open_subscriptions();
    two.publish(news(Topic::Invalidations, "lost"));
    let began = Instant::now();
    assert_eq!(next_body(&mut first).await, "missed");
    assert!(began.elapsed() <= Duration::from_secs(12), "{:?}", began.elapsed());
    two.publish(news(Topic::Invalidations, "after"));
    assert_eq!(next_body(&mut first).await, "after");
    assert!(is_drained(&mut second), "the others do not notice");
}

#[tokio::test(start_paused = true)]
async fn heartbeats_have_no_subscribers() {
    let store = MemoryStore::new();
    let one = replica(&store);
    let mut heartbeats = one.subscribe(Topic::Heartbeat);
    assert!(matches!(heartbeats.recv().await, Err(RecvError::Closed)));
}

#[tokio::test(start_paused = true)]
async fn lost_connection_is_resubscribed_immediately() {
    let store = MemoryStore::new();
    let one = replica(&store);
    let mut listener = one.subscribe(Topic::Quota);
    assert_eq!(next_body(&mut listener).await, "missed");
    store.lose_subscriptions();
    let began = Instant::now();
    assert_eq!(next_body(&mut listener).await, "missed");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn server_restart_is_reported_as_a_gap() {
    let store = MemoryStore::new();
    let all = [replica(&store), replica(&store.another_connection())];
    let mut listeners = all.each_ref().map(|replica| replica.subscribe(Topic::Invalidations));
    for round in ["at first", "restarted"] {
        for listener in &mut listeners {
            assert_eq!(next_body(listener).await, "missed", "{round}");
        }
        store.restart_empty();
    }
}

#[tokio::test(start_paused = true)]
async fn unsent_invalidations_are_sent_when_the_store_is_back() {
    let store = MemoryStore::new();
    let (one, two) = (replica(&store), replica(&store.another_connection()));
    let (mut drops, mut quota) = (two.subscribe(Topic::Invalidations), two.subscribe(Topic::Quota));
    assert_eq!(
        (next_body(&mut drops).await, next_body(&mut quota).await),
        ("missed".into(), "missed".into())
    );
    // Unreachable for one replica only: the other stays connected and sees no gap.
    store.set_behaviour(Behaviour::Away);
    for _ in 0..3 {
        one.publish(news(Topic::Invalidations, "drop"));
        one.publish(news(Topic::Quota, "old by then"));
    }
    one.publish(news(Topic::Invalidations, "another"));
    sleep(Duration::from_secs(60)).await;
    assert!(is_drained(&mut drops));
    store.set_behaviour(Behaviour::Well);
    let began = Instant::now();
    assert_eq!((next_body(&mut drops).await, next_body(&mut drops).await), ("drop".into(), "another".into()));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    sleep(Duration::from_secs(10)).await;
    assert!(is_drained(&mut drops) && is_drained(&mut quota));
}

#[tokio::test(start_paused = true)]
async fn slow_subscription_is_not_an_outage() {
    let store = MemoryStore::new();
    store.set_behaviour(Behaviour::Slow(Duration::from_millis(45)));
    let one = replica(&store);
    let mut listener = one.subscribe(Topic::Invalidations);
    assert_eq!(next_body(&mut listener).await, "missed");
    assert!(!one.stats().is_unavailable);
}

#[tokio::test(start_paused = true)]
async fn lagging_receiver_gets_a_gap() {
    let store = MemoryStore::new();
    let (one, two) = (replica(&store), replica(&store.another_connection()));
    let mut listener = two.subscribe(Topic::Quota);
    sleep(Duration::from_secs(1)).await;
    for _ in 0..5 {
        for at in 0..1_000 {
            one.publish(news(Topic::Quota, &at.to_string()));
        }
        sleep(Duration::from_secs(1)).await;
    }
    assert!(matches!(listener.recv().await, Err(RecvError::Lagged(_))));
}

#[tokio::test(start_paused = true)]
async fn malformed_messages_are_ignored() {
    use switchboard::replicas::store::Store as _;
    let store = MemoryStore::new();
    let one = replica(&store);
    let mut listener = one.subscribe(Topic::Invalidations);
    assert_eq!(next_body(&mut listener).await, "missed");
    for message in [
        "",
        "{}",
        "\u{0}",
        r#"{"version":2,"from":"x","topic":"drops","tag":"BwcHBwcHBwcHBwcHBwcHBw","body":""}"#,
        r#"{"version":1,"from":"x","topic":"other","tag":"BwcHBwcHBwcHBwcHBwcHBw","body":""}"#,
        r#"{"version":1,"from":"x","topic":"drops","tag":"Bw","body":""}"#,
        r#"{"version":1,"from":"x","topic":"drops","tag":"BwcHBwcHBwcHBwcHBwcHBw","body":"","more":1}"#,
        r#"{"version":1,"from":"x","topic":"drops","tag":"BwcHBwcHBwcHBwcHBwcHBw","body":"ours"}"#,
    ] {
        store.publish("test:1:news".into(), message.as_bytes().to_vec()).await.unwrap();
    }
    assert_eq!(next_body(&mut listener).await, "ours");
}

#[tokio::test(start_paused = true)]
async fn dropped_replica_leaves_no_task() {
    let store = MemoryStore::new();
    let one = replica(&store);
    sleep(Duration::from_secs(1)).await;
    store.set_behaviour(Behaviour::Away);
    assert_eq!(one.get(vec!["a".into()]).await, None);
    drop(one);
    sleep(Duration::from_secs(1)).await;
    let commands = store.commands().len();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(store.commands().len(), commands);
}
