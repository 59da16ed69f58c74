//! Request bodies: their declared type, size, arrival time and total memory.
//!
//! A body that arrives slowly occupies memory for its bytes so far. All bodies therefore share one budget, and a
//! request that finds it exhausted is refused. Without it, the limit per body would be multiplied by the number of
//! connections.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use futures_util::poll;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::HttpError;
use super::media;
use super::settings::HttpSettings;

const BUDGET_EXHAUSTED: &str = "Too many request bodies are being read. Retry after a short delay.";

/// The memory budget of request bodies, and their limits.
pub(crate) struct BodyBudget {
    limit_of_one: usize,
    timeout_ms: u64,
    budget: Arc<Semaphore>,
}

/// A received body and its share of the budget.
#[derive(Debug, Default)]
pub(crate) struct ReceivedBody {
    pub(crate) bytes: Vec<u8>,
    permit: Option<OwnedSemaphorePermit>,
}

impl ReceivedBody {
    /// Returns the share of the budget, for a value that is made from the bytes and lives longer.
    pub(crate) fn into_permit(self) -> Option<OwnedSemaphorePermit> {
        self.permit
    }
}

impl BodyBudget {
    pub(crate) fn new(settings: &HttpSettings) -> Self {
        let budget_of_all = settings.bodies_limit_bytes.min(Semaphore::MAX_PERMITS);
        Self {
            limit_of_one: settings.body_limit_bytes,
            timeout_ms: settings.body_timeout_ms,
            budget: Arc::new(Semaphore::new(budget_of_all)),
        }
    }

    /// Returns the same budget with other settings; its size does not change.
    pub(crate) fn with_settings(&self, settings: &HttpSettings) -> Self {
        Self { budget: Arc::clone(&self.budget), ..Self::new(settings) }
    }

    /// Reads the body of a POST: it must be declared as JSON, fit the limit and arrive in time.
    pub(crate) async fn read_json(&self, headers: &HeaderMap, body: Body) -> Result<ReceivedBody, HttpError> {
        if !media::is_json(headers) {
            return Err(HttpError::unsupported_media_type(
                "A POST request must have `Content-Type: application/json` in UTF-8.",
            ));
        }
        if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(HttpError::unsupported_media_type(
                "`Content-Encoding` is not supported for requests. Send the body uncompressed.",
            ));
        }
        let declared =
            headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if declared
            .is_some_and(|length| usize::try_from(length).map_or(true, |length| length > self.limit_of_one))
        {
            return Err(HttpError::body_too_large(self.limit_of_one));
        }
        let mut read = pin!(self.read(body));
        // Most bodies have arrived already, and need no timer.
        if let Poll::Ready(body) = poll!(read.as_mut()) {
            return body;
        }
        let time = Duration::from_millis(self.timeout_ms);
        let late = |_| Err(HttpError::body_too_slow(self.timeout_ms));
        tokio::time::timeout(time, read).await.unwrap_or_else(late)
    }

    async fn read(&self, incoming: Body) -> Result<ReceivedBody, HttpError> {
        let mut incoming = Limited::new(incoming, self.limit_of_one);
        let mut body = ReceivedBody::default();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| match error.is::<LengthLimitError>() {
                true => HttpError::body_too_large(self.limit_of_one),
                false => HttpError::incomplete_body(),
            })?;
            if let Ok(bytes) = frame.into_data() {
                let additional = self.reserve_bytes(bytes.len())?;
                match &mut body.permit {
                    Some(permit) => permit.merge(additional),
                    permit => *permit = Some(additional),
                }
                body.bytes.extend_from_slice(&bytes);
            }
        }
        Ok(body)
    }

    /// Reserves budget for the bytes of a body or, for example, of a WebSocket message.
    pub(crate) fn reserve_bytes(&self, bytes: usize) -> Result<OwnedSemaphorePermit, HttpError> {
        let exhausted = || HttpError::overloaded(BUDGET_EXHAUSTED);
        let bytes = u32::try_from(bytes).map_err(|_| exhausted())?;
        Arc::clone(&self.budget).try_acquire_many_owned(bytes).map_err(|_| exhausted())
    }
}
