//! Polls each credential that clients subscribe to, and publishes the changes to its subscribers.
//!
//! [`ChangeFeeds::providers`] and [`ChangeFeeds::accounts`] are the entry points. The first subscriber of a credential
//! starts a task that runs a poller (`providers`, `accounts`) and publishes to a [`ChangeFeed`]. The task ends some time
//! after the last subscriber has left.

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

/// Shortest interval between two polls.
const POLL_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// The delay after a failed poll whose error has no `retry_after`.
const POLL_AFTER_FAILURE: Duration = Duration::from_secs(10);

/// The change feeds of all credentials.
pub struct ChangeFeeds {
    sources: Arc<DataSources>,
    settings: WatchSettings,
    /// One permit for each subscriber.
    permits: Arc<Semaphore>,
    providers: Feeds<Leadlex, ProviderChange>,
    accounts: Feeds<Composio, AccountChange>,
}

type Feeds<U, E> = Mutex<HashMap<Fingerprint<U>, Arc<ChangeFeed<E>>>>;

impl ChangeFeeds {
    /// Creates the feeds, without subscribers.
    #[must_use]
    pub fn new(sources: Arc<DataSources>, settings: WatchSettings) -> Self {
        let permits = Arc::new(Semaphore::new(settings.subscribers_max));
        Self { sources, settings, permits, providers: Mutex::default(), accounts: Mutex::default() }
    }

    /// Subscribes to a workspace's providers, from now on or from a position.
    ///
    /// # Errors
    /// An error if there is no key to the upstream, the position is unknown, or there are too many subscribers.
    pub fn providers(
        self: &Arc<Self>,
        tenant: &Tenant,
        after: Option<FeedPosition>,
    ) -> Result<Subscriber<ProviderChange>, SubscribeError> {
        let credential = tenant.leadlex.clone().ok_or(no_key::<Leadlex>())?;
        let poller = || ProviderPoller::new(Arc::clone(&self.sources), credential.clone());
        let upstream_cache = self.sources.providers.upstream_cache();
        self.subscribe(
            |change_feeds| &change_feeds.providers,
            credential.fingerprint(),
            after,
            upstream_cache,
            poller,
        )
    }

    /// Subscribes to a project's accounts, of all users and types.
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
        let poller = || AccountPoller::new(Arc::clone(&self.sources), credential.clone(), pages_max);
        let upstream_cache = self.sources.lists.upstream_cache();
        self.subscribe(
            |change_feeds| &change_feeds.accounts,
            credential.fingerprint(),
            after,
            upstream_cache,
            poller,
        )
    }

    /// Number of watched credentials: of LeadLex, and of Composio.
    pub(super) fn feeds(&self) -> [u64; 2] {
        let providers = self.providers.lock().unwrap_or_else(PoisonError::into_inner).len();
        [providers as u64, self.accounts.lock().unwrap_or_else(PoisonError::into_inner).len() as u64]
    }

    /// Adds the number of watched credentials to a reading of the metrics.
    pub fn read_metrics(&self, readings: &mut Readings) {
        let [providers, accounts] = self.feeds();
        readings.level(&declared::WATCHES, &[UpstreamName::Leadlex.slug()], providers);
        readings.level(&declared::WATCHES, &[UpstreamName::Composio.slug()], accounts);
    }

    fn subscribe<W: Poller>(
        self: &Arc<Self>,
        feeds: fn(&Self) -> &Feeds<W::Upstream, W::Change>,
        credential: Fingerprint<W::Upstream>,
        after: Option<FeedPosition>,
        upstream_cache: &Arc<UpstreamCache<W::Upstream>>,
        poller: impl FnOnce() -> W,
    ) -> Result<Subscriber<W::Change>, SubscribeError> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| SubscribeError::TooMany)?;
        let mut feeds_by_credential = feeds(self).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(feed) = feeds_by_credential.get(&credential) {
            return feed.subscribe(permit, after);
        }
        if after.is_some() {
            return Err(SubscribeError::PositionGone);
        }
        let feed = Arc::new(ChangeFeed::new(self.settings.events_max));
        let subscriber = feed.subscribe(permit, None)?;
        feeds_by_credential.insert(credential, Arc::clone(&feed));
        drop(feeds_by_credential);
        let (change_feeds, expiries) = (Arc::clone(self), upstream_cache.expiries(&credential));
        let clock = upstream_cache.clock;
        let (poller, linger, origin) = (poller(), self.settings.linger(), Origin::here());
        tokio::spawn(async move {
            let end = FeedGuard { change_feeds, feeds, credential, feed };
            poll_until_unused(poller, &end, expiries, clock, linger, &origin).await;
        });
        Ok(subscriber)
    }
}

/// Removes a feed when its task ends for any reason, and ends the remaining subscriptions.
struct FeedGuard<U: Upstream, E> {
    change_feeds: Arc<ChangeFeeds>,
    feeds: fn(&ChangeFeeds) -> &Feeds<U, E>,
    credential: Fingerprint<U>,
    feed: Arc<ChangeFeed<E>>,
}

impl<U: Upstream, E> FeedGuard<U, E> {
    /// Removes the feed if it has no subscriber. A later subscriber starts another one.
    fn remove_if_unused(&self) -> bool {
        let mut feeds_by_credential =
            (self.feeds)(&self.change_feeds).lock().unwrap_or_else(PoisonError::into_inner);
        let is_unused = self.feed.is_unused();
        if is_unused {
            feeds_by_credential.remove(&self.credential);
        }
        is_unused
    }
}

impl<U: Upstream, E> Drop for FeedGuard<U, E> {
    fn drop(&mut self) {
        let mut feeds_by_credential =
            (self.feeds)(&self.change_feeds).lock().unwrap_or_else(PoisonError::into_inner);
        if feeds_by_credential.get(&self.credential).is_some_and(|feed| Arc::ptr_eq(feed, &self.feed)) {
            feeds_by_credential.remove(&self.credential);
        }
        drop(feeds_by_credential);
        self.feed.end(UpstreamError::new(U::NAME, UpstreamFailure::Internal));
    }
}

/// Polls until the feed is unused for some time, or the upstream rejects the key.
async fn poll_until_unused<W: Poller>(
    mut poller: W,
    end: &FeedGuard<W::Upstream, W::Change>,
    mut expiries: watch::Receiver<ExpiryNotice>,
    clock: Clock,
    linger: Duration,
    origin: &Origin,
) {
    let (feed, mut cause) = (&end.feed, ChangeCause::Poll);
    loop {
        expiries.mark_unchanged();
        let poll_result = origin.look(W::Upstream::NAME).around(poller.poll(cause)).await;
        let next_at = match poll_result {
            Ok(PollResult { changes, next_at }) => {
                feed.publish(changes);
                next_at.max(Instant::now() + POLL_INTERVAL_MIN)
            }
            Err(error) if is_final(&error) => return feed.end(error),
            Err(error) => {
                Instant::now() + error.retry_after.unwrap_or(POLL_AFTER_FAILURE).max(POLL_INTERVAL_MIN)
            }
        };
        tracing::debug!(upstream = %W::Upstream::NAME, next_at = %clock.at(next_at), "polled for changes");
        cause = tokio::select! {
            () = sleep_until(next_at) => ChangeCause::Poll,
            cause = expired(&mut expiries) => cause,
            () = feed.wait_until_unused(linger) => match end.remove_if_unused() {
                true => return,
                false => ChangeCause::Poll,
            },
        };
    }
}

/// Waits until all data of the credential is expired.
async fn expired(expiries: &mut watch::Receiver<ExpiryNotice>) -> ChangeCause {
    match expiries.changed().await {
        Ok(()) => expiries.borrow().cause,
        // The credential's state was evicted, because there are too many. The feed then polls by time only.
        Err(_) => std::future::pending().await,
    }
}

/// Whether only the subscriber can resolve the error, so that waiting does not help.
fn is_final(error: &UpstreamError) -> bool {
    matches!(
        error.failure,
        UpstreamFailure::NoCredential | UpstreamFailure::Unauthorized | UpstreamFailure::Forbidden
    )
}

fn no_key<U: Upstream>() -> UpstreamError {
    UpstreamError::new(U::NAME, UpstreamFailure::NoCredential)
}
