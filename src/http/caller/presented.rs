//! What a caller showed to be let in, for as long as something goes on for it.
//!
//! When the configuration changes it has to be let in again, and it cannot be asked: so its headers are kept, and nothing else
//! of the request. To keep who it is alone, the rejected choice, would not tell a token that was withdrawn from another one of
//! the same bearer, nor let a JWT be judged by another issuer's settings.

use axum::http::header::{AUTHORIZATION, HeaderName};
use axum::http::{HeaderMap, HeaderValue};

use super::Authenticator;
use crate::domain::caller::Caller;
use crate::http::error::HttpError;

const NAMES: [HeaderName; 2] = [AUTHORIZATION, HeaderName::from_static("x-api-key")];

/// A caller's credentials.
pub(crate) struct PresentedCredentials([Option<HeaderValue>; 2]);

impl PresentedCredentials {
    /// Those of headers that a caller was let in by: none of them is there twice.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        // Copied: a header is a slice of the whole head, which would be kept with it.
        let copied = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).ok();
        Self(NAMES.map(|name| {
            let mut value = headers.get(name).and_then(copied)?;
            value.set_sensitive(true);
            Some(value)
        }))
    }

    fn headers(&self) -> HeaderMap {
        let Self(values) = self;
        let shown = NAMES.into_iter().zip(values).filter_map(|(name, value)| Some((name, value.clone()?)));
        shown.collect()
    }
}

impl Authenticator {
    /// Whether somebody who was let in would be let in now, and as the same: one of another role or tenant has to begin anew.
    pub(crate) async fn reauthenticate(
        &self,
        shown: &PresentedCredentials,
        was: &Caller,
    ) -> Result<Caller, HttpError> {
        let is = self.authenticate(&shown.headers()).await?;
        if is.role == was.role && is.tenant == was.tenant {
            Ok(is)
        } else {
            Err(HttpError::identity_changed())
        }
    }
}
