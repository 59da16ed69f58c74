//! Field values that are serialized while they are resolved: [`Preserialized`] and [`PreserializedList`].
//!
//! Resolvers return these wrappers instead of objects. `sync_fields` plans which fields are written directly; the other
//! fields are resolved by the library first. All rows of a response pass through here, so the limit on its bytes is
//! applied here too.

use std::borrow::Cow;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::resolver_utils::resolve_container;
use async_graphql::{Context, ContextSelectionSet, Error, OutputType, Positioned, ServerResult, Value};
use futures_util::future::{FutureExt, try_join_all};

use super::errors::FieldError;
use super::json_writer::JsonWriter;
use super::object_type::ObjectValue;
use super::operation_context::OperationContext;
use super::sync_fields::{ObjectWriter, Plan, SyncFields};
use crate::loaders::stats::OperationStats;

/// Initial capacity of the text in bytes; enough for ten accounts with a few fields each.
const INITIAL_CAPACITY: usize = 4 * 1024;

/// One preserialized object.
pub(super) struct Preserialized<T>(pub(super) T);

/// A list of preserialized objects, none of them null.
pub(super) struct PreserializedList<T>(pub(super) Vec<T>);

impl<T: SyncFields> OutputType for Preserialized<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        let budget = ByteBudget { ctx, field };
        let Some(plan) = Plan::new(ctx) else { return budget.add(resolve_container(ctx, &self.0).await?) };
        let resolving = plan
            .library_fields()
            .map(|field| async move { resolve(&self.0, &ctx.with_field(field)).await }.boxed());
        let resolved_values = try_join_all(resolving).await?;
        budget.write(&resolved_values, |json| write(&plan, &self.0, &mut resolved_values.iter(), json))
    }
}

impl<T: SyncFields> OutputType for PreserializedList<T> {
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
        let budget = &ByteBudget { ctx, field };
        let Some(plan) = Plan::new(ctx) else {
            let rows = rows.iter().enumerate().map(|(place, row)| {
                let resolved = async move {
                    let ctx = ctx.with_index(place);
                    let resolved = resolve_container(&ctx, row).await;
                    budget.add(resolved.map_err(|error| ctx.set_error_path(error))?)
                };
                resolved.boxed()
            });
            return Ok(Value::List(try_join_all(rows).await?));
        };
        let plan = &plan;
        let resolving = rows.iter().enumerate().flat_map(|(index, row)| {
            plan.library_fields().map(move |field| {
                let resolved = async move {
                    let ctx = ctx.with_index(index);
                    let resolved = resolve(row, &ctx.with_field(field)).await;
                    resolved.map_err(|error| ctx.set_error_path(error))
                };
                // Boxed, because the future is large and would be moved several times.
                resolved.boxed()
            })
        });
        let resolved_values = try_join_all(resolving).await?;
        budget.write(&resolved_values, |json| {
            let mut resolved_values = resolved_values.iter();
            json.list(rows, |json, row| write(plan, row, &mut resolved_values, json));
        })
    }
}

impl<T: ObjectValue> ObjectValue for PreserializedList<T> {
    type Object = T::Object;

    fn write_objects(&self, write: &ObjectWriter<T::Object>, json: &mut JsonWriter) {
        self.0.write_objects(write, json);
    }
}

/// The bytes that the response of a field's operation may still have.
struct ByteBudget<'c> {
    ctx: &'c ContextSelectionSet<'c>,
    field: &'c Positioned<Field>,
}

impl ByteBudget<'_> {
    /// `None` without an operation, as in tests of this file.
    fn stats(&self) -> Option<&OperationStats> {
        self.ctx.data_opt::<OperationContext>().map(|operation| &*operation.loader().stats)
    }

    /// Returns the text that `write` writes. The `resolved_values` are part of it, and were counted before.
    fn write(&self, resolved_values: &[Value], write: impl FnOnce(&mut JsonWriter)) -> ServerResult<Value> {
        let mut json = JsonWriter::with_capacity(INITIAL_CAPACITY);
        let Some(stats) = self.stats() else {
            write(&mut json);
            return Ok(json.into_value());
        };
        let counted: usize = resolved_values.iter().map(|value| bytes_of(value).preserialized).sum();
        let bytes_max = usize::try_from(stats.response_bytes_left()).unwrap_or(usize::MAX);
        json = json.with_limit(bytes_max.saturating_add(counted));
        write(&mut json);
        self.count(stats, json.len().saturating_sub(counted))?;
        Ok(json.into_value())
    }

    /// Counts a value that the library resolved.
    fn add(&self, value: Value) -> ServerResult<Value> {
        if let Some(stats) = self.stats() {
            self.count(stats, bytes_of(&value).others)?;
        }
        Ok(value)
    }

    fn count(&self, stats: &OperationStats, bytes: usize) -> ServerResult<()> {
        if stats.add_response_bytes(u64::try_from(bytes).unwrap_or(u64::MAX)) {
            return Ok(());
        }
        let error = Error::from(FieldError::ResponseTooLarge { allowed: stats.response_bytes_max() });
        Err(self.ctx.set_error_path(error.into_server_error(self.field.pos)))
    }
}

/// The approximate size of a value as JSON.
#[derive(Default)]
struct ValueBytes {
    preserialized: usize,
    others: usize,
}

impl ValueBytes {
    fn add(&mut self, value: &Value) {
        let Self { preserialized, others } = bytes_of(value);
        self.preserialized += preserialized;
        self.others += others;
    }
}

/// Returns the length of a value's JSON in bytes: exact for preserialized parts, estimated for the others.
pub(crate) fn json_length(value: &Value) -> usize {
    let ValueBytes { preserialized, others } = bytes_of(value);
    preserialized + others
}

fn bytes_of(value: &Value) -> ValueBytes {
    let mut bytes = ValueBytes::default();
    match value {
        Value::Binary(json) => bytes.preserialized = json.len(),
        Value::List(items) => {
            bytes.others = items.len();
            items.iter().for_each(|item| bytes.add(item));
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                bytes.others += name.len() + 4;
                bytes.add(value);
            }
        }
        Value::String(text) => bytes.others = text.len() + 2,
        Value::Null | Value::Boolean(_) | Value::Number(_) | Value::Enum(_) => bytes.others = 8,
    }
    bytes
}

async fn resolve(object: &impl SyncFields, ctx: &Context<'_>) -> ServerResult<Value> {
    Ok(object.resolve_field(ctx).await?.unwrap_or_default())
}

fn write<'v, T: SyncFields>(
    plan: &Plan<'_, T>,
    object: &T,
    resolved_values: &mut impl Iterator<Item = &'v Value>,
    json: &mut JsonWriter,
) {
    plan.write(object, json, |json| json.value(resolved_values.next().unwrap_or(&Value::Null)));
}

#[cfg(test)]
mod tests {
    use async_graphql::{EmptyMutation, EmptySubscription, Object, Schema};

    use super::super::sync_fields::SyncField::{self, Objects, Scalar};
    use super::*;

    /// Reports whether the plan or the library resolved it.
    struct Thing;

    #[Object]
    impl Thing {
        async fn way(&self) -> &str {
            "resolved"
        }

        async fn below(&self) -> Thing {
            Thing
        }

        async fn late(&self) -> Preserialized<Thing> {
            tokio::task::yield_now().await;
            Preserialized(Thing)
        }

        async fn rows(&self) -> PreserializedList<Thing> {
            PreserializedList(vec![Thing, Thing])
        }
    }

    impl SyncFields for Thing {
        const FIELDS: &'static [(&'static str, SyncField<Self>)] = &[
            ("way", Scalar(|_, json| json.serialize("planned"))),
            (
                "below",
                Objects(|selection| {
                    let write = selection.writer::<Thing>()?;
                    Some(Box::new(move |thing, json| write(thing, json)))
                }),
            ),
        ];
    }

    struct Query;

    #[Object]
    impl Query {
        async fn one(&self) -> Preserialized<Thing> {
            Preserialized(Thing)
        }
    }

    async fn answer(query: &str) -> String {
        let response = Schema::new(Query, EmptyMutation, EmptySubscription).execute(query).await;
        assert!(response.is_ok(), "{query}: {:?}", response.errors);
        let mut json = JsonWriter::with_capacity(0);
        json.value(&response.data);
        String::from_utf8(json.into_bytes()).unwrap()
    }

    #[tokio::test]
    async fn planned_fields_are_written_and_waiting_fields_are_inserted() {
        for (query, expected) in [
            ("{ one { way } }", r#"{"one":{"way":"planned"}}"#),
            (
                "{ one { late { a: way } way below { __typename way } } }",
                r#"{"one":{"late":{"a":"planned"},"way":"planned","below":{"__typename":"Thing","way":"planned"}}}"#,
            ),
            (
                "{ one { rows { late { way } way } } }",
                r#"{"one":{"rows":[{"late":{"way":"planned"},"way":"planned"},{"late":{"way":"planned"},"way":"planned"}]}}"#,
            ),
            (
                "{ one { below { way } ... on Thing { way below { b: way } } ...F } } fragment F on Thing { below { c: way } }",
                r#"{"one":{"below":{"way":"planned","b":"planned","c":"planned"},"way":"planned"}}"#,
            ),
            // A nested field has to wait, so the library resolves the object that contains it.
            (
                "{ one { way below { way late { way } } } }",
                r#"{"one":{"way":"planned","below":{"way":"resolved","late":{"way":"planned"}}}}"#,
            ),
        ] {
            assert_eq!(answer(query).await, expected, "{query}");
        }
    }

    #[tokio::test]
    async fn fields_that_must_be_merged_are_resolved_by_the_library() {
        for (query, expected) in [
            ("{ one { way } one { b: way } }", r#"{"one":{"way":"resolved","b":"resolved"}}"#),
            (
                "{ one { ...F } ...G } fragment F on Thing { late { way } } fragment G on Query { one { late { b: way } } }",
                r#"{"one":{"late":{"way":"resolved","b":"resolved"}}}"#,
            ),
            (
                "{ one { rows { way } late { way } rows { b: way } } }",
                r#"{"one":{"rows":[{"way":"resolved","b":"resolved"},{"way":"resolved","b":"resolved"}],"late":{"way":"planned"}}}"#,
            ),
        ] {
            assert_eq!(answer(query).await, expected, "{query}");
        }
    }
}
