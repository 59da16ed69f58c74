//! Finds the users of accounts in responses that do not name them.
//!
//! Composio is withdrawing `user_id` from its responses; the filter `user_ids` remains
//! (docs/upstreams.md#composio-changes). If no row of a response names its user and the list was filtered by one user,
//! the rows are that user's. If it was filtered by several users, the rows of the page are requested again for each
//! user alone: the page keeps its order and its cursors. Rejected: merging the lists of all users, whose cursors would
//! have a position in each. Both rely on the filter, so [`Ownership::attribute`] probes it first: a random user id must
//! return no rows, alone and together with the id of an account that exists. The result is kept for an hour per
//! credential. If the filter fails the probe, lists by user fail. Rejected: trusting the filter without a probe,
//! because a filter that is ignored shows one user's accounts to another.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::scan::Scan;
use crate::domain::accounts::SharedAccount;
use crate::domain::bounded_map::BoundedMap;
use crate::domain::clock::Clock;
use crate::domain::credential::Fingerprint;
use crate::domain::filters::{AccountFilter, AccountOrder, FILTER_VALUES_MAX, FilterValues};
use crate::domain::upstream_name::{Composio, UpstreamName};
use crate::upstream::accounts::{AccountPage, AccountsClient};
use crate::upstream::error::{UpstreamError, UpstreamFailure};
use crate::upstream::quota::Purpose;

/// Time for which the result of a probe is used.
const PROBE_TTL: Duration = Duration::from_secs(3_600);

/// Maximum number of concurrent questions for the rows of one user.
const QUESTIONS_AT_ONCE: usize = 16;

/// Maximum number of credentials with state. A credential whose state was evicted is probed again.
const CREDENTIALS_MAX: u64 = 10_000;

/// Whether responses name users, and the result of the last filter probe, by credential.
pub(crate) struct Ownership {
    clock: Clock,
    by_credential: BoundedMap<Fingerprint<Composio>, Arc<CredentialOwnership>>,
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
        Self { clock, by_credential: BoundedMap::with_max_entries(CREDENTIALS_MAX) }
    }

    /// Whether the last response to a credential named no users. If so, the lists of several users cannot be joined.
    pub(crate) fn are_users_hidden(&self, credential: &Fingerprint<Composio>) -> bool {
        self.state_of(credential).are_users_hidden.load(Ordering::Relaxed)
    }

    /// Records that a response to a credential named no users.
    pub(crate) fn record_hidden_users(&self, credential: &Fingerprint<Composio>) {
        self.state_of(credential).are_users_hidden.store(true, Ordering::Relaxed);
    }

    /// Fails without a call if the scan depends on the filter by user and the filter is known to be unreliable.
    pub(super) async fn ensure_users_can_be_determined(&self, scan: &Scan) -> Result<(), UpstreamError> {
        let state = self.state_of(&scan.key.credential);
        if scan.key.filter.user_ids.is_none() || !state.are_users_hidden.load(Ordering::Relaxed) {
            return Ok(());
        }
        match &*state.probe.lock().await {
            Some(probe) if !probe.is_passed && probe.is_current(self.clock) => Err(unreliable()),
            _ => Ok(()),
        }
    }

    /// Adds the users to a page's rows if no row names its user and the scan is filtered by users.
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
        let state = self.state_of(&scan.key.credential);
        state.are_users_hidden.store(!page.names_users, Ordering::Relaxed);
        let Some(users) = scan.key.filter.user_ids.as_ref().filter(|_| !page.names_users) else {
            return Ok(());
        };
        if !state.is_filter_reliable(client, scan, page, purpose, self.clock).await? {
            return Err(unreliable());
        }
        let owners = match users.only() {
            Some(user) => page.items.iter().map(|row| (row.id.clone(), user.into())).collect(),
            None if scan.needs_users => owners(client, scan, users, &page.items, purpose).await?,
            None => Owners::new(),
        };
        // Nothing else refers to these rows: they were just decoded, and rows without users are not shared.
        for account in page.items.iter_mut().filter_map(Arc::get_mut) {
            account.set_user(owners.get(&account.id).cloned());
        }
        Ok(())
    }

    fn state_of(&self, credential: &Fingerprint<Composio>) -> Arc<CredentialOwnership> {
        self.by_credential.get_or_insert_with(credential, Arc::default)
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
        let by_user = AccountFilter { user_ids: Some(user), account_type, ..AccountFilter::default() };
        let with_account = AccountFilter { ids: Some(known), ..by_user.clone() };
        let mut is_passed = true;
        for filter in [by_user, with_account] {
            let credential = &scan.reader.credential;
            let order = AccountOrder::NEWEST_FIRST;
            let found = client.fetch_page(credential, &filter, order, None, 1, purpose).await?;
            is_passed &= found.rows_received == 0;
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

/// Users by account id.
type Owners = HashMap<Box<str>, Box<str>>;

/// Requests the rows of each user alone, until every row has its user. A row without an answer, for example one that
/// was deleted meanwhile, stays without, and so do those beyond
/// [`USER_QUESTIONS_MAX`](crate::loaders::stats::USER_QUESTIONS_MAX).
///
/// # Errors
/// If a question fails, or if a row is returned for two users.
async fn owners(
    client: &AccountsClient,
    scan: &Scan,
    users: &FilterValues,
    rows: &[SharedAccount],
    purpose: Purpose,
) -> Result<Owners, UpstreamError> {
    let (credential, stats) = (&scan.reader.credential, &scan.reader.stats);
    let ids_of = |rows: &[SharedAccount]| {
        let ids: Vec<_> = rows.iter().filter_map(|row| FilterValues::one("ids", &row.id).ok()).collect();
        Some(FilterValues::union(&ids)).filter(|ids| !ids.is_empty())
    };
    let ids: Vec<_> = rows.chunks(FILTER_VALUES_MAX).filter_map(ids_of).collect();
    let questions: Vec<_> = users.iter().flat_map(|user| ids.iter().map(move |ids| (user, ids))).collect();
    let ask = async |(user, ids): (&str, &FilterValues)| {
        let (user_ids, account_type) =
            (FilterValues::one("userIds", user).ok(), scan.key.filter.account_type);
        let filter =
            AccountFilter { user_ids, ids: Some(ids.clone()), account_type, ..AccountFilter::default() };
        let (asked_at, limit) = (Instant::now(), ids.iter().count());
        let found =
            client.fetch_page(credential, &filter, AccountOrder::NEWEST_FIRST, None, limit, purpose).await;
        stats.record_user_question(asked_at, found.as_ref().err());
        Ok::<_, UpstreamError>((Box::<str>::from(user), found?))
    };
    let mut owners = Owners::new();
    for round in questions.chunks(QUESTIONS_AT_ONCE) {
        let allowed = round.iter().copied().take_while(|_| stats.begin_user_question());
        for (user, found) in try_join_all(allowed.map(&ask)).await? {
            for row in found.items {
                let other = owners.insert(row.id.clone(), user.clone());
                if other.is_some_and(|other| other != user) {
                    return Err(unreliable());
                }
            }
        }
        if rows.iter().all(|row| owners.contains_key(&row.id)) {
            break;
        }
    }
    Ok(owners)
}

fn unreliable() -> UpstreamError {
    UpstreamError::new(UpstreamName::Composio, UpstreamFailure::UnknownUsers)
}
