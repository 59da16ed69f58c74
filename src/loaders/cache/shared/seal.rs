//! Encryption of shared values (AES-256-GCM), with a key that is derived from the credential that fetched them.
//!
//! The entry point is [`Seal`]; each credential's partition has one. Only a holder of the credential can decrypt a
//! value. Decryption fails if a value was moved to another store key, or was stored without the credential. Store keys
//! are an HMAC with a key derived from the credential, because their parts (a user's id, a filter) could be guessed
//! from a plain hash. Rejected: unencrypted values. Any reader of the store could read the accounts of all tenants.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;

use crate::domain::credential::Fingerprint;
use crate::domain::hex::hex;
use crate::domain::upstream_name::Upstream;

/// Format version of all shared data. Data of another version is not read. Every change of the stored
/// format raises it (a test compares the exact text).
pub(crate) const VERSION: u8 = 2;

/// Generation of a credential's shared data, replaced by every invalidation. An entry is valid only if its
/// generation is the one in the store.
pub(crate) type Generation = [u8; 8];

/// Encryption of one credential's shared data, and derivation of its store keys.
pub(crate) struct Seal {
    name_key: [u8; 32],
    value_key: [u8; 32],
    key_prefix: String,
}

impl Seal {
    pub(crate) fn of<U: Upstream>(prefix: &str, credential: &Fingerprint<U>) -> Self {
        let upstream = U::NAME.to_string().to_ascii_lowercase();
        let key_prefix = format!("{prefix}:{VERSION}:{upstream}:{}", hex(&credential.tag()));
        Self {
            name_key: credential.derive("names of what is shared"),
            value_key: credential.derive("what is shared"),
            key_prefix,
        }
    }

    /// Returns the store key of the credential's generation.
    pub(crate) fn key_of_generation(&self) -> String {
        format!("{}:generation", self.key_prefix)
    }

    /// Returns the store key of an item. `item` is any text that is unique among the items of its kind.
    pub(crate) fn key(&self, kind: &str, item: &str) -> String {
        // HMAC accepts keys of any length, so this cannot fail.
        let keyed = Hmac::<Sha256>::new_from_slice(&self.name_key);
        let digest: [u8; 32] =
            keyed.map_or([0; 32], |mac| mac.chain_update(item).finalize().into_bytes().into());
        format!("{}:{kind}:{}", self.key_prefix, hex(&digest))
    }

    /// Encrypts a value for a store key and a generation.
    ///
    /// The result is version, generation, nonce and ciphertext. The first two and the key are authenticated.
    pub(crate) fn close(&self, key: &str, generation: Generation, value: &impl Serialize) -> Option<Vec<u8>> {
        let mut data = serde_json::to_vec(value).ok()?;
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, &self.value_key).ok()?;
        let nonce = cipher
            .seal_in_place_append_tag(Aad::from(authenticated_data(key, generation)), &mut data)
            .ok()?;
        Some([&[VERSION], &generation[..], &nonce.as_ref()[..], &data].concat())
    }

    /// Decrypts a value that was encrypted for this store key and generation.
    pub(crate) fn open<T: DeserializeOwned>(
        &self,
        key: &str,
        generation: Generation,
        stored: &[u8],
    ) -> Opened<T> {
        let Some((&VERSION, rest)) = stored.split_first() else { return Opened::Unreadable };
        let Some((stored_generation, rest)) = rest.split_first_chunk::<8>() else {
            return Opened::Unreadable;
        };
        if *stored_generation != generation {
            return Opened::Outdated;
        }
        let Some((nonce, ciphertext)) = rest.split_first_chunk::<NONCE_LEN>() else {
            return Opened::Unreadable;
        };
        let (mut ciphertext, nonce) = (ciphertext.to_vec(), Nonce::from(nonce));
        let opened = RandomizedNonceKey::new(&AES_256_GCM, &self.value_key).and_then(|cipher| {
            cipher
                .open_in_place(nonce, Aad::from(authenticated_data(key, generation)), &mut ciphertext)
                .map(|open| &*open)
        });
        match opened.map(serde_json::from_slice) {
            Ok(Ok(value)) => Opened::Value(value),
            Ok(Err(_)) | Err(_) => Opened::Unreadable,
        }
    }
}

/// Result of decrypting a stored value.
pub(crate) enum Opened<T> {
    /// The value.
    Value(T),
    /// A value of another generation, which is invalid.
    Outdated,
    /// Data of another version, or data that does not decrypt.
    Unreadable,
}

/// Returns the additional authenticated data of a value: version, generation and store key.
fn authenticated_data(key: &str, generation: Generation) -> Vec<u8> {
    [&[VERSION], &generation[..], key.as_bytes()].concat()
}
