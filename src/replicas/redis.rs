//! The shared store on a server that speaks Redis's protocol (RESP2).
//!
//! [`RedisStore`] needs a single node, not a cluster. It uses MGET, SET (NX, PX), EVAL (to extend or remove an entry
//! whose value is unchanged, and for [`quota`]), PUBLISH, SUBSCRIBE and PING. An ACL user needs permission for these
//! and for the commands in the scripts, on all keys and the channel with the configured prefix. [`server`] opens
//! connections, and [`bounded_replies`] limits the size of their replies. [`connection`] manages the shared one, and
//! [`probe`] checks a server for `switchboard check`.
//!
//! Each command runs in its own task. If its caller has timed out, the task still receives the response. It shows that
//! the connection is slow but not dead; otherwise [`SharedConnection`] would replace it. The server's error texts are
//! discarded, because they can quote keys; the client library is built without logging.
//!
//! Rejected: the library's `ConnectionManager`. It caches a refused password forever, and it uses a dead connection
//! until the kernel closes it, after a quarter of an hour.

mod bounded_replies;
mod connection;
pub mod probe;
mod quota;
mod server;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult, Value, cmd, pipe};

use self::bounded_replies::VALUE_BYTES_MAX;
use self::connection::SharedConnection;
use self::server::{RedisSettingsError, Server};
use super::quota::{QuotaExchange, QuotaReply};
use super::settings::ReplicaSettings;
use super::store::{Entry, Messages, Store, StoreError};

/// Resets the lifetime of a key if its value is unchanged.
const EXTEND: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0";

/// Removes a key if its value is unchanged.
const REMOVE: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// A store on a Redis server. It connects with the first command, and again when the connection is lost.
pub struct RedisStore {
    server: Server,
    connection: Arc<SharedConnection>,
}

impl RedisStore {
    /// Creates the store; the server need not be reachable.
    ///
    /// # Errors
    /// If the URL or the certificate file is invalid.
    pub fn new(settings: &ReplicaSettings) -> Result<Self, RedisSettingsError> {
        let server = Server::new(settings)?;
        Ok(Self { connection: Arc::new(SharedConnection::new(server.clone())), server })
    }

    fn run<T, F>(
        &self,
        command: impl FnOnce(MultiplexedConnection) -> F + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>>
    where
        T: Send + 'static,
        F: Future<Output = RedisResult<T>> + Send,
    {
        let connection = Arc::clone(&self.connection);
        // Spawned at the first poll, so that a future that is never polled sends nothing.
        async move {
            let result = tokio::spawn(async move { connection.run(command).await }).await;
            result.unwrap_or(Err(StoreError::Unreachable))
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

    /// Stores entries. Skips those whose value is longer than a reply may contain ([`VALUE_BYTES_MAX`]), as they could
    /// not be read back. [`Store::set_if_absent`] stores only short values.
    fn set(&self, mut entries: Vec<Entry>) -> BoxFuture<'_, Result<(), StoreError>> {
        entries.retain(|entry| entry.value.len() <= VALUE_BYTES_MAX);
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
            let response: Value = set(&entry).arg("NX").query_async(&mut connection).await?;
            Ok(response != Value::Nil)
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

    fn exchange_quota(&self, exchange: QuotaExchange) -> BoxFuture<'_, Result<QuotaReply, StoreError>> {
        self.run(|mut connection| async move {
            quota::command(&exchange).query_async(&mut connection).await.map(quota::reply)
        })
    }

    fn publish(&self, channel: String, message: Vec<u8>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.run(|mut connection| async move {
            cmd("PUBLISH").arg(channel).arg(message).exec_async(&mut connection).await
        })
    }

    fn subscribe(&self, channel: String) -> BoxFuture<'_, Result<Messages, StoreError>> {
        async move {
            let subscription = async {
                let mut connection = self.server.connect_subscription().await?;
                connection.subscribe(channel).await?;
                Ok(connection.into_on_message())
            };
            let messages = connection::within_timeout(subscription).await?;
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
    u64::try_from(entry.ttl.as_millis()).unwrap_or(u64::MAX).max(1)
}
