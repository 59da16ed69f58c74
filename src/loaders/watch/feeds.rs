//! Polls each credential that clients subscribe to, and publishes the changes to its subscribers.
//!
//! [`ChangeFeeds::providers`] and [`ChangeFeeds::accounts`] are the entry points. The first subscriber of a credential
//! starts a task that runs a poller (`providers`, `accounts`) and publishes to a [`ChangeFeed`] for each view. The task
//! ends some time after the last subscriber has left.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, sleep_until};

use crate::domain::caller::Caller;
use crate::domain::change::ChangeCause;
use crate::domain::clock::Clock;
use crate::domain::credential::Fingerprint;
use crate::domain::upstream_name::UpstreamName;
use crate::domain::upstream_name::{Composio, Leadlex, Upstream};
use crate::domain::view::View;
use crate::telemetry::metrics::declared;
use crate::telemetry::metrics::readings::Readings;
use crate::telemetry::traces::SpanOrigin;
use crate::upstream::error::{UpstreamError, UpstreamFailure};

use super::accounts::AccountPoller;
use super::change::{AccountChange, ProviderChange, ViewedChange};
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

/// All feeds. One poller for each credential fills the feeds of all its views.
pub struct ChangeFeeds {
    sources: Arc<DataSources>,
    settings: WatchSettings,
    /// One permit for each subscriber.
    permits: Arc<Semaphore>,
    providers: Feeds<Leadlex, ProviderChange>,
    accounts: Feeds<Composio, AccountChange>,
}

type Feeds<U, E> = Mutex<HashMap<Fingerprint<U>, HashMap<View, Arc<ChangeFeed<E>>>>>;

impl ChangeFeeds {
    /// Without feeds; the first subscriber of each view creates its feed.
    #[must_use]
    pub fn new(sources: Arc<DataSources>, settings: WatchSettings) -> Self {
        let permits = Arc::new(Semaphore::new(settings.subscribers_max));
        Self { sources, settings, permits, providers: Mutex::default(), accounts: Mutex::default() }
    }

    /// Subscribes to the integrations of a caller's workspace, from now on or from a position on.
    ///
    /// # Errors
    /// If there is no key for the upstream, the position is unknown, or there are too many subscribers.
    pub fn providers(
        self: &Arc<Self>,
        caller: &Caller,
        after: Option<FeedPosition>,
    ) -> Result<Subscriber<ProviderChange>, SubscribeError> {
        let credential = caller.tenant.leadlex.clone().ok_or(no_key::<Leadlex>())?;
        let poller = || ProviderPoller::new(Arc::clone(&self.sources), credential.clone());
        let upstream_cache = self.sources.providers.upstream_cache();
        let key = (credential.fingerprint(), caller.view());
        self.subscribe(|change_feeds| &change_feeds.providers, key, after, upstream_cache, poller)
    }

    /// Subscribes to the accounts that a caller sees, of all types.
    ///
    /// # Errors
    /// As [`Self::providers`].
    pub fn accounts(
        self: &Arc<Self>,
        caller: &Caller,
        after: Option<FeedPosition>,
    ) -> Result<Subscriber<AccountChange>, SubscribeError> {
        let credential = caller.tenant.composio.clone().ok_or(no_key::<Composio>())?;
        let pages_max = self.settings.walk_pages_max;
        let poller = || AccountPoller::new(Arc::clone(&self.sources), credential.clone(), pages_max);
        let upstream_cache = self.sources.lists.upstream_cache();
        let key = (credential.fingerprint(), caller.view());
        self.subscribe(|change_feeds| &change_feeds.accounts, key, after, upstream_cache, poller)
    }

    /// Number of polled credentials: of LeadLex, and of Composio.
    pub(super) fn feeds(&self) -> [u64; 2] {
        let providers = self.providers.lock().unwrap_or_else(PoisonError::into_inner).len();
        [providers as u64, self.accounts.lock().unwrap_or_else(PoisonError::into_inner).len() as u64]
    }

    /// Adds the number of polled credentials to a reading of the metrics.
    pub fn read_metrics(&self, readings: &mut Readings) {
        let [providers, accounts] = self.feeds();
        readings.level(&declared::WATCHES, &[UpstreamName::Leadlex.slug()], providers);
        readings.level(&declared::WATCHES, &[UpstreamName::Composio.slug()], accounts);
    }

    fn subscribe<W: Poller>(
        self: &Arc<Self>,
        feeds: fn(&Self) -> &Feeds<W::Upstream, W::Change>,
        (credential, view): (Fingerprint<W::Upstream>, View),
        after: Option<FeedPosition>,
        upstream_cache: &Arc<UpstreamCache<W::Upstream>>,
        poller: impl FnOnce() -> W,
    ) -> Result<Subscriber<W::Change>, SubscribeError> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| SubscribeError::TooMany)?;
        let mut feeds_by_credential = feeds(self).lock().unwrap_or_else(PoisonError::into_inner);
        let is_polled = feeds_by_credential.contains_key(&credential);
        if let Some(feed) = feeds_by_credential.get(&credential).and_then(|views| views.get(&view)) {
            return feed.subscribe(permit, after);
        }
        if after.is_some() {
            return Err(SubscribeError::PositionGone);
        }
        let feed = Arc::new(ChangeFeed::new(self.settings.events_max));
        let subscriber = feed.subscribe(permit, None)?;
        feeds_by_credential.entry(credential).or_default().insert(view, feed);
        drop(feeds_by_credential);
        if !is_polled {
            let (owner, expiries) = (Arc::clone(self), upstream_cache.expiries(&credential));
            let (clock, poller, linger) = (upstream_cache.clock, poller(), self.settings.linger());
            let origin = SpanOrigin::here();
            tokio::spawn(async move {
                let polled = PolledFeeds { owner, feeds, credential, is_registered: true };
                poll_until_unused(poller, polled, expiries, clock, linger, &origin).await;
            });
        }
        Ok(subscriber)
    }
}

/// The feeds that one poller fills. However the poller ends, they are removed and their subscriptions end.
struct PolledFeeds<U: Upstream, E> {
    owner: Arc<ChangeFeeds>,
    feeds: fn(&ChangeFeeds) -> &Feeds<U, E>,
    credential: Fingerprint<U>,
    is_registered: bool,
}

impl<U: Upstream, E> PolledFeeds<U, E> {
    /// Removes feeds without subscribers. Returns whether none is left; later subscribers start another poller.
    fn remove_unused(&mut self, linger: Duration) -> bool {
        let mut feeds_by_credential =
            (self.feeds)(&self.owner).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(views) = feeds_by_credential.get_mut(&self.credential) {
            views.retain(|_, feed| !feed.is_unused_for(linger));
            if !views.is_empty() {
                return false;
            }
        }
        feeds_by_credential.remove(&self.credential);
        self.is_registered = false;
        true
    }

    /// Removes all feeds, and ends their subscriptions.
    fn end(&mut self, error: &UpstreamError) {
        let mut feeds_by_credential =
            (self.feeds)(&self.owner).lock().unwrap_or_else(PoisonError::into_inner);
        self.is_registered = false;
        for feed in feeds_by_credential.remove(&self.credential).into_iter().flat_map(HashMap::into_values) {
            feed.end(error.clone());
        }
    }
}

impl<U: Upstream, E: ViewedChange> PolledFeeds<U, E> {
    /// Delivers each change to the views that show it.
    fn publish(&self, changes: Vec<E>) {
        let changes: Vec<Arc<E>> = changes.into_iter().map(Arc::new).collect();
        let feeds_by_credential = (self.feeds)(&self.owner).lock().unwrap_or_else(PoisonError::into_inner);
        for (view, feed) in feeds_by_credential.get(&self.credential).into_iter().flatten() {
            feed.publish(changes.iter().filter_map(|change| change.seen_by(view)));
        }
    }
}

impl<U: Upstream, E> Drop for PolledFeeds<U, E> {
    fn drop(&mut self) {
        if self.is_registered {
            self.end(&UpstreamError::new(U::NAME, UpstreamFailure::Internal));
        }
    }
}

/// Polls until there have been no subscribers for a time, or the key is rejected.
async fn poll_until_unused<W: Poller>(
    mut poller: W,
    mut feeds: PolledFeeds<W::Upstream, W::Change>,
    mut expiries: watch::Receiver<ExpiryNotice>,
    clock: Clock,
    linger: Duration,
    origin: &SpanOrigin,
) {
    let mut cause = ChangeCause::Poll;
    while !feeds.remove_unused(linger) {
        expiries.mark_unchanged();
        let poll_result = origin.poll(W::Upstream::NAME).around(poller.poll(cause)).await;
        let next_at = match poll_result {
            Ok(PollResult { changes, next_at }) => {
                feeds.publish(changes);
                next_at.max(clock.instant_now() + POLL_INTERVAL_MIN)
            }
            Err(error) if is_final(&error) => return feeds.end(&error),
            Err(error) => {
                clock.instant_now() + error.retry_after.unwrap_or(POLL_AFTER_FAILURE).max(POLL_INTERVAL_MIN)
            }
        };
        tracing::debug!(upstream = %W::Upstream::NAME, next_at = %clock.at(next_at), "polled for changes");
        let unused = async {
            loop {
                sleep(linger.max(POLL_INTERVAL_MIN)).await;
                if feeds.remove_unused(linger) {
                    return;
                }
            }
        };
        cause = tokio::select! {
            biased;
            () = unused => return,
            cause = expired(&mut expiries) => cause,
            () = sleep_until(clock.timer(next_at)) => ChangeCause::Poll,
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
