//! Admission of operations: the check of their cost, and a limit on what executes at once.
//!
//! The limit counts complexity instead of operations, because memory depends on the number of fields that operations
//! may return. Small operations have their own share, so that large ones cannot block them. An operation without a
//! permit waits briefly, because most operations end soon, and is then refused: in an unbounded queue, every request
//! would be answered too late.
//!
//! Entry points: [`Admission::check`] and [`Admission::run`], called by the engine and by subscriptions.

use std::sync::Arc;
use std::time::Duration;

use apollo_compiler::Node;
use apollo_compiler::executable::Field;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::codes::Code;
use super::cost::{CostBreakdown, CostModel, OperationCost, ReportedCost};
use super::deadline::Deadline;
use super::errors::{GraphqlError, start_of};
use super::prepare::PreparedOperation;
use super::response::{OperationResponse, Outcome};
use super::settings::LimitSettings;

/// Highest complexity of a small operation: a few pages of a list.
const SMALL_MAX_COMPLEXITY: u64 = 1_000;

/// Retry time of `OVERLOADED`. Most operations end within it.
pub(crate) const OVERLOADED_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Limits the operations that execute at once.
pub(crate) struct Admission {
    limits: LimitSettings,
    cost_model: CostModel,
    small: Lane,
    large: Lane,
}

/// Permit of a running operation, released when it is dropped.
#[must_use]
struct OperationPermit(
    #[expect(dead_code, reason = "it is kept to be dropped")] Option<OwnedSemaphorePermit>,
);

impl Admission {
    pub(crate) fn new(limits: LimitSettings, cost_model: CostModel) -> Self {
        let small_permits = limits.complexity_at_once / 4;
        Self {
            small: Lane::new(small_permits),
            large: Lane::new(limits.complexity_at_once - small_permits),
            limits,
            cost_model,
        }
    }

    /// Computes the cost of an operation and checks it against the limits.
    ///
    /// # Errors
    /// One error for each limit that the cost exceeds.
    pub(super) fn check(&self, prepared: &PreparedOperation) -> Result<OperationCost, Vec<GraphqlError>> {
        let PreparedOperation { resolved, variables, .. } = prepared;
        let document = &resolved.document.validated;
        let CostBreakdown { cost, largest_by_complexity, largest_by_calls } =
            self.cost_model.breakdown(document, &resolved.operation, variables);
        let refusal = |reason, sentence: String, largest: Option<(&Node<Field>, u64)>| {
            let hint = largest.map(|(field, part)| format!(" `{}` has {part} of them.", field.name));
            let error = GraphqlError::new(Code::LimitExceeded, sentence + &hint.unwrap_or_default());
            error
                .with_reason(reason)
                .at(largest.and_then(|(field, _)| start_of(field.name.location(), &document.sources)))
        };
        let mut errors = Vec::new();
        if cost.complexity > self.limits.complexity {
            let sentence = format!(
                "The operation could return {} fields; {} are allowed. Lower `first`, or select fewer fields.",
                cost.complexity, self.limits.complexity
            );
            errors.push(refusal("COMPLEXITY", sentence, largest_by_complexity));
        }
        if cost.upstream_calls > self.limits.upstream_calls {
            let sentence = format!(
                "The operation could cause {} upstream calls; {} are allowed. Lower `first`, or request fewer lists.",
                cost.upstream_calls, self.limits.upstream_calls
            );
            errors.push(refusal("UPSTREAM_CALLS", sentence, largest_by_calls));
        }
        if errors.is_empty() { Ok(cost) } else { Err(errors) }
    }

    /// Runs an operation with a permit, until its deadline. The operation is boxed, because this future contains it several
    /// times.
    ///
    /// # Errors
    /// `OVERLOADED` if no permit is available in time. `DEADLINE_EXCEEDED` if the operation takes longer than allowed; it
    /// and all its waits are dropped.
    pub(super) async fn run<T>(
        &self,
        cost: OperationCost,
        deadline: Deadline,
        operation: BoxFuture<'_, T>,
    ) -> Result<T, OperationResponse> {
        let permitted = async {
            let _permit = self
                .acquire(cost)
                .await
                .map_err(|overloaded| OperationResponse::failed(Outcome::Overloaded, &[overloaded]))?;
            Ok(operation.await)
        };
        tokio::time::timeout_at(deadline.ends, permitted).await.unwrap_or_else(|_| {
            let sentence = format!(
                "The operation took longer than {} ms and was ended: ask for less at once, or again later.",
                self.limits.operation_timeout_ms
            );
            Err(OperationResponse::timed_out(&[GraphqlError::new(Code::DeadlineExceeded, sentence)]))
        })
    }

    /// Waits for a permit.
    async fn acquire(&self, cost: OperationCost) -> Result<OperationPermit, GraphqlError> {
        let is_small = cost.complexity <= SMALL_MAX_COMPLEXITY;
        let lane = if is_small { &self.small } else { &self.large };
        let wait = Duration::from_millis(self.limits.wait_ms);
        match tokio::time::timeout(wait, lane.acquire(cost.complexity)).await {
            Ok(permit) => {
                // Large operations yield once. An operation that finds its data cached never yields. Without this,
                // large operations would use the processor one after the other and delay small ones, although they
                // never wait for a permit.
                if !is_small {
                    tokio::task::yield_now().await;
                }
                Ok(OperationPermit(permit))
            }
            Err(_) => {
                let sentence =
                    "The server is at its limit of concurrent operations. Retry after `retryAfterMs`.";
                Err(GraphqlError::new(Code::Overloaded, sentence).with_retry_after(OVERLOADED_RETRY_AFTER))
            }
        }
    }

    /// Returns the maximum number of bytes of a response.
    pub(super) fn response_bytes(&self) -> u64 {
        self.limits.response_bytes
    }

    /// Returns the deadline of an operation that starts now.
    pub(super) fn deadline(&self) -> Deadline {
        Deadline::after(Duration::from_millis(self.limits.operation_timeout_ms))
    }

    /// Returns a cost with its limits, as the `cost` extension of a response.
    pub(crate) fn report(&self, cost: OperationCost) -> ReportedCost {
        let LimitSettings { complexity, upstream_calls, .. } = self.limits;
        ReportedCost { cost, complexity_max: complexity, upstream_calls_max: upstream_calls }
    }
}

/// A limit of concurrent complexity.
struct Lane {
    permits: Arc<Semaphore>,
    total: u32,
}

impl Lane {
    fn new(total: u32) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(usize::try_from(total).unwrap_or(Semaphore::MAX_PERMITS))),
            total,
        }
    }

    /// Acquires one permit for each point of complexity, at most all of them. `None` only if the semaphore is closed,
    /// which never happens.
    async fn acquire(&self, complexity: u64) -> Option<OwnedSemaphorePermit> {
        let wanted = u32::try_from(complexity).unwrap_or(u32::MAX).clamp(1, self.total.max(1));
        Arc::clone(&self.permits).acquire_many_owned(wanted).await.ok()
    }
}
