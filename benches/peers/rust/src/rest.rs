//! The two upstream calls of [`crate::plain`], as usually written with reqwest and serde.

use std::collections::HashMap;

use anyhow::Context;
use async_graphql::Enum;
use axum::body::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Rows of one upstream page.
pub(crate) const PAGE: usize = 100;

/// Both upstreams.
#[derive(Clone)]
pub(crate) struct Upstreams {
    client: reqwest::Client,
    leadlex: (String, String),
    composio: (String, String),
}

#[derive(Deserialize)]
struct Workspace {
    data: Providers,
}

#[derive(Deserialize)]
struct Providers {
    providers: Vec<ProviderRow>,
}

/// A row of LeadLex.
#[derive(Deserialize)]
pub(crate) struct ProviderRow {
    pub(crate) category: String,
    pub(crate) name: String,
    pub(crate) status: ProviderStatus,
    scopes: Option<Vec<Scope>>,
}

/// A string, or an object that names a scope.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scope {
    Text(String),
    Object { scope: Option<String>, name: Option<String> },
}

impl ProviderRow {
    pub(crate) fn scopes(&mut self) -> Vec<String> {
        let scopes = self.scopes.take().unwrap_or_default().into_iter();
        scopes
            .filter_map(|scope| match scope {
                Scope::Text(text) => Some(text),
                Scope::Object { scope, name } => scope.or(name),
            })
            .collect()
    }
}

#[derive(Clone, Copy, Deserialize, Enum, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProviderStatus {
    Healthy,
    Degraded,
    NeedsReauth,
    Disconnected,
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
struct AccountPage {
    items: Vec<AccountRow>,
}

/// A row of Composio.
#[derive(Clone, Deserialize)]
pub(crate) struct AccountRow {
    pub(crate) id: String,
    pub(crate) status: AccountStatus,
    pub(crate) user_id: String,
    pub(crate) toolkit: ToolkitRow,
    pub(crate) auth_config: AuthConfigRow,
    pub(crate) created_at: String,
}

#[derive(Clone, Deserialize)]
pub(crate) struct ToolkitRow {
    pub(crate) slug: String,
}

#[derive(Clone, Deserialize)]
pub(crate) struct AuthConfigRow {
    pub(crate) id: String,
    pub(crate) auth_scheme: String,
}

#[derive(Clone, Copy, Deserialize, Enum, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum AccountStatus {
    Initializing,
    Initiated,
    Active,
    Failed,
    Expired,
    Inactive,
    Revoked,
    #[serde(other)]
    Unknown,
}

impl Upstreams {
    /// Reads the environment.
    pub(crate) fn from_environment() -> anyhow::Result<Self> {
        let set = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
        Ok(Self {
            client: reqwest::Client::builder().no_proxy().build()?,
            leadlex: (set("LEADLEX_URL")?, set("LEADLEX_KEY")?),
            composio: (set("COMPOSIO_URL")?, set("COMPOSIO_KEY")?),
        })
    }

    pub(crate) async fn providers(&self) -> reqwest::Result<Vec<ProviderRow>> {
        let (url, key) = &self.leadlex;
        let call = self.client.get(format!("{url}/v1/settings/providers")).bearer_auth(key);
        Ok(answer::<Workspace>(call).await?.data.providers)
    }

    /// One page of accounts.
    pub(crate) async fn accounts(&self, query: &[(&str, String)]) -> reqwest::Result<Vec<AccountRow>> {
        Ok(answer::<AccountPage>(self.accounts_call(query)).await?.items)
    }

    /// The bytes of one page of accounts.
    pub(crate) async fn account_bytes(&self, query: &[(&str, String)]) -> reqwest::Result<Bytes> {
        self.accounts_call(query).send().await?.error_for_status()?.bytes().await
    }

    fn accounts_call(&self, query: &[(&str, String)]) -> reqwest::RequestBuilder {
        let (url, key) = &self.composio;
        let call = self.client.get(format!("{url}/api/v3/connected_accounts"));
        call.header("x-api-key", key).query(query)
    }
}

async fn answer<T: DeserializeOwned>(call: reqwest::RequestBuilder) -> reqwest::Result<T> {
    call.send().await?.error_for_status()?.json().await
}

/// The toolkits of each provider by `category/name`, from the file in the variable `TOOLKITS`.
pub(crate) fn toolkits() -> anyhow::Result<HashMap<String, Vec<String>>> {
    let path = std::env::var("TOOLKITS").context("TOOLKITS is not set")?;
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}
