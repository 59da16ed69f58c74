//! An issuer's public keys (a JWK Set, RFC 7517), and which of them a token may be checked with.
//!
//! A key checks what it is for and nothing else: its type, its curve, its `use`, `key_ops` and `alg` must fit the token's
//! algorithm. So a public key is never taken for a shared secret, which is how a forged HS256 token passes elsewhere.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde::Deserialize;
use serde_json::value::RawValue;

/// More keys than an issuer has, also while it changes them.
const KEYS_MAX: usize = 100;

/// The keys that tokens can be checked with.
#[derive(Debug)]
pub struct Keys(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// Why a text is no set of keys. It repeats nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoKeys {
    /// Another format, or another shape.
    #[error("it is no JWK Set (RFC 7517): a JSON object with the list `keys`")]
    Shape,
    /// More than an issuer has.
    #[error("it holds more than {KEYS_MAX} keys")]
    TooMany,
    /// None that a signature can be checked with.
    #[error("it holds no key that a signature can be checked with: RSA, P-256, P-384 or Ed25519")]
    Unusable,
}

#[derive(Deserialize)]
struct Set<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

impl Keys {
    /// Reads a JWK Set; keys of other kinds are passed over.
    ///
    /// # Errors
    /// Where it is none, is too large, or has no key to check a signature with.
    pub fn parse(text: &[u8]) -> Result<Self, NoKeys> {
        let set: Set<'_> = serde_json::from_slice(text).map_err(|_| NoKeys::Shape)?;
        if set.keys.len() > KEYS_MAX {
            return Err(NoKeys::TooMany);
        }
        // Each by itself: an issuer may publish kinds that are not known here.
        let keys: Vec<Key> = set.keys.iter().filter_map(|key| Key::read(key.get())).collect();
        if keys.is_empty() { Err(NoKeys::Unusable) } else { Ok(Self(keys)) }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns the key that a token names by its `kid`, or the only key that fits where there is no choice: the token names none, or no
    /// key has that name and one key has no name (RFC 7517, 4.5: `kid` is optional).
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let fitting = || self.0.iter().filter(|key| key.algorithms.contains(&algorithm));
        let Some(id) = id else { return only(fitting()) };
        let is_named = fitting().any(|key| key.id.as_deref() == Some(id));
        only(fitting().filter(|key| if is_named { key.id.as_deref() == Some(id) } else { key.id.is_none() }))
    }
}

fn only<'a>(mut keys: impl Iterator<Item = &'a Key>) -> Option<&'a DecodingKey> {
    match (keys.next(), keys.next()) {
        (Some(only), None) => Some(&only.key),
        _ => None,
    }
}

impl Key {
    fn read(text: &str) -> Option<Self> {
        let jwk: Jwk = serde_json::from_str(text).ok()?;
        let signs = jwk.common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature)
            && jwk.common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
        let of_kind: &[Algorithm] = match &jwk.algorithm {
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
        let stated = jwk.common.key_algorithm.map(|stated| Algorithm::try_from(stated).ok());
        let fits = |algorithm: &&Algorithm| stated.is_none_or(|stated| stated == Some(**algorithm));
        let algorithms: Vec<Algorithm> = of_kind.iter().filter(fits).copied().collect();
        if !signs || algorithms.is_empty() {
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

    fn set(keys: &[String]) -> Result<Keys, NoKeys> {
        let keys: Vec<String> = keys.iter().map(|key| format!("{{{key}}}")).collect();
        Keys::parse(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes())
    }

    #[test]
    fn a_key_is_for_its_own_kind_alone() {
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
    fn a_token_that_names_no_key_is_checked_only_where_there_is_no_choice() {
        let two = set(&[format!(r#"{ED25519},"kid":"a""#), format!(r#"{ED25519},"kid":"b""#)]).unwrap();
        assert!(
            two.find(None, Algorithm::EdDSA).is_none() && two.find(Some("b"), Algorithm::EdDSA).is_some()
        );
    }

    #[test]
    fn a_key_without_a_name_checks_tokens_of_any_name() {
        let unnamed = set(&[ED25519.to_owned(), format!(r#"{P256},"kid":"ec""#)]).unwrap();
        assert!(unnamed.find(Some("any"), Algorithm::EdDSA).is_some());
        assert!(unnamed.find(Some("any"), Algorithm::ES256).is_none());
        let beside = set(&[ED25519.to_owned(), format!(r#"{ED25519},"kid":"a""#)]).unwrap();
        assert!(beside.find(Some("a"), Algorithm::EdDSA).is_some());
        let two = set(&[ED25519.to_owned(), ED25519.to_owned()]).unwrap();
        assert!(two.find(Some("any"), Algorithm::EdDSA).is_none());
    }

    #[test]
    fn what_cannot_check_a_signature_is_passed_over() {
        let others = [
            r#""kty":"oct","k":"c2VjcmV0","alg":"HS256""#.to_owned(),
            format!(r#"{RSA},"use":"enc""#),
            format!(r#"{RSA},"alg":"RSA-OAEP""#),
            format!(r#"{RSA},"key_ops":["encrypt"]"#),
            r#""kty":"AKP","alg":"ML-DSA-44","pub":"x""#.to_owned(),
            r#""kty":"OKP","crv":"X25519","x":"AA""#.to_owned(),
            r#""kty":7"#.to_owned(),
        ];
        assert_eq!(set(&others).unwrap_err(), NoKeys::Unusable);
        let among = set(&[others.as_slice(), &[format!(r#"{ED25519},"kid":"ed""#)]].concat()).unwrap();
        assert!(among.find(Some("ed"), Algorithm::EdDSA).is_some());
        assert_eq!(set(&vec![ED25519.to_owned(); 101]).unwrap_err(), NoKeys::TooMany);
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>"] {
            assert_eq!(Keys::parse(text.as_bytes()).unwrap_err(), NoKeys::Shape, "{text}");
        }
    }
}
