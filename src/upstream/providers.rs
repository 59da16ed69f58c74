//! LeadLex's integration status: `GET /v1/settings/providers` (UPSTREAMS.md B).
//!
//! The list is asked for whole and never by `?category=`: one answer serves every filter, where
//! six would cost six of a starter key's hundred calls a day.

use http::header::AUTHORIZATION;

use super::error::{UpstreamError, UpstreamFailure};
use super::probe::ProbeReport;
use super::quota::Purpose;
use super::transport::{Answer, Transport};
use super::wire;
use crate::domain::credential::Credential;
use crate::domain::providers::Provider;
use crate::domain::upstream_name::Leadlex;

const PATH: &str = "/v1/settings/providers";

/// The client of the workspace API.
#[derive(Clone)]
pub struct ProvidersClient {
    transport: Transport,
}

impl ProvidersClient {
    /// A client over a road to LeadLex.
    #[must_use]
    pub fn new(transport: Transport) -> Self {
        Self { transport }
    }

    /// Fetches every integration of the workspace, in the upstream's order.
    ///
    /// # Errors
    /// Where the upstream cannot be reached, refuses, or answers no list.
    pub async fn fetch_list(
        &self,
        credential: &Credential<Leadlex>,
        _purpose: Purpose,
    ) -> Result<Vec<Provider>, UpstreamError> {
        let answered = self.call(credential).await.and_then(|answer| self.decode(&answer));
        let (list, _problems) = answered.inspect_err(UpstreamError::log)?;
        Ok(list)
    }

    /// How long what is read now is to count as fresh.
    pub fn fresh_for(
        &self,
        _credential: &Credential<Leadlex>,
        ttl: std::time::Duration,
    ) -> std::time::Duration {
        ttl
    }

    /// Asks for the list once, to see how the upstream is.
    ///
    /// # Errors
    /// As [`Self::fetch_list`].
    pub async fn probe(&self, credential: &Credential<Leadlex>) -> Result<ProbeReport, UpstreamError> {
        let answer = self.call(credential).await?;
        let (_list, problems) = self.decode(&answer)?;
        Ok(ProbeReport::new(&answer.headers, self.transport.clock().now(), problems))
    }

    async fn call(&self, credential: &Credential<Leadlex>) -> Result<Answer, UpstreamError> {
        self.transport
            .send(PATH, "", credential, (AUTHORIZATION, format!("Bearer {}", credential.expose())))
            .await
    }

    fn decode(&self, answer: &Answer) -> Result<(Vec<Provider>, usize), UpstreamError> {
        wire::providers::list(&answer.body)
            .map_err(|error| self.transport.error(UpstreamFailure::BadResponse).caused_by(error))
    }
}
