//! A store in memory, of the same contract as Redis: what tests on the paused clock share.
//!
//! A [`MemoryStore`] is one replica's line to a server; [`MemoryStore::another_line`] is another replica's to the same one.
//! A line can be made to fail on demand and tells which commands came over it. What is slow is done all the same, and only
//! answered late, as a server does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream;
use switchboard::replicas::store::{Entry, Messages, Store, StoreError};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How a line serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serves {
    /// As it should.
    Well,
    /// There is no connection; what was subscribed has ended too.
    Away,
    /// Every command is answered by an error.
    Refusing,
    /// Commands that write are answered by an error, the others as they should be.
    Full,
    /// Every command is done, and answered after that time.
    Slow(Duration),
}

/// What came over a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Get(Vec<String>),
    Set(Vec<Entry>),
    SetIfAbsent(Entry),
    Extend(Entry),
    Remove(String),
    Publish(Vec<u8>),
    Subscribe,
    Ping,
}

/// One line to a server in memory; its clones are the same line.
#[derive(Clone)]
pub(crate) struct MemoryStore {
    server: Arc<Mutex<Server>>,
    line: Arc<Mutex<Line>>,
}

#[derive(Default)]
struct Server {
    entries: BTreeMap<String, (Vec<u8>, Instant)>,
    listeners: Vec<Listener>,
}

struct Line {
    serves: Serves,
    commands: Vec<Command>,
}

struct Listener {
    line: Arc<Mutex<Line>>,
    channel: String,
    messages: mpsc::UnboundedSender<Vec<u8>>,
    is_half_open: bool,
}

impl MemoryStore {
    pub(crate) fn new() -> Self {
        Self { server: Arc::default(), line: Line::new() }
    }

    /// Another replica's line to the same server.
    pub(crate) fn another_line(&self) -> Self {
        Self { server: Arc::clone(&self.server), line: Line::new() }
    }

    /// From now on.
    pub(crate) fn serve(&self, serves: Serves) {
        lock(&self.line).serves = serves;
        if serves == Serves::Away {
            self.lose_subscriptions();
        }
    }

    /// What was subscribed over this line ends; it can subscribe again.
    pub(crate) fn lose_subscriptions(&self) {
        lock(&self.server).listeners.retain(|listener| !Arc::ptr_eq(&listener.line, &self.line));
    }

    /// What was subscribed over this line hears nothing any more, and does not end; it can subscribe again.
    pub(crate) fn half_open_subscriptions(&self) {
        for listener in &mut lock(&self.server).listeners {
            listener.is_half_open |= Arc::ptr_eq(&listener.line, &self.line);
        }
    }

    /// As after a restart without persistence, for all lines: nothing is there, and what was subscribed has ended.
    pub(crate) fn restart_empty(&self) {
        *lock(&self.server) = Server::default();
    }

    /// What has come over this line, failed or not.
    pub(crate) fn commands(&self) -> Vec<Command> {
        lock(&self.line).commands.clone()
    }

    /// What stands in the server, now.
    pub(crate) fn entries(&self) -> BTreeMap<String, Vec<u8>> {
        let server = lock(&self.server);
        let standing = |key: &String| Some((key.clone(), server.stands(key)?.clone()));
        server.entries.keys().filter_map(standing).collect()
    }

    /// Puts something into the server, as if another had; for a day.
    pub(crate) fn put(&self, key: &str, value: &[u8]) {
        let until = Instant::now() + Duration::from_secs(86_400);
        lock(&self.server).entries.insert(key.to_owned(), (value.to_vec(), until));
    }

    fn answer<'a, T: Send + 'a>(
        &'a self,
        command: Command,
        act: impl FnOnce(&mut Server) -> T + Send + 'a,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        async move {
            let writes = matches!(command, Command::Set(_) | Command::SetIfAbsent(_));
            let serves = {
                let mut line = lock(&self.line);
                line.commands.push(command);
                line.serves
            };
            let act = || act(&mut lock(&self.server));
            match serves {
                Serves::Away => Err(StoreError::Unreachable),
                Serves::Refusing => Err(StoreError::Refused),
                Serves::Full if writes => Err(StoreError::Refused),
                Serves::Well | Serves::Full => Ok(act()),
                Serves::Slow(delay) => {
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
            keys.iter().map(|key| server.stands(key).cloned()).collect()
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
            let is_absent = server.stands(&entry.key).is_none();
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

impl Server {
    fn stands(&self, key: &str) -> Option<&Vec<u8>> {
        let now = Instant::now();
        self.entries.get(key).filter(|(_, until)| now < *until).map(|(value, _)| value)
    }

    fn put(&mut self, entry: Entry) {
        self.entries.insert(entry.key, (entry.value, Instant::now() + entry.ttl));
    }

    fn holds(&self, key: &str, value: &[u8]) -> bool {
        self.stands(key).is_some_and(|stands| stands == value)
    }
}

impl Line {
    fn new() -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { serves: Serves::Well, commands: Vec::new() }))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}
