//! Polls each credential that clients subscribe to, and publishes the changes to its subscribers.
//!
//! [`ChangeFeeds::providers`] and [`ChangeFeeds::accounts`] are the entry points. The first subscriber of a
//! credential starts a task that runs a poller (`providers`, `accounts`) and publishes to a [`ChangeFeed`] for each
//! view. The task ends some time after the last subscriber has left. If Composio does not name the users of
//! accounts, a member's feed has a poller of its own, which reads the accounts of that user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, sleep_until};

use crate::domain::caller::Caller;
use crate::domain::change::ChangeCause;
use crate::domain::clock::Clock;
use crate::domain::credential::Fingerprint;
use crate::domain::upstream_name::{Composio, Leadlex, Upstream, UpstreamName};
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
use crate::loaders::cache::upstream_cache::UpstreamCache;
use crate::loaders::data_sources::DataSources;
use crate::loaders::settings::WatchSettings;

/// Shortest interval between two polls.
const POLL_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Delay after a failed poll whose error has no `retry_after`.
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

type Feeds<U, E> = Mutex<HashMap<PollerKey<U>, HashMap<View, Arc<ChangeFeed<E>>>>>;

/// A credential, and the view that its poller reads: all, or one user's accounts.
type PollerKey<U> = (Fingerprint<U>, View);

impl ChangeFeeds {
    /// Creates a registry without feeds. The first subscriber of each view creates its feed.
    #[must_use]
    pub fn new(sources: Arc<DataSources>, settings: WatchSettings) -> Self {
        let permits = Arc::new(Semaphore::new(settings.subscribers_max));
        Self { sources, settings, permits, providers: Mutex::default(), accounts: Mutex::default() }
    }

    /// Subscribes to the integrations of a caller's workspace, from now on or after a position.
    ///
    /// # Errors
    /// If there is no key for the upstream, the position is unknown, or there are too many subscribers.
    pub fn providers(
        self: &Arc<Self>,
        caller: &Caller,
        after: Option<FeedPosition>,
    ) -> Result<Subscriber<ProviderChange>, SubscribeError> {
        let credential = caller
            .tenant
            .leadlex
            .clone()
            .ok_or_else(|| UpstreamError::no_credential(UpstreamName::Leadlex))?;
        let poller = |_view| ProviderPoller::new(Arc::clone(&self.sources), credential.clone());
        let upstream_cache = &self.sources.providers.upstream_cache;
        let key = (credential.fingerprint(), caller.view());
        self.subscribe(|change_feeds| &change_feeds.providers, key, View::FULL, after, upstream_cache, poller)
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
        let credential = caller
            .tenant
            .composio
            .clone()
            .ok_or_else(|| UpstreamError::no_credential(UpstreamName::Composio))?;
        let pages_max = self.settings.walk_pages_max;
        let poller =
            |view| AccountPoller::new(Arc::clone(&self.sources), credential.clone(), view, pages_max);
        let upstream_cache = &self.sources.lists.upstream_cache;
        let key = (credential.fingerprint(), caller.view());
        let polled = match self.sources.lists.are_users_hidden(&key.0) {
            true => caller.view(),
            false => View::FULL,
        };
        self.subscribe(|change_feeds| &change_feeds.accounts, key, polled, after, upstream_cache, poller)
    }

    /// Returns the number of pollers: of LeadLex, then of Composio.
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
        polled: View,
        after: Option<FeedPosition>,
        upstream_cache: &Arc<UpstreamCache<W::Upstream>>,
        poller: impl FnOnce(View) -> W,
    ) -> Result<Subscriber<W::Change>, SubscribeError> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| SubscribeError::TooMany)?;
        let mut feeds_by_poller = feeds(self).lock().unwrap_or_else(PoisonError::into_inner);
        // A view has one feed, which either of two pollers may fill.
        for polled in [View::FULL, view.clone()] {
            if let Some(feed) = feeds_by_poller.get(&(credential, polled)).and_then(|views| views.get(&view))
            {
                return feed.subscribe(permit, after);
            }
        }
        if after.is_some() {
            return Err(SubscribeError::PositionGone);
        }
        let feed = Arc::new(ChangeFeed::new(self.settings.events_max));
        let subscriber = feed.subscribe(permit, None)?;
        let key = (credential, polled);
        let is_polled = feeds_by_poller.contains_key(&key);
        feeds_by_poller.entry(key.clone()).or_default().insert(view, feed);
        drop(feeds_by_poller);
        if !is_polled {
            let polled =
                PolledFeeds { owner: Arc::clone(self), feeds, key: key.clone(), is_registered: true };
            let (clock, expiries) = (upstream_cache.clock, upstream_cache.expiries(&credential));
            start(poller(key.1), polled, expiries, clock, SpanOrigin::current());
        }
        Ok(subscriber)
    }
}

/// The feeds that one poller fills. When the poller ends, even by a panic, they are removed and their subscriptions
/// end.
struct PolledFeeds<U: Upstream, E> {
    owner: Arc<ChangeFeeds>,
    feeds: fn(&ChangeFeeds) -> &Feeds<U, E>,
    key: PollerKey<U>,
    is_registered: bool,
}

impl<U: Upstream, E> PolledFeeds<U, E> {
    /// Removes feeds without subscribers. Returns whether no feed is left; later subscribers then start another poller.
    fn remove_unused(&mut self, linger: Duration) -> bool {
        let mut feeds_by_poller = (self.feeds)(&self.owner).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(views) = feeds_by_poller.get_mut(&self.key) {
            views.retain(|_, feed| !feed.is_unused_for(linger));
            if !views.is_empty() {
                return false;
            }
        }
        feeds_by_poller.remove(&self.key);
        self.is_registered = false;
        true
    }

    /// Removes all feeds, and ends their subscriptions.
    fn end(&mut self, error: &UpstreamError) {
        let mut feeds_by_poller = (self.feeds)(&self.owner).lock().unwrap_or_else(PoisonError::into_inner);
        self.is_registered = false;
        for feed in feeds_by_poller.remove(&self.key).into_iter().flat_map(HashMap::into_values) {
            feed.end(error.clone());
        }
    }
}

impl<U: Upstream, E: ViewedChange> PolledFeeds<U, E> {
    /// Delivers each change to the views that show it.
    fn publish(&self, changes: Vec<E>) {
        let changes: Vec<Arc<E>> = changes.into_iter().map(Arc::new).collect();
        let feeds_by_poller = (self.feeds)(&self.owner).lock().unwrap_or_else(PoisonError::into_inner);
        for (view, feed) in feeds_by_poller.get(&self.key).into_iter().flatten() {
            feed.publish(changes.iter().filter_map(|change| change.seen_by(view)));
        }
    }
}

impl<U: Upstream, E: Send + Sync + 'static> PolledFeeds<U, E> {
    /// Removes the feeds of views that need their own pollers, and returns them with these pollers.
    fn split<W>(&self, poller: &W) -> Vec<(W, Self)>
    where
        W: Poller<Upstream = U, Change = E>,
    {
        let mut feeds_by_poller = (self.feeds)(&self.owner).lock().unwrap_or_else(PoisonError::into_inner);
        let views = feeds_by_poller.get(&self.key).into_iter().flat_map(HashMap::keys);
        let own_pollers: Vec<_> =
            views.filter_map(|view| Some((view.clone(), poller.for_view(view)?))).collect();
        let mut moved = Vec::new();
        for (view, poller) in own_pollers {
            let feed = feeds_by_poller.get_mut(&self.key).and_then(|views| views.remove(&view));
            let key = (self.key.0, view.clone());
            if let Some(feed) = feed {
                feeds_by_poller.entry(key.clone()).or_default().insert(view, feed);
                let feeds =
                    Self { owner: Arc::clone(&self.owner), feeds: self.feeds, key, is_registered: true };
                moved.push((poller, feeds));
            }
        }
        moved
    }
}

impl<U: Upstream, E> Drop for PolledFeeds<U, E> {
    fn drop(&mut self) {
        if self.is_registered {
            self.end(&UpstreamError::new(U::NAME, UpstreamFailure::Internal));
        }
    }
}

/// Starts the task of a poller.
fn start<W: Poller>(
    poller: W,
    feeds: PolledFeeds<W::Upstream, W::Change>,
    expiries: watch::Receiver<ChangeCause>,
    clock: Clock,
    origin: SpanOrigin,
) {
    tokio::spawn(poll_until_unused(poller, feeds, expiries, clock, origin));
}

/// Polls until there have been no subscribers for a time, or the key is rejected.
async fn poll_until_unused<W: Poller>(
    mut poller: W,
    mut feeds: PolledFeeds<W::Upstream, W::Change>,
    mut expiries: watch::Receiver<ChangeCause>,
    clock: Clock,
    origin: SpanOrigin,
) {
    let linger = Duration::from_millis(feeds.owner.settings.linger_ms);
    let mut cause = ChangeCause::Poll;
    while !feeds.remove_unused(linger) {
        expiries.mark_unchanged();
        let poll_result = origin.poll(W::Upstream::NAME).instrument(poller.poll(cause)).await;
        let next_at = match poll_result {
            Ok(PollResult { changes, next_at }) => {
                for (poller, own_feeds) in feeds.split(&poller) {
                    start(poller, own_feeds, expiries.clone(), clock, origin.clone());
                }
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
async fn expired(expiries: &mut watch::Receiver<ChangeCause>) -> ChangeCause {
    match expiries.changed().await {
        Ok(()) => *expiries.borrow(),
        // The state of the credential was evicted from the bounded cache. The feed then polls by time only.
        Err(_) => std::future::pending().await,
    }
}

/// Whether another poll would fail too: the key is missing or rejected, or changes cannot be assigned to users.
fn is_final(error: &UpstreamError) -> bool {
    matches!(
        error.failure,
        UpstreamFailure::NoCredential
            | UpstreamFailure::Unauthorized
            | UpstreamFailure::Forbidden
            | UpstreamFailure::UnknownUsers
    )
}
