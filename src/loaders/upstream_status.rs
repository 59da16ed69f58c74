//! Status of both upstreams for one caller, and refreshes on demand.
//!
//! Extends [`OperationLoader`] with [`OperationLoader::upstream_overviews`], which reports status and cache statistics,
//! and [`OperationLoader::refresh`], which expires cached data and reads it again. Both concern only the caller's own
//! credentials.

use std::time::Duration;

use jiff::Timestamp;

use super::cache::freshness::StalePolicy;
use super::cache::upstream_cache::CacheStatistics;
use super::lists::scan::Scan;
use super::loader::OperationLoader;
use crate::domain::change::ChangeCause;
use crate::domain::filters::{AccountFilter, AccountOrder};
use crate::domain::upstream_name::UpstreamName;
use crate::upstream::status::UpstreamStatus;

/// Status and cache statistics of one upstream, for one caller's credential.
#[derive(Debug, Clone)]
pub struct UpstreamOverview {
    /// The upstream.
    pub name: UpstreamName,
    /// Status of the upstream; `None` if the caller has no key to it.
    pub status: Option<UpstreamStatus>,
    /// Statistics of the caches.
    pub cache: CacheStatistics,
}

impl OperationLoader {
    /// Returns the status of both upstreams, without an upstream call.
    pub(crate) fn upstream_overviews(&self) -> [UpstreamOverview; 2] {
        let (providers, lists) = (&self.sources.providers, &self.sources.lists);
        let (leadlex, composio) = (self.tenant.leadlex.as_ref(), self.tenant.composio.as_ref());
        [
            UpstreamOverview {
                name: UpstreamName::Leadlex,
                status: leadlex.map(|credential| providers.client.transport.status(credential)),
                cache: leadlex
                    .map(|credential| providers.upstream_cache.statistics(&credential.fingerprint()))
                    .unwrap_or_default(),
            },
            UpstreamOverview {
                name: UpstreamName::Composio,
                status: composio.map(|credential| lists.fetcher.client.transport.status(credential)),
                cache: composio
                    .map(|credential| lists.upstream_cache.statistics(&credential.fingerprint()))
                    .unwrap_or_default(),
            },
        ]
    }

    /// Expires all cached data of one upstream, or of both, and reads its first list at once.
    ///
    /// The first lists are the providers and the first page of accounts. If the rate limit of an upstream allows no
    /// call, nothing is expired there. The time from which a refresh is allowed is then returned.
    pub async fn refresh(&self, upstream: Option<UpstreamName>) -> Option<Timestamp> {
        let is_selected = |name| upstream.is_none_or(|upstream| upstream == name);
        let providers = async {
            let credential = self.tenant.leadlex.as_ref().filter(|_| is_selected(UpstreamName::Leadlex))?;
            let providers = &self.sources.providers;
            let wait = providers.client.transport.refresh_wait(credential);
            if wait.is_none() {
                providers.upstream_cache.expire(&credential.fingerprint(), ChangeCause::Refresh);
                // The upstream's status reports whether the read succeeded.
                drop(providers.list(credential, StalePolicy::AllowStale, &self.stats).await);
            }
            wait
        };
        let accounts = async {
            let reader = self.reader().filter(|_| is_selected(UpstreamName::Composio))?;
            let lists = &self.sources.lists;
            let wait = lists.fetcher.client.transport.refresh_wait(&reader.credential);
            if wait.is_none() {
                lists.upstream_cache.expire(&reader.credential.fingerprint(), ChangeCause::Refresh);
                let newest = Scan::new(reader, AccountFilter::default(), AccountOrder::NEWEST_FIRST);
                drop(lists.page(&newest, None, StalePolicy::AllowStale).await);
            }
            wait
        };
        let (providers, accounts): (Option<Duration>, Option<Duration>) = tokio::join!(providers, accounts);
        let wait = providers.max(accounts)?;
        let clock = self.sources.lists.upstream_cache.clock;
        Some(clock.at(clock.instant_now() + wait))
    }
}
