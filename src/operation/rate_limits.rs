//! Limits over time of each caller: requests, complexity and upstream calls in a window.
//!
//! [`RateLimiter`] is the entry point; the engine has one only if `[rate_limits]` or a token sets a limit. A request
//! gets its [`CallerLimits`]:
//!
//! 1. [`CallerLimits::charge_request`] counts it, also if its response is cached.
//! 2. [`CallerLimits::charge_execution`] counts its complexity before it is executed, or joins an equal execution.
//! 3. [`CallerLimits::counting_calls`] counts its upstream calls after they were made, because their number is not
//!    known before. A caller can therefore exceed that limit once, and then waits longer.
//!
//! Each replica counts alone. Rejected: the `governor` crate. It counts only before an event, but calls are known only
//! afterwards. For an amount above the limit it returns an error instead of a waiting time.

pub mod settings;
mod sliding_count;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use self::settings::{RateLimitSettings, RateLimits};
use self::sliding_count::SlidingCount;
use super::codes::Code;
use super::cost::OperationCost;
use super::errors::GraphqlError;
use crate::domain::bounded_map::BoundedMap;
use crate::domain::caller::{Caller, CallerKey};
use crate::loaders::stats::OperationStats;
use crate::telemetry::metrics::declared;
use crate::telemetry::metrics::readings::Readings;

/// A kind of limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Requests,
    Complexity,
    UpstreamCalls,
}

const ALL: [Limit; 3] = [Limit::Requests, Limit::Complexity, Limit::UpstreamCalls];

/// Values of the metric's labels.
const LIMIT_LABELS: [&str; 3] = ["requests", "complexity", "upstream_calls"];
const ROLE_LABELS: [&str; 2] = ["admin", "member"];

impl Limit {
    /// Returns the quota; `None` if there is no limit.
    fn quota(self, limits: &RateLimits) -> Option<u64> {
        let quota = match self {
            Self::Requests => limits.requests,
            Self::Complexity => limits.complexity,
            Self::UpstreamCalls => limits.upstream_calls,
        };
        (quota > 0).then_some(quota)
    }

    /// Returns the name of its policy in `RateLimit-Policy`.
    fn policy(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Complexity => "complexity",
            Self::UpstreamCalls => "upstream-calls",
        }
    }

    /// Returns `extensions.reason` of the error.
    fn reason(self) -> &'static str {
        match self {
            Self::Requests => "REQUESTS",
            Self::Complexity => "COMPLEXITY",
            Self::UpstreamCalls => "UPSTREAM_CALLS",
        }
    }

    /// Returns a quota in words.
    fn describe(self, quota: u64) -> String {
        match self {
            Self::Requests => format!("{quota} requests"),
            Self::Complexity => format!("operations of complexity {quota}"),
            Self::UpstreamCalls => format!("{quota} upstream calls"),
        }
    }
}

/// The limits of all callers.
pub(super) struct RateLimiter {
    settings: RateLimitSettings,
    by_token: HashMap<Box<str>, RateLimits>,
    /// At most `callers_max` callers: in mode `passthrough` a client can invent any number of them.
    callers: BoundedMap<CallerKey, Arc<Mutex<Usage>>>,
    refusals: Arc<Refusals>,
}

/// The used units of each limit.
type Usage = [SlidingCount; ALL.len()];

/// Refused operations by role and limit.
#[derive(Default)]
struct Refusals([[AtomicU64; LIMIT_LABELS.len()]; ROLE_LABELS.len()]);

impl RateLimiter {
    /// Creates the limiter; `None` if nothing sets a limit. `tokens` are the limits of tokens by their names; a limit
    /// of 0 is that of the token's role.
    pub(super) fn new(
        settings: &RateLimitSettings,
        tokens: impl IntoIterator<Item = (Box<str>, RateLimits)>,
    ) -> Option<Self> {
        let by_token: HashMap<_, _> = tokens.into_iter().filter(|(_, limits)| limits.has_limit()).collect();
        let has_limit = settings.admin.has_limit() || settings.member.has_limit() || !by_token.is_empty();
        has_limit.then(|| Self {
            settings: settings.clone(),
            by_token,
            callers: BoundedMap::with_max_entries(settings.callers_max),
            refusals: Arc::default(),
        })
    }

    /// Returns the same limits with the callers' usage of another limiter, unless its window has another length.
    pub(super) fn keeping_usage_of(&self, other: &Self) -> Self {
        let is_comparable = self.settings.window_ms == other.settings.window_ms
            && self.settings.callers_max == other.settings.callers_max;
        let callers = if is_comparable { &other.callers } else { &self.callers };
        Self {
            settings: self.settings.clone(),
            by_token: self.by_token.clone(),
            callers: callers.clone(),
            refusals: Arc::clone(&other.refusals),
        }
    }

    /// Returns the limits of a caller; `None` if it has none.
    pub(super) fn of(&self, caller: &Caller) -> Option<CallerLimits> {
        let is_admin = caller.view().is_full();
        let role_limits = if is_admin { self.settings.admin } else { self.settings.member };
        let limits =
            self.by_token.get(&*caller.name).map_or(role_limits, |token_limits| token_limits.or(role_limits));
        limits.has_limit().then(|| CallerLimits {
            limits,
            window: Duration::from_millis(self.settings.window_ms),
            usage: self.callers.get_or_insert_with(&caller.key(), Arc::default),
            refusals: Arc::clone(&self.refusals),
            is_admin,
        })
    }

    /// Adds the counts of refused operations to a reading.
    pub(super) fn read(&self, readings: &mut Readings) {
        for (role, counts) in ROLE_LABELS.iter().zip(&self.refusals.0) {
            for (limit, count) in LIMIT_LABELS.iter().zip(counts) {
                readings.count(&declared::RATE_LIMITED, &[limit, role], count.load(Ordering::Relaxed));
            }
        }
    }
}

/// The limits of one caller, and its usage of them.
#[derive(Clone)]
pub(super) struct CallerLimits {
    limits: RateLimits,
    window: Duration,
    usage: Arc<Mutex<Usage>>,
    refusals: Arc<Refusals>,
    is_admin: bool,
}

/// An operation that must wait for a limit.
pub(super) struct RateLimited {
    pub(super) error: GraphqlError,
    pub(super) retry_after: Duration,
}

impl CallerLimits {
    /// Counts a request.
    ///
    /// # Errors
    /// If the limit of requests is used up. The request is not counted then.
    pub(super) fn charge_request(&self) -> Result<(), Box<RateLimited>> {
        self.charge(Limit::Requests, 1)
    }

    /// Counts the complexity of an operation. Its upstream calls are counted when they are made.
    ///
    /// # Errors
    /// If its complexity does not fit, or the operation could make upstream calls and none are left.
    pub(super) fn charge_execution(&self, cost: OperationCost) -> Result<(), Box<RateLimited>> {
        if cost.upstream_calls > 0 {
            self.check(Limit::UpstreamCalls, 1)?;
        }
        self.charge(Limit::Complexity, cost.complexity)
    }

    /// Counts the complexity of an event of a subscription, which is never refused: a lost event would be missed
    /// unnoticed.
    pub(super) fn count_event(&self, cost: OperationCost) {
        self.add(Limit::Complexity, cost.complexity);
    }

    /// Counts the upstream calls of an execution when it ends, however that happens.
    pub(super) fn counting_calls(&self, stats: Arc<OperationStats>) -> CallCharge {
        CallCharge { limits: self.clone(), stats }
    }

    /// Returns the units that are left now.
    pub(super) fn status(&self) -> RateLimitStatus {
        let (now, usage) = (Instant::now(), self.usage.lock().unwrap_or_else(PoisonError::into_inner));
        let status_of = |(limit, count): (Limit, &SlidingCount)| {
            let quota = limit.quota(&self.limits)?;
            let remaining = count.remaining(quota, now, self.window);
            let more_after = (remaining < quota).then(|| count.wait(remaining + 1, quota, now, self.window));
            Some(LimitStatus { policy: limit.policy(), quota, remaining, more_after })
        };
        let limits = ALL.into_iter().zip(usage.iter()).filter_map(status_of).collect();
        RateLimitStatus { window: self.window, limits, retry_after: None }
    }

    /// Counts units if they fit.
    fn charge(&self, limit: Limit, amount: u64) -> Result<(), Box<RateLimited>> {
        self.check_then(limit, amount, |count, now| count.add(amount, now, self.window))
    }

    /// Checks whether units fit, without counting them.
    fn check(&self, limit: Limit, amount: u64) -> Result<(), Box<RateLimited>> {
        self.check_then(limit, amount, |_, _| ())
    }

    /// Calls `on_success` if units fit. It runs under the same lock as the check, so concurrent requests cannot exceed
    /// a limit.
    fn check_then(
        &self,
        limit: Limit,
        amount: u64,
        on_success: impl FnOnce(&mut SlidingCount, Instant),
    ) -> Result<(), Box<RateLimited>> {
        let Some(quota) = limit.quota(&self.limits) else { return Ok(()) };
        let wait = self.with_count(limit, |count, now| {
            let wait = count.wait(amount, quota, now, self.window);
            if wait.is_zero() {
                on_success(count, now);
            }
            wait
        });
        if wait.is_zero() {
            return Ok(());
        }
        let [admin_counts, member_counts] = &self.refusals.0;
        let counts = if self.is_admin { admin_counts } else { member_counts };
        if let Some(count) = counts.get(limit as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let retry_after = round_up(wait);
        let message = format!(
            "The caller has used its limit of {} in {} seconds. Retry after `retryAfterMs`.",
            limit.describe(quota),
            self.window.as_secs_f64()
        );
        let error = GraphqlError::new(Code::RateLimited, message).with_reason(limit.reason());
        Err(Box::new(RateLimited { error: error.with_retry_after(retry_after), retry_after }))
    }

    fn add(&self, limit: Limit, amount: u64) {
        if limit.quota(&self.limits).is_some() {
            self.with_count(limit, |count, now| count.add(amount, now, self.window));
        }
    }

    fn with_count<T: Default>(&self, limit: Limit, apply: impl FnOnce(&mut SlidingCount, Instant) -> T) -> T {
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        usage.get_mut(limit as usize).map(|count| apply(count, Instant::now())).unwrap_or_default()
    }
}

/// Counts the upstream calls of an execution when it is dropped.
#[must_use]
pub(super) struct CallCharge {
    limits: CallerLimits,
    stats: Arc<OperationStats>,
}

impl Drop for CallCharge {
    fn drop(&mut self) {
        let cost = self.stats.cost();
        self.limits.add(Limit::UpstreamCalls, cost.leadlex + cost.composio);
    }
}

/// Rounds a time up to whole milliseconds.
fn round_up(wait: Duration) -> Duration {
    Duration::from_millis(u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX))
}

/// The limits of a caller and the units that are left, for the headers of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimitStatus {
    /// Length of the window.
    pub window: Duration,
    /// The limits of the caller.
    pub limits: Vec<LimitStatus>,
    /// When the refused request can be sent again; `None` if it was not refused.
    pub retry_after: Option<Duration>,
}

/// The state of one limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitStatus {
    /// Name of the policy.
    pub policy: &'static str,
    /// Units in any window.
    pub quota: u64,
    /// Units that are left.
    pub remaining: u64,
    /// When more units are available than now; `None` if all are.
    pub more_after: Option<Duration>,
}
