//! An in-memory store with the contract of Redis, for tests with a paused clock.
//!
//! A [`MemoryStore`] is one replica's connection to a server. [`MemoryStore::another_connection`] is another
//! replica's connection to the same server. A connection can fail on demand and records its commands. A slow
//! command is executed at once and only its response is delayed, as on a real server.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream;
use switchboard::replicas::quota::{CALLS_MAX, QuotaExchange, QuotaReply};
use switchboard::replicas::store::{Entry, Messages, Store, StoreError};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The behaviour of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Normally.
    Well,
    /// There is no connection, and subscriptions have ended.
    Away,
    /// Every command returns an error.
    Refusing,
    /// Writes return an error, reads work.
    Full,
    /// Every command is executed, and its response arrives after this time.
    Slow(Duration),
}

/// A command that was sent over a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Get(Vec<String>),
    Set(Vec<Entry>),
    SetIfAbsent(Entry),
    Extend(Entry),
    Remove(String),
    Quota(QuotaExchange),
    Publish(Vec<u8>),
    Subscribe,
    Ping,
}

/// One connection to an in-memory server. Clones share the connection.
#[derive(Clone)]
pub(crate) struct MemoryStore {
    server: Arc<Mutex<Server>>,
    line: Arc<Mutex<Connection>>,
}

#[derive(Default)]
struct Server {
    entries: BTreeMap<String, (Vec<u8>, Instant)>,
    quotas: BTreeMap<String, (QuotaState, Instant)>,
    listeners: Vec<Listener>,
}

/// The state of a credential's quota. Calls and replicas have the time until which they count.
#[derive(Default)]
struct QuotaState {
    reply: QuotaReply,
    minute: BTreeMap<String, u64>,
    unconfirmed: BTreeMap<String, u64>,
    replicas: BTreeMap<String, u64>,
}

struct Connection {
    behaviour: Behaviour,
    commands: Vec<Command>,
}

struct Listener {
    line: Arc<Mutex<Connection>>,
    channel: String,
    messages: mpsc::UnboundedSender<Vec<u8>>,
    is_half_open: bool,
}

impl MemoryStore {
    pub(crate) fn new() -> Self {
        Self { server: Arc::default(), line: Connection::new() }
    }

    /// Another replica's connection to the same server.
    pub(crate) fn another_connection(&self) -> Self {
        Self { server: Arc::clone(&self.server), line: Connection::new() }
    }

    /// Sets the behaviour from now on.
    pub(crate) fn set_behaviour(&self, behaviour: Behaviour) {
        lock(&self.line).behaviour = behaviour;
        if behaviour == Behaviour::Away {
            self.lose_subscriptions();
        }
    }

    /// Ends the subscriptions of this connection. It can subscribe again.
    pub(crate) fn lose_subscriptions(&self) {
        lock(&self.server).listeners.retain(|listener| !Arc::ptr_eq(&listener.line, &self.line));
    }

    /// Silences the subscriptions of this connection without ending them. It can subscribe again.
    pub(crate) fn half_open_subscriptions(&self) {
        for listener in &mut lock(&self.server).listeners {
            listener.is_half_open |= Arc::ptr_eq(&listener.line, &self.line);
        }
    }

    /// A restart without persistence, for all connections: the data is gone and subscriptions have ended.
    pub(crate) fn restart_empty(&self) {
        *lock(&self.server) = Server::default();
    }

    /// The commands sent over this connection, failed or not.
    pub(crate) fn commands(&self) -> Vec<Command> {
        lock(&self.line).commands.clone()
    }

    /// The current entries of the server.
    pub(crate) fn entries(&self) -> BTreeMap<String, Vec<u8>> {
        let server = lock(&self.server);
        let standing = |key: &String| Some((key.clone(), server.stored(key)?.clone()));
        server.entries.keys().filter_map(standing).collect()
    }

    /// Stores a value as another client would, for a day.
    pub(crate) fn put(&self, key: &str, value: &[u8]) {
        let until = Instant::now() + Duration::from_secs(86_400);
        lock(&self.server).entries.insert(key.to_owned(), (value.to_vec(), until));
    }

    /// The keys of all quotas, with their values.
    pub(crate) fn quotas(&self) -> BTreeMap<String, Vec<u8>> {
        let server = lock(&self.server);
        server.quotas.iter().map(|(key, (state, _))| (key.clone(), state.reply.value.clone())).collect()
    }

    /// Changes the value of a quota as another version would.
    pub(crate) fn put_quota(&self, key: &str, value: &[u8]) {
        lock(&self.server).quotas.get_mut(key).unwrap().0.reply.value = value.to_vec();
    }

    fn answer<'a, T: Send + 'a>(
        &'a self,
        command: Command,
        act: impl FnOnce(&mut Server) -> T + Send + 'a,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        async move {
            let writes = matches!(command, Command::Set(_) | Command::SetIfAbsent(_) | Command::Quota(_));
            let behaviour = {
                let mut line = lock(&self.line);
                line.commands.push(command);
                line.behaviour
            };
            let act = || act(&mut lock(&self.server));
            match behaviour {
                Behaviour::Away => Err(StoreError::Unreachable),
                Behaviour::Refusing => Err(StoreError::Refused),
                Behaviour::Full if writes => Err(StoreError::Refused),
                Behaviour::Well | Behaviour::Full => Ok(act()),
                Behaviour::Slow(delay) => {
                    let answer = act();
                    tokio::time::sleep(delay).await;
                    Ok(answer)
                }
            }
        }
        .boxed()
    }
}

impl Store for MemoryStore {
    fn get(&self, keys: Vec<String>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>, StoreError>> {
        self.answer(Command::Get(keys.clone()), move |server| {
            keys.iter().map(|key| server.stored(key).cloned()).collect()
        })
    }

    fn set(&self, entries: Vec<Entry>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.answer(Command::Set(entries.clone()), move |server| {
            for entry in entries {
                server.put(entry);
            }
        })
    }

    fn set_if_absent(&self, entry: Entry) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.answer(Command::SetIfAbsent(entry.clone()), move |server| {
            let is_absent = server.stored(&entry.key).is_none();
            if is_absent {
                server.put(entry);
            }
            is_absent
        })
    }

    fn extend(&self, entry: Entry) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.answer(Command::Extend(entry.clone()), move |server| {
            let is_same = server.holds(&entry.key, &entry.value);
            if is_same {
                server.put(entry);
            }
            is_same
        })
    }

    fn remove(&self, key: String, value: Vec<u8>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.answer(Command::Remove(key.clone()), move |server| {
            if server.holds(&key, &value) {
                server.entries.remove(&key);
            }
        })
    }

    fn exchange_quota(&self, exchange: QuotaExchange) -> BoxFuture<'_, Result<QuotaReply, StoreError>> {
        self.answer(Command::Quota(exchange.clone()), move |server| {
            let now = Instant::now();
            server.quotas.retain(|_, (_, until)| now < *until);
            let (state, until) =
                server.quotas.entry(exchange.key.clone()).or_insert((QuotaState::default(), now));
            *until = now + exchange.ttl;
            state.exchange(exchange)
        })
    }

    fn publish(&self, channel: String, message: Vec<u8>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.answer(Command::Publish(message.clone()), move |server| {
            server.listeners.retain(|listener| !listener.messages.is_closed());
            for listener in &server.listeners {
                if listener.channel == channel && !listener.is_half_open {
                    let _ = listener.messages.send(message.clone());
                }
            }
        })
    }

    fn subscribe(&self, channel: String) -> BoxFuture<'_, Result<Messages, StoreError>> {
        self.answer(Command::Subscribe, move |server| {
            let (messages, heard) = mpsc::unbounded_channel();
            let line = Arc::clone(&self.line);
            server.listeners.push(Listener { line, channel, messages, is_half_open: false });
            stream::unfold(heard, |mut heard| async { heard.recv().await.map(|message| (message, heard)) })
                .boxed()
        })
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.answer(Command::Ping, |_| ())
    }
}

impl QuotaState {
    fn exchange(&mut self, exchange: QuotaExchange) -> QuotaReply {
        let Self { reply, minute, unconfirmed, replicas } = self;
        minute.retain(|_, until| *until > exchange.expired_before);
        replicas.retain(|_, until| *until > exchange.expired_before);
        let before = unconfirmed.len();
        unconfirmed.retain(|_, until| *until > exchange.expired_before);
        reply.lost += (before - unconfirmed.len()) as u64;
        reply.tick = exchange.now.max(reply.tick + 1);
        replicas.insert(exchange.replica, exchange.replica_until);
        for call in exchange.calls {
            if call.minute_until == 0 {
                reply.sent -= u64::from(minute.remove(&call.id).is_some());
            } else {
                reply.sent += u64::from(minute.insert(call.id.clone(), call.minute_until).is_none());
            }
            if call.unconfirmed_until == 0 {
                unconfirmed.remove(&call.id);
            } else {
                unconfirmed.insert(call.id, call.unconfirmed_until);
            }
        }
        let write = exchange.write.filter(|write| reply.version == 0 || reply.version == write.version);
        reply.is_accepted = write.is_some();
        if let Some(write) = write {
            (reply.version, reply.value) = (reply.version + 1, write.value);
        }
        reply.replicas = replicas.len() as u64;
        (reply.minute, reply.unconfirmed) = (latest(minute), latest(unconfirmed));
        reply.clone()
    }
}

/// The latest calls, in the order of their times.
fn latest(calls: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let mut calls: Vec<_> = calls.iter().map(|(id, until)| (id.clone(), *until)).collect();
    calls.sort_by_key(|(id, until)| (*until, id.clone()));
    calls.split_off(calls.len().saturating_sub(CALLS_MAX))
}

impl Server {
    fn stored(&self, key: &str) -> Option<&Vec<u8>> {
        let now = Instant::now();
        self.entries.get(key).filter(|(_, until)| now < *until).map(|(value, _)| value)
    }

    fn put(&mut self, entry: Entry) {
        self.entries.insert(entry.key, (entry.value, Instant::now() + entry.ttl));
    }

    fn holds(&self, key: &str, value: &[u8]) -> bool {
        self.stored(key).is_some_and(|stored| stored == value)
    }
}

impl Connection {
    fn new() -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { behaviour: Behaviour::Well, commands: Vec::new() }))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}
