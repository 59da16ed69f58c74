//! Objects whose text is written by a plan, where the schema has the objects themselves.

use std::borrow::Cow;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::resolver_utils::{resolve_container, resolve_list};
use async_graphql::{Context, ContextSelectionSet, OutputType, Positioned, ServerResult, Value};
use futures_util::future::try_join_all;

use super::json::Json;
use super::plain::{Plain, Plan};

/// One object.
pub(super) struct One<T>(pub(super) T);

/// A list of objects, none of them null.
pub(super) struct Rows<T>(pub(super) Vec<T>);

impl<T: Plain> OutputType for One<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        let Some(plan) = Plan::new(ctx) else { return resolve_container(ctx, &self.0).await };
        let waited =
            plan.waiting().map(|field| async move { resolve(&self.0, &ctx.with_field(field)).await });
        let waited = try_join_all(waited).await?;
        let mut json = Json::default();
        write(&plan, &self.0, &mut waited.iter(), &mut json);
        Ok(json.into_value())
    }
}

impl<T: Plain> OutputType for Rows<T> {
    fn type_name() -> Cow<'static, str> {
        <Vec<T> as OutputType>::type_name()
    }

    fn qualified_type_name() -> String {
        <Vec<T> as OutputType>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <Vec<T> as OutputType>::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        let Self(rows) = self;
        let Some(plan) = Plan::new(ctx) else {
            return resolve_list(ctx, field, rows, Some(rows.len())).await;
        };
        let plan = &plan;
        let waited = rows.iter().enumerate().flat_map(|(place, row)| {
            plan.waiting().map(move |field| async move {
                let ctx = ctx.with_index(place);
                let resolved = resolve(row, &ctx.with_field(field)).await;
                resolved.map_err(|error| ctx.set_error_path(error))
            })
        });
        let waited = try_join_all(waited).await?;
        let (mut waited, mut json) = (waited.iter(), Json::default());
        json.list(rows, |json, row| write(plan, row, &mut waited, json));
        Ok(json.into_value())
    }
}

async fn resolve(object: &impl Plain, ctx: &Context<'_>) -> ServerResult<Value> {
    Ok(object.resolve_field(ctx).await?.unwrap_or_default())
}

fn write<'v, T: Plain>(
    plan: &Plan<'_, T>,
    object: &T,
    waited: &mut impl Iterator<Item = &'v Value>,
    json: &mut Json,
) {
    plan.write(object, json, |json| json.value(waited.next().unwrap_or(&Value::Null)));
}
