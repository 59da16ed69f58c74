//! Polls each credential that clients subscribe to, and feeds what changed to its subscribers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep_until};

use crate::domain::caller::Tenant;
use crate::domain::change::ChangeCause;
use crate::domain::clock::Clock;
use crate::domain::credential::Fingerprint;
use crate::domain::upstream_name::UpstreamName;
use crate::domain::upstream_name::{Composio, Leadlex, Upstream};
use crate::telemetry::metrics::declared;
use crate::telemetry::metrics::readings::Readings;
use crate::telemetry::traces::Origin;
use crate::upstream::error::{UpstreamError, UpstreamFailure};

use super::accounts::AccountPoller;
use super::change::{AccountChange, ProviderChange};
use super::feed::{ChangeFeed, FeedPosition, SubscribeError, Subscriber};
use super::poller::{PollResult, Poller};
use super::providers::ProviderPoller;
use crate::loaders::cache::upstream_cache::{ExpiryNotice, UpstreamCache};
use crate::loaders::data_sources::DataSources;
use crate::loaders::settings::WatchSettings;

/// How soon it is looked again where nothing says when, and never sooner.
const POLL_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// The delay after a failed poll whose error has no `retry_after`.
const POLL_AFTER_FAILURE: Duration = Duration::from_secs(10);

/// Every watch.
pub struct ChangeFeeds {
    sources: Arc<DataSources>,
    settings: WatchSettings,
    /// A place for each who listens.
    places: Arc<Semaphore>,
    providers: Feeds<Leadlex, ProviderChange>,
    accounts: Feeds<Composio, AccountChange>,
}

type Feeds<U, E> = Mutex<HashMap<Fingerprint<U>, Arc<ChangeFeed<E>>>>;

impl ChangeFeeds {
    /// Nobody listens yet.
    #[must_use]
    pub fn new(sources: Arc<DataSources>, settings: WatchSettings) -> Self {
        let places = Arc::new(Semaphore::new(settings.subscribers_max));
        Self { sources, settings, places, providers: Mutex::default(), accounts: Mutex::default() }
    }

    /// Listens to a workspace's integrations, from now on or from a position on.
    ///
    /// # Errors
    /// Where there is no key to the upstream, or the position is not known any more.
    pub fn providers(
        self: &Arc<Self>,
        tenant: &Tenant,
        after: Option<FeedPosition>,
    ) -> Result<Subscriber<ProviderChange>, SubscribeError> {
        let credential = tenant.leadlex.clone().ok_or(no_key::<Leadlex>())?;
        let watched = || ProviderPoller::new(Arc::clone(&self.sources), credential.clone());
        let upstream_cache = self.sources.providers.upstream_cache();
        self.listen(|watches| &watches.providers, credential.fingerprint(), after, upstream_cache, watched)
    }

    /// Listens to a project's accounts, everybody's and of all types.
    ///
    /// # Errors
    /// As [`Self::providers`].
    pub fn accounts(
        self: &Arc<Self>,
        tenant: &Tenant,
        after: Option<FeedPosition>,
    ) -> Result<Subscriber<AccountChange>, SubscribeError> {
        let credential = tenant.composio.clone().ok_or(no_key::<Composio>())?;
        let pages_max = self.settings.walk_pages_max;
        let watched = || AccountPoller::new(Arc::clone(&self.sources), credential.clone(), pages_max);
        let upstream_cache = self.sources.lists.upstream_cache();
        self.listen(|watches| &watches.accounts, credential.fingerprint(), after, upstream_cache, watched)
    }

    /// How many credentials are watched: of LeadLex, and of Composio.
    pub(super) fn feeds(&self) -> [u64; 2] {
        let providers = self.providers.lock().unwrap_or_else(PoisonError::into_inner).len();
        [providers as u64, self.accounts.lock().unwrap_or_else(PoisonError::into_inner).len() as u64]
    }

    /// Puts how much is watched into a reading.
    pub fn read_metrics(&self, readings: &mut Readings) {
        let [providers, accounts] = self.feeds();
        readings.level(&declared::WATCHES, &[UpstreamName::Leadlex.slug()], providers);
        readings.level(&declared::WATCHES, &[UpstreamName::Composio.slug()], accounts);
    }

    fn listen<W: Poller>(
        self: &Arc<Self>,
        feeds: fn(&Self) -> &Feeds<W::Upstream, W::Change>,
        credential: Fingerprint<W::Upstream>,
        after: Option<FeedPosition>,
        upstream_cache: &Arc<UpstreamCache<W::Upstream>>,
        watched: impl FnOnce() -> W,
    ) -> Result<Subscriber<W::Change>, SubscribeError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| SubscribeError::TooMany)?;
        let mut held = feeds(self).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(feed) = held.get(&credential) {
            return feed.listen(place, after);
        }
        if after.is_some() {
            return Err(SubscribeError::PositionGone);
        }
        let feed = Arc::new(ChangeFeed::new(self.settings.events_max));
        let listener = feed.listen(place, None)?;
        held.insert(credential, Arc::clone(&feed));
        drop(held);
        let (watches, expiries) = (Arc::clone(self), upstream_cache.expiries(&credential));
        let clock = upstream_cache.clock;
        let (watched, linger, origin) = (watched(), self.settings.linger(), Origin::here());
        tokio::spawn(async move {
            let end = FeedGuard { watches, feeds, credential, feed };
            poll_until_unused(watched, &end, expiries, clock, linger, &origin).await;
        });
        Ok(listener)
    }
}

/// Takes a feed away that nobody fills any more, however its watch ended, and tells those who still listen.
struct FeedGuard<U: Upstream, E> {
    watches: Arc<ChangeFeeds>,
    feeds: fn(&ChangeFeeds) -> &Feeds<U, E>,
    credential: Fingerprint<U>,
    feed: Arc<ChangeFeed<E>>,
}

impl<U: Upstream, E> FeedGuard<U, E> {
    /// Takes the feed away, unless somebody listens; whoever comes later gets another.
    fn remove_if_unused(&self) -> bool {
        let mut held = (self.feeds)(&self.watches).lock().unwrap_or_else(PoisonError::into_inner);
        let is_unused = self.feed.is_unused();
        if is_unused {
            held.remove(&self.credential);
        }
        is_unused
    }
}

impl<U: Upstream, E> Drop for FeedGuard<U, E> {
    fn drop(&mut self) {
        let mut held = (self.feeds)(&self.watches).lock().unwrap_or_else(PoisonError::into_inner);
        if held.get(&self.credential).is_some_and(|feed| Arc::ptr_eq(feed, &self.feed)) {
            held.remove(&self.credential);
        }
        drop(held);
        self.feed.end(UpstreamError::new(U::NAME, UpstreamFailure::Internal));
    }
}

/// Looks until nobody has listened for a while, or the key is not accepted any more.
async fn poll_until_unused<W: Poller>(
    mut watched: W,
    end: &FeedGuard<W::Upstream, W::Change>,
    mut expiries: watch::Receiver<ExpiryNotice>,
    clock: Clock,
    linger: Duration,
    origin: &Origin,
) {
    let (feed, mut cause) = (&end.feed, ChangeCause::Poll);
    loop {
        expiries.mark_unchanged();
        let looked = origin.look(W::Upstream::NAME).around(watched.poll(cause)).await;
        let next_at = match looked {
            Ok(PollResult { changes, next_at }) => {
                feed.publish(changes);
                next_at.max(Instant::now() + POLL_INTERVAL_MIN)
            }
            Err(error) if is_final(&error) => return feed.end(error),
            Err(error) => {
                Instant::now() + error.retry_after.unwrap_or(POLL_AFTER_FAILURE).max(POLL_INTERVAL_MIN)
            }
        };
        tracing::debug!(upstream = %W::Upstream::NAME, next_at = %clock.at(next_at), "looked for changes");
        cause = tokio::select! {
            () = sleep_until(next_at) => ChangeCause::Poll,
            cause = dropped(&mut expiries) => cause,
            () = feed.wait_until_unused(linger) => match end.remove_if_unused() {
                true => return,
                false => ChangeCause::Poll,
            },
        };
    }
}

/// Waits until everything of the credential is to be read again.
async fn dropped(expiries: &mut watch::Receiver<ExpiryNotice>) -> ChangeCause {
    match expiries.changed().await {
        Ok(()) => expiries.borrow().cause,
        // Forgotten with its credential, of which there are too many: then time alone is an occasion.
        Err(_) => std::future::pending().await,
    }
}

/// Whether waiting will not help: whoever listens has to do something.
fn is_final(error: &UpstreamError) -> bool {
    matches!(
        error.failure,
        UpstreamFailure::NoCredential | UpstreamFailure::Unauthorized | UpstreamFailure::Forbidden
    )
}

fn no_key<U: Upstream>() -> UpstreamError {
    UpstreamError::new(U::NAME, UpstreamFailure::NoCredential)
}
