//! The schema that operations run against, and its printed text.

use async_graphql::{MergedObject, ObjectType, SDLExportOptions, Schema, ValidationMode};

use super::account_actions::AccountMutations;
use super::gateway_queries::GatewayQueries;
use super::query::Query;
use super::subscription::Subscription;
use super::upstreams::UpstreamMutations;

/// The schema that operations run against.
pub(super) type GraphSchema = Schema<FullRoot, Mutation, Subscription>;

/// The root of every query.
#[derive(MergedObject)]
#[graphql(name = "Query")]
struct PublicRoot(Query);

/// The root of every query.
// The library searches the last part first.
#[derive(MergedObject)]
#[graphql(name = "Query")]
pub(super) struct FullRoot(GatewayQueries, Query);

/// The root of every mutation.
#[derive(MergedObject)]
pub(super) struct Mutation(UpstreamMutations, AccountMutations);

/// Builds the schema that operations run against.
pub(super) fn schema() -> GraphSchema {
    with_queries(FullRoot(GatewayQueries, Query))
}

fn with_queries<Q: ObjectType + 'static>(query: Q) -> Schema<Q, Mutation, Subscription> {
    // No extension is registered: even one that does nothing doubles the execution time. Documents have been validated
    // before, so the fast mode is sufficient.
    Schema::build(query, Mutation(UpstreamMutations, AccountMutations), Subscription)
        .validation_mode(ValidationMode::Fast)
        .finish()
}

/// Returns the schema in GraphQL's schema definition language, as in `schema.graphql`.
#[must_use]
pub fn sdl() -> String {
    printed(&with_queries(PublicRoot(Query)))
}

/// Returns the schema with the root fields for gateways, against which documents are validated.
pub(crate) fn full_sdl() -> String {
    printed(&schema())
}

/// Returns a schema's definitions in GraphQL's schema definition language.
pub(super) fn printed<Q: ObjectType + 'static>(schema: &Schema<Q, Mutation, Subscription>) -> String {
    let options = SDLExportOptions::new().prefer_single_line_descriptions().use_space_ident().indent_width(2);
    let sdl = schema.sdl_with_options(options);
    // `@include` and `@skip` are built in, so the schema does not define them.
    let (definitions, _directives) = sdl.split_once("\"Directs the executor").unwrap_or((&sdl, ""));
    format!("{}\n", definitions.trim())
}
