//! Data of today: the same rows, brought so near to now that what hangs on ages shows itself.
//!
//! Tests want the same moments in every run, a demonstration data as a workspace has them. So the moments of the
//! documents stay what a sandbox starts with, and only who shows one to people moves them.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Sandbox, Tenant};

/// The last sync of most integrations in `data/`: a few minutes before now.
const SYNCED: i64 = 1_776_421_800;
const SYNCED_AGO: SignedDuration = SignedDuration::from_mins(4);
/// How long ago the newest account was made.
const NEWEST_AGO: SignedDuration = SignedDuration::from_mins(3);

impl Sandbox {
    /// Moves the last syncs and the accounts of both tenants: the newest were made some minutes ago, and nothing lies
    /// in the future.
    pub fn bring_near(&self, now: Timestamp) {
        for tenant in [Tenant::A, Tenant::B] {
            self.change_providers(tenant, |rows| rows.iter_mut().for_each(|row| sync_near(row, now)));
            self.change_accounts(tenant, |rows| {
                let Some(newest) = rows.iter().map(|account| account.created_at).max() else { return };
                let later = now.duration_since(newest) - NEWEST_AGO;
                for account in rows {
                    let since_made = account.updated_at.duration_since(account.created_at).as_millis();
                    account.created_at += later;
                    // It changed between then and now, and not all did so in one moment.
                    let age = now.duration_since(account.created_at).as_millis().max(1);
                    let changed = i64::try_from(since_made.rem_euclid(age)).unwrap_or_default();
                    account.updated_at = account.created_at + SignedDuration::from_millis(changed);
                }
            });
        }
    }
}

fn sync_near(row: &mut Value, now: Timestamp) {
    let synced: Option<Timestamp> =
        row.get("last_sync_at").and_then(Value::as_str).and_then(|text| text.parse().ok());
    let Some(synced) = synced else { return };
    let later = now.duration_since(Timestamp::from_second(SYNCED).unwrap_or_default()) - SYNCED_AGO;
    if let Some(place) = row.get_mut("last_sync_at") {
        *place = Value::String((synced + later).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{Clock, Settings};

    #[test]
    fn what_is_brought_near_is_recent_and_nothing_lies_in_the_future() {
        let now: Timestamp = "2027-03-01T08:00:00Z".parse().unwrap();
        let sandbox = Sandbox::new(Settings::default(), Clock::new(move || now));
        let before = sandbox.accounts(Tenant::A);
        sandbox.bring_near(now);
        let accounts = sandbox.accounts(Tenant::A);
        assert_eq!(accounts.iter().map(|account| account.created_at).max(), Some(now - NEWEST_AGO));
        assert!(
            accounts
                .iter()
                .all(|account| account.created_at <= account.updated_at && account.updated_at <= now)
        );
        let ids = |accounts: &[crate::sandbox::Account]| {
            accounts.iter().map(|account| account.id.clone()).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(ids(&accounts), ids(&before));
        let synced: Vec<Timestamp> = sandbox
            .providers(Tenant::A)
            .iter()
            .filter_map(|row| row.get("last_sync_at")?.as_str()?.parse().ok())
            .collect();
        assert_eq!(synced.iter().max(), Some(&(now - SYNCED_AGO)));
    }
}
