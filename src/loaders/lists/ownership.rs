//! Finds the users of accounts in responses that do not name them.
//!
//! Composio is withdrawing `user_id` from its responses; the filter `user_ids` remains
//! (docs/upstreams.md#composio-changes). If no row of a response names its user and the list was filtered by one
//! user, the rows are that user's. This relies on the filter, so [`Ownership::attribute`] probes it first: a random
//! user id must return no rows, alone and together with the id of an account that exists. The result is kept for an
//! hour per credential. If the filter fails the probe, lists by user fail. Rejected: trusting the filter without a
//! probe, because a filter that is ignored shows one user's accounts to another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::scan::Scan;
use crate::domain::clock::Clock;
use crate::domain::credential::Fingerprint;
use crate::domain::filters::{AccountFilter, AccountOrder, FilterValues};
use crate::domain::upstream_name::{Composio, UpstreamName};
use crate::upstream::accounts::{AccountPage, AccountsClient};
use crate::upstream::error::{UpstreamError, UpstreamFailure};
use crate::upstream::quota::Purpose;

/// Time for which the result of a probe is used.
const PROBE_TTL: Duration = Duration::from_secs(3_600);

/// Maximum number of credentials with state. A credential whose state was evicted is probed again.
const CREDENTIALS_MAX: u64 = 10_000;

/// Whether responses name users, and the result of the last filter probe, by credential.
pub(crate) struct Ownership {
    clock: Clock,
    by_credential: moka::sync::Cache<Fingerprint<Composio>, Arc<CredentialOwnership>>,
}

#[derive(Default)]
struct CredentialOwnership {
    /// Whether the last response with rows named no users.
    are_users_hidden: AtomicBool,
    /// The last probe. The lock makes concurrent reads share one probe.
    probe: Mutex<Option<Probe>>,
}

struct Probe {
    at: Instant,
    is_passed: bool,
}

impl Probe {
    fn is_current(&self, clock: Clock) -> bool {
        clock.instant_now().saturating_duration_since(self.at) < PROBE_TTL
    }
}

impl Ownership {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, by_credential: moka::sync::Cache::new(CREDENTIALS_MAX) }
    }

    /// Whether the last response to a credential named no users. If so, the lists of several users cannot be joined.
    pub(crate) fn are_users_hidden(&self, credential: &Fingerprint<Composio>) -> bool {
        self.of(credential).are_users_hidden.load(Ordering::Relaxed)
    }

    /// Records that a response to a credential named no users.
    pub(crate) fn users_are_hidden(&self, credential: &Fingerprint<Composio>) {
        self.of(credential).are_users_hidden.store(true, Ordering::Relaxed);
    }

    /// Fails without a call if the scan depends on the filter by user and the filter is known to be unreliable.
    pub(super) async fn check(&self, scan: &Scan) -> Result<(), UpstreamError> {
        let state = self.of(&scan.key.credential);
        if scan.key.filter.user_ids.is_none() || !state.are_users_hidden.load(Ordering::Relaxed) {
            return Ok(());
        }
        match &*state.probe.lock().await {
            Some(probe) if !probe.is_passed && probe.is_current(self.clock) => Err(unreliable()),
            _ => Ok(()),
        }
    }

    /// Adds the user to a page's rows if no row names its user and the scan is filtered by one user. In a scan of
    /// several users, the rows stay without a user.
    ///
    /// # Errors
    /// If the scan is filtered by users and the filter fails the probe or cannot be probed.
    pub(super) async fn attribute(
        &self,
        client: &AccountsClient,
        scan: &Scan,
        page: &mut AccountPage,
        purpose: Purpose,
    ) -> Result<(), UpstreamError> {
        if page.items.is_empty() {
            return Ok(());
        }
        let state = self.of(&scan.key.credential);
        state.are_users_hidden.store(!page.names_users, Ordering::Relaxed);
        let Some(users) = scan.key.filter.user_ids.as_ref().filter(|_| !page.names_users) else {
            return Ok(());
        };
        if !state.is_filter_reliable(client, scan, page, purpose, self.clock).await? {
            return Err(unreliable());
        }
        if let Some(user) = users.only() {
            // The rows were just decoded, so nothing else refers to them.
            for account in page.items.iter_mut().filter_map(Arc::get_mut) {
                account.user_id = Some(user.into());
            }
        }
        Ok(())
    }

    fn of(&self, credential: &Fingerprint<Composio>) -> Arc<CredentialOwnership> {
        self.by_credential.get_with(*credential, Arc::default)
    }
}

impl CredentialOwnership {
    async fn is_filter_reliable(
        &self,
        client: &AccountsClient,
        scan: &Scan,
        page: &AccountPage,
        purpose: Purpose,
        clock: Clock,
    ) -> Result<bool, UpstreamError> {
        let mut last = self.probe.lock().await;
        if let Some(probe) = &*last
            && probe.is_current(clock)
        {
            return Ok(probe.is_passed);
        }
        let at = clock.instant_now();
        let user = format!("switchboard-probe-{:032x}", fastrand::u128(..));
        let known = page.items.iter().find_map(|account| FilterValues::one("ids", &account.id).ok());
        let (Ok(user), Some(known)) = (FilterValues::one("userIds", &user), known) else {
            return Ok(false);
        };
        // Probes with the scan's own account type. Otherwise an ignored user filter could go unnoticed: the known
        // account might be excluded by its type.
        let account_type = scan.key.filter.account_type;
        let alone = AccountFilter { user_ids: Some(user), account_type, ..AccountFilter::default() };
        let with_account = AccountFilter { ids: Some(known), ..alone.clone() };
        let mut is_passed = true;
        for filter in [alone, with_account] {
            let credential = &scan.reader.credential;
            let order = AccountOrder::NEWEST_FIRST;
            let found = client.fetch_page(credential, &filter, order, None, 1, purpose).await?;
            is_passed &= found.rows_sent == 0;
        }
        if !is_passed {
            tracing::warn!(
                upstream = %UpstreamName::Composio,
                "accounts have no user_id, and the filter user_ids returned accounts of an unknown user: \
                 lists by user fail for an hour, then the filter is probed again"
            );
        }
        *last = Some(Probe { at, is_passed });
        Ok(is_passed)
    }
}

fn unreliable() -> UpstreamError {
    UpstreamError::new(UpstreamName::Composio, UpstreamFailure::UnknownUsers)
}
