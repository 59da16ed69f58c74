//! Global object ids: opaque, stable over restarts and replicas, and free of personal data.
//!
//! A provider has no id upstream, and its account id can be an e-mail address (UPSTREAMS.md B2), so
//! its id is a keyed hash of the row's key; a plain hash could be guessed back to the address.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::credential::Fingerprint;
use super::input::{BadInput, BadInputReason};
use super::providers::Provider;
use super::toolkits::ToolkitSlug;

const PROVIDER: &[u8] = b"Provider:";
const ACCOUNT: &[u8] = b"ConnectedAccount:";
const TOOLKIT: &[u8] = b"Toolkit:";

/// The longest upstream id or slug that is taken for one.
const ID_BYTES_MAX: usize = 128;

/// The first 16 bytes of an HMAC-SHA-256 over a provider's row key.
pub type ProviderId = [u8; 16];

/// What a global id stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum GlobalId {
    /// An integration.
    Provider(ProviderId),
    /// An account, by its `ca_…`.
    Account(Box<str>),
    /// A toolkit, by its slug.
    Toolkit(ToolkitSlug),
}

impl GlobalId {
    /// The id as answers show it.
    #[must_use]
    pub fn encode(&self) -> String {
        let (kind, payload): (&[u8], &[u8]) = match self {
            Self::Provider(id) => (PROVIDER, id),
            Self::Account(id) => (ACCOUNT, id.as_bytes()),
            Self::Toolkit(slug) => (TOOLKIT, slug.as_str().as_bytes()),
        };
        URL_SAFE_NO_PAD.encode([kind, payload].concat())
    }

    /// Reads an id back.
    ///
    /// # Errors
    /// `BAD_ID` for anything that [`Self::encode`] cannot have written.
    pub fn parse(text: &str) -> Result<Self, BadInput> {
        Self::read(text).ok_or_else(|| {
            BadInput::new(
                BadInputReason::BadId,
                "This is no id of this graph: give the `id` of an object that it answered, as it was.",
            )
        })
    }

    fn read(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        if let Some(id) = bytes.strip_prefix(PROVIDER) {
            return Some(Self::Provider(id.try_into().ok()?));
        }
        if let Some(id) = bytes.strip_prefix(ACCOUNT) {
            return Some(Self::Account(upstream_id(std::str::from_utf8(id).ok()?)?.into()));
        }
        let slug = std::str::from_utf8(bytes.strip_prefix(TOOLKIT)?).ok()?;
        let parsed = ToolkitSlug::parse(slug)?;
        (parsed.as_str() == slug).then_some(Self::Toolkit(parsed))
    }
}

/// An account's own id, given as a global id or as the upstream's `ca_…`.
///
/// # Errors
/// `BAD_ID` for anything else, a provider's id included.
pub fn account_id(text: &str) -> Result<Box<str>, BadInput> {
    if text.starts_with("ca_") && upstream_id(text).is_some() {
        return Ok(text.into());
    }
    match GlobalId::read(text) {
        Some(GlobalId::Account(id)) => Ok(id),
        _ => Err(BadInput::new(
            BadInputReason::BadId,
            "This is no connected account's id: give its `id`, or its `connectedAccountId` (`ca_…`).",
        )),
    }
}

/// A provider's id.
///
/// # Errors
/// `BAD_ID` for anything that is no provider's.
pub fn provider_id(text: &str) -> Result<ProviderId, BadInput> {
    match GlobalId::read(text) {
        Some(GlobalId::Provider(id)) => Ok(id),
        _ => Err(BadInput::new(
            BadInputReason::BadId,
            "This is no provider's id: give the `id` of a Provider, as it was answered.",
        )),
    }
}

/// Ids of the upstream are letters, digits, `_` and `-`: nothing that a comma-joined list, a
/// header or a log line could take for more than one id.
fn upstream_id(text: &str) -> Option<&str> {
    let fits = (1..=ID_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    fits.then_some(text)
}

/// The secret that ids and cursors are keyed with.
#[derive(Clone)]
pub struct IdKey([u8; 32]);

impl std::fmt::Debug for IdKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl IdKey {
    /// From the setting `ids.key`: the same on all replicas.
    #[must_use]
    pub fn from_secret(secret: &str) -> Self {
        Self(Sha256::new().chain_update("switchboard ids.key\0").chain_update(secret).finalize().into())
    }

    /// From a credential, where there is no `ids.key`: provider ids then change with the credential.
    #[must_use]
    pub fn from_fingerprint<U>(fingerprint: &Fingerprint<U>) -> Self {
        Self(
            Sha256::new()
                .chain_update("switchboard credential\0")
                .chain_update(fingerprint.digest())
                .finalize()
                .into(),
        )
    }

    /// The HMAC-SHA-256 over some parts, each with its length before it so that they cannot be
    /// moved against one another.
    #[must_use]
    pub fn sign(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            unreachable!("HMAC takes a key of any length (RFC 2104, section 2)");
        };
        for part in std::iter::once(purpose.as_bytes()).chain(parts.iter().copied()) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// The id of a provider's row: category, name, account id and ordinal (UPSTREAMS.md B2).
    #[must_use]
    pub fn provider_id(&self, provider: &Provider) -> ProviderId {
        let account = provider.account_id.as_deref().unwrap_or("");
        let parts: [&[u8]; 4] = [
            provider.category.raw().as_bytes(),
            provider.name.as_bytes(),
            account.as_bytes(),
            &provider.ordinal.to_be_bytes(),
        ];
        let [id, _] = split(self.sign("provider", &parts));
        id
    }
}

fn split(digest: [u8; 32]) -> [[u8; 16]; 2] {
    let mut halves = [[0; 16]; 2];
    for (half, bytes) in halves.iter_mut().zip(digest.chunks_exact(16)) {
        half.copy_from_slice(bytes);
    }
    halves
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_id_reads_back_as_itself(id in any::<[u8; 16]>(), account in "ca_[A-Za-z0-9_-]{1,40}", slug in "[a-z0-9_]{1,40}") {
            for id in [
                GlobalId::Provider(id),
                GlobalId::Account(account.as_str().into()),
                GlobalId::Toolkit(ToolkitSlug::parse(&slug).unwrap()),
            ] {
                prop_assert_eq!(GlobalId::parse(&id.encode()).unwrap(), id);
            }
            prop_assert_eq!(&*account_id(&account).unwrap(), account.as_str());
        }

        #[test]
        fn no_text_makes_reading_an_id_fail_otherwise_than_with_bad_id(text in ".{0,80}") {
            if let Err(refused) = GlobalId::parse(&text) {
                prop_assert_eq!(refused.reason, BadInputReason::BadId);
            }
        }
    }

    #[test]
    fn an_id_that_could_become_two_in_a_comma_list_is_refused() {
        assert!(account_id("ca_a,ca_b").is_err());
        assert!(GlobalId::parse(&URL_SAFE_NO_PAD.encode("ConnectedAccount:ca_a,ca_b")).is_err());
    }
}
