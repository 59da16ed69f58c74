//! Delivers changes to subscribers: each receives every change once, in order, or an error that it missed some.
//!
//! Changes are numbered, and the newest are kept while the feed exists. A client that reconnects names the last number that it
//! received, and gets the changes after it. The feed does not wait for a slow subscriber, which gets an error instead.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

use crate::upstream::error::UpstreamError;

/// The way of one credential's changes to its listeners.
pub struct ChangeFeed<E> {
    /// Tells feeds of one credential apart: numbers begin anew with each.
    id: u64,
    events_max: usize,
    state: Mutex<FeedState<E>>,
    /// How many changes there have been; closed with the feed.
    count: watch::Sender<u64>,
}

struct FeedState<E> {
    /// The last changes.
    recent: VecDeque<Arc<E>>,
    /// The number of the first of them.
    first: u64,
    ended: Option<UpstreamError>,
    /// When somebody last stopped listening.
    left_at: Instant,
}

/// A place among a feed's changes: behind which one has heard all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedPosition {
    feed: u64,
    next: u64,
}

impl fmt::Display for FeedPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.feed, self.next)
    }
}

impl FromStr for FeedPosition {
    type Err = SubscribeError;

    fn from_str(text: &str) -> Result<Self, SubscribeError> {
        let parsed = text.split_once('-').and_then(|(feed, next)| {
            Some(Self { feed: u64::from_str_radix(feed, 16).ok()?, next: next.parse().ok()? })
        });
        // A damaged one is one that is not known.
        parsed.ok_or(SubscribeError::PositionGone)
    }
}

/// One who listens.
pub struct Subscriber<E> {
    feed: Arc<ChangeFeed<E>>,
    next: u64,
    count: watch::Receiver<u64>,
    _place: OwnedSemaphorePermit,
}

/// What a listener hears.
#[derive(Debug)]
pub enum FeedEvent<E> {
    /// A change, and the position behind it.
    Change(Arc<E>, FeedPosition),
    /// Changes came faster than they were taken, and some are gone. Nothing follows.
    TooSlow,
    /// The upstream cannot be read any more. Nothing follows.
    Ended(UpstreamError),
}

impl<E> ChangeFeed<E> {
    pub(super) fn new(events_max: usize) -> Self {
        Self {
            // Not secret: it only has to be another one after a restart, and on another replica.
            id: fastrand::u64(..),
            events_max: events_max.max(1),
            state: Mutex::new(FeedState {
                recent: VecDeque::new(),
                first: 0,
                ended: None,
                left_at: Instant::now(),
            }),
            count: watch::Sender::new(0),
        }
    }

    /// Listens from now on, or from a position on.
    /// `place` is one of those who may listen at once.
    pub(super) fn listen(
        self: &Arc<Self>,
        place: OwnedSemaphorePermit,
        after: Option<FeedPosition>,
    ) -> Result<Subscriber<E>, SubscribeError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let end = state.end();
        let next = match after {
            None => end,
            Some(FeedPosition { feed, next }) if feed == self.id && (state.first..=end).contains(&next) => {
                next
            }
            Some(_) => return Err(SubscribeError::PositionGone),
        };
        Ok(Subscriber { feed: Arc::clone(self), next, count: self.count.subscribe(), _place: place })
    }

    /// Tells of some changes.
    pub(super) fn publish(&self, changes: Vec<E>) {
        if changes.is_empty() {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.recent.extend(changes.into_iter().map(Arc::new));
        let surplus = state.recent.len().saturating_sub(self.events_max);
        state.recent.drain(..surplus);
        state.first += surplus as u64;
        let end = state.end();
        drop(state);
        self.count.send_replace(end);
    }

    /// Tells that no more changes will come.
    pub(super) fn end(&self, error: UpstreamError) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ended.get_or_insert(error);
        drop(state);
        self.count.send_modify(|_| ());
    }

    /// Waits until nobody has listened for a while.
    pub(super) async fn wait_until_unused(&self, linger: Duration) {
        loop {
            self.count.closed().await;
            let left_at = self.left_at();
            sleep_until(left_at + linger).await;
            if self.is_unused() && self.left_at() == left_at {
                return;
            }
        }
    }

    /// Whether nobody listens.
    pub(super) fn is_unused(&self) -> bool {
        self.count.is_closed()
    }

    fn left_at(&self) -> Instant {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).left_at
    }
}

impl<E> FeedState<E> {
    /// The number of the next change.
    fn end(&self) -> u64 {
        self.first + self.recent.len() as u64
    }
}

impl<E> Drop for Subscriber<E> {
    fn drop(&mut self) {
        self.feed.state.lock().unwrap_or_else(PoisonError::into_inner).left_at = Instant::now();
    }
}

impl<E> Subscriber<E> {
    /// Where it stands: behind all that it has heard.
    #[must_use]
    pub fn position(&self) -> FeedPosition {
        FeedPosition { feed: self.feed.id, next: self.next }
    }

    /// Waits for the next change.
    pub async fn next(&mut self) -> FeedEvent<E> {
        loop {
            // Marked as seen before the queue is read, so that a change after that wakes this task.
            self.count.mark_unchanged();
            {
                let state = self.feed.state.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(place) = self.next.checked_sub(state.first) else {
                    return FeedEvent::TooSlow;
                };
                let place = usize::try_from(place).unwrap_or(usize::MAX);
                if let Some(change) = state.recent.get(place) {
                    self.next += 1;
                    return FeedEvent::Change(
                        Arc::clone(change),
                        FeedPosition { feed: self.feed.id, next: self.next },
                    );
                }
                if let Some(error) = &state.ended {
                    return FeedEvent::Ended(error.clone());
                }
            }
            // The sender lives in the feed, which this listener holds.
            drop(self.count.changed().await);
        }
    }
}

/// Why somebody cannot listen.
#[derive(Debug, Clone)]
pub enum SubscribeError {
    /// The upstream cannot be read.
    Upstream(UpstreamError),
    /// What came after the position is not known any more.
    PositionGone,
    /// As many listen as may.
    TooMany,
}

impl From<UpstreamError> for SubscribeError {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(error)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;
    use crate::domain::upstream_name::UpstreamName;
    use crate::upstream::error::UpstreamFailure;

    fn feed(events_max: usize) -> Arc<ChangeFeed<u32>> {
        Arc::new(ChangeFeed::new(events_max))
    }

    fn listen(
        feed: &Arc<ChangeFeed<u32>>,
        after: Option<FeedPosition>,
    ) -> Result<Subscriber<u32>, SubscribeError> {
        feed.listen(Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap(), after)
    }

    async fn numbers(listener: &mut Subscriber<u32>, count: usize) -> Vec<u32> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            match listener.next().await {
                FeedEvent::Change(number, position) => {
                    assert_eq!(position, listener.position());
                    numbers.push(*number);
                }
                other => panic!("{other:?}"),
            }
        }
        numbers
    }

    #[tokio::test(start_paused = true)]
    async fn each_hears_every_change_once_from_where_it_began() {
        let feed = feed(10);
        let mut early = listen(&feed, None).unwrap();
        feed.publish(vec![1, 2]);
        let mut late = listen(&feed, None).unwrap();
        feed.publish(vec![3]);
        assert_eq!(numbers(&mut early, 3).await, [1, 2, 3]);
        assert_eq!(numbers(&mut late, 1).await, [3]);
        let waiting = tokio::spawn(async move { numbers(&mut early, 1).await });
        tokio::task::yield_now().await;
        feed.publish(vec![4]);
        assert_eq!(waiting.await.unwrap(), [4]);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_back_hears_what_it_missed_as_long_as_that_is_known() {
        let feed = feed(3);
        let mut first = listen(&feed, None).unwrap();
        feed.publish(vec![1]);
        assert_eq!(numbers(&mut first, 1).await, [1]);
        let position = first.position();
        drop(first);
        feed.publish(vec![2, 3]);
        let text = position.to_string();
        let mut again = listen(&feed, Some(text.parse().unwrap())).unwrap();
        assert_eq!(numbers(&mut again, 2).await, [2, 3]);
        feed.publish(vec![4, 5]);
        for gone in [text.as_str(), "0-1", "", "x-y", &ChangeFeed::<u32>::new(1).id.to_string()] {
            let refused = gone.parse().and_then(|position| listen(&feed, Some(position)).map(drop));
            assert!(matches!(refused, Err(SubscribeError::PositionGone)), "{gone}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_too_slow_is_told_so_and_nothing_is_kept_for_it() {
        let feed = feed(2);
        let mut slow = listen(&feed, None).unwrap();
        feed.publish(vec![1, 2, 3]);
        assert!(matches!(slow.next().await, FeedEvent::TooSlow));
        assert_eq!(feed.state.lock().unwrap().recent.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_comes_after_what_was_told_before() {
        let feed = feed(5);
        let mut listener = listen(&feed, None).unwrap();
        feed.publish(vec![1]);
        feed.end(UpstreamError::new(UpstreamName::Leadlex, UpstreamFailure::Unauthorized));
        assert_eq!(numbers(&mut listener, 1).await, [1]);
        assert!(matches!(listener.next().await, FeedEvent::Ended(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_feed_is_left_alone_only_after_a_while_without_anybody() {
        let feed = feed(5);
        let linger = Duration::from_secs(60);
        let listener = listen(&feed, None).unwrap();
        let alone = {
            let feed = Arc::clone(&feed);
            tokio::spawn(async move { feed.wait_until_unused(linger).await })
        };
        tokio::time::sleep(linger * 2).await;
        drop(listener);
        tokio::time::sleep(linger / 2).await;
        let again = listen(&feed, None).unwrap();
        tokio::time::sleep(linger).await;
        assert!(!alone.is_finished(), "somebody came back");
        drop(again);
        tokio::time::sleep(linger + Duration::from_secs(1)).await;
        assert!(alone.is_finished());
    }
}
