//! Composio's catalogue of toolkits: `POST /api/v3.1/toolkits/multi` (docs/upstreams.md#composio-toolkits), an extension
//! of [`AccountsClient`].
//!
//! The call reads, although it is a POST: it is repeated as other reads are.

use http::Method;
use serde::Serialize;

use super::account_writes::json;
use super::accounts::AccountsClient;
use super::error::{UpstreamError, UpstreamFailure};
use super::quota::Purpose;
use super::request_kind::RequestKind;
use super::transport::UpstreamRequest;
use super::wire;
use crate::domain::credential::Credential;
use crate::domain::problems::{ProblemReports, Problems};
use crate::domain::toolkits::{ToolkitDetails, ToolkitSlug};
use crate::domain::upstream_name::{Composio, UpstreamName};

/// The released clients call it in this version only.
const PATH: &str = "/api/v3.1/toolkits/multi";

/// Maximum number of slugs of one call: the largest `limit` of the catalogue.
pub const SLUGS_OF_A_CALL: usize = 1_000;

/// Maximum number of pages of one read. There is one, unless the upstream applies a lower limit than it was sent.
const PAGES_MAX: usize = 10;

/// Toolkits by slug.
#[derive(Debug, Default)]
pub struct FetchedToolkits {
    /// The toolkits, as far as the catalogue has them.
    pub toolkits: Vec<(ToolkitSlug, ToolkitDetails)>,
    /// The unreadable parts of the responses.
    pub problems: ProblemReports,
}

/// A decoded page.
#[derive(Debug)]
pub(super) struct ToolkitPage {
    pub(super) toolkits: Vec<(ToolkitSlug, ToolkitDetails)>,
    pub(super) next_cursor: Option<Box<str>>,
    pub(super) problems: Problems,
}

#[derive(Serialize)]
struct Body<'a> {
    toolkits: Vec<&'a str>,
    limit: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<&'a str>,
}

impl AccountsClient {
    /// Fetches toolkits by their slugs, at most [`SLUGS_OF_A_CALL`]. Those that the catalogue does not have are missing.
    ///
    /// # Errors
    /// If the upstream refuses the call, cannot be reached, or returns no complete catalogue, or if the call is not sent.
    pub async fn fetch_toolkits(
        &self,
        credential: &Credential<Composio>,
        slugs: &[ToolkitSlug],
        purpose: Purpose,
    ) -> Result<FetchedToolkits, UpstreamError> {
        let (mut fetched, mut cursor) = (FetchedToolkits::default(), None);
        for _ in 0..PAGES_MAX {
            let page = self.toolkit_page(credential, slugs, cursor.as_deref(), purpose).await;
            let page = page.inspect_err(UpstreamError::log)?;
            fetched.toolkits.extend(page.toolkits);
            fetched.problems.extend(page.problems.reports());
            let is_found = |slug: &ToolkitSlug| fetched.toolkits.iter().any(|(found, _)| found == slug);
            if page.next_cursor.is_none() || slugs.iter().all(is_found) {
                return Ok(fetched);
            }
            cursor = page.next_cursor;
        }
        Err(UpstreamError::new(UpstreamName::Composio, UpstreamFailure::BadResponse)
            .caused_by("the toolkits have more pages than the read allows"))
    }

    async fn toolkit_page(
        &self,
        credential: &Credential<Composio>,
        slugs: &[ToolkitSlug],
        cursor: Option<&str>,
        purpose: Purpose,
    ) -> Result<ToolkitPage, UpstreamError> {
        let toolkits: Vec<_> = slugs.iter().map(ToolkitSlug::as_str).collect();
        let body = json(&Body { limit: toolkits.len(), toolkits, cursor });
        let (kind, method, path, query) = (RequestKind::ReferenceRead, Method::POST, PATH, "");
        let request = UpstreamRequest { kind, method, path, query, body, credential, purpose };
        let page = self.transport.send(request, wire::toolkits::page).await?.body;
        self.transport.count_problems(&page.problems);
        Ok(page)
    }
}
