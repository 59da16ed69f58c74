//! One change of an object, as two polls saw it.

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

/// One change, as a poll saw it.
#[derive(Debug, Clone)]
pub struct Change<T> {
    /// What made this layer poll.
    pub cause: ChangeCause,
    /// When it was seen.
    pub at: Timestamp,
    /// How old it is what was seen.
    pub freshness: Freshness,
    /// The object before, and now.
    pub states: Transition<T>,
}
