//! The same job with async-graphql's own means: serde structs, resolvers, and its `DataLoader`, which batches
//! the requests of one level.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_graphql::dataloader::{DataLoader, Loader};
use async_graphql::runtime::Timer;
use async_graphql::{
    ComplexObject, Context, EmptyMutation, EmptySubscription, Enum, ID, InputObject, Object, Request, Scalar,
    ScalarType, Schema, SimpleObject, Variables,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use futures_util::task::{FutureObj, Spawn, SpawnError};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use switchboard::sandbox::LEADLEX_PATH;

use crate::upstream::{COMPOSIO_KEY, LEADLEX_KEY};

const NEWEST_FIRST: &str = "order_by=created_at&order_direction=desc";
/// The largest page of Composio.
const PAGE_ROWS: usize = 100;

pub(crate) struct Plain {
    schema: Schema<Query, EmptyMutation, EmptySubscription>,
    api: Arc<Api>,
    kept: Arc<CachedRows>,
}

impl Plain {
    /// `toolkits` has the toolkits of each provider.
    pub(crate) fn new(base_url: &str, toolkits: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let nodes = toolkits["data"]["providers"]["nodes"].as_array().expect("providers");
        let toolkits = nodes.iter().map(|node| {
            let slugs =
                node["toolkits"].as_array().expect("a list").iter().map(|toolkit| text(&toolkit["slug"]));
            ((text(&node["category"]).to_lowercase(), text(&node["name"])), slugs.collect())
        });
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let api = Api { client, base_url: base_url.to_owned(), toolkits: toolkits.collect() };
        let schema = Schema::new(Query, EmptyMutation, EmptySubscription);
        Self { schema, api: Arc::new(api), kept: Arc::default() }
    }

    /// With `rows_at_hand`, upstream rows are cached and no call is repeated.
    pub(crate) async fn ask(&self, request: &[u8], rows_at_hand: bool) -> Vec<u8> {
        let CacheMode { query, variables } = serde_json::from_slice(request).expect("a request");
        let source =
            Source { api: Arc::clone(&self.api), kept: rows_at_hand.then(|| Arc::clone(&self.kept)) };
        let loader = DataLoader::new(source, TokioExecutor, TokioExecutor);
        let response = self.schema.execute(Request::new(query).variables(variables).data(loader)).await;
        serde_json::to_vec(&response).expect("an answer")
    }
}

#[derive(Deserialize)]
struct CacheMode {
    query: String,
    #[serde(default)]
    variables: Variables,
}

struct TokioExecutor;

impl Spawn for TokioExecutor {
    fn spawn_obj(&self, task: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        tokio::spawn(task);
        Ok(())
    }
}

impl Timer for TokioExecutor {
    fn delay(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(time))
    }
}

struct Api {
    client: reqwest::Client,
    base_url: String,
    /// By category and name.
    toolkits: HashMap<(String, String), Vec<String>>,
}

/// Cached rows by request.
#[derive(Default)]
struct CachedRows {
    providers: Mutex<Option<Vec<Provider>>>,
    accounts: Mutex<HashMap<AccountsOf, Vec<Arc<Account>>>>,
}

struct Source {
    api: Arc<Api>,
    kept: Option<Arc<CachedRows>>,
}

/// The key: accounts with this filter, `toolkit_slugs` or `user_ids`.
#[derive(Clone, PartialEq, Eq, Hash)]
struct AccountsOf {
    filter: &'static str,
    values: Vec<String>,
    first: usize,
}

#[derive(Deserialize)]
struct ProvidersAnswer {
    data: Providers,
}

#[derive(Deserialize)]
struct Providers {
    providers: Vec<Provider>,
}

#[derive(Deserialize)]
struct AccountsPage {
    items: Vec<Arc<Account>>,
    next_cursor: Option<String>,
}

impl Source {
    async fn providers(&self) -> Vec<Provider> {
        if let Some(known) =
            self.kept.as_ref().and_then(|kept| kept.providers.lock().expect("a lock").clone())
        {
            return known;
        }
        let Api { client, base_url, .. } = &*self.api;
        let url = format!("{base_url}{LEADLEX_PATH}/v1/settings/providers");
        let answer = client.get(url).bearer_auth(LEADLEX_KEY).send().await.expect("an answer");
        let body = answer.bytes().await.expect("a body");
        let ProvidersAnswer { data } = serde_json::from_slice(&body).expect("providers");
        if let Some(kept) = &self.kept {
            *kept.providers.lock().expect("a lock") = Some(data.providers.clone());
        }
        data.providers
    }

    async fn page(&self, filter: &str, values: &str, limit: usize, cursor: Option<&str>) -> AccountsPage {
        let Api { client, base_url, .. } = &*self.api;
        let mut url =
            format!("{base_url}/api/v3/connected_accounts?{filter}={values}&{NEWEST_FIRST}&limit={limit}");
        if let Some(cursor) = cursor {
            url.push_str("&cursor=");
            url.push_str(cursor);
        }
        let answer = client.get(url).header("x-api-key", COMPOSIO_KEY).send().await.expect("an answer");
        serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("accounts")
    }

    /// Reads one list for all keys until each key has its rows or the list ends.
    async fn accounts(&self, filter: &str, keys: &[&AccountsOf]) -> HashMap<AccountsOf, Vec<Arc<Account>>> {
        let values: Vec<_> = keys.iter().flat_map(|key| key.values.iter().map(String::as_str)).collect();
        let values = values.join(",");
        let limit = keys.iter().map(|key| key.first).sum::<usize>().min(PAGE_ROWS);
        let mut found: HashMap<AccountsOf, Vec<Arc<Account>>> =
            keys.iter().map(|key| ((*key).clone(), Vec::new())).collect();
        let mut cursor = None;
        loop {
            let page = self.page(filter, &values, limit, cursor.as_deref()).await;
            for account in page.items {
                for (key, accounts) in &mut found {
                    let is_its_own = keys.len() == 1 || key.values.contains(&account.toolkit.slug);
                    if is_its_own && accounts.len() < key.first {
                        accounts.push(Arc::clone(&account));
                    }
                }
            }
            cursor = page.next_cursor;
            if cursor.is_none() || found.iter().all(|(key, accounts)| accounts.len() == key.first) {
                return found;
            }
        }
    }
}

impl Loader<AccountsOf> for Source {
    type Value = Vec<Arc<Account>>;
    type Error = Infallible;

    async fn load(&self, keys: &[AccountsOf]) -> Result<HashMap<AccountsOf, Self::Value>, Infallible> {
        let mut loaded = HashMap::new();
        if let Some(kept) = &self.kept {
            let known = kept.accounts.lock().expect("a lock");
            loaded.extend(keys.iter().filter_map(|key| Some((key.clone(), known.get(key)?.clone()))));
        }
        for filter in ["toolkit_slugs", "user_ids"] {
            let missing = keys.iter().filter(|key| key.filter == filter && !loaded.contains_key(*key));
            let missing: Vec<_> = missing.collect();
            if !missing.is_empty() {
                let found = self.accounts(filter, &missing).await;
                if let Some(kept) = &self.kept {
                    kept.accounts.lock().expect("a lock").extend(found.clone());
                }
                loaded.extend(found);
            }
        }
        Ok(loaded)
    }
}

struct Query;

#[derive(InputObject)]
struct ConnectedAccountFilter {
    user_ids: Vec<String>,
}

#[Object]
impl Query {
    async fn providers(&self, ctx: &Context<'_>, first: usize) -> ProviderConnection {
        let mut nodes = loader(ctx).loader().providers().await;
        nodes.truncate(first);
        ProviderConnection { nodes }
    }

    async fn connected_accounts(
        &self,
        ctx: &Context<'_>,
        first: usize,
        filter: ConnectedAccountFilter,
    ) -> AccountConnection {
        let key = AccountsOf { filter: "user_ids", values: filter.user_ids, first };
        load(ctx, key).await
    }
}

fn loader<'c>(ctx: &Context<'c>) -> &'c DataLoader<Source> {
    ctx.data_unchecked()
}

async fn load(ctx: &Context<'_>, key: AccountsOf) -> AccountConnection {
    let Ok(nodes) = loader(ctx).load_one(key).await;
    AccountConnection { nodes: nodes.unwrap_or_default() }
}

#[derive(SimpleObject)]
struct ProviderConnection {
    nodes: Vec<Provider>,
}

#[derive(SimpleObject)]
struct AccountConnection {
    nodes: Vec<Arc<Account>>,
}

#[derive(Deserialize, SimpleObject, Clone)]
#[graphql(complex)]
struct Provider {
    category: Category,
    name: String,
    status: ProviderStatus,
    scopes: Vec<String>,
}

#[ComplexObject]
impl Provider {
    async fn connected_accounts(&self, ctx: &Context<'_>, first: usize) -> AccountConnection {
        let category = self.category.word().to_owned();
        let toolkits = loader(ctx).loader().api.toolkits.get(&(category, self.name.clone())).cloned();
        let values = toolkits.unwrap_or_default();
        if values.is_empty() {
            return AccountConnection { nodes: Vec::new() };
        }
        load(ctx, AccountsOf { filter: "toolkit_slugs", values, first }).await
    }
}

#[derive(Enum, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Category {
    Email,
    Calendar,
    Channels,
    Identity,
    Storage,
    Billing,
    #[serde(other)]
    Other,
}

impl Category {
    fn word(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Calendar => "calendar",
            Self::Channels => "channels",
            Self::Identity => "identity",
            Self::Storage => "storage",
            Self::Billing => "billing",
            Self::Other => "other",
        }
    }
}

#[derive(Enum, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum ProviderStatus {
    Healthy,
    Degraded,
    NeedsReauth,
    Disconnected,
    #[serde(other)]
    Unknown,
}

#[derive(Enum, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum AccountStatus {
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

#[derive(Deserialize, SimpleObject)]
#[graphql(complex)]
struct Account {
    #[graphql(skip)]
    id: String,
    status: AccountStatus,
    user_id: Option<String>,
    toolkit: Toolkit,
    auth_config: AuthConfig,
    created_at: DateTime,
}

#[ComplexObject]
impl Account {
    async fn id(&self) -> ID {
        ID(URL_SAFE_NO_PAD.encode(format!("ConnectedAccount:{}", self.id)))
    }
}

#[derive(Deserialize, SimpleObject)]
struct Toolkit {
    slug: String,
}

#[derive(Deserialize, SimpleObject)]
struct AuthConfig {
    id: ID,
    auth_scheme: AuthScheme,
}

#[derive(Enum, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum AuthScheme {
    #[graphql(name = "OAUTH2")]
    #[serde(rename = "OAUTH2")]
    Oauth2,
    #[graphql(name = "OAUTH1")]
    #[serde(rename = "OAUTH1")]
    Oauth1,
    ApiKey,
    Basic,
    BillcomAuth,
    BearerToken,
    GoogleServiceAccount,
    NoAuth,
    BasicWithJwt,
    CalcomAuth,
    ServiceAccount,
    Saml,
    DcrOauth,
    CimdOauth,
    #[graphql(name = "S2S_OAUTH2")]
    #[serde(rename = "S2S_OAUTH2")]
    S2sOauth2,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct DateTime(Timestamp);

impl TryFrom<String> for DateTime {
    type Error = jiff::Error;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

#[Scalar]
impl ScalarType for DateTime {
    fn parse(value: async_graphql::Value) -> async_graphql::InputValueResult<Self> {
        match &value {
            async_graphql::Value::String(text) => Ok(Self(text.parse()?)),
            _ => Err(async_graphql::InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> async_graphql::Value {
        async_graphql::Value::String(self.0.to_string())
    }
}
