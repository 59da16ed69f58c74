//! Shares quotas with the other replicas through the store.
//!
//! Before each call one exchange with the store reserves it, for at most the timeout of a command. After each
//! response a task in the background writes what it states, and repeats that while the store is unreachable.
//! Meanwhile the model continues locally, with this replica's share of the quota ([`Exchange`]).
//!
//! The breaker and a rejected key are not shared: both end within seconds, and a replica with a broken network
//! must not stop the others.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::limiter::{CallLimiter, LimiterState, Limiters, SharedQuota};
use crate::domain::hex::hex;
use crate::domain::upstream_name::UpstreamName;
use crate::replicas::Replicas;
use crate::replicas::channel::{ChannelEvent, CredentialTag};
use crate::upstream::quota::{CallNumber, Exchange, Moment, Purpose};

/// Time for which the other replicas' calls are not read again only to show them or to allow a held call, and the
/// interval of attempts while the store is unreachable.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// Delay after another replica has written first.
const CONFLICT_DELAY: Duration = Duration::from_millis(10);

/// Version of the format in the store.
const VERSION: u32 = 2;

/// Quota sharing of one upstream's limiters. Dropping it stops the receiver.
pub(super) struct QuotaSharing {
    replicas: Replicas,
    upstream: UpstreamName,
    receiver_task: AbortHandle,
}

impl QuotaSharing {
    /// Starts receiving. Must be called within a Tokio runtime, like [`Replicas::start`].
    pub(super) fn start(replicas: Replicas, upstream: UpstreamName, limiters: Limiters) -> Arc<Self> {
        let receiver_task = tokio::spawn(share_after_gaps(replicas.subscribe(), limiters));
        Arc::new(Self { replicas, upstream, receiver_task: receiver_task.abort_handle() })
    }

    /// Returns the shared state of one limiter.
    pub(super) fn of(&self, tag: CredentialTag) -> SharedQuota {
        let prefix = &self.replicas.settings().key_prefix;
        let tag = hex(&tag);
        let upstream = self.upstream.to_string().to_lowercase();
        // The braces keep all keys of a credential on one node of a cluster.
        let exchange = Exchange::new(format!("{prefix}:{VERSION}:quota:{upstream}:{{{tag}}}"));
        SharedQuota { replicas: self.replicas.clone(), exchange, exchanged_at: None, is_pushing: false }
    }
}

impl Drop for QuotaSharing {
    fn drop(&mut self) {
        self.receiver_task.abort();
    }
}

/// Shares recent calls again whenever the connection to the store was lost: it may have restarted empty.
async fn share_after_gaps(mut events: broadcast::Receiver<ChannelEvent>, limiters: Limiters) {
    loop {
        match events.recv().await {
            Ok(ChannelEvent::Message { .. }) => {}
            Ok(ChannelEvent::Gap) | Err(RecvError::Lagged(_)) => {
                limiters.iter().for_each(|(_, limiter)| limiter.share_all());
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// A call that is reserved in the store. Dropping it returns the reservation.
pub(super) struct Reservation {
    limiter: Arc<CallLimiter>,
    number: Option<CallNumber>,
}

impl Reservation {
    /// Keeps the reservation, because the call is sent.
    pub(super) fn take(&mut self) -> Option<CallNumber> {
        self.number.take()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(number) = self.number.take() {
            if let Some(shared) = &mut self.limiter.lock().shared {
                shared.exchange.cancel(number);
            }
            let limiter = Arc::clone(&self.limiter);
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(async move {
                    limiter.exchange().await;
                    // What held this call may have been a reservation of another replica that it returned too.
                    tokio::time::sleep(REFRESH_INTERVAL).await;
                    limiter.exchange().await;
                });
            }
        }
    }
}

impl CallLimiter {
    /// Reserves a call, and reads the calls of the other replicas.
    pub(super) async fn reserve(self: &Arc<Self>) -> Reservation {
        let number = {
            let (moment, state) = (self.moment(), &mut *self.lock());
            state.shared.as_mut().map(|shared| shared.exchange.reserve(moment))
        };
        let reservation = Reservation { limiter: Arc::clone(self), number };
        if number.is_some() {
            // Boxed: as in `refresh_if_held`.
            Box::pin(self.exchange()).await;
        }
        reservation
    }

    /// Reads the calls of the other replicas if they hold this call as far as known, but may not any more.
    pub(super) async fn refresh_if_held(&self, purpose: Purpose) {
        let is_due = {
            let state = &mut *self.lock();
            state.shared.is_some()
                && state.quota_wait(self.clock.instant_now(), purpose).is_some()
                && state.begin_refresh()
        };
        if is_due {
            // Boxed: without a store, no call has to carry this future.
            Box::pin(self.exchange()).await;
        }
    }

    /// Reads the calls of the other replicas in the background.
    pub(super) fn refresh(self: &Arc<Self>) {
        if self.lock().begin_refresh() {
            let limiter = Arc::clone(self);
            tokio::spawn(async move { limiter.exchange().await });
        }
    }

    /// Exchanges what is unshared for the state of the other replicas. Returns whether everything was accepted; `None`
    /// without a reply.
    async fn exchange(&self) -> Option<bool> {
        let (request, replicas) = {
            let (moment, state) = (self.moment(), &mut *self.lock());
            let shared = state.shared.as_mut()?;
            shared.exchanged_at = Some(Instant::now());
            (shared.exchange.request(&mut state.quota, moment), shared.replicas.clone())
        };
        let reply = replicas.exchange_quota(request.exchange.clone()).await;
        let (moment, state) = (self.moment(), &mut *self.lock());
        let shared = state.shared.as_mut()?;
        let Some(reply) = reply else {
            shared.exchange.on_failure(&mut state.quota, moment.now);
            return None;
        };
        if !shared.exchange.on_reply(&mut state.quota, moment, &request, &reply) {
            replicas.count_unreadable();
        }
        Some(reply.is_accepted || request.exchange.write.is_none())
    }

    /// Shares in the background what is unshared, until everything is.
    pub(super) fn push(self: &Arc<Self>, state: &mut LimiterState) {
        let Some(shared) = &mut state.shared else { return };
        if shared.is_pushing || !shared.exchange.has_unshared() {
            return;
        }
        shared.is_pushing = true;
        let limiter = Arc::downgrade(self);
        tokio::spawn(async move {
            while let Some(limiter) = limiter.upgrade().filter(|limiter| limiter.has_unshared()) {
                let shared = limiter.exchange().await;
                drop(limiter);
                match shared {
                    Some(true) => {}
                    Some(false) => tokio::time::sleep(CONFLICT_DELAY).await,
                    None => tokio::time::sleep(REFRESH_INTERVAL).await,
                }
            }
        });
    }

    /// Whether the pushing task has more to do.
    fn has_unshared(&self) -> bool {
        let mut state = self.lock();
        state.shared.as_mut().is_some_and(|shared| {
            shared.is_pushing = shared.exchange.has_unshared();
            shared.is_pushing
        })
    }

    fn share_all(self: &Arc<Self>) {
        let (moment, state) = (self.moment(), &mut *self.lock());
        if let Some(shared) = state.shared.as_mut().filter(|_| state.quota.calls_in_minute(moment.now) > 0) {
            shared.exchange.share_all(&state.quota, moment);
            self.push(state);
        }
    }

    pub(super) fn moment(&self) -> Moment {
        Moment { now: self.clock.instant_now(), wall: self.clock.now() }
    }
}

impl LimiterState {
    /// Whether the caller must read the calls of the other replicas. No other caller does within the interval.
    fn begin_refresh(&mut self) -> bool {
        let Some(shared) = &mut self.shared else { return false };
        let is_due = shared.exchanged_at.is_none_or(|at| at.elapsed() >= REFRESH_INTERVAL);
        if is_due {
            shared.exchanged_at = Some(Instant::now());
        }
        is_due
    }
}
