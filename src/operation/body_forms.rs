//! Values derived from a response's body on demand: its entity tag and its compressed forms. All copies of a response
//! share them, so that a response from the cache is hashed and compressed once.

use std::sync::{Mutex, OnceLock, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::HeaderValue;
use sha2::{Digest as _, Sha256};

/// Maximum number of `Accept-Encoding` values for which a body is stored. Clients of one kind send the same value.
const VALUES_MAX: usize = 4;

/// Maximum length of such a value, in bytes.
const VALUE_BYTES_MAX: usize = 128;

/// The forms of one body. All calls must pass an equal body.
#[derive(Debug, Default)]
pub(crate) struct BodyForms {
    tag: OnceLock<Box<str>>,
    /// Compressed bodies by the client's `Accept-Encoding`, which selects the coding.
    compressed: Mutex<Vec<(HeaderValue, CompressedBody)>>,
}

/// A compressed body and its `Content-Encoding`.
#[derive(Debug, Clone)]
pub(crate) struct CompressedBody {
    pub(crate) coding: HeaderValue,
    pub(crate) bytes: Bytes,
}

impl BodyForms {
    /// Returns the first half of the SHA-256 of the body, in base64url.
    pub(super) fn tag(&self, body: &Bytes) -> &str {
        let digest = || {
            let digest: [u8; 32] = Sha256::digest(body).into();
            URL_SAFE_NO_PAD.encode(digest.first_chunk::<16>().unwrap_or(&[0; 16])).into()
        };
        self.tag.get_or_init(digest)
    }

    /// Returns the compressed body for a value of `Accept-Encoding`.
    pub(crate) fn compressed(&self, accepted: &HeaderValue) -> Option<CompressedBody> {
        let bodies = self.compressed.lock().unwrap_or_else(PoisonError::into_inner);
        bodies.iter().find(|(value, _)| value == accepted).map(|(_, body)| body.clone())
    }

    /// Stores the compressed body for a value of `Accept-Encoding`, unless there are too many. Bodies of one coding share memory.
    pub(crate) fn store_compressed(&self, accepted: &HeaderValue, mut body: CompressedBody) {
        let mut bodies = self.compressed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = bodies.iter().any(|(value, _)| value == accepted);
        if is_known || bodies.len() == VALUES_MAX || accepted.len() > VALUE_BYTES_MAX {
            return;
        }
        if let Some((_, same)) = bodies.iter().find(|(_, other)| other.coding == body.coding) {
            body = same.clone();
        }
        bodies.push((accepted.clone(), body));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(coding: &'static str, bytes: &'static str) -> CompressedBody {
        CompressedBody {
            coding: HeaderValue::from_static(coding),
            bytes: Bytes::from_static(bytes.as_bytes()),
        }
    }

    #[test]
    fn a_body_is_returned_for_the_value_it_was_stored_for() {
        let forms = BodyForms::default();
        let [gzip, both] = ["gzip", "gzip, br"].map(HeaderValue::from_static);
        forms.store_compressed(&gzip, body("gzip", "g"));
        forms.store_compressed(&both, body("br", "b"));
        forms.store_compressed(&gzip, body("gzip", "other"));
        assert_eq!(forms.compressed(&gzip).unwrap().bytes, "g");
        assert_eq!(forms.compressed(&both).unwrap().coding, "br");
        assert!(forms.compressed(&HeaderValue::from_static("br")).is_none());
    }

    #[test]
    fn the_number_and_length_of_values_are_limited() {
        let forms = BodyForms::default();
        let values: Vec<_> =
            (0..10).map(|n| HeaderValue::try_from(format!("gzip;q=0.{n}")).unwrap()).collect();
        for value in &values {
            forms.store_compressed(value, body("gzip", "g"));
        }
        assert_eq!(values.iter().filter(|value| forms.compressed(value).is_some()).count(), VALUES_MAX);
        let long = HeaderValue::try_from("x".repeat(VALUE_BYTES_MAX + 1)).unwrap();
        let forms = BodyForms::default();
        forms.store_compressed(&long, body("gzip", "g"));
        assert!(forms.compressed(&long).is_none());
    }
}
