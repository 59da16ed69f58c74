//! Sign-ins that have started, by the token of their link.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::tenants::Tenant;

/// A sign-in that has started.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) tenant: Tenant,
    pub(super) account_id: String,
    pub(super) callback_url: Option<String>,
    pub(super) expires_at: Timestamp,
}

/// Unused links by token.
#[derive(Default)]
pub(super) struct Links {
    unused: Mutex<HashMap<String, Link>>,
    count: AtomicU64,
}

impl Links {
    pub(super) fn add(&self, token: String, link: Link) {
        self.unused.lock().unwrap_or_else(PoisonError::into_inner).insert(token, link);
    }

    pub(super) fn next_number(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn get(&self, token: &str) -> Option<Link> {
        self.unused.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    pub(super) fn take(&self, token: &str) -> Option<Link> {
        self.unused.lock().unwrap_or_else(PoisonError::into_inner).remove(token)
    }
}
