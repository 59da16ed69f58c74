//! Root fields for gateways: objects by their keys, and the text of the schema.
//!
//! They return nothing that other fields do not, so they are always available. They are not part of `schema.graphql` or
//! introspection, so that a gateway that copies the schema (stitching without directives) does not expose them. The
//! text of the schema is as good as introspection, so validation rejects it if introspection is disabled.

use async_graphql::{Any, Context, Object, SimpleObject};

use super::entities::{Entity, entities};
use super::error_behavior::NonNull;
use super::errors::FieldError;
use super::operation_context::operation;

pub(super) struct GatewayQueries;

/// A schema as a part of a larger one.
#[derive(SimpleObject)]
#[graphql(name = "_Service")]
struct Service {
    /// The text that a composer reads.
    sdl: String,
}

// Merged into the root type, so it needs another name.
#[Object(name = "QueryOfGateways")]
impl GatewayQueries {
    /// Objects by the keys in a router's representations, in the requested order, with null for each that is missing or
    /// invalid.
    #[graphql(name = "_entities", visible = false)]
    async fn entities(
        &self,
        ctx: &Context<'_>,
        representations: Vec<Any>,
    ) -> NonNull<Vec<Option<Result<Entity, FieldError>>>> {
        NonNull(Some(entities(ctx, &representations).await))
    }

    /// This schema as a subgraph of Apollo Federation.
    #[graphql(name = "_service", visible = false)]
    async fn service(&self, ctx: &Context<'_>) -> Service {
        Service { sdl: operation(ctx).parts.federation_schema.clone() }
    }

    /// This schema with the directives by which a stitching gateway configures itself.
    #[graphql(name = "_sdl", visible = false)]
    async fn sdl<'c>(&self, ctx: &Context<'c>) -> &'c str {
        &operation(ctx).parts.stitching_schema
    }
}
