//! Shared values are encrypted (AES-256-GCM) with a key derived from the credential whose data they are.
//!
//! Only a holder of that credential can read them. A value that is stored under another name, or was written by anyone else,
//! does not open. Names are derived the same way, because their parts (a user's id, a filter) could be guessed from a plain
//! hash. Plain values, the rejected choice, would let any reader of the store read the accounts of all tenants.

use std::fmt::Write as _;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use hmac::{Hmac, Mac};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;

use crate::domain::credential::Fingerprint;
use crate::domain::upstream_name::Upstream;

/// The version of everything that is shared: with another one, nothing that was written is read. It is raised whenever what is
/// written changes (a test holds its text).
pub(crate) const VERSION: u8 = 1;

/// Which drop of a credential's data an entry comes after: any other than the one that stands in the store is worth nothing.
pub(crate) type Generation = [u8; 8];

/// What opens and closes what is shared of one credential.
pub(crate) struct Seal {
    name_key: [u8; 32],
    value_key: [u8; 32],
    begin: String,
}

impl Seal {
    pub(crate) fn of<U: Upstream>(prefix: &str, credential: &Fingerprint<U>) -> Self {
        let upstream = U::NAME.to_string().to_ascii_lowercase();
        let begin = format!("{prefix}:{VERSION}:{upstream}:{}", hex(&credential.tag()));
        Self {
            name_key: credential.derive("names of what is shared"),
            value_key: credential.derive("what is shared"),
            begin,
        }
    }

    /// Where the credential's generation stands.
    pub(crate) fn generation_key(&self) -> String {
        format!("{}:generation", self.begin)
    }

    /// Where a thing of a kind stands; what it is, in any text that tells it from all others.
    pub(crate) fn key(&self, kind: &str, thing: &str) -> String {
        // A key of any length is one for HMAC: it cannot fail.
        let keyed = Hmac::<Sha256>::new_from_slice(&self.name_key);
        let digest: [u8; 32] =
            keyed.map_or([0; 32], |mac| mac.chain_update(thing).finalize().into_bytes().into());
        format!("{}:{kind}:{}", self.begin, hex(&digest))
    }

    /// What stands under a key: version, generation, nonce, and the value, sealed together with all of them and the key.
    pub(crate) fn close(&self, key: &str, generation: Generation, value: &impl Serialize) -> Option<Vec<u8>> {
        let mut sealed = serde_json::to_vec(value).ok()?;
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, &self.value_key).ok()?;
        let nonce = cipher.seal_in_place_append_tag(Aad::from(bound(key, generation)), &mut sealed).ok()?;
        Some([&[VERSION], &generation[..], &nonce.as_ref()[..], &sealed].concat())
    }

    /// What was closed under that key and in that generation.
    pub(crate) fn open<T: DeserializeOwned>(
        &self,
        key: &str,
        generation: Generation,
        written: &[u8],
    ) -> Opened<T> {
        let Some((&VERSION, rest)) = written.split_first() else { return Opened::Unreadable };
        let Some((of, rest)) = rest.split_first_chunk::<8>() else { return Opened::Unreadable };
        if *of != generation {
            return Opened::ExpiryNotice;
        }
        let Some((nonce, sealed)) = rest.split_first_chunk::<NONCE_LEN>() else { return Opened::Unreadable };
        let (mut sealed, nonce) = (sealed.to_vec(), Nonce::from(nonce));
        let opened = RandomizedNonceKey::new(&AES_256_GCM, &self.value_key).and_then(|cipher| {
            cipher.open_in_place(nonce, Aad::from(bound(key, generation)), &mut sealed).map(|open| &*open)
        });
        match opened.map(serde_json::from_slice) {
            Ok(Ok(value)) => Opened::Value(value),
            Ok(Err(_)) | Err(_) => Opened::Unreadable,
        }
    }
}

/// What stood under a key.
pub(crate) enum Opened<T> {
    /// The value.
    Value(T),
    /// A value from before everything of the credential was dropped.
    ExpiryNotice,
    /// Nothing of ours, or of another version.
    Unreadable,
}

/// What a value is sealed with, besides itself.
fn bound(key: &str, generation: Generation) -> Vec<u8> {
    [&[VERSION], &generation[..], key.as_bytes()].concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
