//! Client of LeadLex's integration status: `GET /v1/settings/providers` (docs/upstreams.md#leadlex-providers).
//!
//! It always fetches the whole list, never with `?category=`. One response serves every filter, while one call per
//! category would use six of a starter key's hundred calls per day.

use bytes::Bytes;
use http::Method;

use super::error::UpstreamError;
use super::probe::ProbeReport;
use super::quota::Purpose;
use super::request_kind::RequestKind;
use super::transport::{Transport, UpstreamRequest, UpstreamResponse};
use super::wire;
use crate::domain::credential::Credential;
use crate::domain::problems::Problems;
use crate::domain::providers::Provider;
use crate::domain::upstream_name::Leadlex;

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
    /// Sends its calls, and knows the state of each credential: its quota, failures and refusals.
    pub transport: Transport,
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
        Ok(ProbeReport::new(&response.headers, self.transport.clock.now(), rows_left_out))
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
