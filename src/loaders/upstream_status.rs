//! What this layer knows of its own sources, and reading them again on demand.

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

/// One source, as one caller's credential has met it.
#[derive(Debug, Clone)]
pub struct UpstreamOverview {
    /// Which.
    pub name: UpstreamName,
    /// How it stands; none where the caller has no key to it.
    pub status: Option<UpstreamStatus>,
    /// How the caches have served.
    pub cache: CacheStatistics,
}

impl OperationLoader {
    /// Both sources. Costs no call.
    #[must_use]
    pub fn sources(&self) -> [UpstreamOverview; 2] {
        let (providers, lists) = (&self.sources.providers, &self.sources.lists);
        let (leadlex, composio) = (self.tenant.leadlex.as_ref(), self.tenant.composio.as_ref());
        [
            UpstreamOverview {
                name: UpstreamName::Leadlex,
                status: leadlex.map(|credential| providers.client().status(credential)),
                cache: leadlex
                    .map(|credential| providers.upstream_cache().statistics(&credential.fingerprint()))
                    .unwrap_or_default(),
            },
            UpstreamOverview {
                name: UpstreamName::Composio,
                status: composio.map(|credential| lists.client().status(credential)),
                cache: composio
                    .map(|credential| lists.upstream_cache().statistics(&credential.fingerprint()))
                    .unwrap_or_default(),
            },
        ]
    }

    /// Has everything of one source, or of both, read again before it is served, and reads the list of
    /// providers and the first page of accounts at once; what the quota does not allow is left as it was.
    /// Gives the moment from which that is allowed, where something was left.
    pub async fn refresh(&self, only: Option<UpstreamName>) -> Option<Timestamp> {
        let is_meant = |name| only.is_none_or(|only| only == name);
        let providers = async {
            let credential = self.tenant.leadlex.as_ref().filter(|_| is_meant(UpstreamName::Leadlex))?;
            let providers = &self.sources.providers;
            let wait = providers.client().refresh_wait(credential);
            if wait.is_none() {
                providers.upstream_cache().expire(&credential.fingerprint(), ChangeCause::Refresh);
                // Whether it could be read is told by the source's status.
                drop(providers.list(credential, StalePolicy::AllowStale, &self.stats).await);
            }
            wait
        };
        let accounts = async {
            let reader = self.reader().filter(|_| is_meant(UpstreamName::Composio))?;
            let lists = &self.sources.lists;
            let wait = lists.client().refresh_wait(&reader.credential);
            if wait.is_none() {
                lists.upstream_cache().expire(&reader.credential.fingerprint(), ChangeCause::Refresh);
                let newest = Scan::new(reader, AccountFilter::default(), AccountOrder::NEWEST_FIRST);
                drop(lists.page(&newest, None, StalePolicy::AllowStale).await);
            }
            wait
        };
        let (providers, accounts): (Option<Duration>, Option<Duration>) = tokio::join!(providers, accounts);
        let wait = providers.max(accounts)?;
        Some(self.sources.lists.upstream_cache().clock.at(tokio::time::Instant::now() + wait))
    }
}
