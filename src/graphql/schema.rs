//! The schema: its roots, and its text.

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
// What stands last is looked into first.
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
    // No extension is registered, not even one that does nothing: one alone doubles the time of
    // execution. Documents are validated before they get here, so the fast mode is enough.
    Schema::build(query, Mutation(UpstreamMutations, AccountMutations), Subscription)
        .validation_mode(ValidationMode::Fast)
        .finish()
}

/// The schema in GraphQL's schema definition language, as `schema.graphql` holds it.
#[must_use]
pub fn sdl() -> String {
    printed(&with_queries(PublicRoot(Query)))
}

/// The same with the root fields that gateways ask: what documents are judged by.
#[must_use]
pub fn full_sdl() -> String {
    printed(&schema())
}

fn printed<Q: ObjectType + 'static>(schema: &Schema<Q, Mutation, Subscription>) -> String {
    let options = SDLExportOptions::new().prefer_single_line_descriptions().use_space_ident().indent_width(2);
    let sdl = schema.sdl_with_options(options);
    // `@include` and `@skip` are every server's own, and not this schema's to define.
    let (definitions, _directives) = sdl.split_once("\"Directs the executor").unwrap_or((&sdl, ""));
    format!("{}\n", definitions.trim())
}
