//! Composio's write calls for connected accounts (docs/upstreams.md#composio-writes), an extension of
//! [`AccountsClient`].
//!
//! Each method sends one request. The request is not repeated once the upstream may have received it. If
//! [`UpstreamError::is_outcome_unknown`] is true for an error, the write may or may not have taken effect. The fields
//! `connection`, `connection_data` and `experimental` are never sent: they contain credentials, or give other users
//! access to the account.

use bytes::Bytes;
use http::Method;
use serde::Serialize;

use super::accounts::{AccountsClient, PATH};
use super::error::UpstreamError;
use super::quota::Purpose;
use super::request_kind::RequestKind;
use super::transport::UpstreamRequest;
use super::wire::{UnexpectedShape, account_writes as wire};
use crate::domain::actions::ConnectLink;
use crate::domain::credential::Credential;
use crate::domain::upstream_name::Composio;

/// Id of an account that does not exist, for [`AccountsClient::probe_write`], which `switchboard check` calls.
const UNKNOWN_ACCOUNT: &str = "ca_switchboard_check";

/// Parameters of a connect link: the URL at which an end user signs in to the external service.
#[derive(Debug, Clone, Serialize)]
pub struct LinkRequest {
    /// The auth config to connect with, `ac_…`.
    pub auth_config_id: Box<str>,
    /// The end user who connects.
    pub user_id: Box<str>,
    /// The name of the new account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<Box<str>>,
    /// The page to which the browser returns after the sign-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<Box<str>>,
}

#[derive(Serialize)]
struct StatusBody {
    enabled: bool,
}

#[derive(Serialize)]
struct AliasBody<'a> {
    alias: &'a str,
}

impl AccountsClient {
    /// Creates a connect link and, with it, a new account that is pending until the end user has signed in.
    ///
    /// # Errors
    /// If the upstream refuses it, cannot be reached, or returns an unreadable response, or if the rate limit, the
    /// circuit breaker or the deadline prevents the call.
    pub async fn create_connect_link(
        &self,
        credential: &Credential<Composio>,
        request: &LinkRequest,
    ) -> Result<ConnectLink, UpstreamError> {
        self.write(credential, Method::POST, "/link", "", json(request), wire::link).await
    }

    /// Enables or pauses an account.
    ///
    /// # Errors
    /// As [`Self::create_connect_link`].
    pub async fn set_enabled(
        &self,
        credential: &Credential<Composio>,
        id: &str,
        enabled: bool,
    ) -> Result<(), UpstreamError> {
        let (path, body) = (format!("/{id}/status"), json(&StatusBody { enabled }));
        self.write(credential, Method::PATCH, &path, "", body, wire::done).await
    }

    /// Sets the alias of an account; an empty one removes it.
    ///
    /// # Errors
    /// As [`Self::create_connect_link`].
    pub async fn rename(
        &self,
        credential: &Credential<Composio>,
        id: &str,
        alias: &str,
    ) -> Result<(), UpstreamError> {
        let (path, body) = (format!("/{id}"), json(&AliasBody { alias }));
        self.write(credential, Method::PATCH, &path, "", body, wire::done).await
    }

    /// Revokes an account's tokens at the external service. Returns their kinds, such as `access_token`; empty if they
    /// were revoked before.
    ///
    /// # Errors
    /// As [`Self::create_connect_link`].
    pub async fn revoke(
        &self,
        credential: &Credential<Composio>,
        id: &str,
    ) -> Result<Vec<Box<str>>, UpstreamError> {
        let path = format!("/{id}/revoke");
        self.write(credential, Method::POST, &path, "", Bytes::new(), wire::revoked_tokens).await
    }

    /// Removes an account. With `revoke`, its tokens are revoked at the external service, in the background.
    ///
    /// # Errors
    /// As [`Self::create_connect_link`].
    pub async fn remove(
        &self,
        credential: &Credential<Composio>,
        id: &str,
        revoke: bool,
    ) -> Result<(), UpstreamError> {
        let query = if revoke { "revoke_on_delete=true" } else { "" };
        self.write(credential, Method::DELETE, &format!("/{id}"), query, Bytes::new(), wire::done).await
    }

    /// Checks that a key may write, by an empty change of an account that does not exist.
    ///
    /// # Errors
    /// 403 if the key may only read. Any other error means that the permission is unknown.
    pub async fn probe_write(&self, credential: &Credential<Composio>) -> Result<(), UpstreamError> {
        let (path, body) = (format!("/{UNKNOWN_ACCOUNT}"), Bytes::from_static(b"{}"));
        match self.write(credential, Method::PATCH, &path, "", body, wire::done).await {
            Err(error) if matches!(error.status, Some(400 | 404 | 422)) => Ok(()),
            result => result,
        }
    }

    async fn write<T>(
        &self,
        credential: &Credential<Composio>,
        method: Method,
        path: &str,
        query: &str,
        body: Bytes,
        decode: impl Fn(&[u8]) -> Result<T, UnexpectedShape>,
    ) -> Result<T, UpstreamError> {
        let path = format!("{PATH}{path}");
        // A client waits for a write, so it has precedence over refreshes.
        let (kind, purpose) = (RequestKind::Write, Purpose::Needed);
        let request = UpstreamRequest { kind, method, path: &path, query, body, credential, purpose };
        let response = self.transport.send(request, decode).await.inspect_err(UpstreamError::log)?;
        Ok(response.body)
    }
}

/// Returns the JSON text of a body. Serializing these structures cannot fail.
pub(super) fn json(body: &impl Serialize) -> Bytes {
    serde_json::to_vec(body).unwrap_or_default().into()
}
