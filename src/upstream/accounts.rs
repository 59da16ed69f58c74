//! Client of Composio's connected accounts: `GET /api/v3/connected_accounts`
//! (docs/upstreams.md#composio-list-request).

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use url::form_urlencoded::Serializer;

use super::error::UpstreamError;
use super::known_accounts::KnownAccounts;
use super::probe::ProbeReport;
use super::quota::Purpose;
use super::request_kind::RequestKind;
use super::transport::{Transport, UpstreamRequest, UpstreamResponse};
use super::wire;
use crate::domain::accounts::SharedAccount;
use crate::domain::credential::Credential;
use crate::domain::filters::{
    AccountFilter, AccountOrder, AccountOrderField, AccountTypeFilter, FilterValues, OrderDirection,
};
use crate::domain::problems::Problems;
use crate::domain::upstream_name::Composio;

pub(super) const PATH: &str = "/api/v3/connected_accounts";

/// A decoded page.
#[derive(Debug)]
pub struct AccountPage {
    /// The readable accounts, in the upstream's order.
    pub items: Vec<SharedAccount>,
    /// Number of rows in the response, including unreadable ones.
    pub rows_received: usize,
    /// Cursor of the next page; `None` at the end.
    pub next_cursor: Option<Box<str>>,
    /// Whether there is a cursor that cannot be read, so that the pages after this one cannot be reached.
    pub has_unreadable_cursor: bool,
    /// Whether any row names its user. Composio is withdrawing `user_id` from its responses
    /// (docs/upstreams.md#composio-changes).
    pub names_users: bool,
    /// Number of matching accounts over all pages, if the upstream stated it.
    pub total_items: Option<u64>,
    /// The unreadable parts.
    pub problems: Problems,
}

/// Client of the connected-accounts API.
#[derive(Clone)]
pub struct AccountsClient {
    /// Sends its calls, and knows the state of each credential: its quota, failures and refusals.
    pub transport: Transport,
    known: Arc<KnownAccounts>,
}

impl AccountsClient {
    /// Creates a client that uses `transport`.
    #[must_use]
    pub fn new(transport: Transport) -> Self {
        Self { transport, known: Arc::new(KnownAccounts::new()) }
    }

    /// Fetches one page of at most `limit` accounts.
    ///
    /// # Errors
    /// If the upstream cannot be reached, returns an error or no page, or if the call is not sent
    /// ([`UpstreamError::is_call_held`]).
    pub async fn fetch_page(
        &self,
        credential: &Credential<Composio>,
        filter: &AccountFilter,
        order: AccountOrder,
        cursor: Option<&str>,
        limit: usize,
        purpose: Purpose,
    ) -> Result<AccountPage, UpstreamError> {
        let query = query(filter, order, cursor, limit);
        // Boxed: it is part of several futures that are moved, and would make all of them large.
        let call = Box::pin(self.call(credential, &query, purpose, cursor.is_some()));
        let UpstreamResponse { body: page, .. } = call.await.inspect_err(UpstreamError::log)?;
        self.transport.count_problems(&page.problems);
        Ok(page)
    }

    /// Fetches one account, for `switchboard check`.
    ///
    /// # Errors
    /// As [`Self::fetch_page`].
    pub async fn probe(&self, credential: &Credential<Composio>) -> Result<ProbeReport, UpstreamError> {
        let query = query(&AccountFilter::default(), AccountOrder::NEWEST_FIRST, None, 1);
        let UpstreamResponse { headers, body: page } =
            self.call(credential, &query, Purpose::Needed, false).await?;
        let rows_left_out = page.problems.rows_left_out();
        Ok(ProbeReport::new(&headers, self.transport.clock.now(), rows_left_out))
    }

    async fn call(
        &self,
        credential: &Credential<Composio>,
        query: &str,
        purpose: Purpose,
        has_cursor: bool,
    ) -> Result<UpstreamResponse<AccountPage>, UpstreamError> {
        let (kind, method, body) = (RequestKind::Read, Method::GET, Bytes::new());
        let request = UpstreamRequest { kind, method, path: PATH, query, body, credential, purpose };
        let decode = |body: &[u8]| wire::accounts::page(body, Some((&self.known, credential.fingerprint())));
        // A refused cursor may be sent again after a restart of the list, so refusals of cursors are not remembered.
        match has_cursor {
            true => self.transport.send(request, decode).await,
            false => self.transport.fetch(request, decode).await,
        }
    }
}

/// Length in bytes that most query strings do not exceed.
const TYPICAL_QUERY_BYTES: usize = 192;

/// Builds the query string. Arrays are joined with commas, as in all released clients
/// (docs/upstreams.md#composio-list-request). `limit` is always set, because the upstream's default is not
/// documented.
fn query(filter: &AccountFilter, order: AccountOrder, cursor: Option<&str>, limit: usize) -> String {
    let mut query = Serializer::new(String::with_capacity(TYPICAL_QUERY_BYTES));
    let mut list = |name: &str, values: &Option<FilterValues>| {
        if let Some(values) = values {
            query.append_pair(name, &values.iter().collect::<Vec<_>>().join(","));
        }
    };
    list("toolkit_slugs", &filter.toolkits);
    list("statuses", &filter.statuses);
    list("user_ids", &filter.user_ids);
    list("auth_config_ids", &filter.auth_config_ids);
    list("connected_account_ids", &filter.ids);
    if let Some(account_type) = filter.account_type {
        query.append_pair(
            "account_type",
            match account_type {
                AccountTypeFilter::Private => "PRIVATE",
                AccountTypeFilter::Shared => "SHARED",
                AccountTypeFilter::All => "ALL",
            },
        );
    }
    query.append_pair(
        "order_by",
        match order.field {
            AccountOrderField::CreatedAt => "created_at",
            AccountOrderField::UpdatedAt => "updated_at",
        },
    );
    query.append_pair(
        "order_direction",
        match order.direction {
            OrderDirection::Asc => "asc",
            OrderDirection::Desc => "desc",
        },
    );
    query.append_pair("limit", &limit.to_string());
    if let Some(cursor) = cursor {
        query.append_pair("cursor", cursor);
    }
    query.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_match_those_of_the_released_clients() {
        let filter = AccountFilter {
            toolkits: Some(FilterValues::new("toolkits", ["slack", "gmail"]).unwrap()),
            user_ids: Some(FilterValues::new("userIds", ["a b", "c&d", "ü/+"]).unwrap()),
            account_type: Some(AccountTypeFilter::All),
            ..Default::default()
        };
        let order = AccountOrder { field: AccountOrderField::UpdatedAt, direction: OrderDirection::Asc };
        assert_eq!(
            query(&filter, order, Some("c=1"), 100),
            "toolkit_slugs=gmail%2Cslack&user_ids=a+b%2Cc%26d%2C%C3%BC%2F%2B&account_type=ALL\
             &order_by=updated_at&order_direction=asc&limit=100&cursor=c%3D1"
        );
    }
}
