//! Upstream API keys, and the fingerprints that identify them everywhere else.
//!
//! Every cache entry, in-flight request and cursor is keyed by the fingerprint of the credential that fetched it. Each
//! key *type* has a field for the fingerprint, so a read across tenants does not compile. Only the code that sets the
//! request header reads the API key itself.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::upstream_name::Upstream;

/// The SHA-256 digest of an upstream's API key.
///
/// Its type has the upstream as parameter. Its debug output is four bytes, enough to distinguish two tenants in a log.
pub struct Fingerprint<U> {
    digest: [u8; 32],
    upstream: PhantomData<fn() -> U>,
}

impl<U> Fingerprint<U> {
    /// Returns all 32 bytes, for key derivation only; never print them.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// An identifier of the credential that replicas share. The digest, from which keys are derived, cannot be computed
    /// from it.
    #[must_use]
    pub fn tag(&self) -> [u8; 16] {
        let mut tag = [0; 16];
        for (byte, derived) in tag.iter_mut().zip(self.derive("replicas")) {
            *byte = derived;
        }
        tag
    }

    /// Derives a key for one purpose: HMAC-SHA-256 over its name, keyed by the digest (RFC 5869, 2.3, one block).
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        // HMAC accepts keys of any length: this cannot fail.
        let keyed = Hmac::<Sha256>::new_from_slice(&self.digest);
        keyed.map_or([0; 32], |mac| mac.chain_update(purpose).finalize().into_bytes().into())
    }
}

impl<U> Clone for Fingerprint<U> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<U> Copy for Fingerprint<U> {}

impl<U> PartialEq for Fingerprint<U> {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl<U> Eq for Fingerprint<U> {}

impl<U> Hash for Fingerprint<U> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl<U> fmt::Debug for Fingerprint<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.digest;
        write!(f, "{a:02x}{b:02x}{c:02x}{d:02x}…")
    }
}

/// An API key of one upstream.
pub struct Credential<U> {
    /// Shared, because every request clones its caller's credentials.
    secret: Arc<SecretString>,
    fingerprint: Fingerprint<U>,
}

impl<U: Upstream> Credential<U> {
    /// Reads a key from the configuration or from a request.
    ///
    /// # Errors
    /// If the text is empty or is not a valid HTTP header value. The message does not repeat it.
    pub fn new(key: &str) -> Result<Self, InvalidCredential> {
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidCredential);
        }
        let digest = Sha256::new().chain_update(U::NAME.to_string()).chain_update([0]).chain_update(key);
        Ok(Self {
            secret: Arc::new(SecretString::from(key)),
            fingerprint: Fingerprint { digest: digest.finalize().into(), upstream: PhantomData },
        })
    }

    /// Returns the fingerprint that identifies this key in every cache key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint<U> {
        self.fingerprint
    }

    /// Returns the key itself, for the request header.
    pub(crate) fn expose(&self) -> &str {
        self.secret.expose_secret()
    }
}

impl<U> Clone for Credential<U> {
    fn clone(&self) -> Self {
        Self { secret: Arc::clone(&self.secret), fingerprint: self.fingerprint }
    }
}

/// Compares fingerprints.
impl<U> PartialEq for Credential<U> {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl<U> fmt::Debug for Credential<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[redacted {:?}]", self.fingerprint)
    }
}

/// A text that is not a valid API key.
#[derive(Debug, thiserror::Error)]
#[error("an API key must be printable ASCII without spaces, and not empty")]
pub struct InvalidCredential;

#[cfg(test)]
mod tests {
    use super::super::upstream_name::{Composio, Leadlex};
    use super::*;

    #[test]
    fn a_credential_prints_no_secret_and_is_distinct_for_each_upstream() {
        let leadlex = Credential::<Leadlex>::new("wbk_secret").unwrap();
        let composio = Credential::<Composio>::new("wbk_secret").unwrap();
        assert!(!format!("{leadlex:?}").contains("wbk_"));
        assert_ne!(leadlex.fingerprint().digest(), composio.fingerprint().digest());
    }

    #[test]
    fn invalid_keys_are_refused_without_repeating_them() {
        for key in ["", "two words", "line\r\nx-api-key: other", "ü"] {
            let refused = Credential::<Leadlex>::new(key).unwrap_err();
            assert!(key.is_empty() || !refused.to_string().contains(key));
        }
    }
}
