//! Credentials that a caller has sent, stored while its subscription runs.
//!
//! After a reload of the configuration, the caller must be authenticated again without asking the client. Therefore
//! these headers are stored, and nothing else of the request. Rejected: storing the identity alone. It cannot
//! distinguish a revoked token from another one of the same caller, nor verify a JWT against another issuer.

use axum::http::header::{AUTHORIZATION, HeaderName};
use axum::http::{HeaderMap, HeaderValue};

use super::Authenticator;
use crate::domain::caller::Caller;
use crate::http::error::HttpError;

const NAMES: [HeaderName; 2] = [AUTHORIZATION, HeaderName::from_static("x-api-key")];

/// The credential headers of an authenticated caller.
pub(crate) struct PresentedCredentials([Option<HeaderValue>; 2]);

impl PresentedCredentials {
    /// Copies the headers of an authenticated request. None of them is repeated.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        // Copied, because a header value shares the buffer of the whole head and would keep it alive.
        let copied = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).ok();
        Self(NAMES.map(|name| {
            let mut value = headers.get(name).and_then(copied)?;
            value.set_sensitive(true);
            Some(value)
        }))
    }

    fn headers(&self) -> HeaderMap {
        let Self(values) = self;
        let headers = NAMES.into_iter().zip(values).filter_map(|(name, value)| Some((name, value.clone()?)));
        headers.collect()
    }
}

impl Authenticator {
    /// Authenticates a caller again. Fails if its role or tenant has changed.
    pub(crate) async fn reauthenticate(
        &self,
        credentials: &PresentedCredentials,
        previous: &Caller,
    ) -> Result<Caller, HttpError> {
        let caller = self.authenticate(&credentials.headers()).await?;
        if caller.role == previous.role && caller.tenant == previous.tenant {
            Ok(caller)
        } else {
            Err(HttpError::identity_changed())
        }
    }
}
