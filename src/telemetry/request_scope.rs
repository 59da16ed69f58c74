//! The request that the current task works for. The log adds its id and method to each line.
//!
//! Rejected: a span of `tracing`. Its registry took 6 % of the instructions of a response from the cache, for data that
//! only the log reads.

use http::{HeaderValue, Method};
use tokio::task::JoinHandle;
use tokio::task::futures::TaskLocalFuture;

use super::traces;

tokio::task_local! {
    static CURRENT: Option<RequestScope>;
}

/// Identifies a request in the log. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct RequestScope {
    /// Its id, in `[A-Za-z0-9_-]`.
    pub(crate) id: HeaderValue,
    /// Its HTTP method.
    pub(crate) method: Method,
}

impl RequestScope {
    /// Returns the current request.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok().flatten()
    }

    /// Calls a closure whose log lines belong to this request.
    pub(crate) fn enter<T>(&self, logging: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(Some(self.clone()), logging)
    }
}

/// A future whose log lines belong to a request, if there is one.
pub(crate) type InRequest<F> = TaskLocalFuture<Option<RequestScope>, F>;

/// Wraps a future whose log lines belong to a request.
pub(crate) fn in_request<F: Future>(request: Option<RequestScope>, future: F) -> InRequest<F> {
    CURRENT.scope(request, future)
}

/// Wraps a future whose log lines belong to the current request, no matter which task polls it.
pub(crate) fn in_current_request<F: Future>(future: F) -> InRequest<F> {
    in_request(RequestScope::current(), future)
}

/// Spawns a task that belongs to the current request, in the log and in traces.
pub(crate) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
    F::Output: 'static,
{
    tokio::spawn(traces::in_current_trace(in_current_request(future)))
}
