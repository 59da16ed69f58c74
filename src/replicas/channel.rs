//! Messages between replicas, over one Redis channel that carries all topics.
//!
//! Each replica also publishes heartbeats and expects to receive its own, which detects a half-open connection. A
//! subscriber that was disconnected receives [`ChannelEvent::Gap`], because it may have missed messages. Messages of
//! [`Topic::Invalidations`] must not be lost: those that could not be published are published after the recovery,
//! possibly twice.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use super::stats::CommandKind;
use super::store::Messages;
use super::store_client::StoreClient;

/// Identifier of a credential among replicas. It is derived from the credential's fingerprint, which it does not
/// reveal.
pub type CredentialTag = [u8; 16];

/// Subject of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Topic {
    /// Cached values of a credential are invalid.
    #[serde(rename = "drops")]
    Invalidations,
    /// Upstream calls, and the rate limit headers of their responses.
    #[serde(rename = "quota")]
    Quota,
    /// Heartbeat of a replica; used by the channel itself.
    #[serde(rename = "life")]
    Heartbeat,
}

/// A message to the other replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelMessage {
    /// Subject.
    pub topic: Topic,
    /// Credential that it concerns.
    pub tag: CredentialTag,
    /// Content, in the format of the topic.
    pub body: String,
}

/// An event that a subscriber receives.
#[derive(Debug, Clone)]
pub enum ChannelEvent {
    /// A message of another replica.
    Message {
        /// Identifier of the sender.
        from: Arc<str>,
        /// Message.
        message: Arc<ChannelMessage>,
    },
    /// The subscription was established just now, so earlier messages may be lost. A receiver that lags
    /// (`RecvError::Lagged`) has lost messages too.
    Gap,
}

/// Interval of heartbeats while nothing else is published. A shorter one would be costly, because each replica receives
/// all heartbeats.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);

/// Time without any of this replica's own messages after which a connection counts as dead. One heartbeat may be lost.
const SILENCE_MAX: Duration = Duration::from_secs(11);

/// Delay before another attempt to subscribe or to publish.
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// Timeout of a subscription. It has its own connection, and no request waits for it.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum number of messages that wait to be published; further ones are dropped.
const OUTBOX_CAPACITY: usize = 4_096;

/// Maximum number of messages that wait for each local subscriber; a slower subscriber lags.
const INBOX_CAPACITY: usize = 4_096;

/// Encoding of a message on the channel.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireMessage {
    version: u32,
    from: String,
    topic: Topic,
    tag: String,
    body: String,
}

const VERSION: u32 = 1;

/// One replica's end of the channel. Its tasks end when it is dropped.
pub(super) struct Channel {
    outbox: mpsc::Sender<ChannelMessage>,
    subscribers: Subscribers,
    tasks: [AbortHandle; 2],
}

impl Channel {
    pub(super) fn start(inner: &Arc<StoreClient>) -> Self {
        let (outbox, queue) = mpsc::channel(OUTBOX_CAPACITY);
        let subscribers = Subscribers {
            invalidations: broadcast::Sender::new(INBOX_CAPACITY),
            quota: broadcast::Sender::new(INBOX_CAPACITY),
        };
        let publisher = tokio::spawn(publish_all(Arc::downgrade(inner), queue));
        let receiver = tokio::spawn(receive_all(Arc::downgrade(inner), subscribers.clone()));
        Self { outbox, subscribers, tasks: [publisher.abort_handle(), receiver.abort_handle()] }
    }

    pub(super) fn publish(&self, message: ChannelMessage) {
        // The outbox is full if the store is unavailable or too slow. Replicas detect missed messages later.
        let _ = self.outbox.try_send(message);
    }

    pub(super) fn subscribe(&self, topic: Topic) -> broadcast::Receiver<ChannelEvent> {
        match topic {
            Topic::Quota => self.subscribers.quota.subscribe(),
            Topic::Invalidations => self.subscribers.invalidations.subscribe(),
            // The channel itself uses heartbeats, so this subscription is closed.
            Topic::Heartbeat => broadcast::Sender::new(1).subscribe(),
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl StoreClient {
    fn channel(&self) -> String {
        format!("{}:{VERSION}:news", self.settings.key_prefix)
    }

    /// Publishes a message; returns whether the store accepted it.
    pub(super) async fn publish(self: &Arc<Self>, message: &ChannelMessage) -> bool {
        let message = WireMessage {
            version: VERSION,
            from: self.replica_id.clone(),
            topic: message.topic,
            tag: URL_SAFE_NO_PAD.encode(message.tag),
            body: message.body.clone(),
        };
        let Ok(bytes) = serde_json::to_vec(&message) else { return false };
        self.run(CommandKind::Publish, |store| store.publish(self.channel(), bytes)).await.is_some()
    }

    async fn subscribe(&self) -> Option<Messages> {
        let subscription = self.store.subscribe(self.channel());
        // A failure does not mark the store as unavailable: commands detect that themselves, and sooner.
        self.run_counted(CommandKind::Subscribe, SUBSCRIBE_TIMEOUT, subscription).await.ok()
    }
}

/// Publishes the messages of the outbox, and heartbeats in between.
async fn publish_all(inner: Weak<StoreClient>, mut queue: mpsc::Receiver<ChannelMessage>) {
    let (mut next_heartbeat, mut unpublished) = (Instant::now(), VecDeque::new());
    loop {
        let message = match timeout_at(next_heartbeat, queue.recv()).await {
            Ok(Some(message)) => message,
            Ok(None) => return,
            Err(_elapsed) => {
                ChannelMessage { topic: Topic::Heartbeat, tag: CredentialTag::default(), body: String::new() }
            }
        };
        let Some(inner) = inner.upgrade() else { return };
        let is_published = inner.publish(&message).await;
        if is_published {
            retry_unpublished(&inner, &mut unpublished).await;
        }
        let is_heartbeat = message.topic == Topic::Heartbeat;
        let is_required = message.topic == Topic::Invalidations;
        let has_room = unpublished.len() < OUTBOX_CAPACITY && !unpublished.contains(&message);
        if !is_published && is_required && has_room {
            unpublished.push_back(message);
        }
        let delay = if unpublished.is_empty() { HEARTBEAT_INTERVAL } else { RETRY_DELAY };
        let next = Instant::now() + delay;
        next_heartbeat = if is_published || is_heartbeat { next } else { next_heartbeat.min(next) };
    }
}

/// Publishes messages that failed before, until one fails again.
async fn retry_unpublished(inner: &Arc<StoreClient>, unpublished: &mut VecDeque<ChannelMessage>) {
    while let Some(message) = unpublished.front() {
        if !inner.publish(message).await {
            return;
        }
        unpublished.pop_front();
    }
}

/// Subscribers within this process, by topic.
#[derive(Clone)]
struct Subscribers {
    invalidations: broadcast::Sender<ChannelEvent>,
    quota: broadcast::Sender<ChannelEvent>,
}

impl Subscribers {
    /// Sends an event to the subscribers of its topic, if there are any.
    fn dispatch(&self, event: ChannelEvent) {
        match &event {
            ChannelEvent::Gap => {
                let _ = self.invalidations.send(ChannelEvent::Gap);
                let _ = self.quota.send(ChannelEvent::Gap);
            }
            ChannelEvent::Message { message, .. } => {
                let _ = match message.topic {
                    Topic::Invalidations => self.invalidations.send(event),
                    Topic::Quota => self.quota.send(event),
                    Topic::Heartbeat => return,
                };
            }
        }
    }
}

/// Receives messages until this replica ends; subscribes again when the connection is lost.
async fn receive_all(inner: Weak<StoreClient>, subscribers: Subscribers) {
    loop {
        let Some(mut unavailable) = inner.upgrade().map(|inner| inner.availability.subscribe()) else {
            return;
        };
        if unavailable.wait_for(|is_unavailable| !is_unavailable).await.is_err() {
            return;
        }
        let Some(alive) = inner.upgrade() else { return };
        let (replica_id, messages) = (Arc::<str>::from(alive.replica_id.as_str()), alive.subscribe().await);
        drop(alive);
        if let Some(messages) = messages {
            subscribers.dispatch(ChannelEvent::Gap);
            receive(messages, &replica_id, &subscribers).await;
        }
        tokio::time::sleep(RETRY_DELAY).await;
    }
}

/// Receives messages until the stream ends, or this replica's own heartbeats fail to arrive.
async fn receive(mut messages: Messages, replica_id: &str, subscribers: &Subscribers) {
    let mut deadline = Instant::now() + SILENCE_MAX;
    while let Ok(Some(bytes)) = timeout_at(deadline, messages.next()).await {
        let Some((from, message)) = decode(&bytes) else { continue };
        if &*from == replica_id {
            deadline = Instant::now() + SILENCE_MAX;
        } else {
            subscribers.dispatch(ChannelEvent::Message { from, message: Arc::new(message) });
        }
    }
}

/// Decodes a message; `None` for another format or version.
fn decode(bytes: &[u8]) -> Option<(Arc<str>, ChannelMessage)> {
    let message = serde_json::from_slice(bytes).ok();
    let wire: WireMessage = message.filter(|wire: &WireMessage| wire.version == VERSION)?;
    let tag = URL_SAFE_NO_PAD.decode(wire.tag).ok()?.try_into().ok()?;
    Some((wire.from.into(), ChannelMessage { topic: wire.topic, tag, body: wire.body }))
}
