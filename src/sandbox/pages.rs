//! Filtering, ordering and cutting: from all accounts to one page.
//!
//! Every list scans the tenant's accounts once, because `total_items` needs the whole count anyway; 100,000 rows are a
//! matter of a millisecond or two.

use std::cmp::{Ordering, Reverse};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use jiff::Timestamp;

use super::accounts::{Account, Accounts, Order};
use super::query::{ListQuery, Shown};
use super::settings::{CursorKind, Ties};

/// What no `limit` means; no source says (UPSTREAMS.md A2).
const LIMIT: usize = 20;

/// One page, and where it stands.
pub(super) struct Page<'a> {
    pub(super) rows: Vec<&'a Account>,
    pub(super) next_cursor: Option<String>,
    pub(super) total_pages: usize,
    /// From 1.
    pub(super) current_page: usize,
    pub(super) total_items: usize,
}

/// The page that `asked` wants of `accounts`; `auth_configs` is what auth config ids begin with.
///
/// # Errors
///
/// A sentence about the cursor, which is not one of this kind, or of another order.
pub(super) fn page<'a>(
    accounts: &'a Accounts,
    asked: &ListQuery,
    auth_configs: &str,
    kind: CursorKind,
    ties: Ties,
) -> Result<Page<'a>, &'static str> {
    let order = asked.order();
    let fits = |row: &&Account| fits(row, asked, auth_configs);
    let mut rows: Vec<&Account> = if !asked.ids.is_empty() {
        let mut found: Vec<_> = asked.ids.iter().filter_map(|id| accounts.get(id)).filter(fits).collect();
        found.sort_unstable_by_key(|row| row.place(order));
        found.dedup_by_key(|row| row.serial);
        if !asked.ascending {
            found.reverse();
        }
        found
    } else if asked.ascending {
        accounts.ascending(order).filter(fits).collect()
    } else {
        accounts.ascending(order).rev().filter(fits).collect()
    };

    if ties == Ties::Stable && !asked.ascending {
        rows.sort_by(|a, b| compare(a.place(order), b.place(order), asked, ties));
    }

    let (start, limit) = match &asked.cursor {
        None => (0, asked.limit.unwrap_or(LIMIT)),
        Some(cursor) => start(cursor, &rows, asked, kind, ties).ok_or("cursor: invalid")?,
    };
    let shown: Vec<_> = rows.iter().skip(start).take(limit).copied().collect();
    let more = start.saturating_add(shown.len()) < rows.len();
    let current_page = start / limit + 1;
    Ok(Page {
        next_cursor: match shown.last() {
            Some(last) if more => Some(match kind {
                CursorKind::Page => STANDARD.encode(format!("{},{limit}", current_page + 1)),
                CursorKind::Keyset => {
                    let time = last.place(order).0.as_nanosecond();
                    STANDARD.encode(format!("{},{time},{},{limit}", way(asked), last.serial))
                }
            }),
            _ => None,
        },
        total_pages: rows.len().div_ceil(limit),
        current_page,
        total_items: rows.len(),
        rows: shown,
    })
}

/// Where a cursor's page starts, and how long it is: a `limit` in the query outranks the cursor's own.
fn start(
    cursor: &str,
    rows: &[&Account],
    asked: &ListQuery,
    kind: CursorKind,
    ties: Ties,
) -> Option<(usize, usize)> {
    let text = String::from_utf8(STANDARD.decode(cursor).ok()?).ok()?;
    let parts: Vec<&str> = text.split(',').collect();
    let limit = |own: &str| Some(asked.limit.unwrap_or(own.parse().ok()?)).filter(|limit| *limit > 0);
    match (kind, parts.as_slice()) {
        (CursorKind::Page, [page, own]) => {
            let (page, limit): (usize, _) = (page.parse().ok()?, limit(own)?);
            Some((page.checked_sub(1)?.checked_mul(limit)?, limit))
        }
        (CursorKind::Keyset, [told, time, serial, own]) if *told == way(asked) => {
            let (time, serial): (i128, u64) = (time.parse().ok()?, serial.parse().ok()?);
            let last = (Timestamp::from_nanosecond(time).ok()?, Reverse(serial));
            let before = |row: &&Account| compare(row.place(asked.order()), last, asked, ties).is_le();
            Some((rows.partition_point(before), limit(own)?))
        }
        _ => None,
    }
}

/// A row's time, and its rank among rows of that time.
type Place = (Timestamp, Reverse<u64>);

/// How two places follow each other in the list that is asked for.
fn compare(a: Place, b: Place, asked: &ListQuery, ties: Ties) -> Ordering {
    match (asked.ascending, ties) {
        (true, _) => a.cmp(&b),
        (false, Ties::Mirrored) => b.cmp(&a),
        (false, Ties::Stable) => b.0.cmp(&a.0).then(a.1.cmp(&b.1)),
    }
}

/// The order and direction that a keyset cursor belongs to.
fn way(asked: &ListQuery) -> &'static str {
    match (asked.order(), asked.ascending) {
        (Order::CreatedAt, true) => "created+",
        (Order::CreatedAt, false) => "created-",
        (Order::UpdatedAt, true) => "updated+",
        (Order::UpdatedAt, false) => "updated-",
    }
}

fn fits(row: &Account, asked: &ListQuery, auth_configs: &str) -> bool {
    let any = |wanted: &[String], value: &str| wanted.is_empty() || wanted.iter().any(|one| one == value);
    let shown = match asked.shown {
        Shown::Private => !row.shared,
        Shown::Shared => row.shared,
        Shown::All => true,
    };
    shown
        && any(&asked.toolkits, row.toolkit)
        && any(&asked.statuses, row.status)
        && any(&asked.users, &row.user_id)
        && (asked.auth_configs.is_empty()
            || asked.auth_configs.iter().any(|id| id.strip_prefix(auth_configs) == Some(row.toolkit)))
}
