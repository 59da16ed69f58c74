//! The schema, and one operation's execution against it.

use async_graphql::{EmptyMutation, EmptySubscription, Object, Request, Response, Schema};

use crate::domain::caller::Caller;

/// The root of every query.
pub struct Query;

#[Object]
impl Query {
    /// A toolkit by its slug.
    async fn toolkit(&self, slug: String) -> Option<String> {
        Some(slug)
    }
}

/// The graph: executes operations for callers.
#[derive(Clone)]
pub struct Graph {
    schema: Schema<Query, EmptyMutation, EmptySubscription>,
}

impl Graph {
    /// The schema in GraphQL's schema definition language.
    #[must_use]
    pub fn sdl(&self) -> String {
        self.schema.sdl()
    }

    /// Executes one operation on a caller's behalf.
    pub async fn execute(&self, request: Request, caller: Caller) -> Response {
        self.schema.execute(request.data(caller)).await
    }
}
