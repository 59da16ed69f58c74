//! What replicas tell one another; in memory, on the paused clock.

use std::sync::Arc;
use std::time::Duration;

use switchboard::replicas::Replicas;
use switchboard::replicas::channel::{ChannelEvent, ChannelMessage, Topic};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::{Instant, sleep};

use super::memory::{MemoryStore, Serves};
use super::settings;

fn replica(store: &MemoryStore) -> Replicas {
    Replicas::start(Arc::new(store.clone()), settings())
}

fn news(topic: Topic, body: &str) -> ChannelMessage {
    ChannelMessage { topic, tag: [7; 16], body: body.to_owned() }
}

/// The bodies that come next, `Missed` as "missed".
async fn heard(listener: &mut Receiver<ChannelEvent>) -> String {
    match listener.recv().await.unwrap() {
        ChannelEvent::Message { message: news, .. } => news.body.clone(),
        ChannelEvent::Gap => "missed".to_owned(),
    }
}

/// Nothing more has come.
fn is_all(listener: &mut Receiver<ChannelEvent>) -> bool {
    matches!(listener.try_recv(), Err(TryRecvError::Empty))
}

#[tokio::test(start_paused = true)]
async fn news_reach_all_others_by_topic_and_not_their_own_sender() {
    let store = MemoryStore::new();
    let all: Vec<Replicas> = (0..3).map(|_| replica(&store.another_line())).collect();
    let mut drops: Vec<_> = all.iter().map(|replica| replica.subscribe(Topic::Invalidations)).collect();
    let mut quota: Vec<_> = all.iter().map(|replica| replica.subscribe(Topic::Quota)).collect();
    for listener in drops.iter_mut().chain(&mut quota) {
        assert_eq!(heard(listener).await, "missed", "whoever begins has seen nothing of what was");
    }
    let told_at = Instant::now();
    all[0].publish(news(Topic::Invalidations, "drop"));
    all[0].publish(news(Topic::Quota, "call 1"));
    all[0].publish(news(Topic::Quota, "call 2"));
    for listener in &mut drops[1..] {
        assert_eq!(heard(listener).await, "drop");
    }
    for listener in &mut quota[1..] {
        assert_eq!((heard(listener).await, heard(listener).await), ("call 1".into(), "call 2".into()));
    }
    assert_eq!(told_at.elapsed(), Duration::ZERO);
    sleep(Duration::from_secs(60)).await;
    assert!(drops.iter_mut().chain(&mut quota).all(is_all), "a quiet minute tells nothing");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_no_longer_hears_itself_listens_anew() {
    let store = MemoryStore::new();
    let (one, two) = (replica(&store), replica(&store.another_line()));
    let (mut first, mut second) = (one.subscribe(Topic::Invalidations), two.subscribe(Topic::Invalidations));
    assert_eq!((heard(&mut first).await, heard(&mut second).await), ("missed".into(), "missed".into()));
    store.half_open_subscriptions();
    two.publish(news(Topic::Invalidations, "lost"));
    let began = Instant::now();
    assert_eq!(heard(&mut first).await, "missed");
    assert!(began.elapsed() <= Duration::from_secs(12), "{:?}", began.elapsed());
    two.publish(news(Topic::Invalidations, "after"));
    assert_eq!(heard(&mut first).await, "after");
    assert!(is_all(&mut second), "of which the others notice nothing");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_lost_its_connection_listens_anew_at_once() {
    let store = MemoryStore::new();
    let one = replica(&store);
    let mut listener = one.subscribe(Topic::Quota);
    assert_eq!(heard(&mut listener).await, "missed");
    store.lose_subscriptions();
    let began = Instant::now();
    assert_eq!(heard(&mut listener).await, "missed");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_restarts_has_all_hear_that_they_missed_something() {
    let store = MemoryStore::new();
    let all = [replica(&store), replica(&store.another_line())];
    let mut listeners = all.each_ref().map(|replica| replica.subscribe(Topic::Invalidations));
    for round in ["at first", "restarted"] {
        for listener in &mut listeners {
            assert_eq!(heard(listener).await, "missed", "{round}");
        }
        store.restart_empty();
    }
}

#[tokio::test(start_paused = true)]
async fn drops_that_could_not_be_told_are_told_when_the_store_is_back() {
    let store = MemoryStore::new();
    let (one, two) = (replica(&store), replica(&store.another_line()));
    let (mut drops, mut quota) = (two.subscribe(Topic::Invalidations), two.subscribe(Topic::Quota));
    assert_eq!((heard(&mut drops).await, heard(&mut quota).await), ("missed".into(), "missed".into()));
    // Away from one replica alone: the other is connected and hears of no gap.
    store.serve(Serves::Away);
    for _ in 0..3 {
        one.publish(news(Topic::Invalidations, "drop"));
        one.publish(news(Topic::Quota, "old by then"));
    }
    one.publish(news(Topic::Invalidations, "another"));
    sleep(Duration::from_secs(60)).await;
    assert!(is_all(&mut drops));
    store.serve(Serves::Well);
    let began = Instant::now();
    assert_eq!((heard(&mut drops).await, heard(&mut drops).await), ("drop".into(), "another".into()));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    sleep(Duration::from_secs(10)).await;
    assert!(is_all(&mut drops) && is_all(&mut quota));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_slow_to_listen_on_is_not_away() {
    let store = MemoryStore::new();
    store.serve(Serves::Slow(Duration::from_millis(45)));
    let one = replica(&store);
    let mut listener = one.subscribe(Topic::Invalidations);
    assert_eq!(heard(&mut listener).await, "missed");
    assert!(!one.stats().is_unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_listener_who_falls_behind_is_told_so() {
    let store = MemoryStore::new();
    let (one, two) = (replica(&store), replica(&store.another_line()));
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
async fn what_is_not_in_our_form_is_nobodys_news() {
    use switchboard::replicas::store::Store as _;
    let store = MemoryStore::new();
    let one = replica(&store);
    let mut listener = one.subscribe(Topic::Invalidations);
    assert_eq!(heard(&mut listener).await, "missed");
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
    assert_eq!(heard(&mut listener).await, "ours");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_is_dropped_leaves_nothing_behind() {
    let store = MemoryStore::new();
    let one = replica(&store);
    sleep(Duration::from_secs(1)).await;
    store.serve(Serves::Away);
    assert_eq!(one.get(vec!["a".into()]).await, None);
    drop(one);
    sleep(Duration::from_secs(1)).await;
    let commands = store.commands().len();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(store.commands().len(), commands);
}
