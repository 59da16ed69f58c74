//! An issuer's public keys (a JWK Set, RFC 7517), and the selection of the key that verifies a token.
//!
//! A key is used only for its purpose: its type, curve, `use`, `key_ops` and `alg` must match the token's algorithm. A
//! public key is therefore never used as a shared secret, which is the weakness that forged HS256 tokens exploit.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Maximum number of keys, more than an issuer has during a rotation.
const KEYS_MAX: usize = 100;

/// The keys that can verify tokens.
#[derive(Debug)]
pub struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// The reason why a text is not a usable key set. It does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeySet {
    /// Another format or shape.
    #[error("not a JWK Set (RFC 7517): expected a JSON object with the list `keys`")]
    Shape,
    /// Too many keys.
    #[error("more than {KEYS_MAX} keys")]
    TooMany,
    /// No usable key.
    #[error("no key that can verify a signature: expected RSA, P-256, P-384 or Ed25519")]
    Unusable,
}

#[derive(Deserialize)]
struct RawKeySet<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

impl KeySet {
    /// Parses a JWK Set and skips keys of other kinds.
    ///
    /// # Errors
    /// If it is malformed or too large, or has no key that can verify a signature.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidKeySet> {
        let set: RawKeySet<'_> = serde_json::from_slice(text).map_err(|_| InvalidKeySet::Shape)?;
        if set.keys.len() > KEYS_MAX {
            return Err(InvalidKeySet::TooMany);
        }
        // Each key is parsed separately, because an issuer may publish kinds that are unknown here.
        let keys: Vec<Key> = set.keys.iter().filter_map(|key| Key::read(key.get())).collect();
        if keys.is_empty() { Err(InvalidKeySet::Unusable) } else { Ok(Self(keys)) }
    }

    /// Returns the number of keys.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns the key for a token's `kid`. If the token has no `kid`, or one that no key has while one key has no id,
    /// the only matching key is used (RFC 7517, 4.5: `kid` is optional).
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let candidates = || self.0.iter().filter(|key| key.algorithms.contains(&algorithm));
        let Some(id) = id else { return single_key(candidates()) };
        let is_named = candidates().any(|key| key.id.as_deref() == Some(id));
        single_key(
            candidates()
                .filter(|key| if is_named { key.id.as_deref() == Some(id) } else { key.id.is_none() }),
        )
    }
}

fn single_key<'a>(mut keys: impl Iterator<Item = &'a Key>) -> Option<&'a DecodingKey> {
    match (keys.next(), keys.next()) {
        (Some(only), None) => Some(&only.key),
        _ => None,
    }
}

impl Key {
    fn read(text: &str) -> Option<Self> {
        let jwk: Jwk = serde_json::from_str(text).ok()?;
        let is_for_signatures =
            jwk.common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature)
                && jwk.common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
        let supported: &[Algorithm] = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => AlgorithmFamily::Rsa.algorithms(),
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 => &[Algorithm::ES256],
                EllipticCurve::P384 => &[Algorithm::ES384],
                _ => &[],
            },
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                &[Algorithm::EdDSA]
            }
            _ => &[],
        };
        let declared = jwk.common.key_algorithm.map(|declared| Algorithm::try_from(declared).ok());
        let is_declared =
            |algorithm: &&Algorithm| declared.is_none_or(|declared| declared == Some(**algorithm));
        let algorithms: Vec<Algorithm> = supported.iter().filter(is_declared).copied().collect();
        if !is_for_signatures || algorithms.is_empty() {
            return None;
        }
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { id: jwk.common.key_id, algorithms, key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 8037, A.2.
    const ED25519: &str = r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;
    /// The key of RFC 7517, A.1.
    const P256: &str = r#""kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM""#;
    const RSA: &str = r#""kty":"RSA","n":"0vx7","e":"AQAB""#;

    fn set(keys: &[String]) -> Result<KeySet, InvalidKeySet> {
        let keys: Vec<String> = keys.iter().map(|key| format!("{{{key}}}")).collect();
        KeySet::parse(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes())
    }

    #[test]
    fn a_key_verifies_only_its_own_algorithm() {
        let keys = set(&[
            format!(r#"{ED25519},"kid":"ed""#),
            format!(r#"{P256},"kid":"ec""#),
            format!(r#"{RSA},"kid":"rsa","use":"sig","alg":"RS256""#),
        ])
        .unwrap();
        let fits = |id, algorithm| keys.find(Some(id), algorithm).is_some();
        assert!(
            fits("ed", Algorithm::EdDSA) && fits("ec", Algorithm::ES256) && fits("rsa", Algorithm::RS256)
        );
        for algorithm in [Algorithm::HS256, Algorithm::RS512, Algorithm::PS256, Algorithm::ES384] {
            for id in ["ed", "ec", "rsa"] {
                assert!(!fits(id, algorithm), "{id} {algorithm:?}");
            }
        }
        assert!(!fits("ed", Algorithm::ES256) && !fits("gone", Algorithm::EdDSA));
        assert!(keys.find(None, Algorithm::EdDSA).is_some());
    }

    #[test]
    fn a_token_without_a_key_id_needs_a_single_matching_key() {
        let two = set(&[format!(r#"{ED25519},"kid":"a""#), format!(r#"{ED25519},"kid":"b""#)]).unwrap();
        assert!(
            two.find(None, Algorithm::EdDSA).is_none() && two.find(Some("b"), Algorithm::EdDSA).is_some()
        );
    }

    #[test]
    fn a_key_without_an_id_verifies_tokens_of_any_key_id() {
        let unnamed = set(&[ED25519.to_owned(), format!(r#"{P256},"kid":"ec""#)]).unwrap();
        assert!(unnamed.find(Some("any"), Algorithm::EdDSA).is_some());
        assert!(unnamed.find(Some("any"), Algorithm::ES256).is_none());
        let beside = set(&[ED25519.to_owned(), format!(r#"{ED25519},"kid":"a""#)]).unwrap();
        assert!(beside.find(Some("a"), Algorithm::EdDSA).is_some());
        let two = set(&[ED25519.to_owned(), ED25519.to_owned()]).unwrap();
        assert!(two.find(Some("any"), Algorithm::EdDSA).is_none());
    }

    #[test]
    fn keys_that_cannot_verify_signatures_are_skipped() {
        let others = [
            r#""kty":"oct","k":"c2VjcmV0","alg":"HS256""#.to_owned(),
            format!(r#"{RSA},"use":"enc""#),
            format!(r#"{RSA},"alg":"RSA-OAEP""#),
            format!(r#"{RSA},"key_ops":["encrypt"]"#),
            r#""kty":"AKP","alg":"ML-DSA-44","pub":"x""#.to_owned(),
            r#""kty":"OKP","crv":"X25519","x":"AA""#.to_owned(),
            r#""kty":7"#.to_owned(),
        ];
        assert_eq!(set(&others).unwrap_err(), InvalidKeySet::Unusable);
        let among = set(&[others.as_slice(), &[format!(r#"{ED25519},"kid":"ed""#)]].concat()).unwrap();
        assert!(among.find(Some("ed"), Algorithm::EdDSA).is_some());
        assert_eq!(set(&vec![ED25519.to_owned(); 101]).unwrap_err(), InvalidKeySet::TooMany);
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>"] {
            assert_eq!(KeySet::parse(text.as_bytes()).unwrap_err(), InvalidKeySet::Shape, "{text}");
        }
    }
}
