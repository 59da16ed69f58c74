//! The connected accounts of one tenant: one small record each, and the orders that lists need.
//!
//! A record holds what lists filter and order by; everything else of an item follows from its serial number and is
//! made when it is shown (`item.rs`), so 100,000 accounts start at once.

use jiff::Timestamp;

use super::chance::{pick, scatter};
use super::toolkits::TOOLKITS;

/// The seven statuses that are known (UPSTREAMS.md A3).
pub(super) const STATUSES: [&str; 7] =
    ["INITIALIZING", "INITIATED", "ACTIVE", "FAILED", "EXPIRED", "INACTIVE", "REVOKED"];

/// One connected account. Tests make their own with [`Account::new`] and change any field.
#[derive(Clone, Debug)]
pub struct Account {
    /// `ca_…`.
    pub id: String,
    /// The toolkit's slug; the auth config's id is `ac_` and this.
    pub toolkit: &'static str,
    /// One of UPSTREAMS.md A3's 15 words, or any other.
    pub auth_scheme: &'static str,
    /// One of UPSTREAMS.md A3's seven words, or any other.
    pub status: &'static str,
    /// The end user.
    pub user_id: String,
    /// What lists are ordered by unless they say otherwise.
    pub created_at: Timestamp,
    /// What `order_by=updated_at` orders by.
    pub updated_at: Timestamp,
    /// SHARED, and so only in lists that say `account_type=SHARED` or `ALL`.
    pub shared: bool,
    /// Switched off by hand.
    pub is_disabled: bool,
    /// The alias that a write set; empty where it removed the alias, `None` where no write touched it.
    pub(super) written_alias: Option<String>,
    /// The status reason that a write left.
    pub(super) written_reason: Option<&'static str>,
    /// What all other fields of the item follow from, and the order among equal times.
    pub(super) serial: u64,
}

impl Account {
    /// An ACTIVE, PRIVATE account with its toolkit's auth scheme, never updated. What it shows besides follows from `id`.
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
            // Above all dealt serials, and small enough to be shown.
            serial: 1_000_000_000 + serial % 1_000_000_000,
        }
    }

    /// The order among accounts of one moment: in a list that runs oldest first, the larger rank comes first.
    #[must_use]
    pub fn rank(&self) -> u64 {
        self.serial
    }

    /// The alias as the item shows it.
    #[must_use]
    pub fn alias(&self) -> Option<String> {
        if let Some(written) = &self.written_alias {
            return Some(written.clone()).filter(|alias| !alias.is_empty());
        }
        let serial = self.serial;
        (serial % 6 == 1).then(|| format!("{} {serial}", pick(&["Work", "Personal", "Support"], serial)))
    }

    /// The place in an ascending list ordered by `time`; what is younger has the smaller serial.
    pub(super) fn place(&self, order: Order) -> (Timestamp, std::cmp::Reverse<u64>) {
        let time = match order {
            Order::CreatedAt => self.created_at,
            Order::UpdatedAt => self.updated_at,
        };
        (time, std::cmp::Reverse(self.serial))
    }
}

/// What a list is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    CreatedAt,
    UpdatedAt,
}

/// All accounts of a tenant, with the orders that lists need.
#[derive(Default)]
pub(super) struct Accounts {
    rows: Vec<Account>,
    by_created: Vec<u32>,
    by_updated: Vec<u32>,
    by_id: Vec<u32>,
}

impl Accounts {
    /// A tenant's accounts, put in order.
    pub(super) fn of(rows: Vec<Account>) -> Self {
        let mut accounts = Self { rows, ..Self::default() };
        accounts.sort();
        accounts
    }

    /// Lets `change` add, remove and alter rows, then puts them in order again.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Vec<Account>)) {
        change(&mut self.rows);
        self.sort();
    }

    fn sort(&mut self) {
        let all = 0..u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let sorted = |order: Order| {
            let mut places: Vec<_> =
                all.clone().filter_map(|at| Some((self.at(at)?.place(order), at))).collect();
            places.sort_unstable();
            places.into_iter().map(|(_, at)| at).collect::<Vec<_>>()
        };
        let (by_created, by_updated) = (sorted(Order::CreatedAt), sorted(Order::UpdatedAt));
        let mut by_id: Vec<_> = all.collect();
        by_id.sort_unstable_by_key(|at| self.at(*at).map(|row| row.id.as_str()));
        (self.by_created, self.by_updated, self.by_id) = (by_created, by_updated, by_id);
    }

    pub(super) fn rows(&self) -> &[Account] {
        &self.rows
    }

    /// The rows in ascending order.
    pub(super) fn ascending(&self, order: Order) -> impl DoubleEndedIterator<Item = &Account> {
        let places = match order {
            Order::CreatedAt => &self.by_created,
            Order::UpdatedAt => &self.by_updated,
        };
        places.iter().filter_map(|at| self.at(*at))
    }

    pub(super) fn get(&self, id: &str) -> Option<&Account> {
        let place = self.by_id.binary_search_by(|at| self.at(*at).map(|row| row.id.as_str()).cmp(&Some(id)));
        self.at(*self.by_id.get(place.ok()?)?)
    }

    fn at(&self, place: u32) -> Option<&Account> {
        self.rows.get(place as usize)
    }
}

/// Why an account is in its status, in the upstream's words (UPSTREAMS.md A3); none while nothing is wrong.
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
