//! Both decoders, as the clients use them: a response body becomes a page or an error.

use ::http::Response;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use serde_json::Value;
use switchboard::domain::clock::Clock;
use switchboard::domain::credential::Credential;
use switchboard::domain::filters::{AccountFilter, AccountOrder};
use switchboard::domain::problems::{LOCATED_PROBLEMS_MAX, Problems};
use switchboard::domain::upstream_name::UpstreamName;
use switchboard::upstream::accounts::{AccountPage, AccountsClient};
use switchboard::upstream::error::{UpstreamError, UpstreamFailure};
use switchboard::upstream::providers::{FetchedProviders, ProvidersClient};
use switchboard::upstream::quota::Purpose;
use switchboard::upstream::transport::{Network, Transport};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, service_fn};

use super::with_paused_clock;
use crate::world::{NOW, upstream};

/// The canary of generated responses. It must not occur in decoded data.
pub(crate) const CANARY: &str = "hush-hush";

fn transport(name: UpstreamName, body: &[u8]) -> Transport {
    let body = Bytes::copy_from_slice(body);
    let network: Network = BoxCloneSyncService::new(service_fn(move |_: ::http::Request<Bytes>| {
        let body = Full::new(body.clone()).map_err(BoxError::from).boxed_unsync();
        async move { Ok(Response::new(body)) }
    }));
    Transport::new(name, upstream("/"), network, Clock::starting_at(NOW.parse::<Timestamp>().unwrap()))
}

/// The accounts page, if the bytes are one.
pub(crate) fn page_of(bytes: &[u8]) -> Option<AccountPage> {
    with_paused_clock(async {
        let client = AccountsClient::new(transport(UpstreamName::Composio, bytes));
        let (credential, filter) = (Credential::new("ak_fuzz").unwrap(), AccountFilter::default());
        let order = AccountOrder::NEWEST_FIRST;
        let page = client.fetch_page(&credential, &filter, order, None, 100, Purpose::Needed).await;
        unless_refused(page)
    })
}

/// The provider list, if the bytes are one.
pub(crate) fn list_of(bytes: &[u8]) -> Option<FetchedProviders> {
    with_paused_clock(async {
        let client = ProvidersClient::new(transport(UpstreamName::Leadlex, bytes));
        unless_refused(client.fetch_list(&Credential::new("wbk_fuzz").unwrap(), Purpose::Needed).await)
    })
}

fn unless_refused<T>(fetched: Result<T, UpstreamError>) -> Option<T> {
    fetched.map_err(|error| assert_eq!(error.failure, UpstreamFailure::BadResponse, "{error:?}")).ok()
}

/// The number of rows that another parser finds, if it can read the bytes.
fn rows_seen(bytes: &[u8], list: &str) -> Option<usize> {
    Some(serde_json::from_slice::<Value>(bytes).ok()?.pointer(list)?.as_array()?.len())
}

fn assert_all_rows_counted(rows: usize, problems: &Problems, sent: usize) {
    assert_eq!(
        rows as u64 + problems.rows_left_out(),
        sent as u64,
        "each row is returned or counted as a problem"
    );
    let (located, all): (u64, u64) = (
        problems.located().map(|(_, _, count)| count).sum(),
        problems.counts().map(|(_, count)| count).sum(),
    );
    assert!(problems.located().count() <= LOCATED_PROBLEMS_MAX && located <= all);
    for (path, _, _) in problems.located() {
        let is_ours = |letter: char| letter.is_ascii_alphanumeric() || "[]._-".contains(letter);
        assert!(path.chars().all(is_ours), "{path}");
    }
}

pub(super) fn accounts(bytes: &[u8]) {
    let Some(page) = page_of(bytes) else { return };
    assert_all_rows_counted(page.items.len(), &page.problems, page.rows_received);
    if let Some(sent) = rows_seen(bytes, "/items") {
        assert_eq!(page.rows_received, sent);
    }
    assert!(page.items.iter().all(|account| !account.id.is_empty()));
    assert!(page.next_cursor.is_none_or(|cursor| !cursor.is_empty() && cursor.len() <= 4_096));
}

pub(super) fn providers(bytes: &[u8]) {
    let Some(list) = list_of(bytes) else { return };
    if let Some(sent) = rows_seen(bytes, "/data/providers") {
        assert_all_rows_counted(list.rows.len(), &list.problems, sent);
        assert!(sent == 0 || !list.rows.is_empty(), "a list without any readable row is an error");
    }
    // Identical rows have distinct ids.
    let mut keys: Vec<_> = list
        .rows
        .iter()
        .map(|row| (row.category.raw(), &*row.name, row.account_id.as_deref(), row.ordinal))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), list.rows.len());
}
