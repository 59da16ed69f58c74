//! The connection of the workspace's providers.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject};

use super::account_prefetch;
use super::enums::{OrderDirection, ProviderCategory, ProviderOrderField, ProviderStatus};
use super::errors::FieldError;
use super::freshness::DataFreshness;
use super::health::HealthState;
use super::object_type::object_type;
use super::operation_context::operation;
use super::page_info::PageInfo;
use super::preserialized::{Preserialized, PreserializedList};
use super::providers::Provider;
use crate::domain::filters;
use crate::domain::global_id;
use crate::domain::input::BadInput;
use crate::domain::page::{PageArguments, PageSizes};
use crate::loaders::cache::freshness::{Cached, Freshness};
use crate::loaders::health::HealthEvaluator;
use crate::loaders::lists::provider_page::{self, ProviderPage, ProviderQuery};
use crate::loaders::settings::ConnectionSettings;

/// Filters for integrations. An omitted or null list matches everything; an empty list matches nothing.
#[derive(InputObject, Default)]
pub(super) struct ProviderFilter {
    ids: Option<Vec<ID>>,
    categories: Option<Vec<ProviderCategory>>,
    /// Filter by exact names.
    names: Option<Vec<String>>,
    statuses: Option<Vec<ProviderStatus>>,
    connected: Option<bool>,
    /// Filter by health states.
    health_states: Option<Vec<HealthState>>,
    /// Whether someone has to act.
    needs_attention: Option<bool>,
    /// Filter by text in the name or display name. Case-insensitive.
    search: Option<String>,
}

/// Ordering options for integrations. Equal integrations keep the upstream's order.
#[derive(InputObject)]
pub(super) struct ProviderOrder {
    field: ProviderOrderField,
    #[graphql(default_with = "OrderDirection::Asc")]
    direction: OrderDirection,
}

pub(super) fn provider_query(
    filter: ProviderFilter,
    order: Option<ProviderOrder>,
) -> Result<ProviderQuery, BadInput> {
    let ids = |ids: Vec<ID>| ids.iter().map(|id| global_id::provider_id(id)).collect::<Result<Vec<_>, _>>();
    Ok(ProviderQuery {
        ids: filter.ids.map(ids).transpose()?,
        filter: filters::ProviderFilter {
            categories: filter.categories.map(|list| list.into_iter().map(Into::into).collect()),
            names: filter.names,
            statuses: filter.statuses.map(|list| list.into_iter().map(Into::into).collect()),
            connected: filter.connected,
            health_states: filter.health_states.map(|list| list.into_iter().map(Into::into).collect()),
            needs_attention: filter.needs_attention,
            search: filter.search,
        },
        order: order.map(|order| provider_page::ProviderOrder {
            field: order.field.into(),
            direction: order.direction.into(),
        }),
    })
}

/// Resolves the connection: validates the arguments and cuts a page from the list.
pub(super) async fn connect(
    ctx: &Context<'_>,
    arguments: PageArguments,
    filter: Option<ProviderFilter>,
    order: Option<ProviderOrder>,
) -> Result<Preserialized<ProviderConnection>, FieldError> {
    let operation = operation(ctx);
    let ConnectionSettings { providers_default, page_max, .. } = operation.parts.connections;
    let page = arguments.check(PageSizes { default: providers_default, max: page_max })?;
    let query = provider_query(filter.unwrap_or_default(), order)?;
    account_prefetch::start(ctx, &query, &page);
    let Cached { value: list, freshness } = operation.providers().await?;
    let page = operation.loader().provider_page(&list, &query, &page)?;
    Ok(Preserialized(ProviderConnection(
        Arc::new(page),
        freshness,
        Arc::clone(&operation.loader().evaluator),
    )))
}

pub(super) struct ProviderConnection(Arc<ProviderPage>, Freshness, Arc<HealthEvaluator>);

object_type! {
    /// A page of integrations.
    impl ProviderConnection |connection| {
        /// The edges of the page: integrations with their cursors.
        object edges: PreserializedList<ProviderEdge> = PreserializedList(connection.iter_edges().collect());

        /// The integrations of the page.
        object nodes: PreserializedList<Provider> = PreserializedList(connection.iter_nodes().collect());

        /// Information to aid in pagination.
        object page_info: PageInfo = connection.page();

        /// The total number of matching integrations.
        total_count: i32 = connection.total();
        object freshness: DataFreshness = DataFreshness(connection.1);
    }
}

impl ProviderConnection {
    fn iter_edges(&self) -> impl Iterator<Item = ProviderEdge> {
        let nodes = self.iter_nodes().enumerate();
        nodes.map(|(index, node)| ProviderEdge { page: Arc::clone(&self.0), index, node })
    }

    fn iter_nodes(&self) -> impl Iterator<Item = Provider> {
        let row = |listed| Provider(Arc::clone(listed), self.1, Arc::clone(&self.2));
        self.0.rows().iter().map(row)
    }

    fn page(&self) -> PageInfo {
        PageInfo {
            has_next_page: self.0.neighbors.has_next,
            has_previous_page: self.0.neighbors.has_previous,
            start_cursor: self.0.cursor(0),
            end_cursor: self.0.rows().len().checked_sub(1).and_then(|last| self.0.cursor(last)),
        }
    }

    fn total(&self) -> i32 {
        i32::try_from(self.0.total).unwrap_or(i32::MAX)
    }
}

pub(super) struct ProviderEdge {
    page: Arc<ProviderPage>,
    index: usize,
    node: Provider,
}

object_type! {
    /// An edge in a connection.
    impl ProviderEdge |edge| {
        /// A cursor for use in pagination, as `after` or `before`.
        cursor: String = edge.page.cursor(edge.index).unwrap_or_default();

        /// The integration at the end of the edge.
        object node: &Provider = &edge.node;
    }
}
