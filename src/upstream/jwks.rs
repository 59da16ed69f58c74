//! Fetches the JSON Web Key Set of a token issuer.
//!
//! All outgoing HTTP belongs to this layer. The fetch uses the same network (no redirects, rustls), but none of the
//! limits on calls: an issuer has no quota and is called once in minutes.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use url::Url;

use super::connection_failure::ConnectionFailure;
use super::transport::Network;

/// Timeout, from connecting to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum size of the document; large issuers publish about 10 KiB.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// Reason why an issuer's keys could not be fetched. Contains nothing of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwksFetchError {
    /// The timeout expired.
    #[error("no response within {} s", TIMEOUT.as_secs())]
    Timeout,
    /// The connection failed or was closed.
    #[error("it cannot be reached")]
    Unreachable,
    /// The connection failed for a known cause.
    #[error("{0}")]
    Connection(ConnectionFailure),
    /// The response has another status than 200.
    #[error("it returned status {0}")]
    Status(u16),
    /// The response is too large.
    #[error("the response is larger than {BODY_BYTES_MAX} bytes")]
    TooLarge,
}

/// Fetches the document.
///
/// # Errors
/// If it does not arrive completely, in time, and with status 200.
pub async fn fetch(network: &Network, url: &Url) -> Result<Bytes, JwksFetchError> {
    tokio::time::timeout(TIMEOUT, attempt(network, url)).await.unwrap_or(Err(JwksFetchError::Timeout))
}

async fn attempt(network: &Network, url: &Url) -> Result<Bytes, JwksFetchError> {
    let request =
        Request::get(url.as_str()).header(header::ACCEPT, "application/jwk-set+json, application/json");
    let request = request.body(bytes::Bytes::new()).map_err(|_| JwksFetchError::Unreachable)?;
    let response = network.clone().oneshot(request).await.map_err(|error| {
        ConnectionFailure::of(error.as_ref()).map_or(JwksFetchError::Unreachable, JwksFetchError::Connection)
    })?;
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
