//! Content codings of responses (RFC 9110, 8.4): gzip in every form that its RFC allows.
//!
//! [`decode`] is the entry point. reqwest's own decoding reads only the first member of a gzip body, although RFC 1952,
//! 2.2 allows several. It also does not know `x-gzip` or other letter cases, which RFC 9110, 8.4.1 requires.

use std::io::Read as _;

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// Value of `Accept-Encoding` for the codings that [`decode`] supports.
pub(super) const ACCEPTED: &str = "gzip";

/// Reason why a body cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum CodingError {
    /// It has a coding that was not requested.
    #[error("the response has a content coding other than gzip")]
    Unknown,
    /// It is not gzip, or ends too early.
    #[error("the response's gzip data is damaged")]
    Damaged,
    /// It is too large once decoded.
    #[error("the decoded response is larger than the limit")]
    TooLarge,
}

/// Removes the codings of a body, the last one applied first.
///
/// # Errors
/// If a coding is unknown, the data is damaged, or the result has more than `limit_bytes`.
pub(super) fn decode(headers: &HeaderMap, body: Bytes, limit_bytes: usize) -> Result<Bytes, CodingError> {
    let lines = headers.get_all(CONTENT_ENCODING).into_iter();
    let mut codings = Vec::new();
    for line in lines {
        let line = line.to_str().map_err(|_| CodingError::Unknown)?;
        codings.extend(line.split(',').map(str::trim).filter(|coding| !coding.is_empty()));
    }
    codings.into_iter().rev().try_fold(body, |body, coding| {
        if coding.eq_ignore_ascii_case("identity") {
            Ok(body)
        } else if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
            gunzip(&body, limit_bytes)
        } else {
            Err(CodingError::Unknown)
        }
    })
}

fn gunzip(body: &[u8], limit_bytes: usize) -> Result<Bytes, CodingError> {
    let mut plain = Vec::new();
    let limit = u64::try_from(limit_bytes).unwrap_or(u64::MAX);
    let mut decoder = MultiGzDecoder::new(body).take(limit.saturating_add(1));
    decoder.read_to_end(&mut plain).map_err(|_| CodingError::Damaged)?;
    if plain.len() > limit_bytes { Err(CodingError::TooLarge) } else { Ok(plain.into()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn decoded(coding: &[&'static str], body: Vec<u8>) -> Result<Bytes, CodingError> {
        let lines = coding.iter().map(|coding| (CONTENT_ENCODING, coding.parse().unwrap()));
        let mut headers = HeaderMap::new();
        lines.for_each(|(name, value)| _ = headers.append(name, value));
        decode(&headers, body.into(), 10)
    }

    #[test]
    fn every_form_of_gzip_is_decoded() {
        for coding in ["gzip", "GZIP", "x-gzip", "X-GZip", "gzip, identity", " identity ,gzip"] {
            assert_eq!(decoded(&[coding], gzip(b"plain")).unwrap(), "plain", "{coding}");
        }
        let members = [gzip(b"two "), gzip(b""), gzip(b"parts")].concat();
        assert_eq!(decoded(&["gzip"], members).unwrap(), "two parts");
        assert_eq!(decoded(&["gzip, gzip"], gzip(&gzip(b"a"))), Err(CodingError::TooLarge));
        assert_eq!(decoded(&["identity", "gzip"], gzip(b"a")).unwrap(), "a");
        assert_eq!(decoded(&[], b"plain".to_vec()).unwrap(), "plain");
        assert_eq!(decoded(&["identity", ""], b"plain".to_vec()).unwrap(), "plain");
    }

    #[test]
    fn invalid_or_too_large_bodies_are_errors() {
        assert_eq!(decoded(&["br"], b"plain".to_vec()), Err(CodingError::Unknown));
        assert_eq!(decoded(&["gzip"], b"plain".to_vec()), Err(CodingError::Damaged));
        let mut cut = gzip(b"plain");
        cut.truncate(cut.len() - 3);
        assert_eq!(decoded(&["gzip"], cut), Err(CodingError::Damaged));
        assert_eq!(decoded(&["gzip"], gzip(&[0; 1_000_000])), Err(CodingError::TooLarge));
        assert_eq!(decoded(&["gzip"], gzip(b"0123456789")).unwrap().len(), 10);
    }
}
