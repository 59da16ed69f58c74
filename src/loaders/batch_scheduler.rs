//! When a batch leaves: once the executor has nothing left to do but wait for it.
//!
//! All that one level of a query asks for is asked for within one turn of the executor, so the batch
//! must leave at the turn's end: earlier it misses keys, later it wastes time. The library waits a
//! millisecond on a timer, at every level, and it spawns the batch as a task, which another thread may
//! run while the turn is still under way. Here the operation's execution and its batches share one task:
//! batches are looked at only when the execution has come to rest.

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

/// Takes an operation's batches; they run while [`BatchScheduler::drive`] runs its execution.
#[derive(Clone, Default)]
pub struct BatchScheduler(Arc<Mutex<Vec<FutureObj<'static, ()>>>>);

impl Spawn for BatchScheduler {
    fn spawn_obj(&self, batch: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(batch);
        Ok(())
    }
}

impl BatchScheduler {
    fn take(&self) -> Vec<FutureObj<'static, ()>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs an execution to its end, and its batches between its turns.
    pub async fn drive<T>(self, execution: impl Future<Output = T>) -> T {
        let mut execution = pin!(execution);
        let mut running = FuturesUnordered::new();
        let rest = Arc::new(ExecutionWaker::default());
        let execution_waker = waker(Arc::clone(&rest));
        poll_fn(|ctx| {
            rest.task.register(ctx.waker());
            for _ in 0..TURNS_AT_ONCE {
                rest.is_woken.store(false, Ordering::Release);
                if let Poll::Ready(done) = execution.as_mut().poll(&mut Context::from_waker(&execution_waker))
                {
                    return Poll::Ready(done);
                }
                running.extend(self.take());
                if rest.is_woken.load(Ordering::Acquire) {
                    // It stopped for breath and not to wait: joins of many futures do every so often.
                    continue;
                }
                // All that have ended, before what they wake asks for more: it may be asked for together.
                let mut has_ended = false;
                while let Poll::Ready(Some(())) = running.poll_next_unpin(ctx) {
                    has_ended = true;
                }
                if !has_ended {
                    return Poll::Pending;
                }
            }
            Waker::wake_by_ref(ctx.waker());
            Poll::Pending
        })
        .await
    }
}

/// After so many turns without a pause the runtime's other tasks get theirs.
const TURNS_AT_ONCE: usize = 1_000;

/// Whether the execution has something to do, and whom to tell.
#[derive(Default)]
struct ExecutionWaker {
    is_woken: AtomicBool,
    task: AtomicWaker,
}

impl ArcWake for ExecutionWaker {
    fn wake_by_ref(rest: &Arc<Self>) {
        rest.is_woken.store(true, Ordering::Release);
        rest.task.wake();
    }
}

/// The library's timer: there is nothing to wait for but the turn's end.
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

    /// Doubles numbers, and remembers how many at a time.
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
    async fn every_level_is_one_batch_on_many_threads_too() {
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
