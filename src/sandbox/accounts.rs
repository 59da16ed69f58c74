//! The connected accounts of one tenant, with indexes for the orders of lists.
//!
//! An [`Account`] has only the fields by which lists filter and order. All other fields of an item are derived from its
//! serial number when it is returned (`item.rs`), so a sandbox with 100,000 accounts starts at once.

use jiff::Timestamp;

use super::rng::{pick, scatter};
use super::toolkits::TOOLKITS;

/// The seven documented statuses (docs/upstreams.md#composio-account).
pub(super) const STATUSES: [&str; 7] =
    ["INITIALIZING", "INITIATED", "ACTIVE", "FAILED", "EXPIRED", "INACTIVE", "REVOKED"];

/// One connected account. Tests create accounts with [`Account::new`] and change any field.
#[derive(Clone, Debug)]
pub struct Account {
    /// `ca_…`.
    pub id: String,
    /// The toolkit's slug; the auth config's id is `ac_` and the slug.
    pub toolkit: &'static str,
    /// One of the 15 schemes of docs/upstreams.md#composio-account, or any other text.
    pub auth_scheme: &'static str,
    /// One of the seven statuses of docs/upstreams.md#composio-account, or any other text.
    pub status: &'static str,
    /// The end user's id.
    pub user_id: String,
    /// Creation time, the default order of lists.
    pub created_at: Timestamp,
    /// Time of the last change, the order of lists with `order_by=updated_at`.
    pub updated_at: Timestamp,
    /// Whether the account is SHARED, and so only in lists with `account_type=SHARED` or `ALL`.
    pub shared: bool,
    /// Whether its owner has disabled it.
    pub is_disabled: bool,
    /// The alias that a write set; empty if it removed the alias, `None` if no write changed it.
    pub(super) written_alias: Option<String>,
    /// The status reason that a write set.
    pub(super) written_reason: Option<&'static str>,
    /// Seed of all other fields of the item, and order among equal timestamps.
    pub(super) serial: u64,
}

impl Account {
    /// Creates an ACTIVE, PRIVATE account with its toolkit's auth scheme, never updated. Its other fields are derived
    /// from `id`.
    #[must_use]
    pub fn new(id: &str, toolkit: &'static str, user_id: &str, created_at: Timestamp) -> Self {
        let scheme =
            TOOLKITS.iter().find(|(slug, _)| *slug == toolkit).map_or("OAUTH2", |(_, scheme)| scheme);
        let serial = id.bytes().fold(0, |sum, byte| scatter(sum ^ u64::from(byte)));
        Self {
            id: id.to_owned(),
            toolkit,
            auth_scheme: scheme,
            status: "ACTIVE",
            user_id: user_id.to_owned(),
            created_at,
            updated_at: created_at,
            shared: false,
            is_disabled: false,
            written_alias: None,
            written_reason: None,
            // Above the serials of the generated accounts, and short enough to read.
            serial: 1_000_000_000 + serial % 1_000_000_000,
        }
    }

    /// Returns the order among accounts with the same timestamp: in ascending lists, the larger rank comes first.
    #[must_use]
    pub fn rank(&self) -> u64 {
        self.serial
    }

    /// Returns the alias of the item.
    #[must_use]
    pub fn alias(&self) -> Option<String> {
        if let Some(written) = &self.written_alias {
            return Some(written.clone()).filter(|alias| !alias.is_empty());
        }
        let serial = self.serial;
        (serial % 6 == 1).then(|| format!("{} {serial}", pick(&["Work", "Personal", "Support"], serial)))
    }

    /// Returns the sort key of an ascending list; the newer account has the smaller serial.
    pub(super) fn sort_key(&self, order: Order) -> (Timestamp, std::cmp::Reverse<u64>) {
        let time = match order {
            Order::CreatedAt => self.created_at,
            Order::UpdatedAt => self.updated_at,
        };
        (time, std::cmp::Reverse(self.serial))
    }
}

/// The timestamp that a list is ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    #[default]
    CreatedAt,
    UpdatedAt,
}

/// All accounts of a tenant, with indexes for the orders of lists.
#[derive(Default)]
pub(super) struct Accounts {
    rows: Vec<Account>,
    by_created: Vec<u32>,
    by_updated: Vec<u32>,
    by_id: Vec<u32>,
}

impl Accounts {
    /// Creates and indexes a tenant's accounts.
    pub(super) fn of(rows: Vec<Account>) -> Self {
        let mut accounts = Self { rows, ..Self::default() };
        accounts.sort();
        accounts
    }

    /// Changes the rows, then rebuilds the indexes.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Vec<Account>)) {
        change(&mut self.rows);
        self.sort();
    }

    fn sort(&mut self) {
        let all = 0..u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let sorted = |order: Order| {
            let mut indexes: Vec<_> =
                all.clone().filter_map(|at| Some((self.at(at)?.sort_key(order), at))).collect();
            indexes.sort_unstable();
            indexes.into_iter().map(|(_, at)| at).collect::<Vec<_>>()
        };
        let (by_created, by_updated) = (sorted(Order::CreatedAt), sorted(Order::UpdatedAt));
        let mut by_id: Vec<_> = all.collect();
        by_id.sort_unstable_by_key(|at| self.at(*at).map(|row| row.id.as_str()));
        (self.by_created, self.by_updated, self.by_id) = (by_created, by_updated, by_id);
    }

    pub(super) fn rows(&self) -> &[Account] {
        &self.rows
    }

    /// Returns the rows in ascending order.
    pub(super) fn ascending(&self, order: Order) -> impl DoubleEndedIterator<Item = &Account> {
        let indexes = match order {
            Order::CreatedAt => &self.by_created,
            Order::UpdatedAt => &self.by_updated,
        };
        indexes.iter().filter_map(|at| self.at(*at))
    }

    pub(super) fn get(&self, id: &str) -> Option<&Account> {
        let index = self.by_id.binary_search_by(|at| self.at(*at).map(|row| row.id.as_str()).cmp(&Some(id)));
        self.at(*self.by_id.get(index.ok()?)?)
    }

    fn at(&self, index: u32) -> Option<&Account> {
        self.rows.get(index as usize)
    }
}

/// Returns the reason for an account's status, in the upstream's words (docs/upstreams.md#composio-account); `None` if
/// nothing is wrong.
pub(super) fn status_reason(account: &Account) -> Option<&'static str> {
    if account.written_reason.is_some() {
        return account.written_reason;
    }
    let reasons: &[&str] = match account.status {
        "FAILED" => &[
            "Connection initiation did not complete within 10 minutes",
            "OAuth callback failed during token exchange",
        ],
        "EXPIRED" => &["Permanent auth error during token refresh", "Max auth failures reached"],
        "INACTIVE" if account.toolkit == "mailchimp" => &["Auth config is disabled"],
        "INACTIVE" => &["Connection status updated by user"],
        "REVOKED" => &[
            "Revoked via user-initiated revoke endpoint",
            "Revoked via admin tool",
            "Revoked as part of connection delete",
        ],
        _ => return None,
    };
    Some(pick(reasons, account.serial))
}
