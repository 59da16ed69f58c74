//! Client of LeadLex's integration status: `GET /v1/settings/providers` (docs/upstreams.md#leadlex-providers).
//!
//! It always fetches the whole list, never with `?category=`. One response serves every filter, while one call per
//! category would use six of a starter key's hundred calls per day.

use std::time::Duration;

use bytes::Bytes;
use http::Method;

use super::counts::CallCounts;
use super::error::UpstreamError;
use super::probe::ProbeReport;
use super::quota::Purpose;
use super::request_kind::RequestKind;
use super::status::UpstreamStatus;
use super::transport::{Transport, UpstreamRequest, UpstreamResponse};
use super::wire;
use crate::domain::credential::{Credential, Fingerprint};
use crate::domain::problems::Problems;
use crate::domain::providers::Provider;
use crate::domain::upstream_name::Leadlex;
use crate::telemetry::metrics::readings::Readings;

const PATH: &str = "/v1/settings/providers";

/// A decoded response.
#[derive(Debug)]
pub struct FetchedProviders {
    /// The readable integrations, in the upstream's order.
    pub rows: Vec<Provider>,
    /// The unreadable parts.
    pub problems: Problems,
}

/// Client of the workspace API.
#[derive(Clone)]
pub struct ProvidersClient {
    transport: Transport,
}

impl ProvidersClient {
    /// Creates a client that uses `transport`.
    #[must_use]
    pub fn new(transport: Transport) -> Self {
        Self { transport }
    }

    /// Fetches every integration of the workspace, in the upstream's order.
    ///
    /// # Errors
    /// If the upstream cannot be reached, returns an error or no list, or if the call is not sent
    /// ([`UpstreamError::is_call_held`]).
    pub async fn fetch_list(
        &self,
        credential: &Credential<Leadlex>,
        purpose: Purpose,
    ) -> Result<FetchedProviders, UpstreamError> {
        let UpstreamResponse { body: list, .. } =
            self.call(credential, purpose).await.inspect_err(UpstreamError::log)?;
        self.transport.count_problems(&list.problems);
        Ok(list)
    }

    /// Fetches the list once, for `switchboard check`.
    ///
    /// # Errors
    /// As [`Self::fetch_list`].
    pub async fn probe(&self, credential: &Credential<Leadlex>) -> Result<ProbeReport, UpstreamError> {
        let response = self.call(credential, Purpose::Needed).await?;
        let rows_left_out = response.body.problems.rows_left_out();
        Ok(ProbeReport::new(&response.headers, self.transport.clock().now(), rows_left_out))
    }

    /// As [`Transport::fresh_for`].
    #[must_use]
    pub fn fresh_for(&self, credential: &Credential<Leadlex>, ttl: Duration) -> Duration {
        self.transport.fresh_for(credential, ttl)
    }

    /// As [`Transport::refresh_wait`].
    #[must_use]
    pub fn refresh_wait(&self, credential: &Credential<Leadlex>) -> Option<Duration> {
        self.transport.refresh_wait(credential)
    }

    /// As [`Transport::forget_refusals`].
    pub fn forget_refusals(&self, credential: &Fingerprint<Leadlex>) {
        self.transport.forget_refusals(credential);
    }

    /// As [`Transport::status`].
    #[must_use]
    pub fn status(&self, credential: &Credential<Leadlex>) -> UpstreamStatus {
        self.transport.status(credential)
    }

    /// Returns the outcomes of all calls, for metrics.
    #[must_use]
    pub fn counts(&self) -> CallCounts {
        self.transport.counts()
    }

    /// Adds the metrics of all calls and quotas.
    pub fn read_metrics(&self, readings: &mut Readings) {
        self.transport.read_metrics(readings);
    }

    async fn call(
        &self,
        credential: &Credential<Leadlex>,
        purpose: Purpose,
    ) -> Result<UpstreamResponse<FetchedProviders>, UpstreamError> {
        let (kind, method, query, body) = (RequestKind::Read, Method::GET, "", Bytes::new());
        let request = UpstreamRequest { kind, method, path: PATH, query, body, credential, purpose };
        self.transport.fetch(request, wire::providers::list).await
    }
}
