//! The contract of what replicas share: what Redis does for this layer, and all that is asked of it.
//!
//! Keys and values are opaque here. An implementation has no times of its own but those of entries: whoever asks bounds how
//! long it waits, and drops the future where that is over. In tests it is a map in memory, on the paused clock.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

/// Why a command brought nothing. The server's own words stay behind: they can quote keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no connection, or it broke.
    #[error("the store cannot be reached")]
    Unreachable,
    /// The server does not let this replica in: user or password are not right.
    #[error("the store does not let this replica in")]
    LockedOut,
    /// The server answered with an error: it is full, permits too little, or holds something else there.
    #[error("the store refused the command")]
    Refused,
}

/// What is put into the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Under which key.
    pub key: String,
    /// What.
    pub value: Vec<u8>,
    /// After how long it is forgotten; at least a millisecond.
    pub keep_for: Duration,
}

/// What is told on the channel, as bytes, until the connection is lost.
pub type Messages = BoxStream<'static, Vec<u8>>;

/// A store that replicas share.
pub trait Store: Send + Sync + 'static {
    /// What stands under some keys, in their order (MGET). What is no value there is none.
    fn get(&self, keys: Vec<String>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>, StoreError>>;

    /// Puts all entries, in one round trip (SET PX, pipelined).
    fn set(&self, entries: Vec<Entry>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Puts an entry where there is none (SET NX PX); says whether it did.
    fn set_if_absent(&self, entry: Entry) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Gives an entry its time anew where it still has that value; says whether it has.
    fn extend(&self, entry: Entry) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Removes a key where it still has that value.
    fn remove(&self, key: String, value: Vec<u8>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Tells all who listen on a channel (PUBLISH).
    fn publish(&self, channel: String, message: Vec<u8>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Listens on a channel (SUBSCRIBE), from when this is done until the connection is lost, when the stream ends.
    fn subscribe(&self, channel: String) -> BoxFuture<'_, Result<Messages, StoreError>>;

    /// Asks for a sign of life (PING).
    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}
