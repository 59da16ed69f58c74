//! Accounts that were decoded before: an account that is received again with the same bytes is not decoded again, and
//! all lists share it.
//!
//! Composio returns the same rows at every refresh and in many lists. Of a row, only a keyed digest is stored; the key is
//! random and never leaves the process, so the digest does not help to guess a secret in the row. Rows that do not name
//! their user are not known, because the lists add it.
//!
//! The digest is GMAC (NIST SP 800-38D): two rows of at most 64 KiB have the same with a probability below 2^-115, also
//! if a user chooses texts in them, because digests are never shown. Rejected: SHA-256, which takes longer than decoding
//! on processors without instructions for it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use ahash::AHashMap;
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::domain::accounts::{ConnectedAccount, SharedAccount};
use crate::domain::credential::Fingerprint;
use crate::domain::upstream_name::Composio;

/// Number of entries below which unused ones are not searched for.
const CLEANUP_MIN: usize = 1_024;

/// Identifies a row: the credential that received it, and the digest of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::upstream) struct RowKey {
    credential: Fingerprint<Composio>,
    digest: [u8; 16],
}

/// The accounts that are in use, by their rows. An account that no list holds any more is forgotten.
#[derive(Debug, Default)]
pub(in crate::upstream) struct KnownAccounts {
    /// The key of the digests; `None` if the system has no random numbers. No account is known then.
    key: Option<LessSafeKey>,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    accounts: AHashMap<RowKey, Weak<ConnectedAccount>>,
    /// Number of entries at which those of unused accounts are removed.
    cleanup_at: usize,
}

impl KnownAccounts {
    pub(in crate::upstream) fn new() -> Self {
        let mut key = [0; 16];
        let key = getrandom::fill(&mut key).ok().and_then(|()| UnboundKey::new(&AES_128_GCM, &key).ok());
        Self { key: key.map(LessSafeKey::new), entries: Mutex::default() }
    }

    /// Returns the key of a row.
    pub(in crate::upstream) fn key(&self, credential: Fingerprint<Composio>, row: &[u8]) -> Option<RowKey> {
        // GMAC is AES-GCM without a text. A repeated nonce only harms keys whose tags can be seen.
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        let tag = self.key.as_ref()?.seal_in_place_separate_tag(nonce, Aad::from(row), &mut []).ok()?;
        Some(RowKey { credential, digest: tag.as_ref().try_into().ok()? })
    }

    /// Returns the account of a row.
    pub(in crate::upstream) fn get(&self, key: &RowKey) -> Option<SharedAccount> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).accounts.get(key)?.upgrade()
    }

    /// Remembers the account of a row.
    pub(in crate::upstream) fn insert(&self, key: RowKey, account: &SharedAccount) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.accounts.len() >= entries.cleanup_at {
            entries.accounts.retain(|_, account| account.strong_count() > 0);
            // Entries of unused accounts take memory too: at most a quarter of those in use, plus a constant.
            entries.cleanup_at = entries.accounts.len() / 4 * 5 + CLEANUP_MIN;
        }
        entries.accounts.insert(key, Arc::downgrade(account));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::credential::Credential;
    use crate::upstream::wire::accounts::page;

    fn credential(key: &str) -> Fingerprint<Composio> {
        Credential::new(key).unwrap().fingerprint()
    }

    fn row(number: usize) -> String {
        format!(
            r#"{{"id":"ca_{number}","user_id":"user_1","toolkit":{{"slug":"gmail"}},"auth_config":{{"id":"ac_1"}},"status":"ACTIVE"}}"#
        )
    }

    fn read(known: &KnownAccounts, credential: Fingerprint<Composio>, rows: &[String]) -> Vec<SharedAccount> {
        let body = format!(r#"{{"items":[{}]}}"#, rows.join(" ,\n"));
        page(body.as_bytes(), Some((known, credential))).unwrap().items
    }

    #[test]
    fn an_equal_row_is_shared_within_a_credential() {
        let (known, a, b) = (KnownAccounts::new(), credential("ak_a"), credential("ak_b"));
        let first = read(&known, a, &[row(1), row(2)]);
        let again = read(&known, a, &[row(2), row(3), row(2)]);
        assert!(Arc::ptr_eq(&first[1], &again[0]) && Arc::ptr_eq(&first[1], &again[2]));
        assert!(!Arc::ptr_eq(&first[0], &read(&known, b, &[row(1)])[0]));
        assert!(!Arc::ptr_eq(&first[0], &read(&KnownAccounts::new(), a, &[row(1)])[0]));
    }

    #[test]
    fn a_row_with_a_problem_reports_it_each_time() {
        let known = KnownAccounts::new();
        let bad = row(1).replacen('{', r#"{"alias":[],"#, 1);
        let body = format!(r#"{{"items":[{},{bad}]}}"#, row(1));
        for _ in 0..2 {
            let page = page(body.as_bytes(), Some((&known, credential("ak_a")))).unwrap();
            assert_eq!((page.items.len(), page.problems.counts().count()), (2, 1));
        }
    }

    #[test]
    fn a_row_without_a_user_is_not_shared() {
        let (known, key) = (KnownAccounts::new(), credential("ak_a"));
        let row = row(1).replace("user_1", "");
        let mut rows = [(); 2].map(|()| read(&known, key, std::slice::from_ref(&row)).remove(0));
        assert!(rows.iter_mut().all(|account| Arc::get_mut(account).is_some()));
    }

    #[test]
    fn entries_of_unused_accounts_are_removed() {
        let (known, key) = (KnownAccounts::new(), credential("ak_a"));
        let kept = read(&known, key, &(0..1_000).map(row).collect::<Vec<_>>());
        for first in (1_000..20_000).step_by(100) {
            read(&known, key, &(first..first + 100).map(row).collect::<Vec<_>>());
        }
        let entries = known.entries.lock().unwrap().accounts.len();
        assert!((kept.len()..=kept.len() / 4 * 5 + CLEANUP_MIN).contains(&entries), "{entries}");
    }
}
