//! Generated JSON responses of any shape, with a canary in every field that Switchboard does not know. The
//! canary never occurs in the decoded data.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

use super::cases;
use super::targets::decoders::{CANARY, list_of, page_of};

/// Field names that the decoders know.
const KNOWN: [&str; 34] = [
    "id",
    "toolkit",
    "slug",
    "auth_config",
    "status",
    "user_id",
    "alias",
    "word_id",
    "state",
    "val",
    "scope",
    "scopes",
    "created_at",
    "updated_at",
    "is_disabled",
    "experimental",
    "account_type",
    "deprecated",
    "uuid",
    "labels",
    "authScheme",
    "auth_scheme",
    "expires_at",
    "error",
    "error_description",
    "region",
    "category",
    "name",
    "connected",
    "account_id",
    "display_name",
    "connected_at",
    "error_message",
    "value",
];

/// Names of secrets, and one unknown future field.
const UNKNOWN: [&str; 9] = [
    "access_token",
    "refresh_token",
    "data",
    "params",
    "credentials",
    "client_secret",
    "extra_token_data",
    "api_key",
    "brand_new",
];

/// A value with the canary at its leaves.
fn secret() -> impl Strategy<Value = Value> {
    let leaf = Just(json!(CANARY));
    leaf.prop_recursive(3, 8, 3, |inner| {
        let names = prop::sample::select([&KNOWN[..], &UNKNOWN[..]].concat());
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::vec((names, inner), 0..3).prop_map(object),
        ]
    })
}

fn object(fields: Vec<(&'static str, Value)>) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

/// A value of any shape, with secrets under unknown names.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(&["", "a", "ca_1", "gmail", "ACTIVE", "2026-11-21T12:00:00Z", "yesterday"][..])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        let field = prop_oneof![
            3 => (prop::sample::select(&KNOWN[..]), inner.clone()),
            1 => (prop::sample::select(&UNKNOWN[..]), secret()),
        ];
        prop_oneof![
            1 => prop::collection::vec(inner, 0..4).prop_map(Value::Array),
            3 => prop::collection::vec(field, 0..8).prop_map(object),
        ]
    })
}

/// A row: a complete one with some replaced fields and some secrets, or any value.
fn row() -> impl Strategy<Value = Value> {
    let whole = json!({
        "id": "ca_1", "toolkit": { "slug": "gmail" }, "auth_config": { "id": "ac_1" }, "status": "ACTIVE",
        "category": "email", "name": "gmail", "state": { "authScheme": "OAUTH2", "val": { "access_token": CANARY } },
    });
    let known = prop::collection::vec((prop::sample::select(&KNOWN[..]), value()), 0..4);
    let unknown = prop::collection::vec((prop::sample::select(&UNKNOWN[..]), secret()), 0..4);
    let changed = (known, unknown).prop_map(move |(known, unknown)| {
        let mut row = whole.clone();
        let fields = known.into_iter().chain(unknown).map(|(name, value)| (name.to_owned(), value));
        row.as_object_mut().unwrap().extend(fields);
        row
    });
    prop_oneof![5 => changed, 1 => value()]
}

#[test]
fn unknown_fields_are_never_decoded() {
    let rows = prop::collection::vec(row(), 0..8);
    let mut runner = TestRunner::new(cases(300));
    runner
        .run(&rows, |rows| {
            let page = page_of(json!({ "items": rows, "data": CANARY }).to_string().as_bytes()).unwrap();
            prop_assert_eq!(page.items.len() as u64 + page.problems.rows_left_out(), rows.len() as u64);
            prop_assert!(!format!("{page:?}").contains(CANARY), "{:?}", page);
            let list = json!({ "data": { "providers": rows, "secrets": CANARY } }).to_string();
            if let Some(list) = list_of(list.as_bytes()) {
                prop_assert_eq!(list.rows.len() as u64 + list.problems.rows_left_out(), rows.len() as u64);
                prop_assert!(!format!("{list:?}").contains(CANARY), "{:?}", list);
            } else {
                prop_assert!(!rows.is_empty());
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}
