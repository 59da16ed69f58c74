//! Requests that the GraphQL specification of September 2025 allows get a response, never an internal error.

use serde_json::{Value, json};

use crate::world::{World, tenant_a};

async fn ask(query: &str, variables: Value) -> Value {
    World::new().query_as(tenant_a(), query, variables).await
}

fn codes(response: &Value) -> Vec<&str> {
    let errors = response["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().map(|error| error["extensions"]["code"].as_str().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn an_id_takes_integer_literals_of_any_size() {
    for literal in ["9223372036854775808", "18446744073709551616", "-0", "7"] {
        let response = ask(&format!("{{ user(id: {literal}) {{ id }} }}"), json!({})).await;
        assert_eq!(response, json!({ "data": { "user": { "id": literal } } }));
    }
    for query in [
        "query($i: ID! = 9223372036854775808) { user(id: $i) { id } }",
        "query($i: ID!) { user(id: $i) { id } }",
    ] {
        let variables =
            if query.contains('=') { json!({}) } else { json!({ "i": 9_223_372_036_854_775_808_u64 }) };
        let response = ask(query, variables).await;
        assert_eq!(response, json!({ "data": { "user": { "id": "9223372036854775808" } } }));
    }
}

#[tokio::test(start_paused = true)]
async fn minus_zero_and_whole_floats_are_integers() {
    let none = json!({ "data": { "providers": { "nodes": [] } } });
    assert_eq!(ask("{ providers(first: -0) { nodes { name } } }", json!({})).await, none);
    assert_eq!(
        ask("query($n: Int! = -0) { providers(first: $n) { nodes { name } } }", json!({})).await,
        none
    );
    let asked = "query($n: Int!) { providers(first: $n) { nodes { name } } }";
    for value in [json!(-0.0), json!(0.0)] {
        assert_eq!(ask(asked, json!({ "n": value })).await, none);
    }
    assert_eq!(codes(&ask(asked, json!({ "n": 0.5 })).await), ["BAD_USER_INPUT"]);
}

#[tokio::test(start_paused = true)]
async fn a_single_default_value_is_coerced_to_a_list_of_one() {
    let query = "query($users: [String!] = \"user_1\") { connectedAccounts(filter: { userIds: $users }, first: 1) { nodes { userId } } }";
    let response = ask(query, json!({})).await;
    assert_eq!(response["data"]["connectedAccounts"]["nodes"][0]["userId"], "user_1", "{response}");
}

#[tokio::test(start_paused = true)]
async fn descriptions_of_operations_variables_and_fragments_are_accepted() {
    for query in [
        "\"What it is for.\" query Q { __typename }",
        "query Q(\"An id.\" $i: ID = \"x\") { user(id: $i) { __typename } __typename }",
        "{ ...F } \"\"\"A part\nof two lines.\"\"\" fragment F on Query { __typename }",
    ] {
        let response = ask(query, json!({})).await;
        assert_eq!((codes(&response), &response["data"]["__typename"]), (vec![], &json!("Query")), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn errors_behind_descriptions_and_escapes_keep_their_places() {
    let query = "\"\"\"Two\nlines.\"\"\" query { user(id: \"\\u{1F600}\") { id nam } }";
    let response = ask(query, json!({})).await;
    assert_eq!(response["errors"][0]["locations"], json!([{ "line": 2, "column": 46 }]), "{response}");
}

#[tokio::test(start_paused = true)]
async fn escapes_of_any_width_are_read() {
    let response = ask("{ user(id: \"\\u{1F600}\\uD83D\\uDE00 \\u0041\") { id } }", json!({})).await;
    assert_eq!(response, json!({ "data": { "user": { "id": "😀😀 A" } } }));
}

#[tokio::test(start_paused = true)]
async fn every_field_that_introspection_lists_can_be_selected() {
    let response =
        ask("{ __schema { types { name fields { name type { kind ofType { kind } } } } } }", json!({})).await;
    let types = response["data"]["__schema"]["types"].as_array().unwrap();
    let meta = types.iter().find(|of| of["name"] == "__Type").unwrap();
    let fields = meta["fields"].as_array().unwrap();
    assert!(fields.iter().any(|field| field["name"] == "isOneOf"));
    for field in fields {
        let name = field["name"].as_str().unwrap();
        let is_leaf = matches!(name, "kind" | "name" | "description" | "specifiedByURL" | "isOneOf");
        let selection = if is_leaf { "" } else { "{ __typename }" };
        let response =
            ask(&format!("{{ __type(name: \"Node\") {{ {name} {selection} }} }}"), json!({})).await;
        assert_eq!(codes(&response), [] as [&str; 0], "{name}");
    }
    let response = ask("{ __type(name: \"ProviderFilter\") { isOneOf } }", json!({})).await;
    assert_eq!(response["data"]["__type"]["isOneOf"], false);
}

#[tokio::test(start_paused = true)]
async fn an_interface_lists_its_interfaces() {
    let query = "{ a: __type(name: \"Node\") { kind interfaces { name } } b: __type(name: \"Node\") { i: interfaces { name } ...F }
        c: __type(name: \"String\") { interfaces { name } } d: __type(name: \"Provider\") { interfaces { name } } }
        fragment F on __Type { j: interfaces { name } }";
    assert_eq!(
        ask(query, json!({})).await["data"],
        json!({
            "a": { "kind": "INTERFACE", "interfaces": [] },
            "b": { "i": [], "j": [] },
            "c": { "interfaces": null },
            "d": { "interfaces": [{ "name": "Node" }] },
        })
    );
}

#[tokio::test(start_paused = true)]
async fn include_deprecated_may_be_null_or_omitted() {
    let fields = "fields(includeDeprecated: $d) { args(includeDeprecated: $d) { name } }
        enumValues(includeDeprecated: $d) { name } inputFields(includeDeprecated: $d) { name }";
    let directives = "__schema { directives { args(includeDeprecated: $d) { name } } }";
    let query = format!("query ($d: Boolean) {{ __type(name: \"Node\") {{ {fields} }} {directives} }}");
    for variables in [json!({}), json!({ "d": null }), json!({ "d": false })] {
        let response = ask(&query, variables).await;
        assert_eq!(codes(&response), [] as [&str; 0]);
        assert_eq!(response["data"]["__type"]["fields"], json!([{ "args": [] }]));
    }
}

#[tokio::test(start_paused = true)]
async fn introspection_shows_the_published_schema_only() {
    let query = "{ __schema { description } float: __type(name: \"Float\") { name } any: __type(name: \"_Any\") { name }
        b: __typename toolkit(slug: \"gmail\") { slug } ...F @include(if: false) } fragment F on Query { left: __schema { description } }";
    assert_eq!(
        ask(query, json!({})).await["data"],
        json!({ "__schema": { "description": null }, "float": null, "any": null, "b": "Query", "toolkit": { "slug": "gmail" } })
    );
}

#[tokio::test(start_paused = true)]
async fn selections_of_one_introspection_field_are_merged() {
    let query = "query ($name: String!, $skip: Boolean = true) { t: __type(name: $name) { kind ...A } ... { t: __type(name: $name) { name } } }
        fragment A on __Type { name @skip(if: $skip) a: name fields { name } ... on __Type { fields { type { kind ofType { name } } } } }";
    assert_eq!(
        ask(query, json!({ "name": "Node" })).await["data"],
        json!({ "t": { "kind": "INTERFACE", "a": "Node", "fields": [
            { "name": "id", "type": { "kind": "NON_NULL", "ofType": { "name": "ID" } } }
        ], "name": "Node" } })
    );
}

#[tokio::test(start_paused = true)]
async fn integers_of_any_length_are_read() {
    let long = "1".repeat(200);
    for query in [
        format!("{{ user(id: {long}) {{ id }} }}"),
        format!("query ($i: ID! = {long}) {{ user(id: $i) {{ id }} }}"),
    ] {
        assert_eq!(ask(&query, json!({})).await, json!({ "data": { "user": { "id": long } } }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_null_default_does_not_make_a_variable_non_null_for_a_directive() {
    for query in [
        "query ($v: Boolean = null) { a: __typename @skip(if: $v) }",
        "query ($v: Boolean = null) { ... @include(if: $v) { __typename } }",
        "query ($v: Boolean = null) { ...F } fragment F on Query { __typename @include(if: $v) }",
    ] {
        assert_eq!(codes(&ask(query, json!({})).await), ["GRAPHQL_VALIDATION_FAILED"], "{query}");
    }
    let query = "query ($v: Boolean = true) { __typename @skip(if: $v) }";
    assert_eq!(ask(query, json!({})).await, json!({ "data": {} }));
    assert_eq!(codes(&ask(query, json!({ "v": null })).await), ["BAD_USER_INPUT"]);
}
