//! Fetches one upstream page of a scan and removes the rows that do not belong to it.
//!
//! [`PageFetcher::fetch`] calls Composio, fills in the user of each row if the response names no users
//! ([`super::ownership`]), and removes the rows that the filter does not allow.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::ownership::Ownership;
use super::scan::{Page, Scan, ScanKey};
use crate::domain::clock::Clock;
use crate::domain::credential::Credential;
use crate::domain::health::HealthRules;
use crate::domain::problems::{ProblemLocation, ProblemRule, Problems};
use crate::domain::upstream_name::{Composio, UpstreamName};
use crate::loaders::cache::upstream_cache::UpstreamCache;
use crate::upstream::accounts::{AccountPage, AccountsClient};
use crate::upstream::error::UpstreamError;
use crate::upstream::quota::Purpose;

/// Fetches pages of accounts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PageFetcher {
    pub(crate) client: AccountsClient,
    pub(crate) ownership: Arc<Ownership>,
    clock: Clock,
    /// The configured time for which pages are fresh.
    ttl: Duration,
}

impl PageFetcher {
    pub(crate) fn new(client: AccountsClient, upstream_cache: &UpstreamCache<Composio>) -> Self {
        let (clock, ttl) = (upstream_cache.clock, upstream_cache.settings.accounts_ttl());
        Self { client, ownership: Arc::new(Ownership::new(clock)), clock, ttl }
    }

    /// Returns the time for which accounts that are read now are fresh.
    pub(crate) fn fresh_for(&self, credential: &Credential<Composio>) -> Duration {
        self.client.transport.fresh_for(credential, self.ttl)
    }

    /// Fetches one page of at most `limit` rows.
    ///
    /// # Errors
    /// As [`AccountsClient::fetch_page`]. Also if the filter depends on users and the rows' users cannot be determined.
    pub(crate) async fn fetch(
        &self,
        scan: &Scan,
        cursor: Option<&str>,
        limit: usize,
        purpose: Purpose,
    ) -> Result<Page, UpstreamError> {
        let ScanKey { filter, order, .. } = &*scan.key;
        if filter.matches_nothing() {
            // The upstream treats an empty list of values as no filter and would return everything
            // (docs/upstreams.md#composio-list-request).
            return Ok(Page { total_items: Some(0), ..Page::default() });
        }
        self.ownership.ensure_users_can_be_determined(scan).await?;
        let credential = &scan.reader.credential;
        let mut page = self.client.fetch_page(credential, filter, *order, cursor, limit, purpose).await?;
        self.ownership.attribute(&self.client, scan, &mut page, purpose).await?;
        self.drop_disallowed(scan, &mut page);
        let lacks_users = !page.names_users && !page.items.is_empty() && scan.several_users().is_some();
        let page = Page {
            items: page.items,
            rows_received: page.rows_received,
            rows_filtered_out: 0,
            next_cursor: page.next_cursor.map(Into::into),
            has_unreadable_cursor: page.has_unreadable_cursor,
            lacks_users: lacks_users && !scan.needs_users,
            total_items: page.total_items,
            problems: page.problems.reports(),
        };
        Ok(drop_recently_pending(scan, page, cursor.is_none(), self.clock.now()))
    }

    /// Removes and counts the rows that the filter does not allow.
    fn drop_disallowed(&self, scan: &Scan, page: &mut AccountPage) {
        let before = page.items.len();
        let names_users = page.names_users;
        // If the response names no users, the user filter is not checked again: `attribute` has probed that the
        // upstream applies it, and in the lists that need users each row now has one. The view hides a member's rows
        // without one.
        page.items.retain(|account| match names_users {
            true => scan.admits(account),
            false => scan.admits_ignoring_user(account),
        });
        let rows = before - page.items.len();
        if rows > 0 {
            // The upstream's total counts the removed rows too.
            page.total_items = None;
            let mut problems = Problems::none(UpstreamName::Composio);
            let count = u64::try_from(rows).unwrap_or(u64::MAX);
            // The client has already counted the page's other problems in the metrics, so only this one is counted
            // here. The response reports all problems of the page.
            for noted in [&mut problems, &mut page.problems] {
                noted.note(ProblemLocation::SEVERAL_ROWS, ProblemRule::NotInFilter, count);
            }
            self.client.transport.count_problems(&problems);
        }
    }
}

/// Removes the accounts that have not been pending for long enough. The upstream cannot filter by that time, so its
/// total counts such rows on all pages. The total is known only for a list of one page.
fn drop_recently_pending(scan: &Scan, mut page: Page, is_first: bool, now: Timestamp) -> Page {
    let Some(abandoned_after) = scan.key.filter.pending_longer_than else { return page };
    let rules = HealthRules { abandoned_after, sync_stale_after: None };
    let before = page.items.len();
    // The filter admits only pending, failed and expired accounts, all of which need attention, except that a pending
    // one does so only when it is abandoned.
    page.items.retain(|account| rules.evaluate_account(account, now).needs_attention);
    page.rows_filtered_out = before - page.items.len();
    let is_whole = is_first && page.is_last() && page.rows_rejected() == 0;
    page.total_items = is_whole.then(|| u64::try_from(page.items.len()).ok()).flatten();
    page
}
