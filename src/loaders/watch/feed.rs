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

/// The changes of one credential's data, for its subscribers.
pub struct ChangeFeed<E> {
    /// Id of the feed. Change numbers are unique only within a feed.
    id: u64,
    events_max: usize,
    state: Mutex<FeedState<E>>,
    /// Number of changes so far. The channel closes with the feed.
    count: watch::Sender<u64>,
}

struct FeedState<E> {
    /// The newest changes.
    recent: VecDeque<Arc<E>>,
    /// Number of the first of them.
    first: u64,
    ended: Option<UpstreamError>,
    /// Time at which the last subscriber left.
    left_at: Instant,
}

/// A position in a feed: the number of the next change.
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
        // A malformed position is treated like an unknown one.
        parsed.ok_or(SubscribeError::PositionGone)
    }
}

/// A subscriber of a feed.
pub struct Subscriber<E> {
    feed: Arc<ChangeFeed<E>>,
    next: u64,
    count: watch::Receiver<u64>,
    _permit: OwnedSemaphorePermit,
}

/// Event of a feed.
#[derive(Debug)]
pub enum FeedEvent<E> {
    /// A change, and the position after it.
    Change(Arc<E>, FeedPosition),
    /// The subscriber was too slow, so changes are missing. No event follows.
    TooSlow,
    /// The upstream cannot be read. No event follows.
    Ended(UpstreamError),
}

impl<E> ChangeFeed<E> {
    pub(super) fn new(events_max: usize) -> Self {
        Self {
            // Not a secret. It only has to differ after a restart and between replicas.
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

    /// Subscribes from now on, or from a position. `permit` counts the subscriber.
    pub(super) fn subscribe(
        self: &Arc<Self>,
        permit: OwnedSemaphorePermit,
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
        Ok(Subscriber { feed: Arc::clone(self), next, count: self.count.subscribe(), _permit: permit })
    }

    /// Publishes changes to all subscribers.
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

    /// Ends the feed with an error, which subscribers receive after the remaining changes.
    pub(super) fn end(&self, error: UpstreamError) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ended.get_or_insert(error);
        drop(state);
        self.count.send_modify(|_| ());
    }

    /// Waits until the feed had no subscriber for the time of `linger`.
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

    /// Whether the feed has no subscriber.
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
    /// Returns the position after the last received change.
    #[must_use]
    pub fn position(&self) -> FeedPosition {
        FeedPosition { feed: self.feed.id, next: self.next }
    }

    /// Waits for the next event.
    pub async fn next(&mut self) -> FeedEvent<E> {
        loop {
            // Marked before the queue is read, so that a later change wakes this task.
            self.count.mark_unchanged();
            {
                let state = self.feed.state.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(index) = self.next.checked_sub(state.first) else {
                    return FeedEvent::TooSlow;
                };
                let index = usize::try_from(index).unwrap_or(usize::MAX);
                if let Some(change) = state.recent.get(index) {
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
            // The sender belongs to the feed, which this subscriber keeps alive.
            drop(self.count.changed().await);
        }
    }
}

/// Reason why a subscription cannot start.
#[derive(Debug, Clone)]
pub enum SubscribeError {
    /// The upstream cannot be read.
    Upstream(UpstreamError),
    /// The changes after the position are no longer stored.
    PositionGone,
    /// The limit of concurrent subscribers is reached.
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

    fn subscribe(
        feed: &Arc<ChangeFeed<u32>>,
        after: Option<FeedPosition>,
    ) -> Result<Subscriber<u32>, SubscribeError> {
        feed.subscribe(Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap(), after)
    }

    async fn numbers(subscriber: &mut Subscriber<u32>, count: usize) -> Vec<u32> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            match subscriber.next().await {
                FeedEvent::Change(number, position) => {
                    assert_eq!(position, subscriber.position());
                    numbers.push(*number);
                }
                other => panic!("{other:?}"),
            }
        }
        numbers
    }

    #[tokio::test(start_paused = true)]
    async fn each_subscriber_receives_every_change_once_from_its_start() {
        let feed = feed(10);
        let mut early = subscribe(&feed, None).unwrap();
        feed.publish(vec![1, 2]);
        let mut late = subscribe(&feed, None).unwrap();
        feed.publish(vec![3]);
        assert_eq!(numbers(&mut early, 3).await, [1, 2, 3]);
        assert_eq!(numbers(&mut late, 1).await, [3]);
        let waiting = tokio::spawn(async move { numbers(&mut early, 1).await });
        tokio::task::yield_now().await;
        feed.publish(vec![4]);
        assert_eq!(waiting.await.unwrap(), [4]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_returning_subscriber_receives_the_missed_changes_while_they_are_stored() {
        let feed = feed(3);
        let mut first = subscribe(&feed, None).unwrap();
        feed.publish(vec![1]);
        assert_eq!(numbers(&mut first, 1).await, [1]);
        let position = first.position();
        drop(first);
        feed.publish(vec![2, 3]);
        let text = position.to_string();
        let mut again = subscribe(&feed, Some(text.parse().unwrap())).unwrap();
        assert_eq!(numbers(&mut again, 2).await, [2, 3]);
        feed.publish(vec![4, 5]);
        for gone in [text.as_str(), "0-1", "", "x-y", &ChangeFeed::<u32>::new(1).id.to_string()] {
            let refused = gone.parse().and_then(|position| subscribe(&feed, Some(position)).map(drop));
            assert!(matches!(refused, Err(SubscribeError::PositionGone)), "{gone}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_subscriber_receives_an_error_and_no_backlog() {
        let feed = feed(2);
        let mut slow = subscribe(&feed, None).unwrap();
        feed.publish(vec![1, 2, 3]);
        assert!(matches!(slow.next().await, FeedEvent::TooSlow));
        assert_eq!(feed.state.lock().unwrap().recent.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_follows_the_remaining_changes() {
        let feed = feed(5);
        let mut subscriber = subscribe(&feed, None).unwrap();
        feed.publish(vec![1]);
        feed.end(UpstreamError::new(UpstreamName::Leadlex, UpstreamFailure::Unauthorized));
        assert_eq!(numbers(&mut subscriber, 1).await, [1]);
        assert!(matches!(subscriber.next().await, FeedEvent::Ended(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_feed_ends_some_time_after_its_last_subscriber() {
        let feed = feed(5);
        let linger = Duration::from_secs(60);
        let subscriber = subscribe(&feed, None).unwrap();
        let unused = {
            let feed = Arc::clone(&feed);
            tokio::spawn(async move { feed.wait_until_unused(linger).await })
        };
        tokio::time::sleep(linger * 2).await;
        drop(subscriber);
        tokio::time::sleep(linger / 2).await;
        let again = subscribe(&feed, None).unwrap();
        tokio::time::sleep(linger).await;
        assert!(!unused.is_finished(), "a subscriber came back");
        drop(again);
        tokio::time::sleep(linger + Duration::from_secs(1)).await;
        assert!(unused.is_finished());
    }
}
