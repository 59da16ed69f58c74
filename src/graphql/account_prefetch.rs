//! Requests the accounts of the providers that a tenant most likely has, in parallel with the list of its providers.
//!
//! [`start`] is the entry point; `provider_connection` calls it. `OperationLoader::prefetch_accounts` sends the requests.
//! The fields that `@skip` and `@include` exclude were removed before execution.

use std::collections::BTreeSet;

use async_graphql::{Context, InputType, SelectionField, Value};

use super::account_connection::account_query;
use super::account_filters::{ConnectedAccountOrder, ProviderAccountFilter};
use super::operation_context::{OperationContext, operation};
use crate::domain::page::{PageArguments, PageRequest};
use crate::loaders::lists::multi_parent::AccountQuery;
use crate::loaders::lists::parent::Parent;
use crate::loaders::lists::provider_page::ProviderQuery;

/// Requests the accounts of the expected providers, if the list of providers has to be fetched and the query selects
/// accounts. Expected are the providers of the tenant's last list, or otherwise those of `toolkits.expected`.
pub(super) fn start(ctx: &Context<'_>, query: &ProviderQuery, page: &PageRequest) {
    let operation = operation(ctx);
    let Some(expected) = operation.loader().expected_providers_unless_cached() else {
        return;
    };
    let account_queries = account_queries(ctx, operation);
    if account_queries.is_empty() {
        return;
    }
    // The query's filter, order and page are applied to the expected providers, so that accounts are requested for just
    // the providers that the response will most likely contain. A provider's set of toolkits is the parent of its
    // accounts.
    if let Ok(page) = operation.loader().provider_page(&expected, query, page) {
        let toolkits = page.rows().iter().map(|listed| operation.parts.mapping.toolkits_of(&listed.provider));
        let parents: BTreeSet<Parent> = toolkits.filter_map(|slugs| Parent::toolkits(slugs).ok()).collect();
        operation.loader().prefetch_accounts(account_queries, parents);
    }
}

/// Returns the query of each `connectedAccounts` field directly below a provider.
fn account_queries(ctx: &Context<'_>, operation: &OperationContext) -> Vec<AccountQuery> {
    let providers = ctx.field();
    let under = |name: &'static str| move |field: &SelectionField<'_>| field.name() == name;
    let nodes = providers.selection_set().filter(under("nodes"));
    let edges = providers.selection_set().filter(under("edges"));
    let of_edges = edges.flat_map(|edge| edge.selection_set().filter(under("node")).collect::<Vec<_>>());
    nodes
        .chain(of_edges)
        .flat_map(|node| node.selection_set().filter(under("connectedAccounts")).collect::<Vec<_>>())
        .filter_map(|field| account_query_of(&field, operation))
        .collect()
}

/// Returns the query that a field's resolver will make, from its arguments and the selected fields of `pageInfo`.
/// Returns `None` if the arguments are invalid, which the resolver will report, or contain a cursor, which is valid for
/// one provider only.
fn account_query_of(field: &SelectionField<'_>, operation: &OperationContext) -> Option<AccountQuery> {
    let (mut page, mut filter, mut order_by) = (PageArguments::default(), None, None);
    for (name, value) in field.arguments().ok()? {
        match name.as_str() {
            "first" => page.first = parse(value)?,
            "last" => page.last = parse(value)?,
            "filter" => filter = parse::<Option<ProviderAccountFilter>>(value)?,
            "orderBy" => order_by = parse::<Option<ConnectedAccountOrder>>(value)?,
            _ if value == Value::Null => {}
            _ => return None,
        }
    }
    let page_info: Vec<_> = field.selection_set().filter(|inner| inner.name() == "pageInfo").collect();
    let selects =
        |wanted: &str| page_info.iter().any(|info| info.selection_set().any(|inner| inner.name() == wanted));
    let filter = filter.unwrap_or_default().check().ok()?;
    account_query(filter, order_by, page, &operation.parts.connections, selects).ok()
}

fn parse<T: InputType>(value: Value) -> Option<T> {
    T::parse(Some(value)).ok()
}
