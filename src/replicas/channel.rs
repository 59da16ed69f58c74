//! Messages between replicas, over one channel of the store: invalidations of cached values.
//!
//! Each replica also publishes heartbeats and expects to receive its own: this detects a half-open connection over any
//! store. A subscriber that was disconnected receives [`ChannelEvent::Gap`], because it may have missed messages.

use std::sync::{Arc, Weak};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use super::stats::CommandKind;
use super::store::Messages;
use super::store_client::StoreClient;

/// Identifier of a credential among replicas. It is derived from the credential's fingerprint, which it does not
/// reveal.
pub type CredentialTag = [u8; 16];

/// A message to the other replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelMessage {
    /// Credential that it concerns.
    pub tag: CredentialTag,
    /// Content.
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

/// Interval of heartbeats. Shorter would be costly, as each replica receives all of them.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);

/// Time without any of this replica's own messages after which a connection counts as dead. One heartbeat may be lost.
const SILENCE_MAX: Duration = Duration::from_secs(11);

/// Delay before another attempt to subscribe.
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// Timeout of a subscription. It has its own connection, and no request waits for it.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Messages that wait for each local subscriber; a slower one lags.
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

/// Subject of a message.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Topic {
    /// Cached values of a credential are invalid.
    #[serde(rename = "drops")]
    Invalidations,
    /// Heartbeat of a replica.
    #[serde(rename = "life")]
    Heartbeat,
}

const VERSION: u32 = 1;

/// One replica's end of the channel. Its tasks end when it is dropped.
pub(super) struct Channel {
    subscribers: broadcast::Sender<ChannelEvent>,
    tasks: [AbortHandle; 2],
}

impl Channel {
    pub(super) fn start(inner: &Arc<StoreClient>) -> Self {
        let subscribers = broadcast::Sender::new(INBOX_CAPACITY);
        let heartbeats = tokio::spawn(publish_heartbeats(Arc::downgrade(inner)));
        let receiver = tokio::spawn(receive_all(Arc::downgrade(inner), subscribers.clone()));
        Self { subscribers, tasks: [heartbeats.abort_handle(), receiver.abort_handle()] }
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<ChannelEvent> {
        self.subscribers.subscribe()
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
    pub(super) async fn publish(self: &Arc<Self>, topic: Topic, message: &ChannelMessage) -> bool {
        let message = WireMessage {
            version: VERSION,
            from: self.replica_id.clone(),
            topic,
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

/// Publishes heartbeats until this replica ends.
async fn publish_heartbeats(inner: Weak<StoreClient>) {
    let heartbeat = ChannelMessage { tag: CredentialTag::default(), body: String::new() };
    while let Some(inner) = inner.upgrade() {
        inner.publish(Topic::Heartbeat, &heartbeat).await;
        drop(inner);
        tokio::time::sleep(HEARTBEAT_INTERVAL).await;
    }
}

/// Receives messages until this replica ends; subscribes again when the connection is lost.
async fn receive_all(inner: Weak<StoreClient>, subscribers: broadcast::Sender<ChannelEvent>) {
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
            let _ = subscribers.send(ChannelEvent::Gap);
            receive(messages, &replica_id, &subscribers).await;
        }
        tokio::time::sleep(RETRY_DELAY).await;
    }
}

/// Receives messages until the stream ends, or this replica's own heartbeats fail to arrive.
async fn receive(mut messages: Messages, replica_id: &str, subscribers: &broadcast::Sender<ChannelEvent>) {
    let mut deadline = Instant::now() + SILENCE_MAX;
    while let Ok(Some(bytes)) = timeout_at(deadline, messages.next()).await {
        let Some((from, topic, message)) = decode(&bytes) else { continue };
        if &*from == replica_id {
            deadline = Instant::now() + SILENCE_MAX;
        } else if topic == Topic::Invalidations {
            // Fails if there is no subscriber.
            let _ = subscribers.send(ChannelEvent::Message { from, message: Arc::new(message) });
        }
    }
}

/// Decodes a message; `None` for another format or version.
fn decode(bytes: &[u8]) -> Option<(Arc<str>, Topic, ChannelMessage)> {
    let message = serde_json::from_slice(bytes).ok();
    let wire: WireMessage = message.filter(|wire: &WireMessage| wire.version == VERSION)?;
    let tag = URL_SAFE_NO_PAD.decode(wire.tag).ok()?.try_into().ok()?;
    Some((wire.from.into(), wire.topic, ChannelMessage { tag, body: wire.body }))
}
