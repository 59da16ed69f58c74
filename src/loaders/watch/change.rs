//! A change of an object, as found by comparing two polls.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::accounts::SharedAccount;
use crate::domain::change::{ChangeCause, Transition};
use crate::loaders::cache::freshness::Freshness;
use crate::loaders::lists::providers::ListedProvider;

/// A change of an integration.
pub type ProviderChange = Change<Arc<ListedProvider>>;

/// A change of a connected account.
pub type AccountChange = Change<SharedAccount>;

/// A change, as found by a poll.
#[derive(Debug, Clone)]
pub struct Change<T> {
    /// Cause of the poll.
    pub cause: ChangeCause,
    /// Time of the poll.
    pub at: Timestamp,
    /// Freshness of the data that the poll read.
    pub freshness: Freshness,
    /// The object before and after the change.
    pub states: Transition<T>,
}
