//! Scheduling of batches: a batch starts when the execution cannot continue without it.
//!
//! [`BatchScheduler::drive`] is the entry point; `graphql::graph::Graph` runs each execution through it. All fields of
//! one level of a query request their keys within one poll of the execution, so the batch must start right after that
//! poll. An earlier start would miss keys, and a later one would lose time.
//!
//! The execution and its batches share one task, and batches are polled only while the execution is pending. Rejected:
//! async-graphql's own scheduling. It waits one millisecond at each level and spawns the batch as a task, which another
//! thread may run during the poll.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_graphql::runtime::Timer;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, poll_fn, ready};
use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::task::{ArcWake, AtomicWaker, FutureObj, Spawn, SpawnError, waker};

/// Collects an operation's batches and runs them between the polls of its execution.
#[derive(Clone, Default)]
pub struct BatchScheduler {
    /// Batches that were requested since the last poll of the execution.
    requested: Arc<Mutex<Vec<FutureObj<'static, ()>>>>,
    idle: Arc<IdleWaiters>,
}

/// Futures that wait until the execution waits for no batch any more.
#[derive(Default)]
struct IdleWaiters {
    is_released: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
}

impl IdleWaiters {
    /// Releases the waiting futures. Returns whether there were any.
    fn release(&self) -> bool {
        let wakers = std::mem::take(&mut *self.wakers.lock().unwrap_or_else(PoisonError::into_inner));
        self.is_released.store(!wakers.is_empty(), Ordering::Release);
        let had_waiters = !wakers.is_empty();
        wakers.into_iter().for_each(Waker::wake);
        had_waiters
    }
}

impl Spawn for BatchScheduler {
    fn spawn_obj(&self, batch: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        self.requested.lock().unwrap_or_else(PoisonError::into_inner).push(batch);
        Ok(())
    }
}

impl BatchScheduler {
    fn take(&self) -> Vec<FutureObj<'static, ()>> {
        std::mem::take(&mut *self.requested.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until all other fields of the execution have their values.
    pub async fn after_all_others(&self) {
        poll_fn(|ctx| {
            if self.idle.is_released.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            self.idle.wakers.lock().unwrap_or_else(PoisonError::into_inner).push(ctx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Runs an execution to its end. Runs its batches whenever it is pending.
    pub async fn drive<T>(self, execution: impl Future<Output = T>) -> T {
        let mut execution = pin!(execution);
        let mut running = FuturesUnordered::new();
        let waker_state = Arc::new(ExecutionWaker::default());
        let execution_waker = waker(Arc::clone(&waker_state));
        poll_fn(|ctx| {
            waker_state.task.register(ctx.waker());
            for _ in 0..POLLS_BEFORE_YIELD {
                waker_state.is_woken.store(false, Ordering::Release);
                if let Poll::Ready(done) = execution.as_mut().poll(&mut Context::from_waker(&execution_waker))
                {
                    return Poll::Ready(done);
                }
                running.extend(self.take());
                if waker_state.is_woken.load(Ordering::Acquire) {
                    // The execution woke itself and does not wait for a batch: a join of many futures yields from time
                    // to time.
                    continue;
                }
                // All finished batches are collected before the next poll, so that the keys which the execution then
                // requests form one batch.
                let mut has_ended = false;
                while let Poll::Ready(Some(())) = running.poll_next_unpin(ctx) {
                    has_ended = true;
                }
                if !has_ended && (!running.is_empty() || !self.idle.release()) {
                    return Poll::Pending;
                }
            }
            Waker::wake_by_ref(ctx.waker());
            Poll::Pending
        })
        .await
    }
}

/// Number of consecutive polls after which the task yields to the runtime's other tasks.
const POLLS_BEFORE_YIELD: usize = 1_000;

/// Waker of the execution: whether it is ready, and the task to wake.
#[derive(Default)]
struct ExecutionWaker {
    is_woken: AtomicBool,
    task: AtomicWaker,
}

impl ArcWake for ExecutionWaker {
    fn wake_by_ref(waker: &Arc<Self>) {
        waker.is_woken.store(true, Ordering::Release);
        waker.task.wake();
    }
}

/// Timer for async-graphql's loader that does not wait: the scheduler decides when a batch starts.
pub(super) struct NoDelay;

impl Timer for NoDelay {
    fn delay(&self, _: Duration) -> BoxFuture<'static, ()> {
        ready(()).boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::convert::Infallible;

    use async_graphql::dataloader::{DataLoader, Loader};
    use async_graphql::{EmptyMutation, EmptySubscription, Object, Request, Schema};

    use super::*;

    /// Loader that doubles numbers and records the size of each batch.
    #[derive(Clone, Default)]
    struct Doubles(Arc<Mutex<Vec<usize>>>);

    impl Loader<u32> for Doubles {
        type Value = u32;
        type Error = Infallible;

        async fn load(&self, keys: &[u32]) -> Result<HashMap<u32, u32>, Infallible> {
            self.0.lock().unwrap().push(keys.len());
            tokio::task::yield_now().await;
            Ok(keys.iter().map(|key| (*key, key * 2)).collect())
        }
    }

    struct Number(u32);

    #[Object]
    impl Number {
        async fn double(&self, ctx: &async_graphql::Context<'_>) -> Number {
            let Ok(double) = ctx.data_unchecked::<DataLoader<Doubles>>().load_one(self.0).await;
            Number(double.unwrap())
        }

        async fn value(&self) -> u32 {
            self.0
        }
    }

    struct Query;

    #[Object]
    impl Query {
        async fn numbers(&self) -> Vec<Number> {
            (1..=500).map(Number).collect()
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn every_level_is_one_batch_even_on_many_threads() {
        let schema = Schema::new(Query, EmptyMutation, EmptySubscription);
        for _ in 0..20 {
            let (batches, doubles) = (BatchScheduler::default(), Doubles::default());
            let loader =
                DataLoader::new(doubles.clone(), batches.clone(), NoDelay).max_batch_size(usize::MAX);
            let request = Request::new("{ numbers { double { double { value } } } }").data(loader);
            let answer = batches.drive(schema.execute(request)).await;
            assert!(answer.is_ok());
            assert_eq!(*doubles.0.lock().unwrap(), [500, 500]);
        }
    }
}
