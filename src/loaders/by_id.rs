//! Accounts by their own ids: one list call per 100 of them, whatever mix of fields asks.
//!
//! The list with `connected_account_ids` is used and not get-one, which would be one call each and
//! carries `params`, which are secrets (UPSTREAMS.md A6).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};

use super::cache::{Cache, Weigh};
use super::lists::Lists;
use super::scan::{Reader, Scan};
use super::settings::CacheSettings;
use super::walk::Walk;
use crate::domain::accounts::SharedAccount;
use crate::domain::credential::Fingerprint;
use crate::domain::filters::{AccountFilter, AccountOrder, AccountTypeFilter, FILTER_VALUES_MAX, Values};
use crate::domain::upstream_name::{Composio, UpstreamName};
use crate::domain::view::View;
use crate::upstream::error::{UpstreamError, UpstreamFailure};

/// How long an id that was not found is believed to be missing: an account may be connected at any
/// moment.
const MISSING_TTL: Duration = Duration::from_secs(5);

/// How many credentials are remembered that may not use `account_type`, and for how long.
const REFUSALS_MAX: u64 = 10_000;
const REFUSALS_TTL: Duration = Duration::from_secs(3_600);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct AccountKey {
    credential: Fingerprint<Composio>,
    /// Somebody else's account is missing to a member, for as long as any other: how fast an answer comes must not tell
    /// it from one that does not exist.
    view: View,
    id: Box<str>,
}

/// Accounts by id.
pub struct AccountsById {
    lists: Arc<Lists>,
    accounts: Cache<AccountKey, Option<SharedAccount>>,
    /// Credentials that were refused `account_type`, which is experimental (UPSTREAMS.md A2).
    without_account_type: moka::sync::Cache<Fingerprint<Composio>, ()>,
}

/// What was found; `None` for an id that there is no account of.
pub type Found = HashMap<Box<str>, Result<Option<SharedAccount>, UpstreamError>>;

impl AccountsById {
    /// Accounts by id over the lists.
    #[must_use]
    pub fn new(lists: Arc<Lists>, cache: &CacheSettings) -> Self {
        Self {
            lists,
            accounts: Cache::new(UpstreamName::Composio, cache.accounts_ttl(), cache.limit_bytes / 8),
            without_account_type: moka::sync::Cache::builder()
                .max_capacity(REFUSALS_MAX)
                .time_to_live(REFUSALS_TTL)
                .build(),
        }
    }

    /// Gets accounts by their `ca_…` ids.
    pub async fn get(&self, reader: &Reader, ids: impl IntoIterator<Item = Box<str>>) -> Found {
        let fingerprint = reader.credential.fingerprint();
        let key = |id: &str| AccountKey { credential: fingerprint, view: reader.view.clone(), id: id.into() };
        let (mut found, mut missing) = (Found::new(), Vec::new());
        for id in ids {
            match self.accounts.peek(&key(&id)) {
                Some(account) => drop(found.insert(id, Ok(account))),
                None => missing.push(id),
            }
        }
        if let Some(ledger) = &reader.ledger {
            ledger.save_by_cache(found.len());
            ledger.save_by_batching(missing.len().saturating_sub(missing.len().div_ceil(FILTER_VALUES_MAX)));
        }
        missing.sort_unstable();
        missing.dedup();
        let calls =
            missing.chunks(FILTER_VALUES_MAX).map(|ids| async move { (ids, self.fetch(reader, ids).await) });
        let calls = stream::iter(calls.collect::<Vec<_>>()).buffered(8).collect::<Vec<_>>().await;
        for (ids, fetched) in calls {
            for id in ids {
                let account = match &fetched {
                    Ok(accounts) => Ok(accounts.iter().find(|account| account.id == *id).cloned()),
                    Err(error) => Err(error.clone()),
                };
                match &account {
                    Ok(Some(_)) => self.accounts.keep(key(id), account.clone().unwrap_or_default()),
                    Ok(None) => self.accounts.keep_for(key(id), None, MISSING_TTL),
                    Err(_) => {}
                }
                found.insert(id.clone(), account);
            }
        }
        found
    }

    /// At most 100 ids: shared accounts too, unless this credential may not ask for them.
    async fn fetch(&self, reader: &Reader, ids: &[Box<str>]) -> Result<Vec<SharedAccount>, UpstreamError> {
        let fingerprint = reader.credential.fingerprint();
        if self.without_account_type.contains_key(&fingerprint) {
            return self.walk(reader, ids, None).await;
        }
        match self.walk(reader, ids, Some(AccountTypeFilter::All)).await {
            Err(error)
                if error.failure == UpstreamFailure::Rejected && matches!(error.status, Some(400 | 422)) =>
            {
                // Only where the same question passes without it was `account_type` the reason.
                let accounts = self.walk(reader, ids, None).await?;
                self.without_account_type.insert(fingerprint, ());
                Ok(accounts)
            }
            fetched => fetched,
        }
    }

    async fn walk(
        &self,
        reader: &Reader,
        ids: &[Box<str>],
        account_type: Option<AccountTypeFilter>,
    ) -> Result<Vec<SharedAccount>, UpstreamError> {
        let refused =
            |error| UpstreamError::new(UpstreamName::Composio, UpstreamFailure::Internal).caused_by(error);
        let values = Values::new("ids", ids.iter().cloned()).map_err(refused)?;
        let filter = AccountFilter { ids: Some(values), account_type, ..Default::default() };
        let scan = Scan::new(reader.clone(), filter, AccountOrder::NEWEST_FIRST);
        let mut walk = Walk::from(&self.lists, &scan, None);
        let mut accounts = Vec::new();
        while accounts.len() < ids.len() {
            let Some(step) = walk.step().await? else { break };
            accounts.extend(step.page.items.iter().filter(|account| walk.is_new(account)).cloned());
        }
        if accounts.len() < ids.len() {
            // The page would be kept longer than it is believed that the others are missing.
            self.lists.forget_first_page(&scan);
        }
        Ok(accounts)
    }
}

impl Weigh for AccountKey {
    fn weight_bytes(&self) -> usize {
        size_of::<Self>() + self.id.len() + self.view.member().map_or(0, |id| id.as_str().len())
    }
}

impl Weigh for Option<SharedAccount> {
    fn weight_bytes(&self) -> usize {
        self.as_ref().map_or(0, |account| account.weight_bytes())
    }
}
