//! What the sandbox was asked, kept for tests and for `GET /__requests`.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::EmulatedUpstream;

/// The oldest request goes when one more than this is recorded.
const KEPT: usize = 10_000;

/// One request as the sandbox received it.
#[derive(Clone, Debug, Serialize)]
pub struct RecordedRequest {
    /// The upstream that was asked.
    pub upstream: EmulatedUpstream,
    /// `GET`.
    pub method: String,
    /// Path and query as sent, undecoded: `/api/v3/connected_accounts?limit=5`.
    pub target: String,
    /// Names in lower case, in the order received, each as often as it was sent.
    pub headers: Vec<(String, String)>,
    /// The body; empty for a GET.
    pub body: String,
    /// When it arrived, on the sandbox's clock.
    #[serde(serialize_with = "rfc3339")]
    pub time: Timestamp,
}

fn rfc3339<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(time)
}

impl RecordedRequest {
    /// The first header of that name, in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The decoded value of a query parameter; none where it was not sent.
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
pub(super) struct Recording(Mutex<VecDeque<RecordedRequest>>);

impl Recording {
    pub(super) fn add(&self, request: RecordedRequest) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(request);
    }

    pub(super) fn all(&self) -> Vec<RecordedRequest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
