//! An upstream's key, and the fingerprint that stands for it everywhere else.
//!
//! Whatever is kept (a page, a flight, a cursor's binding) is keyed by the fingerprint of the
//! credential that fetched it, and the fingerprint is part of the key's *type*: a read across
//! tenants does not compile. The key itself is shown to nothing but the request's header.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::upstream_name::Upstream;

/// The SHA-256 of an upstream's key.
///
/// It is typed by its upstream, and prints as four bytes, which tell two tenants apart in a log
/// and nothing else.
pub struct Fingerprint<U> {
    digest: [u8; 32],
    upstream: PhantomData<fn() -> U>,
}

impl<U> Fingerprint<U> {
    /// All 32 bytes, for deriving keys; never for output.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// What the credential is called among replicas: it does not tell the digest, from which keys are derived.
    #[must_use]
    pub fn tag(&self) -> [u8; 16] {
        let mut tag = [0; 16];
        for (byte, derived) in tag.iter_mut().zip(self.derive("replicas")) {
            *byte = derived;
        }
        tag
    }

    /// A key for one purpose: HMAC-SHA-256 over its name, keyed by the digest (RFC 5869, 2.3, of one block).
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        // A key of any length is one for HMAC: it cannot fail.
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

/// A key to one upstream.
pub struct Credential<U> {
    secret: SecretString,
    fingerprint: Fingerprint<U>,
}

impl<U: Upstream> Credential<U> {
    /// Takes a key as it was configured, or as the caller sent it.
    ///
    /// # Errors
    /// Where the text cannot be an HTTP header's value, or is empty; the message does not repeat it.
    pub fn new(key: &str) -> Result<Self, InvalidCredential> {
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidCredential);
        }
        let digest = Sha256::new().chain_update(U::NAME.to_string()).chain_update([0]).chain_update(key);
        Ok(Self {
            secret: SecretString::from(key),
            fingerprint: Fingerprint { digest: digest.finalize().into(), upstream: PhantomData },
        })
    }

    /// What stands for this key in every cache key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint<U> {
        self.fingerprint
    }

    /// The key itself, for the one header that carries it.
    pub(crate) fn expose(&self) -> &str {
        self.secret.expose_secret()
    }
}

impl<U> Clone for Credential<U> {
    fn clone(&self) -> Self {
        Self { secret: self.secret.clone(), fingerprint: self.fingerprint }
    }
}

/// By what stands for them.
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

/// A text that can be no key.
#[derive(Debug, thiserror::Error)]
#[error("a key is printable ASCII without spaces, and not empty")]
pub struct InvalidCredential;

#[cfg(test)]
mod tests {
    use super::super::upstream_name::{Composio, Leadlex};
    use super::*;

    #[test]
    fn a_credential_prints_no_secret_and_differs_by_upstream() {
        let leadlex = Credential::<Leadlex>::new("wbk_secret").unwrap();
        let composio = Credential::<Composio>::new("wbk_secret").unwrap();
        assert!(!format!("{leadlex:?}").contains("wbk_"));
        assert_ne!(leadlex.fingerprint().digest(), composio.fingerprint().digest());
    }

    #[test]
    fn a_key_that_would_break_a_header_is_refused_without_being_repeated() {
        for key in ["", "two words", "line\r\nx-api-key: other", "ü"] {
            let refused = Credential::<Leadlex>::new(key).unwrap_err();
            assert!(key.is_empty() || !refused.to_string().contains(key));
        }
    }
}
