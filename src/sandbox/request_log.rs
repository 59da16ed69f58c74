//! Log of received requests, for tests and for `GET /__requests`.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::EmulatedUpstream;

/// Maximum number of logged requests; the oldest are dropped.
const REQUESTS_MAX: usize = 10_000;

/// One received request.
#[derive(Clone, Debug, Serialize)]
pub struct RecordedRequest {
    /// The upstream that received it.
    pub upstream: EmulatedUpstream,
    /// The method, such as `GET`.
    pub method: String,
    /// Path and query as received, undecoded: `/api/v3/connected_accounts?limit=5`.
    pub target: String,
    /// Header names in lower case, in the order received, including repeated ones.
    pub headers: Vec<(String, String)>,
    /// The body; empty for a GET.
    pub body: String,
    /// Arrival time on the sandbox's clock.
    #[serde(serialize_with = "rfc3339")]
    pub time: Timestamp,
}

fn rfc3339<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(time)
}

impl RecordedRequest {
    /// Returns the first header with that name, in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the decoded value of a query parameter; `None` if it is absent.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// The last requests, oldest first.
#[derive(Default)]
pub(super) struct RequestLog(Mutex<VecDeque<RecordedRequest>>);

impl RequestLog {
    pub(super) fn add(&self, request: RecordedRequest) {
        let mut requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() == REQUESTS_MAX {
            requests.pop_front();
        }
        requests.push_back(request);
    }

    pub(super) fn all(&self) -> Vec<RecordedRequest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
