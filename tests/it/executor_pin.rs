//! The reason for the pinned version of async-graphql. Versions 7.1 and 7.2 return fields in completion order
//! and omit failed fields, even non-null ones. These tests fail if a new version does so.

use std::time::Duration;

use async_graphql::{EmptyMutation, EmptySubscription, Object, PathSegment, Response, Schema};
use serde_json::{Value, json};

struct Query;

/// An object whose fields fail in every way that resolvers of the schema can.
struct Thing;

type Fallible<T> = Result<T, &'static str>;

#[Object]
impl Query {
    async fn slow(&self) -> i32 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        1
    }

    async fn fast(&self) -> i32 {
        2
    }

    async fn middling(&self) -> i32 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        3
    }

    async fn thing(&self) -> Option<Thing> {
        Some(Thing)
    }

    async fn things(&self) -> Vec<Thing> {
        vec![Thing, Thing]
    }
}

#[Object]
impl Thing {
    async fn name(&self) -> &str {
        "thing"
    }

    async fn nullable(&self) -> Option<Fallible<i32>> {
        Some(Err("nullable"))
    }

    async fn required(&self) -> Fallible<i32> {
        Err("required")
    }

    async fn inner(&self) -> Option<Thing> {
        Some(Thing)
    }

    async fn sure(&self) -> Thing {
        Thing
    }
}

async fn execute(query: &str) -> Response {
    Schema::build(Query, EmptyMutation, EmptySubscription).finish().execute(query).await
}

/// The data as text, so that field order counts, and the message and path of each error.
async fn run(query: &str) -> (String, Vec<(String, Value)>) {
    let response = execute(query).await;
    let segment = |segment: &PathSegment| match segment {
        PathSegment::Field(name) => json!(name),
        PathSegment::Index(index) => json!(index),
    };
    let errors = response.errors.iter();
    let errors =
        errors.map(|error| (error.message.clone(), error.path.iter().map(segment).collect())).collect();
    (serde_json::to_string(&response.data).unwrap(), errors)
}

fn error(message: &str, path: Value) -> (String, Value) {
    (message.to_owned(), path)
}

#[tokio::test(start_paused = true)]
async fn fields_are_in_selection_order() {
    let (data, errors) = run("{ slow fast things { name } middling again: fast }").await;
    assert_eq!(
        data,
        r#"{"slow":1,"fast":2,"things":[{"name":"thing"},{"name":"thing"}],"middling":3,"again":2}"#
    );
    assert!(errors.is_empty());
    let (data, _) = run("{ ...F slow } fragment F on Query { middling ... on Query { slow fast } }").await;
    assert_eq!(data, r#"{"middling":3,"slow":1,"fast":2}"#);
}

#[tokio::test]
async fn failed_nullable_field_is_null_with_one_error() {
    let (data, errors) = run("{ thing { name nullable inner { nullable name } } fast }").await;
    assert_eq!(
        data,
        r#"{"thing":{"name":"thing","nullable":null,"inner":{"nullable":null,"name":"thing"}},"fast":2}"#
    );
    let expected = [
        error("nullable", json!(["thing", "nullable"])),
        error("nullable", json!(["thing", "inner", "nullable"])),
    ];
    assert_eq!(errors, expected);

    let (data, errors) = run("{ things { nullable } }").await;
    assert_eq!(data, r#"{"things":[{"nullable":null},{"nullable":null}]}"#);
    let paths: Vec<_> = errors.into_iter().map(|(_, path)| path).collect();
    assert_eq!(paths, [json!(["things", 0, "nullable"]), json!(["things", 1, "nullable"])]);
}

#[tokio::test]
async fn failed_non_null_field_nulls_the_nearest_nullable_parent() {
    let (data, errors) = run("{ thing { name required } fast }").await;
    assert_eq!(data, r#"{"thing":null,"fast":2}"#);
    assert_eq!(errors, [error("required", json!(["thing", "required"]))]);

    let (data, errors) = run("{ thing { name inner { sure { required } } } }").await;
    assert_eq!(data, r#"{"thing":{"name":"thing","inner":null}}"#);
    assert_eq!(errors, [error("required", json!(["thing", "inner", "sure", "required"]))]);
}

#[tokio::test]
async fn failed_non_null_field_without_nullable_parent_nulls_data() {
    let (data, errors) = run("{ fast things { required } }").await;
    assert_eq!(data, "null");
    assert!(!errors.is_empty());
}
