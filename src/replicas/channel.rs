//! What replicas tell one another.
//!
//! One channel of the store carries all topics. Each replica also tells that it lives, and expects to hear itself: a
//! connection that is only half there is noticed by that, over any store. Whoever was not connected for a while is told
//! that it may have missed something, and looks for itself. What others must not miss ([`Topic::Drops`]) and could not be
//! told, as the store was away from here and perhaps not from there, is told when it is back; it may be told twice.

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

use super::Shared;
use super::counts::Task;
use super::store::Messages;

/// What a credential is called among replicas: derived from its fingerprint, which it does not tell.
pub type Tag = [u8; 16];

/// What news are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// Everything of a credential is to be read again, or shown no more.
    Drops,
    /// Calls that left, and what their answers told of the quota.
    Quota,
    /// A replica lives; for the channel itself.
    Life,
}

/// What one replica tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// About what.
    pub topic: Topic,
    /// Of which credential.
    pub tag: Tag,
    /// In the words of the topic.
    pub body: String,
}

/// What a replica hears of the others.
#[derive(Debug, Clone)]
pub enum Heard {
    /// Another's news, and which replica's.
    News {
        /// Whose.
        from: Arc<str>,
        /// What.
        news: Arc<News>,
    },
    /// It listens since now, and may have missed something before. A receiver that lags (`RecvError::Lagged`) has, too.
    Missed,
}

/// How often a replica tells that it lives, where it tells nothing else, and after which silence its connection is taken for
/// lost: two signs of life may go astray. Shorter would be costly for all, as each hears the others' too.
const LIFE: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(11);

/// How long after a failure it is tried to listen or to tell again.
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// How long it may take to listen: that is a connection of its own, and no request waits for it.
const LISTENING_WITHIN: Duration = Duration::from_secs(2);

/// How many news wait to be told; those beyond are lost.
const OUTBOX: usize = 4_096;

/// How many news wait for those who listen here; whoever is slower lags.
const INBOX: usize = 4_096;

/// The form in which news go over the channel.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    version: u32,
    from: String,
    topic: Topic,
    tag: String,
    body: String,
}

const VERSION: u32 = 1;

/// The channel as one replica has it; it ends when this is dropped.
pub(super) struct Channel {
    outbox: mpsc::Sender<News>,
    drops: broadcast::Sender<Heard>,
    quota: broadcast::Sender<Heard>,
    tasks: [AbortHandle; 2],
}

impl Channel {
    pub(super) fn start(shared: &Arc<Shared>) -> Self {
        let (outbox, waiting) = mpsc::channel(OUTBOX);
        let (drops, quota) = (broadcast::Sender::new(INBOX), broadcast::Sender::new(INBOX));
        let telling = tokio::spawn(tell(Arc::downgrade(shared), waiting));
        let ears = Ears { drops: drops.clone(), quota: quota.clone() };
        let listening = tokio::spawn(listen(Arc::downgrade(shared), ears));
        Self { outbox, drops, quota, tasks: [telling.abort_handle(), listening.abort_handle()] }
    }

    pub(super) fn tell(&self, news: News) {
        // Full: the store is away or slower than the news, and whoever depends on them looks for itself later.
        let _ = self.outbox.try_send(news);
    }

    pub(super) fn listen(&self, topic: Topic) -> broadcast::Receiver<Heard> {
        match topic {
            Topic::Quota => self.quota.subscribe(),
            Topic::Drops | Topic::Life => self.drops.subscribe(),
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

impl Shared {
    fn channel(&self) -> String {
        format!("{}:{VERSION}:news", self.settings.key_prefix)
    }

    /// Says whether it was told.
    pub(super) async fn publish(self: &Arc<Self>, news: &News) -> bool {
        let form = Form {
            version: VERSION,
            from: self.own.clone(),
            topic: news.topic,
            tag: URL_SAFE_NO_PAD.encode(news.tag),
            body: news.body.clone(),
        };
        let Ok(message) = serde_json::to_vec(&form) else { return false };
        self.ask(Task::Publish, |store| store.publish(self.channel(), message)).await.is_some()
    }

    async fn subscribe(&self) -> Option<Messages> {
        let subscribing = self.store.subscribe(self.channel());
        // Where it fails the store is not taken for away: commands see that for themselves, and sooner.
        self.counted(Task::Subscribe, LISTENING_WITHIN, subscribing).await.ok()
    }
}

/// Tells what waits in the outbox, and in between that this replica lives.
async fn tell(shared: Weak<Shared>, mut waiting: mpsc::Receiver<News>) {
    let (mut next_life, mut owed) = (Instant::now(), VecDeque::new());
    loop {
        let news = match timeout_at(next_life, waiting.recv()).await {
            Ok(Some(news)) => news,
            Ok(None) => return,
            Err(_elapsed) => News { topic: Topic::Life, tag: Tag::default(), body: String::new() },
        };
        let Some(shared) = shared.upgrade() else { return };
        let is_told = shared.publish(&news).await;
        if is_told {
            settle(&shared, &mut owed).await;
        }
        let is_of_life = news.topic == Topic::Life;
        if !is_told && news.topic == Topic::Drops && owed.len() < OUTBOX && !owed.contains(&news) {
            owed.push_back(news);
        }
        let again = Instant::now() + if owed.is_empty() { LIFE } else { AGAIN_AFTER };
        next_life = if is_told || is_of_life { again } else { next_life.min(again) };
    }
}

/// Tells what could not be told before, as far as it can be now.
async fn settle(shared: &Arc<Shared>, owed: &mut VecDeque<News>) {
    while let Some(news) = owed.front() {
        if !shared.publish(news).await {
            return;
        }
        owed.pop_front();
    }
}

/// Those who listen here.
struct Ears {
    drops: broadcast::Sender<Heard>,
    quota: broadcast::Sender<Heard>,
}

impl Ears {
    /// Nobody may be listening: that is no failure.
    fn hear(&self, heard: Heard) {
        match &heard {
            Heard::Missed => {
                let _ = self.drops.send(Heard::Missed);
                let _ = self.quota.send(Heard::Missed);
            }
            Heard::News { news, .. } => {
                let _ = match news.topic {
                    Topic::Drops => self.drops.send(heard),
                    Topic::Quota => self.quota.send(heard),
                    Topic::Life => return,
                };
            }
        }
    }
}

/// Listens for as long as this replica lives, and again where the connection is lost.
async fn listen(shared: Weak<Shared>, ears: Ears) {
    loop {
        let Some(mut away) = shared.upgrade().map(|shared| shared.away.watch()) else { return };
        if away.wait_for(|is_away| !is_away).await.is_err() {
            return;
        }
        let Some(held) = shared.upgrade() else { return };
        let (own, messages) = (Arc::<str>::from(held.own.as_str()), held.subscribe().await);
        drop(held);
        if let Some(messages) = messages {
            ears.hear(Heard::Missed);
            hear_all(messages, &own, &ears).await;
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

/// Until the stream ends, or this replica no longer hears itself.
async fn hear_all(mut messages: Messages, own: &str, ears: &Ears) {
    let mut until = Instant::now() + SILENCE;
    while let Ok(Some(message)) = timeout_at(until, messages.next()).await {
        let Some((from, news)) = read(&message) else { continue };
        if &*from == own {
            until = Instant::now() + SILENCE;
        } else {
            ears.hear(Heard::News { from, news: Arc::new(news) });
        }
    }
}

/// What is not in this form, or of another version, is nobody's news.
fn read(message: &[u8]) -> Option<(Arc<str>, News)> {
    let form: Form = serde_json::from_slice(message).ok().filter(|form: &Form| form.version == VERSION)?;
    let tag = URL_SAFE_NO_PAD.decode(form.tag).ok()?.try_into().ok()?;
    Some((form.from.into(), News { topic: form.topic, tag, body: form.body }))
}
