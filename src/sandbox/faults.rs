//! Faults on demand: the syntax of `X-Emulate`, and the selection of requests that fail.
//!
//! The request header and [`super::Sandbox::emulate`] use the same syntax, so that a test in this process can be
//! repeated with curl. `fault_injection.rs` applies a fault to a response.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, StatusCode};

use super::EmulatedUpstream;

/// Maximum number of keys whose failures are counted; beyond it, all counts are cleared.
const KEYS_MAX: usize = 10_000;
/// Maximum size of a padded response in bytes.
const SIZE_BYTES_MAX: usize = 256 << 20;

/// One fault, written as `status=429; times=1; retry-after=1; key=K`.
///
/// | word | meaning |
/// |---|---|
/// | `status=N` | this status, 200 to 599; from 300 on the upstream does not process the request |
/// | `times=N` | only the first N requests fail; `-1` means all. Default: 1 for a header, all for a standing fault |
/// | `key=K` | the key that `times` counts by; default: the whole header |
/// | `retry-after=N` | the `Retry-After` header in seconds |
/// | `latency-ms=N` | delay before the upstream processes the request |
/// | `late-ms=N` | delay after the upstream has processed the request |
/// | `writes=1` | only requests that write fail |
/// | `path=TEXT` | only requests whose path contains the text fail |
/// | `cut=1` | the body is truncated |
/// | `garbage=1` | an HTML page, with 200 unless `status` is given |
/// | `empty=1` | no body |
/// | `size=N` | a body of N bytes (padded with blanks) |
/// | `shape=documented` | the documented 429, a message without the envelope |
/// | `shape=list` | a list instead of an object |
/// | `shape=wrong-types` | every scalar and list has another type |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// The status; `None` keeps the upstream's own.
    pub status: Option<StatusCode>,
    /// The number of requests that fail; all if negative.
    pub times: Option<i64>,
    /// The key that `times` counts by.
    pub key: Option<String>,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// Delay in milliseconds before processing.
    pub latency_ms: u64,
    /// Delay in milliseconds after processing.
    pub late_ms: u64,
    /// Whether only requests that write fail.
    pub writes_only: bool,
    /// Text in the paths of the requests that fail; `None` for all.
    pub path: Option<String>,
    /// The change to the body.
    pub body: FaultBody,
}

/// The change to a response body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FaultBody {
    /// None: the upstream's own response or error body.
    #[default]
    Unchanged,
    /// Truncated.
    Cut,
    /// An HTML page.
    Garbage,
    /// No body.
    Empty,
    /// Padded to this many bytes.
    Size(usize),
    /// Composio's documented 429: a message without the envelope.
    Documented,
    /// A list instead of an object.
    List,
    /// Every scalar has another type.
    WrongTypes,
}

/// An invalid `X-Emulate` value.
#[derive(Debug, thiserror::Error)]
#[error("X-Emulate: {0}")]
pub struct BadFault(String);

impl Fault {
    /// Parses the syntax of the table above; words are separated by `;`.
    ///
    /// # Errors
    /// For an unknown word, an invalid value, or two words about the body.
    pub fn parse(text: &str) -> Result<Self, BadFault> {
        let mut fault = Self::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let Some((word, value)) = part.split_once('=') else {
                return Err(BadFault(format!("{part:?} is not of the form word=value")));
            };
            let (word, value) = (word.trim(), value.trim());
            match word {
                "status" => fault.status = Some(status(value)?),
                "times" => fault.times = Some(number(word, value)?),
                "key" => fault.key = Some(value.to_owned()),
                "retry-after" => fault.retry_after = Some(number(word, value)?),
                "late-ms" => fault.late_ms = number(word, value)?,
                "path" => fault.path = Some(value.to_owned()),
                "writes" if value == "1" => fault.writes_only = true,
                "writes" => return Err(BadFault("writes can only be 1".to_owned())),
                "latency-ms" => fault.latency_ms = number(word, value)?,
                _ => {
                    let body = body(word, value)?;
                    if fault.body != FaultBody::Unchanged {
                        return Err(BadFault(format!("{part:?} is a second word about the body")));
                    }
                    fault.body = body;
                }
            }
        }
        if fault.body == FaultBody::Documented && fault.status.is_none() {
            fault.status = Some(StatusCode::TOO_MANY_REQUESTS);
        }
        Ok(fault)
    }

    /// Whether a request can fail.
    fn concerns(&self, path: &str, is_write: bool) -> bool {
        (is_write || !self.writes_only) && self.path.as_ref().is_none_or(|part| path.contains(part.as_str()))
    }

    /// Returns the status of a request that fails before the upstream processes it.
    pub(super) fn refusal(&self) -> Option<StatusCode> {
        self.status.filter(|status| status.as_u16() >= 300)
    }
}

fn number<N: std::str::FromStr>(word: &str, value: &str) -> Result<N, BadFault> {
    value.parse().map_err(|_| BadFault(format!("{word}={value:?} is not a number that fits")))
}

fn status(value: &str) -> Result<StatusCode, BadFault> {
    let status = number("status", value)?;
    StatusCode::from_u16(status)
        .ok()
        .filter(|_| (200..=599).contains(&status))
        .ok_or_else(|| BadFault(format!("status={status} is not between 200 and 599")))
}

fn body(word: &str, value: &str) -> Result<FaultBody, BadFault> {
    Ok(match (word, value) {
        ("cut", "1") => FaultBody::Cut,
        ("garbage", "1") => FaultBody::Garbage,
        ("empty", "1") => FaultBody::Empty,
        ("cut" | "garbage" | "empty", _) => return Err(BadFault(format!("{word} can only be 1"))),
        ("size", _) => match number(word, value)? {
            size if size <= SIZE_BYTES_MAX => FaultBody::Size(size),
            _ => return Err(BadFault(format!("size can be at most {SIZE_BYTES_MAX}"))),
        },
        ("shape", "documented") => FaultBody::Documented,
        ("shape", "list") => FaultBody::List,
        ("shape", "wrong-types") => FaultBody::WrongTypes,
        ("shape", _) => return Err(BadFault("shape is documented, list or wrong-types".to_owned())),
        _ => return Err(BadFault(format!("unknown word {word:?}"))),
    })
}

/// The standing faults, and the number of failures by key.
#[derive(Default)]
pub(super) struct Faults {
    standing: Mutex<HashMap<EmulatedUpstream, (Fault, i64)>>,
    failed: Mutex<HashMap<String, i64>>,
}

impl Faults {
    pub(super) fn set_standing(&self, upstream: EmulatedUpstream, fault: Option<Fault>) {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        match fault {
            Some(fault) => standing.insert(upstream, (fault, 0)),
            None => standing.remove(&upstream),
        };
    }

    /// Returns the fault for a request: its own header's, otherwise the upstream's standing one.
    ///
    /// # Errors
    /// If the header is invalid.
    pub(super) fn fault_for(
        &self,
        upstream: EmulatedUpstream,
        headers: &HeaderMap,
        path: &str,
        is_write: bool,
    ) -> Result<Option<Fault>, BadFault> {
        if let Some(header) = headers.get("x-emulate") {
            let text = header.to_str().map_err(|_| BadFault("it is not plain ASCII".to_owned()))?;
            let fault = Fault::parse(text)?;
            if !fault.concerns(path, is_write) {
                return Ok(None);
            }
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            if failed.len() > KEYS_MAX {
                failed.clear();
            }
            let key = fault.key.clone().unwrap_or_else(|| text.to_owned());
            if applies(fault.times.unwrap_or(1), failed.entry(key).or_default()) {
                return Ok(Some(fault));
            }
        }
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(standing
            .get_mut(&upstream)
            .filter(|(fault, _)| fault.concerns(path, is_write))
            .and_then(|(fault, failed)| applies(fault.times.unwrap_or(-1), failed).then(|| fault.clone())))
    }
}

/// Whether a fault applies again that applies `times` times and has done so `failed` times. If so, counts it.
fn applies(times: i64, failed: &mut i64) -> bool {
    let applies = times < 0 || *failed < times;
    *failed = failed.saturating_add(i64::from(applies));
    applies
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_fault_says_what_is_wrong() {
        let cases = [
            ("status", "X-Emulate: \"status\" is not of the form word=value"),
            ("status=abc", "X-Emulate: status=\"abc\" is not a number that fits"),
            ("status=600", "X-Emulate: status=600 is not between 200 and 599"),
            ("cut=yes", "X-Emulate: cut can only be 1"),
            ("shape=round", "X-Emulate: shape is documented, list or wrong-types"),
            ("cut=1; empty=1", "X-Emulate: \"empty=1\" is a second word about the body"),
            ("size=999999999999", "X-Emulate: size can be at most 268435456"),
            ("colour=red", "X-Emulate: unknown word \"colour\""),
        ];
        for (text, sentence) in cases {
            assert_eq!(Fault::parse(text).unwrap_err().to_string(), sentence);
        }
    }

    #[test]
    fn a_fault_is_parsed_from_its_words() {
        let fault =
            Fault::parse("status=429; times=-1; retry-after=7; key=K; latency-ms=5; shape=documented;");
        let expected = Fault {
            status: Some(StatusCode::TOO_MANY_REQUESTS),
            times: Some(-1),
            key: Some("K".to_owned()),
            retry_after: Some(7),
            latency_ms: 5,
            late_ms: 0,
            writes_only: false,
            path: None,
            body: FaultBody::Documented,
        };
        assert_eq!(fault.unwrap(), expected);
    }
}
