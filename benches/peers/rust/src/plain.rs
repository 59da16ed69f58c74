//! The job with async-graphql and its DataLoader, as its documentation shows: a schema of derived objects, a
//! loader in each request's data, async-graphql-axum in front.
//!
//! It caches nothing between requests. As in the Node peers, an upstream page has 100 rows, so the loader
//! reads the first 10 accounts of 20 providers in two concurrent calls.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use async_graphql::dataloader::{DataLoader, Loader};
use async_graphql::runtime::{TokioSpawner, TokioTimer};
use async_graphql::{
    ComplexObject, Context, EmptyMutation, EmptySubscription, Enum, ID, InputObject, Object, Result, Schema,
    SimpleObject,
};
use async_graphql_axum::{GraphQLRequest, GraphQLResponse};
use axum::Router;
use axum::routing::post;
use futures_util::future::try_join_all;
use tokio::net::TcpListener;

use crate::rest::{self, AccountRow, AccountStatus, PAGE, ProviderStatus, Upstreams};

pub(crate) async fn serve(listen: SocketAddr) -> anyhow::Result<()> {
    let upstreams = Upstreams::from_environment()?;
    let schema = Schema::build(Query, EmptyMutation, EmptySubscription)
        .data(upstreams.clone())
        .data(Toolkits(rest::toolkits()?))
        .finish();
    let answer = async move |request: GraphQLRequest| {
        let accounts =
            DataLoader::new(Accounts(upstreams.clone()), TokioSpawner::current(), TokioTimer::default());
        GraphQLResponse::from(schema.execute(request.into_inner().data(accounts)).await)
    };
    let routes = Router::new().route("/graphql", post(answer));
    axum::serve(TcpListener::bind(listen).await?, routes).await?;
    Ok(())
}

/// By `category/name`.
struct Toolkits(HashMap<String, Vec<String>>);

struct Query;

#[Object]
impl Query {
    async fn providers(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 100)] first: usize,
    ) -> Result<ProviderConnection> {
        let rows = ctx.data::<Upstreams>()?.providers().await?;
        let Toolkits(toolkits) = ctx.data()?;
        let nodes = rows.into_iter().take(first).map(|mut row| Provider {
            scopes: row.scopes(),
            category: Category::of(&row.category),
            toolkits: toolkits.get(&format!("{}/{}", row.category, row.name)).cloned().unwrap_or_default(),
            name: row.name,
            status: row.status,
        });
        Ok(ProviderConnection { nodes: nodes.collect() })
    }

    async fn connected_accounts(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 20)] first: usize,
        filter: Option<ConnectedAccountFilter>,
    ) -> Result<ConnectedAccountConnection> {
        let mut query = vec![("limit", first.min(PAGE).to_string())];
        if let Some(users) = filter.and_then(|filter| filter.user_ids) {
            query.push(("user_ids", users.join(",")));
        }
        Ok(ctx.data::<Upstreams>()?.accounts(&query).await?.into())
    }
}

#[derive(InputObject)]
struct ConnectedAccountFilter {
    user_ids: Option<Vec<String>>,
}

#[derive(SimpleObject)]
struct ProviderConnection {
    nodes: Vec<Provider>,
}

#[derive(SimpleObject)]
#[graphql(complex)]
struct Provider {
    category: Category,
    name: String,
    status: ProviderStatus,
    scopes: Vec<String>,
    #[graphql(skip)]
    toolkits: Vec<String>,
}

#[ComplexObject]
impl Provider {
    async fn connected_accounts(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 20)] first: usize,
    ) -> Result<ConnectedAccountConnection> {
        let key = Key { toolkits: self.toolkits.clone(), first };
        let rows = ctx.data::<DataLoader<Accounts>>()?.load_one(key).await?;
        Ok(rows.unwrap_or_default().into())
    }
}

#[derive(Clone, Copy, Enum, PartialEq, Eq)]
enum Category {
    Email,
    Calendar,
    Channels,
    Identity,
    Storage,
    Billing,
    Other,
}

impl Category {
    fn of(word: &str) -> Self {
        match word {
            "email" => Self::Email,
            "calendar" => Self::Calendar,
            "channels" => Self::Channels,
            "identity" => Self::Identity,
            "storage" => Self::Storage,
            "billing" => Self::Billing,
            _ => Self::Other,
        }
    }
}

#[derive(SimpleObject)]
struct ConnectedAccountConnection {
    nodes: Vec<ConnectedAccount>,
}

impl From<Vec<AccountRow>> for ConnectedAccountConnection {
    fn from(rows: Vec<AccountRow>) -> Self {
        Self { nodes: rows.into_iter().map(ConnectedAccount::from).collect() }
    }
}

#[derive(SimpleObject)]
struct ConnectedAccount {
    connected_account_id: ID,
    user_id: Option<String>,
    status: AccountStatus,
    toolkit: Toolkit,
    auth_config: AuthConfig,
    created_at: String,
}

impl From<AccountRow> for ConnectedAccount {
    fn from(row: AccountRow) -> Self {
        Self {
            connected_account_id: ID(row.id),
            user_id: Some(row.user_id),
            status: row.status,
            toolkit: Toolkit { slug: row.toolkit.slug },
            auth_config: AuthConfig { id: ID(row.auth_config.id), auth_scheme: row.auth_config.auth_scheme },
            created_at: row.created_at,
        }
    }
}

#[derive(SimpleObject)]
struct Toolkit {
    slug: String,
}

#[derive(SimpleObject)]
struct AuthConfig {
    id: ID,
    auth_scheme: String,
}

/// The accounts of one provider.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    toolkits: Vec<String>,
    first: usize,
}

/// The batch function: the accounts of many providers.
struct Accounts(Upstreams);

impl Loader<Key> for Accounts {
    type Value = Vec<AccountRow>;
    type Error = Arc<reqwest::Error>;

    async fn load(&self, keys: &[Key]) -> Result<HashMap<Key, Self::Value>, Self::Error> {
        let first = keys.iter().map(|key| key.first).max().unwrap_or(0);
        let groups = keys.chunks((PAGE / first.max(1)).max(1));
        let shared = try_join_all(groups.map(|group| self.page(group))).await?;
        Ok(shared.into_iter().flatten().collect())
    }
}

impl Accounts {
    /// One call for these keys, with the rows distributed to each key.
    async fn page(&self, keys: &[Key]) -> reqwest::Result<Vec<(Key, Vec<AccountRow>)>> {
        let slugs: Vec<&str> = keys.iter().flat_map(|key| &key.toolkits).map(String::as_str).collect();
        let limit = keys.iter().map(|key| key.first).sum::<usize>().min(PAGE);
        let rows =
            self.0.accounts(&[("toolkit_slugs", slugs.join(",")), ("limit", limit.to_string())]).await?;
        let own = |key: &Key| {
            let fitting = rows.iter().filter(|row| key.toolkits.contains(&row.toolkit.slug));
            fitting.take(key.first).cloned().collect()
        };
        Ok(keys.iter().map(|key| (key.clone(), own(key))).collect())
    }
}
