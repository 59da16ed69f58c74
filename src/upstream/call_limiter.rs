//! Decides whether a credential's call may be sent to its upstream, and records the outcome of each call.
//!
//! There is one [`CallLimiter`] per credential, because quotas belong to keys, and one tenant's failures must not
//! affect another. The number of limiters is bounded, because callers may bring their own keys. An evicted credential
//! starts again with an unknown quota, which its first response states.
//!
//! [`CallLimiter::acquire`] checks the key, the quota and the breaker, waits for a concurrency permit, and checks
//! again, because the state may have changed meanwhile. With other replicas, the call is reserved in the store before
//! the second check ([`sharing`]). A call that may not be sent is *held*: `acquire` returns an error. The transport
//! tries again only if the quota holds the call briefly.

mod limiter;
mod sharing;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

pub(super) use self::limiter::{CallLimiter, CallPermit};
use self::limiter::{LimiterState, Limiters, SharedQuota};
use self::sharing::QuotaSharing;
use super::breaker::Breaker;
use super::concurrency::{CredentialConcurrency, UpstreamConcurrency};
use super::counts::{CallCounters, CallCounts};
use super::metrics;
use super::problem_log::ProblemLog;
use super::quota::{Quota, QuotaFigures};
use super::refusals::Refusals;
use super::retry;
use super::settings::UpstreamSettings;
use super::status::CallHistory;
use crate::domain::bounded_map::BoundedMap;
use crate::domain::clock::Clock;
use crate::domain::credential::{Credential, Fingerprint};
use crate::domain::problems::Problems;
use crate::domain::upstream_name::{Upstream, UpstreamName};
use crate::replicas::Replicas;
use crate::telemetry::metrics::readings::Readings;

/// Maximum number of credentials with a limiter.
const LIMITERS_MAX: u64 = 10_000;

/// The limiters of all credentials at one upstream.
#[derive(Clone)]
pub(super) struct CallLimiters {
    upstream: UpstreamName,
    settings: Arc<UpstreamSettings>,
    clock: Clock,
    counters: Arc<CallCounters>,
    problem_log: Arc<ProblemLog>,
    concurrency: UpstreamConcurrency,
    limiters: Limiters,
    refusals: Refusals,
    sharing: Option<Arc<QuotaSharing>>,
}

impl CallLimiters {
    pub(super) fn new(upstream: UpstreamName, settings: Arc<UpstreamSettings>, clock: Clock) -> Self {
        Self {
            upstream,
            concurrency: UpstreamConcurrency::new(&settings.concurrency),
            settings,
            clock,
            counters: Arc::default(),
            problem_log: Arc::default(),
            limiters: BoundedMap::with_max_entries(LIMITERS_MAX),
            refusals: Refusals::default(),
            sharing: None,
        }
    }

    /// Shares quotas with other replicas. Must be called before the first call.
    pub(super) fn sharing(self, replicas: Option<Replicas>) -> Self {
        let sharing =
            replicas.map(|replicas| QuotaSharing::start(replicas, self.upstream, self.limiters.clone()));
        Self { sharing, ..self }
    }

    pub(super) fn of<U: Upstream>(&self, credential: &Credential<U>) -> Arc<CallLimiter> {
        self.limiters.get_or_insert_with(credential.fingerprint().digest(), || {
            let Some(sharing) = &self.sharing else { return Arc::new(self.limiter(None)) };
            let limiter = Arc::new(self.limiter(Some(sharing.of(credential.fingerprint().tag()))));
            limiter.refresh();
            limiter
        })
    }

    fn limiter(&self, shared: Option<SharedQuota>) -> CallLimiter {
        CallLimiter {
            upstream: self.upstream,
            clock: self.clock,
            counters: Arc::clone(&self.counters),
            concurrency: CredentialConcurrency::new(&self.settings.concurrency, self.concurrency.clone()),
            budget: retry::budget(&self.settings.retry),
            refusals: self.refusals.clone(),
            refusal_generation: fastrand::u64(..).into(),
            state: Mutex::new(LimiterState {
                quota: Quota::new(self.settings.quota.clone()),
                shared,
                breaker: Breaker::new(self.settings.breaker.clone()),
                history: CallHistory::default(),
                rejected_key: None,
            }),
        }
    }

    /// Forgets the refused requests of a credential: its data, or its permissions, may have changed.
    pub(super) fn forget_refusals<U>(&self, credential: &Fingerprint<U>) {
        if let Some(limiter) = self.limiters.get(credential.digest()) {
            limiter.refusal_generation.store(fastrand::u64(..), Ordering::Relaxed);
        }
    }

    /// Counts and logs the parts of a response that could not be read or were not requested.
    pub(super) fn count_problems(&self, problems: &Problems) {
        self.problem_log.log(problems);
        self.counters.add_problems(problems);
    }

    /// Returns the outcomes of all calls.
    pub(super) fn counts(&self) -> CallCounts {
        let now = self.clock.instant_now();
        // A breaker whose time is over allows the next call, so it does not count as open.
        let open_breakers =
            self.limiters.iter().filter(|(_, limiter)| limiter.lock().breaker.wait(now).is_some());
        let breakers_open = open_breakers.count() as u64;
        CallCounts { breakers_open, in_flight: self.concurrency.in_use(), ..self.counters.read() }
    }

    /// Adds the metrics of all calls and quotas.
    pub(super) fn read(&self, readings: &mut Readings) {
        self.counts().read(self.upstream, readings);
        metrics::read_durations(self.counters.durations(), self.upstream, readings);
        let now = self.clock.instant_now();
        let quotas = self.limiters.iter().map(|(_, limiter)| limiter.lock().quota.figures(now));
        if let Some(tightest) = QuotaFigures::tightest(quotas) {
            tightest.read(self.upstream, readings);
        }
    }
}
