//! Objects by their global ids (Relay's Global Object Identification).

use std::sync::Arc;

use async_graphql::{Context, ID, Interface};
use futures_util::future::join_all;

use super::accounts::ConnectedAccount;
use super::errors::FieldError;
use super::operation_context::operation;
use super::providers::Provider;
use super::toolkits::Toolkit;
use crate::domain::global_id::{GlobalId, ProviderId};
use crate::loaders::cache::freshness::Cached;

/// An object with a globally unique ID.
#[derive(Interface)]
#[graphql(field(
    name = "id",
    ty = "ID",
    desc = "The global ID of the object. Opaque, stable across restarts and replicas, and free of personal data."
))]
pub(super) enum Node {
    Provider(Provider),
    ConnectedAccount(ConnectedAccount),
    Toolkit(Toolkit),
}

/// Returns the object with an id; `None` if it does not exist.
pub(super) async fn node(ctx: &Context<'_>, id: &ID) -> Option<Result<Node, FieldError>> {
    match GlobalId::parse(id) {
        Err(refused) => Some(Err(refused.into())),
        Ok(GlobalId::Toolkit(slug)) => Some(Ok(Node::Toolkit(Toolkit(slug)))),
        Ok(GlobalId::Provider(id)) => Some(provider(ctx, id).await?.map(Node::Provider)),
        Ok(GlobalId::Account(id)) => Some(account(ctx, id).await?.map(Node::ConnectedAccount)),
    }
}

/// Returns a provider by its id.
pub(super) async fn provider(ctx: &Context<'_>, id: ProviderId) -> Option<Result<Provider, FieldError>> {
    let (evaluator, list) = (&operation(ctx).loader().evaluator, operation(ctx).providers().await);
    let found = list.map(|Cached { value: list, freshness }| {
        let found = list.iter().find(|listed| listed.id == id);
        found.map(|listed| Provider(Arc::clone(listed), freshness, Arc::clone(evaluator)))
    });
    found.transpose()
}

/// Returns an account by its `ca_…` id.
pub(super) async fn account(ctx: &Context<'_>, id: Box<str>) -> Option<Result<ConnectedAccount, FieldError>> {
    let (evaluator, found) = (&operation(ctx).loader().evaluator, operation(ctx).account(id).await);
    let found = found.map(|Cached { value, freshness }| {
        value.map(|account| ConnectedAccount(account, freshness, Arc::clone(evaluator)))
    });
    found.transpose()
}

/// Resolves each id on its own: one that is invalid or cannot be read is null with an error. All are requested in one
/// batch, so they share their calls.
pub(super) async fn each<'i, I, T, F>(
    ctx: &Context<'_>,
    name: &str,
    ids: &'i [I],
    resolve: impl Fn(&'i I) -> F,
) -> Result<Vec<Option<Result<T, FieldError>>>, FieldError>
where
    F: Future<Output = Option<Result<T, FieldError>>>,
{
    operation(ctx).check_ids(name, ids.len())?;
    Ok(join_all(ids.iter().map(resolve)).await)
}
