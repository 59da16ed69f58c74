//! Global object ids: opaque, stable across restarts and replicas, and free of personal data.
//!
//! LeadLex has no ids for providers, and a provider's account id can be an email address
//! (docs/upstreams.md#leadlex-open-questions). Its global id is therefore a keyed hash of the row's key; from a plain
//! hash, the address could be guessed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::credential::Fingerprint;
use super::filters::FilterValues;
use super::input::{BadInput, BadInputReason};
use super::providers::Provider;
use super::toolkits::ToolkitSlug;

const PROVIDER: &[u8] = b"Provider:";
const ACCOUNT: &[u8] = b"ConnectedAccount:";
const TOOLKIT: &[u8] = b"Toolkit:";

/// Maximum length of an id in a URL's path in bytes.
const ID_BYTES_MAX: usize = 128;

/// The first 16 bytes of an HMAC-SHA-256 over a provider's row key.
pub type ProviderId = [u8; 16];

/// A decoded global id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum GlobalId {
    /// An integration.
    Provider(ProviderId),
    /// An account, by its `ca_…` id.
    Account(Box<str>),
    /// A toolkit, by its slug.
    Toolkit(ToolkitSlug),
}

impl GlobalId {
    /// Encodes the id for clients.
    #[must_use]
    pub fn encode(&self) -> String {
        let (kind, payload): (&[u8], &[u8]) = match self {
            Self::Provider(id) => (PROVIDER, id),
            Self::Account(id) => (ACCOUNT, id.as_bytes()),
            Self::Toolkit(slug) => (TOOLKIT, slug.as_str().as_bytes()),
        };
        URL_SAFE_NO_PAD.encode([kind, payload].concat())
    }

    /// Decodes an id.
    ///
    /// # Errors
    /// `BAD_ID` for a text that [`Self::encode`] cannot have produced.
    pub fn parse(text: &str) -> Result<Self, BadInput> {
        Self::read(text).ok_or_else(|| {
            BadInput::new(
                BadInputReason::BadId,
                "Not an id of this graph. Pass the `id` of an object exactly as this API returned it.",
            )
        })
    }

    fn read(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        if let Some(id) = bytes.strip_prefix(PROVIDER) {
            return Some(Self::Provider(id.try_into().ok()?));
        }
        if let Some(id) = bytes.strip_prefix(ACCOUNT) {
            return Some(Self::Account(requestable_id(std::str::from_utf8(id).ok()?)?.into()));
        }
        let text = std::str::from_utf8(bytes.strip_prefix(TOOLKIT)?).ok()?;
        let slug = ToolkitSlug::of_upstream(text);
        (slug.as_str() == text).then_some(Self::Toolkit(slug))
    }
}

/// Returns the upstream id of an account, from its global id or its `ca_…` id.
///
/// # Errors
/// `BAD_ID` for anything else, including a provider's id.
pub fn account_id(text: &str) -> Result<Box<str>, BadInput> {
    if text.starts_with("ca_") && requestable_id(text).is_some() {
        return Ok(text.into());
    }
    match GlobalId::read(text) {
        Some(GlobalId::Account(id)) => Ok(id),
        _ => Err(BadInput::new(
            BadInputReason::BadId,
            "Not a connected account's id. Pass its `id` or its `connectedAccountId` (`ca_…`).",
        )),
    }
}

/// Returns the provider id in a global id.
///
/// # Errors
/// `BAD_ID` if it is not a provider's id.
pub fn provider_id(text: &str) -> Result<ProviderId, BadInput> {
    match GlobalId::read(text) {
        Some(GlobalId::Provider(id)) => Ok(id),
        _ => Err(BadInput::new(
            BadInputReason::BadId,
            "Not a provider's id. Pass the `id` of a Provider exactly as this API returned it.",
        )),
    }
}

/// Whether an id, such as `ac_…`, can be a part of a URL's path: letters, digits, `_` and `-`.
pub(crate) fn is_upstream_id(text: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Returns the text if it can be an id in a request: one that Composio's comma-separated list does not split.
fn requestable_id(text: &str) -> Option<&str> {
    FilterValues::accepts(text).then_some(text)
}

/// The secret key of global ids and cursors.
#[derive(Clone)]
pub struct IdKey([u8; 32]);

impl std::fmt::Debug for IdKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl IdKey {
    /// Derives the key from the setting `ids.key`, which is the same on all replicas.
    #[must_use]
    pub fn from_secret(secret: &str) -> Self {
        Self(Sha256::new().chain_update("switchboard ids.key\0").chain_update(secret).finalize().into())
    }

    /// Derives the key from a credential if `ids.key` is not set. Provider ids then change with the credential.
    pub(crate) fn from_fingerprint<U>(fingerprint: &Fingerprint<U>) -> Self {
        Self(
            Sha256::new()
                .chain_update("switchboard credential\0")
                .chain_update(fingerprint.digest())
                .finalize()
                .into(),
        )
    }

    /// Returns the first `N` bytes of an HMAC-SHA-256 over several parts. Each is prefixed with its length, so that
    /// bytes cannot move from one part to another.
    #[must_use]
    pub fn sign<const N: usize>(&self, purpose: &str, parts: &[&[u8]]) -> [u8; N] {
        const { assert!(N <= 32, "SHA-256 has 32 bytes") };
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            unreachable!("HMAC accepts a key of any length (RFC 2104, section 2)");
        };
        for part in std::iter::once(purpose.as_bytes()).chain(parts.iter().copied()) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let mut truncated = [0; N];
        truncated.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(byte, signed)| *byte = signed);
        truncated
    }

    /// Returns the id of a provider row: category, name, account id and ordinal
    /// (docs/upstreams.md#leadlex-open-questions).
    #[must_use]
    pub fn provider_id(&self, provider: &Provider) -> ProviderId {
        let account = provider.account_id.as_deref().unwrap_or("");
        let parts: [&[u8]; 4] = [
            provider.category.raw().as_bytes(),
            provider.name.as_bytes(),
            account.as_bytes(),
            &provider.ordinal.to_be_bytes(),
        ];
        self.sign("provider", &parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn encoded_ids_decode_to_themselves(id in any::<[u8; 16]>(), account in "ca_[^,\\p{Cc}]{1,40}", slug in ".{0,80}") {
            for id in [
                GlobalId::Provider(id),
                GlobalId::Account(account.as_str().into()),
                GlobalId::Toolkit(ToolkitSlug::of_upstream(&slug)),
            ] {
                prop_assert_eq!(GlobalId::parse(&id.encode()).unwrap(), id);
            }
            prop_assert_eq!(&*account_id(&account).unwrap(), account.as_str());
        }

        #[test]
        fn invalid_ids_fail_with_bad_id(text in ".{0,80}") {
            if let Err(refused) = GlobalId::parse(&text) {
                prop_assert_eq!(refused.reason, BadInputReason::BadId);
            }
        }
    }

    #[test]
    fn an_id_that_cannot_be_requested_is_refused() {
        for id in ["ca_a,ca_b", "ca_a\n", &format!("ca_{}", "x".repeat(254))] {
            assert!(account_id(id).is_err(), "{id:?}");
            assert!(
                GlobalId::parse(&URL_SAFE_NO_PAD.encode(format!("ConnectedAccount:{id}"))).is_err(),
                "{id:?}"
            );
        }
        assert!(GlobalId::parse(&URL_SAFE_NO_PAD.encode("ConnectedAccount: ")).is_err());
    }

    #[test]
    fn a_toolkit_has_only_one_id() {
        assert!(GlobalId::parse(&URL_SAFE_NO_PAD.encode("Toolkit:Gmail")).is_err());
    }
}
