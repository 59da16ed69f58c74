//! Filters, orders and pages of account lists.
//!
//! Each request scans all of the tenant's accounts, because `total_items` is the full count. That takes one or two
//! milliseconds for 100,000 rows.

use std::cmp::{Ordering, Reverse};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use jiff::Timestamp;

use super::accounts::{Account, Accounts, Order};
use super::query::{AccountTypes, ListQuery};
use super::settings::{CursorKind, Ties};

/// The default page size; no source documents it (docs/upstreams.md#composio-list-request).
const DEFAULT_LIMIT: usize = 20;

/// One page of a list.
pub(super) struct AccountPage<'a> {
    pub(super) rows: Vec<&'a Account>,
    pub(super) next_cursor: Option<String>,
    pub(super) total_pages: usize,
    /// Counted from 1.
    pub(super) current_page: usize,
    pub(super) total_items: usize,
}

/// Returns the requested page of `accounts`. `auth_configs` is the prefix of auth config ids.
///
/// # Errors
///
/// With a message, if the cursor is invalid or belongs to another kind or order.
pub(super) fn page<'a>(
    accounts: &'a Accounts,
    query: &ListQuery,
    auth_configs: &str,
    kind: CursorKind,
    ties: Ties,
) -> Result<AccountPage<'a>, &'static str> {
    let order = query.order;
    let is_match = |row: &&Account| matches(row, query, auth_configs);
    let mut rows: Vec<&Account> = if !query.ids.is_empty() {
        let mut found: Vec<_> = query.ids.iter().filter_map(|id| accounts.get(id)).filter(is_match).collect();
        found.sort_unstable_by_key(|row| row.sort_key(order));
        found.dedup_by_key(|row| row.serial);
        if !query.ascending {
            found.reverse();
        }
        found
    } else if query.ascending {
        accounts.ascending(order).filter(is_match).collect()
    } else {
        accounts.ascending(order).rev().filter(is_match).collect()
    };

    if ties == Ties::Stable && !query.ascending {
        rows.sort_by(|a, b| compare(a.sort_key(order), b.sort_key(order), query, ties));
    }

    let (start, limit) = match &query.cursor {
        None => (0, query.limit.unwrap_or(DEFAULT_LIMIT)),
        Some(cursor) => start(cursor, &rows, query, kind, ties).ok_or("cursor: invalid")?,
    };
    let page_rows: Vec<_> = rows.iter().skip(start).take(limit).copied().collect();
    let has_more = start.saturating_add(page_rows.len()) < rows.len();
    let current_page = start / limit + 1;
    Ok(AccountPage {
        next_cursor: match page_rows.last() {
            Some(last) if has_more => Some(match kind {
                CursorKind::Page => STANDARD.encode(format!("{},{limit}", current_page + 1)),
                CursorKind::Keyset => {
                    let time = last.sort_key(order).0.as_nanosecond();
                    STANDARD.encode(format!("{},{time},{},{limit}", order_code(query), last.serial))
                }
            }),
            _ => None,
        },
        total_pages: rows.len().div_ceil(limit),
        current_page,
        total_items: rows.len(),
        rows: page_rows,
    })
}

/// Returns the index of a cursor's page and its length. A `limit` in the query takes precedence over the cursor's.
fn start(
    cursor: &str,
    rows: &[&Account],
    query: &ListQuery,
    kind: CursorKind,
    ties: Ties,
) -> Option<(usize, usize)> {
    let text = String::from_utf8(STANDARD.decode(cursor).ok()?).ok()?;
    let parts: Vec<&str> = text.split(',').collect();
    let limit = |cursor_limit: &str| {
        Some(query.limit.unwrap_or(cursor_limit.parse().ok()?)).filter(|limit| *limit > 0)
    };
    match (kind, parts.as_slice()) {
        (CursorKind::Page, [page, cursor_limit]) => {
            let (page, limit): (usize, _) = (page.parse().ok()?, limit(cursor_limit)?);
            Some((page.checked_sub(1)?.checked_mul(limit)?, limit))
        }
        (CursorKind::Keyset, [code, time, serial, cursor_limit]) if *code == order_code(query) => {
            let (time, serial): (i128, u64) = (time.parse().ok()?, serial.parse().ok()?);
            let last = (Timestamp::from_nanosecond(time).ok()?, Reverse(serial));
            let is_before = |row: &&Account| compare(row.sort_key(query.order), last, query, ties).is_le();
            Some((rows.partition_point(is_before), limit(cursor_limit)?))
        }
        _ => None,
    }
}

/// A row's timestamp, and its rank among equal timestamps.
type SortKey = (Timestamp, Reverse<u64>);

/// Compares two sort keys in the order of the requested list.
fn compare(a: SortKey, b: SortKey, query: &ListQuery, ties: Ties) -> Ordering {
    match (query.ascending, ties) {
        (true, _) => a.cmp(&b),
        (false, Ties::Mirrored) => b.cmp(&a),
        (false, Ties::Stable) => b.0.cmp(&a.0).then(a.1.cmp(&b.1)),
    }
}

/// Returns the order and direction of the list, as a keyset cursor contains them.
fn order_code(query: &ListQuery) -> &'static str {
    match (query.order, query.ascending) {
        (Order::CreatedAt, true) => "created+",
        (Order::CreatedAt, false) => "created-",
        (Order::UpdatedAt, true) => "updated+",
        (Order::UpdatedAt, false) => "updated-",
    }
}

fn matches(row: &Account, query: &ListQuery, auth_configs: &str) -> bool {
    let any = |wanted: &[String], value: &str| wanted.is_empty() || wanted.iter().any(|one| one == value);
    let has_type = match query.account_types {
        AccountTypes::Private => !row.shared,
        AccountTypes::Shared => row.shared,
        AccountTypes::All => true,
    };
    has_type
        && any(&query.toolkits, row.toolkit)
        && any(&query.statuses, row.status)
        && any(&query.users, &row.user_id)
        && (query.auth_configs.is_empty()
            || query.auth_configs.iter().any(|id| id.strip_prefix(auth_configs) == Some(row.toolkit)))
}
