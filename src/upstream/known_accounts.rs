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

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ahash::{AHashMap, RandomState};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::domain::accounts::{ConnectedAccount, SharedAccount};
use crate::domain::credential::Fingerprint;
use crate::domain::upstream_name::Composio;

/// Number of entries below which unused ones are not searched for.
const CLEANUP_MIN: usize = 1_024;

/// Number of bytes at the beginning of a row that select the entry. They contain the account's id. Shorter rows are not
/// known.
const PREFIX_BYTES: usize = 256;

/// Selects the entry of a row: the credential that received it, and a hash of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct EntryKey {
    credential: Fingerprint<Composio>,
    prefix: u64,
}

/// An account and the row that it was decoded from.
#[derive(Debug)]
struct Entry {
    row_length: usize,
    row_digest: [u8; 16],
    account: Weak<ConnectedAccount>,
}

/// The accounts that are in use, by their rows. An account that no list holds any more is forgotten.
#[derive(Debug)]
pub(in crate::upstream) struct KnownAccounts {
    /// The key of the digests; `None` if the system has no random numbers. No account is known then.
    key: Option<LessSafeKey>,
    prefix_hasher: RandomState,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    by_prefix: AHashMap<EntryKey, Entry>,
    /// Number of entries at which those of unused accounts are removed.
    cleanup_at: usize,
}

impl KnownAccounts {
    pub(in crate::upstream) fn new() -> Self {
        let mut key = [0; 16];
        let key = getrandom::fill(&mut key).ok().and_then(|()| UnboundKey::new(&AES_128_GCM, &key).ok());
        Self { key: key.map(LessSafeKey::new), prefix_hasher: RandomState::new(), entries: Mutex::default() }
    }

    /// Returns the account of the row at the beginning of a text, and the length of the row.
    pub(in crate::upstream) fn find(
        &self,
        credential: Fingerprint<Composio>,
        text: &[u8],
    ) -> Option<(SharedAccount, usize)> {
        let key = self.entry_key(credential, text)?;
        let (account, length, digest) = {
            let entries = self.entries();
            let Entry { row_length, row_digest, account } = entries.by_prefix.get(&key)?;
            (account.upgrade()?, *row_length, *row_digest)
        };
        // A row is an object, so a longer row cannot begin with its bytes.
        (self.digest(text.get(..length)?)? == digest).then_some((account, length))
    }

    /// Remembers the account of a row, which must be an object.
    pub(in crate::upstream) fn insert(
        &self,
        credential: Fingerprint<Composio>,
        row: &[u8],
        account: &SharedAccount,
    ) {
        let (Some(key), Some(row_digest)) = (self.entry_key(credential, row), self.digest(row)) else {
            return;
        };
        let entry = Entry { row_length: row.len(), row_digest, account: Arc::downgrade(account) };
        let mut entries = self.entries();
        if entries.by_prefix.len() >= entries.cleanup_at {
            entries.by_prefix.retain(|_, entry| entry.account.strong_count() > 0);
            // Entries of unused accounts take memory too: at most a quarter of those in use, plus a constant.
            entries.cleanup_at = entries.by_prefix.len() / 4 * 5 + CLEANUP_MIN;
        }
        entries.by_prefix.insert(key, entry);
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry_key(&self, credential: Fingerprint<Composio>, row: &[u8]) -> Option<EntryKey> {
        let prefix = row.first_chunk::<PREFIX_BYTES>()?;
        Some(EntryKey { credential, prefix: self.prefix_hasher.hash_one(prefix) })
    }

    /// Returns the GMAC of a row, which is AES-GCM without a text.
    fn digest(&self, row: &[u8]) -> Option<[u8; 16]> {
        // A repeated nonce only harms keys whose tags can be seen.
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        let tag = self.key.as_ref()?.seal_in_place_separate_tag(nonce, Aad::from(row), &mut []).ok()?;
        tag.as_ref().try_into().ok()
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
            r#"{{"id":"ca_{number}","user_id":"user_1","toolkit":{{"slug":"gmail"}},"auth_config":{{"id":"ac_1"}},"x":"{:PREFIX_BYTES$}"}}"#,
            ""
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
    fn a_row_with_the_same_beginning_is_another_row() {
        let (known, key) = (KnownAccounts::new(), credential("ak_a"));
        let with_status = |status: &str| {
            let mut row = row(1);
            row.truncate(row.len() - 1);
            row + &format!(r#","status":"{status}"}}"#)
        };
        let rows = ["ACTIVE", "EXPIRED", "FAILED", "ACTIVE"].map(with_status);
        let kept = read(&known, key, &rows);
        let statuses: Vec<_> = kept.iter().map(|account| account.status.raw()).collect();
        assert_eq!(statuses, ["ACTIVE", "EXPIRED", "FAILED", "ACTIVE"]);
        assert!(known.find(key, &rows[3].as_bytes()[..rows[3].len() - 1]).is_none(), "the row is incomplete");
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
        let entries = known.entries().by_prefix.len();
        assert!((kept.len()..=kept.len() / 4 * 5 + CLEANUP_MIN).contains(&entries), "{entries}");
    }
}
