//! The store on a server that speaks Redis's protocol (RESP2).
//!
//! It asks little of the server: MGET, SET with NX and PX, EVAL (to extend and to remove a claim that is still one's own),
//! PUBLISH, SUBSCRIBE and PING, on one node; these are what a user of it needs (ACL), on keys and a channel of one prefix.
//!
//! Each command runs in a task of its own: whoever asked may have gone when its answer comes, and it must then still be
//! seen whether the connection lives ([`mod@line`]). The server's own words go nowhere, as they can quote keys; the library
//! is built without all that logs.
//!
//! Not taken: the library's `ConnectionManager`, which keeps a refused password for ever, and a connection on which nothing comes
//! back until the kernel gives it up, after a quarter of an hour.

mod line;
pub mod probe;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use redis::aio::MultiplexedConnection;
use redis::{Client, Cmd, RedisResult, Value, cmd, pipe};

use self::line::{Line, Unfit};
use super::settings::ReplicaSettings;
use super::store::{Entry, Messages, Store, StoreError};

/// Gives a key its time anew, where it still has that value.
const EXTEND: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0";

/// Removes a key, where it still has that value.
const REMOVE: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// A store on a server. It connects when it is first asked, and again when it has to.
pub struct RedisStore {
    client: Client,
    line: Arc<Line>,
}

impl RedisStore {
    /// The store of these settings; the server may be away.
    ///
    /// # Errors
    /// Where the URL is none of a server, or the file of certificates cannot be used.
    pub fn new(settings: &ReplicaSettings) -> Result<Self, Unfit> {
        let client = line::client(settings)?;
        Ok(Self { line: Arc::new(Line::new(client.clone())), client })
    }

    fn run<T, F>(
        &self,
        command: impl FnOnce(MultiplexedConnection) -> F + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>>
    where
        T: Send + 'static,
        F: Future<Output = RedisResult<T>> + Send,
    {
        let line = Arc::clone(&self.line);
        // Spawned when it is first polled, and not for a future that is never asked.
        async move {
            let answered = tokio::spawn(async move { line.run(command).await }).await;
            answered.unwrap_or(Err(StoreError::Unreachable))
        }
        .boxed()
    }
}

impl Store for RedisStore {
    fn get(&self, keys: Vec<String>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>, StoreError>> {
        if keys.is_empty() {
            return async { Ok(Vec::new()) }.boxed();
        }
        self.run(|mut connection| async move { cmd("MGET").arg(keys).query_async(&mut connection).await })
    }

    fn set(&self, entries: Vec<Entry>) -> BoxFuture<'_, Result<(), StoreError>> {
        if entries.is_empty() {
            return async { Ok(()) }.boxed();
        }
        self.run(|mut connection| async move {
            let mut all = pipe();
            for entry in &entries {
                all.add_command(set(entry));
            }
            all.exec_async(&mut connection).await
        })
    }

    fn set_if_absent(&self, entry: Entry) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.run(|mut connection| async move {
            let answer: Value = set(&entry).arg("NX").query_async(&mut connection).await?;
            Ok(answer != Value::Nil)
        })
    }

    fn extend(&self, entry: Entry) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.run(|mut connection| async move {
            let mut script = cmd("EVAL");
            script.arg(EXTEND).arg(1).arg(&entry.key).arg(&entry.value).arg(milliseconds(&entry));
            script.query_async(&mut connection).await
        })
    }

    fn remove(&self, key: String, value: Vec<u8>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.run(|mut connection| async move {
            cmd("EVAL").arg(REMOVE).arg(1).arg(key).arg(value).exec_async(&mut connection).await
        })
    }

    fn publish(&self, channel: String, message: Vec<u8>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.run(|mut connection| async move {
            cmd("PUBLISH").arg(channel).arg(message).exec_async(&mut connection).await
        })
    }

    fn subscribe(&self, channel: String) -> BoxFuture<'_, Result<Messages, StoreError>> {
        async move {
            let subscribing = async {
                let mut connection = self.client.get_async_pubsub().await?;
                connection.subscribe(channel).await?;
                Ok(connection.into_on_message())
            };
            let messages = line::in_time(subscribing).await?;
            Ok(messages.map(|message| message.get_payload_bytes().to_vec()).boxed())
        }
        .boxed()
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.run(|mut connection| async move { cmd("PING").exec_async(&mut connection).await })
    }
}

fn set(entry: &Entry) -> Cmd {
    let mut set = cmd("SET");
    set.arg(&entry.key).arg(&entry.value).arg("PX").arg(milliseconds(entry));
    set
}

fn milliseconds(entry: &Entry) -> u64 {
    u64::try_from(entry.keep_for.as_millis()).unwrap_or(u64::MAX).max(1)
}
