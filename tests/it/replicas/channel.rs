//! Messages between replicas, over an in-memory store with a paused clock.

use std::sync::Arc;
use std::time::Duration;

use switchboard::replicas::Replicas;
use switchboard::replicas::channel::{ChannelEvent, ChannelMessage};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::{Instant, sleep};

use super::memory::{Behaviour, MemoryStore};
use super::settings;

fn replica(store: &MemoryStore) -> Replicas {
    Replicas::start(Arc::new(store.clone()), settings())
}

fn news(body: &str) -> ChannelMessage {
    ChannelMessage { tag: [7; 16], body: body.to_owned() }
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
async fn messages_reach_all_others() {
    let store = MemoryStore::new();
    let all: Vec<Replicas> = (0..3).map(|_| replica(&store.another_connection())).collect();
    let mut listeners: Vec<_> = all.iter().map(Replicas::subscribe).collect();
    for listener in &mut listeners {
        assert_eq!(next_body(listener).await, "missed", "a new subscription begins with a gap");
    }
    let began = Instant::now();
    assert!(all[0].publish(news("one")).await && all[0].publish(news("two")).await);
    for listener in &mut listeners[1..] {
        assert_eq!((next_body(listener).await, next_body(listener).await), ("one".into(), "two".into()));
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    sleep(Duration::from_secs(60)).await;
    assert!(listeners.iter_mut().all(is_drained), "a quiet minute sends nothing");
}

#[tokio::test(start_paused = true)]
async fn replica_without_its_own_messages_resubscribes() {
    let store = MemoryStore::new();
    let (one, two) = (replica(&store), replica(&store.another_connection()));
    let (mut first, mut second) = (one.subscribe(), two.subscribe());
    assert_eq!(
        (next_body(&mut first).await, next_body(&mut second).await),
        ("missed".into(), "missed".into())
    );
    store.half_open_subscriptions();
    two.publish(news("lost")).await;
    let began = Instant::now();
    assert_eq!(next_body(&mut first).await, "missed");
    assert!(began.elapsed() <= Duration::from_secs(12), "{:?}", began.elapsed());
    two.publish(news("after")).await;
    assert_eq!(next_body(&mut first).await, "after");
    assert!(is_drained(&mut second), "the others do not notice");
}

#[tokio::test(start_paused = true)]
async fn lost_connection_is_resubscribed_immediately() {
    let store = MemoryStore::new();
    let one = replica(&store);
    let mut listener = one.subscribe();
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
    let mut listeners = all.each_ref().map(|replica| replica.subscribe());
    for round in ["at first", "restarted"] {
        for listener in &mut listeners {
            assert_eq!(next_body(listener).await, "missed", "{round}");
        }
        store.restart_empty();
    }
}

#[tokio::test(start_paused = true)]
async fn message_that_the_store_does_not_accept_is_reported() {
    let store = MemoryStore::new();
    let one = replica(&store);
    store.set_behaviour(Behaviour::Away);
    assert!(!one.publish(news("lost")).await);
    store.set_behaviour(Behaviour::Well);
    sleep(Duration::from_secs(1)).await;
    assert!(one.publish(news("accepted")).await);
}

#[tokio::test(start_paused = true)]
async fn slow_subscription_is_not_an_outage() {
    let store = MemoryStore::new();
    store.set_behaviour(Behaviour::Slow(Duration::from_millis(45)));
    let one = replica(&store);
    let mut listener = one.subscribe();
    assert_eq!(next_body(&mut listener).await, "missed");
    assert!(!one.stats().is_unavailable);
}

#[tokio::test(start_paused = true)]
async fn lagging_receiver_gets_a_gap() {
    let store = MemoryStore::new();
    let (one, two) = (replica(&store), replica(&store.another_connection()));
    let mut listener = two.subscribe();
    sleep(Duration::from_secs(1)).await;
    for _ in 0..5 {
        for at in 0..1_000 {
            one.publish(news(&at.to_string())).await;
        }
    }
    sleep(Duration::from_secs(1)).await;
    assert!(matches!(listener.recv().await, Err(RecvError::Lagged(_))));
}

#[tokio::test(start_paused = true)]
async fn malformed_messages_are_ignored() {
    use switchboard::replicas::store::Store as _;
    let store = MemoryStore::new();
    let one = replica(&store);
    let mut listener = one.subscribe();
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
