//! Recent data: the same rows with their timestamps shifted to now, so that features that depend on the age of data can
//! be seen.
//!
//! Tests need the same timestamps in every run; people need recent ones. So a sandbox starts with fixed timestamps, and
//! the commands `demo` and `sandbox` (without `--fixed-clock`) shift them.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Sandbox, Tenant};

/// The last sync of most integrations in `data/`; after the shift, it was [`SYNCED_AGO`].
const SYNCED: i64 = 1_776_421_800;
const SYNCED_AGO: SignedDuration = SignedDuration::from_mins(4);
/// Age of the newest account after the shift.
const NEWEST_AGO: SignedDuration = SignedDuration::from_mins(3);

impl Sandbox {
    /// Shifts the last syncs and the accounts of both tenants, so that the newest are some minutes old and none is in
    /// the future.
    pub fn shift_to_now(&self, now: Timestamp) {
        for tenant in [Tenant::A, Tenant::B] {
            self.change_providers(tenant, |rows| rows.iter_mut().for_each(|row| shift_last_sync(row, now)));
            self.change_accounts(tenant, |rows| {
                let Some(newest) = rows.iter().map(|account| account.created_at).max() else { return };
                let shift = now.duration_since(newest) - NEWEST_AGO;
                for account in rows {
                    let change_delay = account.updated_at.duration_since(account.created_at).as_millis();
                    account.created_at += shift;
                    // Spread the changes between creation and now.
                    let age = now.duration_since(account.created_at).as_millis().max(1);
                    let changed = i64::try_from(change_delay.rem_euclid(age)).unwrap_or_default();
                    account.updated_at = account.created_at + SignedDuration::from_millis(changed);
                }
            });
        }
    }
}

fn shift_last_sync(row: &mut Value, now: Timestamp) {
    let last_sync: Option<Timestamp> =
        row.get("last_sync_at").and_then(Value::as_str).and_then(|text| text.parse().ok());
    let Some(last_sync) = last_sync else { return };
    let shift = now.duration_since(Timestamp::from_second(SYNCED).unwrap_or_default()) - SYNCED_AGO;
    if let Some(value) = row.get_mut("last_sync_at") {
        *value = Value::String((last_sync + shift).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{Clock, Settings};

    #[test]
    fn shifted_data_is_recent_and_not_in_the_future() {
        let now: Timestamp = "2027-03-01T08:00:00Z".parse().unwrap();
        let sandbox = Sandbox::new(Settings::default(), Clock::new(move || now));
        let before = sandbox.accounts(Tenant::A);
        sandbox.shift_to_now(now);
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
        let last_sync: Vec<Timestamp> = sandbox
            .providers(Tenant::A)
            .iter()
            .filter_map(|row| row.get("last_sync_at")?.as_str()?.parse().ok())
            .collect();
        assert_eq!(last_sync.iter().max(), Some(&(now - SYNCED_AGO)));
    }
}
