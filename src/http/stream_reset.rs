//! Reset of one HTTP/2 stream whose client does not read, without its connection (RFC 9113, 5.4.2).
//!
//! hyper runs each stream as a task, which writes only as much as the client accepts. [`StreamExecutor`] ends the task
//! when [`StreamReset`] is due. h2 then sends RST_STREAM, and the other streams continue.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::rt::Executor;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

tokio::task_local! {
    static STREAM: StreamReset;
}

/// The time at which a stream is reset, if it has not ended before; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct StreamReset(Arc<ResetState>);

#[derive(Debug, Default)]
struct ResetState {
    due_at: Mutex<Option<Instant>>,
    changed: Notify,
}

impl StreamReset {
    /// Returns the stream of the current task; `None` over HTTP/1.1.
    pub(crate) fn current() -> Option<Self> {
        STREAM.try_with(Clone::clone).ok()
    }

    /// Sets the time.
    pub(crate) fn reset_at(&self, due_at: Instant) {
        *self.0.due_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(due_at);
        self.0.changed.notify_one();
    }

    async fn wait_until_due(&self) {
        loop {
            let due_at = *self.0.due_at.lock().unwrap_or_else(PoisonError::into_inner);
            let timer = async {
                match due_at {
                    Some(due_at) => sleep_until(due_at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = timer => return,
                () = self.0.changed.notified() => {}
            }
        }
    }
}

/// Runs the streams of HTTP/2 connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct StreamExecutor;

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let reset = StreamReset::default();
        tokio::spawn(STREAM.scope(reset.clone(), async move {
            tokio::select! {
                // The stream is polled first, so that bytes which it wrote in time do not count as late.
                biased;
                () = stream => {}
                () = reset.wait_until_due() => {}
            }
        }));
    }
}
