//! Delivers the changes that one view shows. Each subscriber receives every change once and in order, or an error that
//! it missed some.
//!
//! A [`FeedPosition`] identifies the change that a subscriber received last. The newest changes are stored while the
//! feed exists, so a client that reconnects with its position receives the changes after it. Positions are random bytes
//! and differ between views, so they reveal nothing about changes that the view does not show. The feed does not wait
//! for a slow subscriber, which gets an error instead.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use crate::upstream::error::UpstreamError;

/// The changes of one credential that one view shows.
pub struct ChangeFeed<E> {
    events_max: usize,
    state: Mutex<FeedState<E>>,
    /// Number of changes so far. The channel is closed while there are no subscribers.
    count: watch::Sender<u64>,
}

struct FeedState<E> {
    /// The newest changes, each with the position after it.
    recent: VecDeque<(Arc<E>, FeedPosition)>,
    /// Position before the first of them.
    start: FeedPosition,
    /// Number of the first of them, counted from the start of the feed.
    first: u64,
    ended: Option<UpstreamError>,
    /// Time at which a subscriber last left.
    left_at: Instant,
}

/// Position after one change of a feed, or at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedPosition(u128);

impl FeedPosition {
    /// Creates a position from secure random bytes. From positions of `fastrand`, a client could compute how many were
    /// drawn between two of them, and so how often hidden data has changed.
    fn random() -> Self {
        let mut bytes = [0; 16];
        match getrandom::fill(&mut bytes) {
            Ok(()) => Self(u128::from_ne_bytes(bytes)),
            Err(_) => Self(fastrand::u128(..)),
        }
    }
}

impl fmt::Display for FeedPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for FeedPosition {
    type Err = SubscribeError;

    /// Parses a position. A text that is not one is handled as an unknown position.
    fn from_str(text: &str) -> Result<Self, SubscribeError> {
        u128::from_str_radix(text, 16).map(Self).map_err(|_| SubscribeError::PositionGone)
    }
}

/// One subscriber of a feed.
pub struct Subscriber<E> {
    feed: Arc<ChangeFeed<E>>,
    next: u64,
    position: FeedPosition,
    count: watch::Receiver<u64>,
    _permit: OwnedSemaphorePermit,
}

/// An event of a feed, as a subscriber receives it.
#[derive(Debug)]
pub enum FeedEvent<E> {
    /// A change.
    Change(Arc<E>),
    /// The subscriber read too slowly, and some changes are lost. No event follows.
    TooSlow,
    /// The upstream cannot be read any more. No event follows.
    Ended(UpstreamError),
}

impl<E> ChangeFeed<E> {
    pub(super) fn new(events_max: usize) -> Self {
        Self {
            events_max: events_max.max(1),
            state: Mutex::new(FeedState {
                recent: VecDeque::new(),
                start: FeedPosition::random(),
                first: 0,
                ended: None,
                left_at: Instant::now(),
            }),
            count: watch::Sender::new(0),
        }
    }

    /// Subscribes to the changes from now on, or after a position. `permit` counts the subscriber.
    pub(super) fn subscribe(
        self: &Arc<Self>,
        permit: OwnedSemaphorePermit,
        after: Option<FeedPosition>,
    ) -> Result<Subscriber<E>, SubscribeError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let position = after.unwrap_or_else(|| state.end_position());
        let next = state.number_after(position).ok_or(SubscribeError::PositionGone)?;
        let count = self.count.subscribe();
        Ok(Subscriber { feed: Arc::clone(self), next, position, count, _permit: permit })
    }

    /// Delivers changes to all subscribers.
    pub(super) fn publish(&self, changes: impl IntoIterator<Item = Arc<E>>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.end();
        state.recent.extend(changes.into_iter().map(|change| (change, FeedPosition::random())));
        let end = state.end();
        let surplus = state.recent.len().saturating_sub(self.events_max);
        let last_lost = state.recent.drain(..surplus).next_back();
        if let Some((_, position)) = last_lost {
            state.start = position;
        }
        state.first += surplus as u64;
        drop(state);
        if end > before {
            self.count.send_replace(end);
        }
    }

    /// Ends all subscriptions with an error, after the changes that are not delivered yet.
    pub(super) fn end(&self, error: UpstreamError) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ended.get_or_insert(error);
        drop(state);
        self.count.send_modify(|_| ());
    }

    /// Whether there have been no subscribers for the time `linger`.
    pub(super) fn is_unused_for(&self, linger: Duration) -> bool {
        let left_at = self.state.lock().unwrap_or_else(PoisonError::into_inner).left_at;
        self.count.is_closed() && left_at.elapsed() >= linger
    }
}

impl<E> FeedState<E> {
    /// Returns the number of the next change.
    fn end(&self) -> u64 {
        self.first + self.recent.len() as u64
    }

    /// Returns the position after all changes.
    fn end_position(&self) -> FeedPosition {
        self.recent.back().map_or(self.start, |(_, position)| *position)
    }

    /// Returns the number of the first change after a position; `None` if the position is unknown.
    fn number_after(&self, position: FeedPosition) -> Option<u64> {
        let positions = std::iter::once(self.start).chain(self.recent.iter().map(|(_, position)| *position));
        (self.first..).zip(positions).find_map(|(number, known)| (known == position).then_some(number))
    }
}

impl<E> Drop for Subscriber<E> {
    fn drop(&mut self) {
        self.feed.state.lock().unwrap_or_else(PoisonError::into_inner).left_at = Instant::now();
    }
}

impl<E> Subscriber<E> {
    /// Returns the position after all received changes.
    #[must_use]
    pub fn position(&self) -> FeedPosition {
        self.position
    }

    /// Waits for the next change.
    pub async fn next(&mut self) -> FeedEvent<E> {
        loop {
            // Marked as seen before the queue is read, so that a change after that wakes this task.
            self.count.mark_unchanged();
            {
                let state = self.feed.state.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(index) = self.next.checked_sub(state.first) else {
                    return FeedEvent::TooSlow;
                };
                let index = usize::try_from(index).unwrap_or(usize::MAX);
                if let Some((change, position)) = state.recent.get(index) {
                    self.next += 1;
                    self.position = *position;
                    return FeedEvent::Change(Arc::clone(change));
                }
                if let Some(error) = &state.ended {
                    return FeedEvent::Ended(error.clone());
                }
            }
            // The sender cannot be gone: it is a part of the feed, which this subscriber keeps alive.
            drop(self.count.changed().await);
        }
    }
}

/// The reason why a subscription is refused.
#[derive(Debug, Clone)]
pub enum SubscribeError {
    /// The upstream cannot be read.
    Upstream(UpstreamError),
    /// The position is unknown, or changes after it are lost.
    PositionGone,
    /// The limit of subscribers is reached.
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

    fn publish(feed: &ChangeFeed<u32>, numbers: impl IntoIterator<Item = u32>) {
        feed.publish(numbers.into_iter().map(Arc::new));
    }

    async fn numbers(subscriber: &mut Subscriber<u32>, count: usize) -> Vec<u32> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            match subscriber.next().await {
                FeedEvent::Change(number) => numbers.push(*number),
                other => panic!("{other:?}"),
            }
        }
        numbers
    }

    #[tokio::test(start_paused = true)]
    async fn every_subscriber_receives_each_change_once() {
        let feed = feed(10);
        let mut early = subscribe(&feed, None).unwrap();
        publish(&feed, [1, 2]);
        let mut late = subscribe(&feed, None).unwrap();
        publish(&feed, [3]);
        assert_eq!(numbers(&mut early, 3).await, [1, 2, 3]);
        assert_eq!(numbers(&mut late, 1).await, [3]);
        let waiting = tokio::spawn(async move { numbers(&mut early, 1).await });
        tokio::task::yield_now().await;
        publish(&feed, [4]);
        assert_eq!(waiting.await.unwrap(), [4]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_position_resumes_until_changes_after_it_are_lost() {
        let feed = feed(3);
        let mut first = subscribe(&feed, None).unwrap();
        let start = first.position();
        publish(&feed, [1]);
        assert_eq!(numbers(&mut first, 1).await, [1]);
        let after_one = first.position();
        drop(first);
        publish(&feed, [2, 3]);
        for (position, missed) in [(start, [1, 2].as_slice()), (after_one, &[2, 3])] {
            let mut again = subscribe(&feed, Some(position.to_string().parse().unwrap())).unwrap();
            assert_eq!(numbers(&mut again, 2).await, missed);
        }
        publish(&feed, [4]);
        assert!(subscribe(&feed, Some(start)).is_err());
        assert_eq!(numbers(&mut subscribe(&feed, Some(after_one)).unwrap(), 3).await, [2, 3, 4]);
        publish(&feed, [5]);
        let (known, other) =
            (after_one.to_string(), subscribe(&self::feed(1), None).unwrap().position().to_string());
        for gone in [known.as_str(), "0-1", "1", "", "x-y", &other] {
            let refused = gone.parse().and_then(|position| subscribe(&feed, Some(position)).map(drop));
            assert!(matches!(refused, Err(SubscribeError::PositionGone)), "{gone}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_subscriber_gets_an_error_and_nothing_is_stored_for_it() {
        let feed = feed(2);
        let mut slow = subscribe(&feed, None).unwrap();
        publish(&feed, [1, 2, 3]);
        assert!(matches!(slow.next().await, FeedEvent::TooSlow));
        assert_eq!(feed.state.lock().unwrap().recent.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_comes_after_the_changes_before_it() {
        let feed = feed(5);
        let mut subscriber = subscribe(&feed, None).unwrap();
        publish(&feed, [1]);
        feed.end(UpstreamError::new(UpstreamName::Leadlex, UpstreamFailure::Unauthorized));
        assert_eq!(numbers(&mut subscriber, 1).await, [1]);
        assert!(matches!(subscriber.next().await, FeedEvent::Ended(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_feed_is_unused_some_time_after_its_last_subscriber_left() {
        let feed = feed(5);
        let linger = Duration::from_secs(60);
        let subscriber = subscribe(&feed, None).unwrap();
        tokio::time::advance(linger * 2).await;
        assert!(!feed.is_unused_for(linger));
        drop(subscriber);
        tokio::time::advance(linger / 2).await;
        drop(subscribe(&feed, None).unwrap());
        tokio::time::advance(linger / 2).await;
        assert!(!feed.is_unused_for(linger));
        tokio::time::advance(linger / 2).await;
        assert!(feed.is_unused_for(linger));
    }
}
