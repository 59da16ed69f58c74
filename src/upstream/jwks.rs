//! Reading the keys that an issuer of tokens publishes: one small document, from one address.
//!
//! It is here because whatever goes to the network is. It shares the road with the two APIs (no redirects, rustls) and
//! none of their policies: an issuer has no quota, and is asked once in minutes.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use url::Url;

use super::transport::Network;

/// How long an issuer may take, from connecting to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The largest document that is read: the keys of the largest issuers are some 10 KiB.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// Why an issuer's keys could not be read. It repeats nothing of what came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwksFetchError {
    /// It took too long.
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    /// It was not reached, or broke off.
    #[error("it cannot be reached")]
    Unreachable,
    /// It answered, but not with the document.
    #[error("it answers {0}")]
    Status(u16),
    /// It sent too much.
    #[error("the answer is larger than {BODY_BYTES_MAX} bytes")]
    TooLarge,
}

/// Reads the document.
///
/// # Errors
/// Where it does not come whole, in time, and with 200.
pub async fn fetch(network: &Network, url: &Url) -> Result<Bytes, JwksFetchError> {
    tokio::time::timeout(TIMEOUT, attempt(network, url)).await.unwrap_or(Err(JwksFetchError::Timeout))
}

async fn attempt(network: &Network, url: &Url) -> Result<Bytes, JwksFetchError> {
    let request =
        Request::get(url.as_str()).header(header::ACCEPT, "application/jwk-set+json, application/json");
    let request = request.body(bytes::Bytes::new()).map_err(|_| JwksFetchError::Unreachable)?;
    let response = network.clone().oneshot(request).await.map_err(|_| JwksFetchError::Unreachable)?;
    if response.status() != StatusCode::OK {
        return Err(JwksFetchError::Status(response.status().as_u16()));
    }
    let mut body = response.into_body();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| JwksFetchError::Unreachable)?;
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.len() > BODY_BYTES_MAX {
                return Err(JwksFetchError::TooLarge);
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes.freeze())
}
