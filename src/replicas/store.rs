//! Contract of the shared store: the operations that Switchboard needs from Redis.
//!
//! Keys and values are opaque here. An implementation has no timeouts: its caller bounds the wait and then drops the
//! future. Tests use an implementation in memory, on the paused clock.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use super::quota::{QuotaExchange, QuotaReply};

/// Reason why a command failed. The server's own text is discarded, because it can quote keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no connection, or it broke.
    #[error("the store is unreachable")]
    Unreachable,
    /// The server rejects the user name or password.
    #[error("the store rejects the user name or password")]
    Unauthenticated,
    /// The server returned an error: it is full, permits too little, or has a value of another type there.
    #[error("the store refused the command")]
    Refused,
}

/// A key with its value and lifetime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Key.
    pub key: String,
    /// Value.
    pub value: Vec<u8>,
    /// Lifetime, at least a millisecond.
    pub ttl: Duration,
}

/// Messages of a channel; the stream ends when the connection is lost.
pub type Messages = BoxStream<'static, Vec<u8>>;

/// A store that replicas share.
pub trait Store: Send + Sync + 'static {
    /// Returns the values of some keys, in their order (MGET); `None` for a missing key or a value of another type.
    fn get(&self, keys: Vec<String>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>, StoreError>>;

    /// Writes all entries in one round trip (SET PX, pipelined).
    fn set(&self, entries: Vec<Entry>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Writes an entry if its key is missing (SET NX PX); returns whether it was written.
    fn set_if_absent(&self, entry: Entry) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Resets the lifetime of an entry if its value is unchanged; returns whether it is.
    fn extend(&self, entry: Entry) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Removes a key if its value is unchanged.
    fn remove(&self, key: String, value: Vec<u8>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Applies an exchange of a quota's state at once, and returns the state afterwards (EVAL).
    fn exchange_quota(&self, exchange: QuotaExchange) -> BoxFuture<'_, Result<QuotaReply, StoreError>>;

    /// Publishes a message to all subscribers of a channel (PUBLISH).
    fn publish(&self, channel: String, message: Vec<u8>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Subscribes to a channel (SUBSCRIBE). Messages arrive from the completion of this call until the connection is
    /// lost.
    fn subscribe(&self, channel: String) -> BoxFuture<'_, Result<Messages, StoreError>>;

    /// Checks that the store responds (PING).
    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}
