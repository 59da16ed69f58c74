//! Invalid arguments are refused before any upstream call. Each message says what would be valid.

use serde_json::{Value, json};

use super::accounts_paging::page;
use crate::world::{World, at, global_id, only_error, strings_at, tenant_a};

struct Refusal {
    message: String,
    code: String,
    reason: Value,
    data: Value,
}

async fn refusal_of(world: &World, query: &str, variables: Value) -> Refusal {
    let answer = world.query_as(tenant_a(), query, variables).await;
    let error = only_error(&answer);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Refusal {
        message: text(&error["message"]),
        code: text(&error["extensions"]["code"]),
        reason: error["extensions"]["reason"].clone(),
        data: answer["data"].clone(),
    }
}

/// Asserts a BAD_USER_INPUT error with this message and no upstream call.
async fn assert_refused(query: &str, variables: Value, reason: &str, message: &str) {
    let world = World::new();
    let refusal_of = refusal_of(&world, query, variables).await;
    assert_eq!(
        (refusal_of.code.as_str(), refusal_of.message.as_str()),
        ("BAD_USER_INPUT", message),
        "{query}"
    );
    assert_eq!(refusal_of.reason, reason, "{query}");
    assert_eq!(world.calls(), [] as [&str; 0], "{query}");
}

#[tokio::test(start_paused = true)]
async fn invalid_documents_are_refused_with_locations() {
    let world = World::new();
    for (query, code, message) in [
        (
            "{ providers { nodes { name } }",
            "GRAPHQL_PARSE_FAILED",
            "Syntax Error: a closing \"}\" is missing: this \"{\" is not closed.",
        ),
        (
            "{ providers(first: ) { totalCount } }",
            "GRAPHQL_PARSE_FAILED",
            "Syntax Error: expected a value, as in 10, \"text\", ACTIVE, [1] or $variable",
        ),
        (
            "{ providers { name } }",
            "GRAPHQL_VALIDATION_FAILED",
            "Cannot query field \"name\" on type \"ProviderConnection\". Did you mean \"nodes { name }\"?",
        ),
        (
            "{ connectedAccounts(orderBy: { field: CREATED, direction: ASC }) { totalCount } }",
            "GRAPHQL_VALIDATION_FAILED",
            "Value \"CREATED\" does not exist in \"ConnectedAccountOrderField\" enum. Allowed: CREATED_AT, UPDATED_AT.",
        ),
        (
            "{ providers(filter: { status: [HEALTHY] }) { totalCount } }",
            "GRAPHQL_VALIDATION_FAILED",
            "Field \"status\" is not defined by type \"ProviderFilter\". Did you mean \"statuses\"?",
        ),
        (
            "{ providers(filter: { statuses: \"HEALTHY\" }) { totalCount } }",
            "GRAPHQL_VALIDATION_FAILED",
            "expected value of type [ProviderStatus!], found a string; enum values have no quotes. Allowed: HEALTHY, DEGRADED, NEEDS_REAUTH, DISCONNECTED, UNKNOWN.",
        ),
        (
            "{ providers(first: $count) { totalCount } }",
            "GRAPHQL_VALIDATION_FAILED",
            "Variable \"$count\" is not defined. Declare it, as in \"query ($name: Type)\".",
        ),
        (
            "{ node(id: \"x\") { ... on Provider { x: connected } ... on ConnectedAccount { x: toolkit { id } } } }",
            "GRAPHQL_VALIDATION_FAILED",
            "Fields \"x\" conflict because they return conflicting types \"Boolean!\" and \"Toolkit!\". Use different aliases on the fields to fetch both if this was intentional.",
        ),
        (
            "{ providers { nodes { nam } } }",
            "GRAPHQL_VALIDATION_FAILED",
            "Cannot query field \"nam\" on type \"Provider\". Did you mean \"name\"?",
        ),
        (
            "{ providers { nodes } }",
            "GRAPHQL_VALIDATION_FAILED",
            "Field \"nodes\" must have a selection of subfields, as in \"nodes { … }\".",
        ),
        (
            "{ providers(size: 3) { totalCount } }",
            "GRAPHQL_VALIDATION_FAILED",
            "Unknown argument \"size\" on field \"Query.providers\". Allowed: after, before, first, last, filter, orderBy.",
        ),
        (
            "{ node { id } }",
            "GRAPHQL_VALIDATION_FAILED",
            "Field \"node\" argument \"id\" of type \"ID!\" is required, but it was not provided.",
        ),
        (
            "query A { __typename } query B { __typename }",
            "OPERATION_RESOLUTION_FAILURE",
            "Must provide operation name if query contains multiple operations.",
        ),
    ] {
        let refusal_of = refusal_of(&world, query, json!({})).await;
        assert_eq!((refusal_of.code.as_str(), refusal_of.message.as_str()), (code, message), "{query}");
        assert_eq!(refusal_of.data, Value::Null);
    }
    assert_eq!(world.calls(), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn mistyped_variables_are_refused_with_the_beginning_of_their_values() {
    let query = "query ($first: Int, $ids: [ID!]!, $order: ConnectedAccountOrder) { connectedAccounts(first: $first, orderBy: $order) { totalCount } nodes(ids: $ids) { id } }";
    for (variables, message) in [
        (
            json!({ "first": format!("five{}", "x".repeat(99)), "ids": [] }),
            "Variable \"$first\" got an invalid value for type \"Int\": \"fivexxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx… is not a value of type \"Int\".",
        ),
        (
            json!({ "first": 2.5, "ids": [] }),
            "Variable \"$first\" got an invalid value for type \"Int\": 2.5 is not a value of type \"Int\".",
        ),
        (
            json!({ "ids": [], "order": { "field": "CREATED", "direction": "ASC" } }),
            "Variable \"$order\" got an invalid value for type \"ConnectedAccountOrder\": \"CREATED\" at \"ConnectedAccountOrder.field\" is not a value of type \"ConnectedAccountOrderField\". Allowed: CREATED_AT, UPDATED_AT.",
        ),
        (
            json!({ "ids": [], "order": { "feild": "CREATED_AT" } }),
            "Variable \"$order\" got an invalid value for type \"ConnectedAccountOrder\": \"ConnectedAccountOrder\" has no field \"feild\". Did you mean \"field\"?",
        ),
        (json!({ "ids": null }), "Variable \"$ids\" of non-null type \"[ID!]!\" must not be null."),
        (json!({}), "Variable \"$ids\" of required type \"[ID!]!\" was not provided."),
    ] {
        assert_refused(query, variables, "BAD_VARIABLE", message).await;
    }
}

#[tokio::test(start_paused = true)]
async fn page_sizes_out_of_range_are_refused() {
    let accounts = |size: &str| format!("`{size}` is out of range. Allowed: 0 to 100; the default is 20.");
    let providers = |size: &str| accounts(size).replace("20", "100");
    for size in ["first: -1", "first: 101", "first: 10000", "last: -1", "last: 101"] {
        for root in ["", "toolkit(slug: \"gmail\") { ", "user(id: \"user_1\") { "] {
            let end = if root.is_empty() { "" } else { " }" };
            let query = format!("{{ {root}connectedAccounts({size}) {{ totalCount }}{end} }}");
            assert_refused(&query, json!({}), "BAD_PAGE_SIZE", &accounts(size)).await;
        }
        assert_refused(
            &format!("{{ providers({size}) {{ totalCount }} }}"),
            json!({}),
            "BAD_PAGE_SIZE",
            &providers(size),
        )
        .await;
    }
    let both =
        "`first` and `last` cannot be combined. Use `first` to page forward or `last` to page backward.";
    assert_refused("{ providers(first: 1, last: 1) { totalCount } }", json!({}), "BAD_PAGE_SIZE", both).await;
}

#[tokio::test(start_paused = true)]
async fn refused_field_is_null_and_reported_once_for_all_paths() {
    let world = World::new();
    let query = "{ providers(first: 20) { nodes { name connectedAccounts(first: -1) { totalCount } } } }";
    let answer = world.query(query).await;
    let error = only_error(&answer);
    assert_eq!(error["extensions"]["count"], 20);
    assert_eq!(
        at(&error["extensions"]["paths"], "19"),
        json!(["providers", "nodes", 19, "connectedAccounts"])
    );
    assert_eq!(
        answer["data"]["providers"]["nodes"][0],
        json!({ "name": "gmail", "connectedAccounts": null })
    );
}

#[tokio::test(start_paused = true)]
async fn impossible_ids_are_refused_and_unknown_ids_are_null() {
    let any = "Not an id of this graph. Pass the `id` of an object exactly as this API returned it.";
    let account = "Not a connected account's id. Pass its `id` or its `connectedAccountId` (`ca_…`).";
    let provider = "Not a provider's id. Pass the `id` of a Provider exactly as this API returned it.";
    let query = |root: &str| format!("query ($id: ID!) {{ {root}(id: $id) {{ id }} }}");
    for (root, id, message) in [
        ("node", "nonsense".to_owned(), any),
        ("node", String::new(), any),
        ("node", "ca_1".to_owned(), any),
        ("node", global_id("User", "user_1"), any),
        ("node", global_id("Toolkit", "Gmail"), any),
        ("node", global_id("ConnectedAccount", "ca_1,ca_2"), any),
        ("node", global_id("Provider", "short"), any),
        ("connectedAccount", "ca_1,ca_2".to_owned(), account),
        ("connectedAccount", "ca_\n".to_owned(), account),
        ("connectedAccount", global_id("Provider", "0123456789abcdef"), account),
        ("provider", global_id("ConnectedAccount", "ca_1"), provider),
        ("provider", "gmail".to_owned(), provider),
    ] {
        assert_refused(&query(root), json!({ "id": id }), "BAD_ID", message).await;
    }
    let world = World::new();
    for (root, id) in [
        ("node", global_id("ConnectedAccount", "ca_nobody")),
        ("node", global_id("Provider", "0123456789abcdef")),
        ("provider", global_id("Provider", "0123456789abcdef")),
        ("connectedAccount", "ca_nobody".to_owned()),
    ] {
        let data = world.data_with(&query(root), json!({ "id": id })).await;
        assert_eq!(data, json!({ root: null }), "{id}");
    }
    // In a list, each id has its own error path.
    let ids = json!({ "ids": [global_id("Toolkit", "gmail"), "nonsense", global_id("ConnectedAccount", "ca_nobody")] });
    let answer = world.query_as(tenant_a(), "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids).await;
    assert_eq!(answer["data"]["nodes"], json!([{ "id": global_id("Toolkit", "gmail") }, null, null]));
    let error = only_error(&answer);
    assert_eq!((&error["path"], &error["extensions"]["reason"]), (&json!(["nodes", 1]), &json!("BAD_ID")));
}

#[tokio::test(start_paused = true)]
async fn foreign_and_damaged_cursors_are_refused() {
    let cause = |cause: &str| {
        format!(
            "This cursor {cause}. Pass a cursor that this list returned, unchanged, or omit it to start from the beginning."
        )
    };
    let foreign = cause("belongs to another list, with another filter, order or parent");
    let damaged = cause("is damaged or was not created by this service");
    let world = World::new();
    let own = page(&world, json!({ "first": 3 })).await["pageInfo"]["endCursor"].as_str().unwrap().to_owned();
    let of_providers =
        strings_at(&world.data("{ providers { edges { cursor } } }").await, "providers.edges.*.cursor");
    world.calls();
    let mut mangled = own.clone();
    mangled.replace_range(10..11, if own.as_bytes()[10] == b'A' { "B" } else { "A" });
    let accounts = |arguments: &str| {
        format!("query ($c: String) {{ connectedAccounts({arguments} after: $c) {{ totalCount }} }}")
    };
    let cases = [
        (accounts("filter: { statuses: [ACTIVE] }"), &own, &foreign),
        (accounts("filter: { accountType: PRIVATE }"), &own, &foreign),
        (accounts("orderBy: { field: UPDATED_AT }"), &own, &foreign),
        (accounts("orderBy: { field: CREATED_AT, direction: ASC }"), &own, &foreign),
        (
            "query ($c: String) { toolkit(slug: \"gmail\") { connectedAccounts(after: $c) { totalCount } } }"
                .to_owned(),
            &own,
            &foreign,
        ),
        (
            "query ($c: String) { providers(after: $c, filter: { connected: true }) { totalCount } }"
                .to_owned(),
            &of_providers[3],
            &foreign,
        ),
        (
            "query ($c: String) { providers(before: $c, orderBy: { field: NAME }) { totalCount } }"
                .to_owned(),
            &of_providers[3],
            &foreign,
        ),
        (accounts(""), &mangled, &damaged),
        (accounts(""), &own.chars().skip(1).collect(), &damaged),
        (accounts(""), &String::new(), &damaged),
        (accounts(""), &"nonsense".to_owned(), &damaged),
        (accounts(""), &of_providers[3], &damaged),
        ("query ($c: String) { providers(after: $c) { totalCount } }".to_owned(), &own, &damaged),
    ];
    for (query, cursor, message) in cases {
        let refusal_of = refusal_of(&world, &query, json!({ "c": cursor })).await;
        assert_eq!(&refusal_of.message, message, "{query}");
        assert_eq!((refusal_of.code.as_str(), &refusal_of.reason), ("BAD_USER_INPUT", &json!("BAD_CURSOR")));
    }
    assert_eq!(world.calls(), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn filter_values_that_widen_the_filter_are_refused() {
    let empty = "is empty; omit the list to match everything.";
    let comma = "contains a comma, which the upstream reads as two values.";
    let slug =
        "A toolkit slug has 1 to 64 letters, digits, `_`, `-` and `.`, for example `gmail` or `one_drive`.";
    let unknown = "`statuses`: UNKNOWN stands for statuses that this version does not know; the upstream cannot filter by it.";
    for (filter, reason, message) in [
        (json!({ "userIds": ["user_1", ""] }), "BAD_FILTER", format!("`userIds`: value 1 {empty}")),
        (json!({ "userIds": ["a,b"] }), "BAD_FILTER", format!("`userIds`: value 0 {comma}")),
        (
            json!({ "userIds": ["a\u{7}"] }),
            "BAD_FILTER",
            "`userIds`: value 0 contains a control character.".to_owned(),
        ),
        (json!({ "authConfigIds": [" "] }), "BAD_FILTER", format!("`authConfigIds`: value 0 {empty}")),
        (
            json!({ "authConfigIds": ["ac_a,ac_b"] }),
            "BAD_FILTER",
            format!("`authConfigIds`: value 0 {comma}"),
        ),
        (json!({ "statuses": ["ACTIVE", "UNKNOWN"] }), "BAD_FILTER", unknown.to_owned()),
        (json!({ "toolkits": [""] }), "BAD_SLUG", slug.to_owned()),
        (json!({ "toolkits": ["gmail,slack"] }), "BAD_SLUG", slug.to_owned()),
        (
            json!({ "userIds": (0..101).map(|n| n.to_string()).collect::<Vec<_>>() }),
            "BAD_FILTER",
            "`userIds`: has 101 values; at most 100 are allowed.".to_owned(),
        ),
        (
            json!({ "userIds": ["user_1", "x".repeat(257)] }),
            "BAD_FILTER",
            "`userIds`: value 1 is longer than 256 bytes.".to_owned(),
        ),
        (
            json!({ "ids": ["nonsense"] }),
            "BAD_ID",
            "Not a connected account's id. Pass its `id` or its `connectedAccountId` (`ca_…`).".to_owned(),
        ),
    ] {
        let query = "query ($f: ConnectedAccountFilter) { connectedAccounts(filter: $f) { totalCount } }";
        assert_refused(query, json!({ "f": filter }), reason, &message).await;
    }
    let of_user = "query ($id: ID!) { user(id: $id) { connectedAccounts { totalCount } } }";
    for id in ["a,b", " ", "a\u{7}", &"x".repeat(257)] {
        let message = "Composio cannot list the accounts of this user: its ID is blank, longer than 256 bytes, or has a comma or \
            a control character. Use another ID for the user.";
        assert_refused(of_user, json!({ "id": id }), "BAD_ID", message).await;
    }
    assert_refused(of_user, json!({ "id": "" }), "BAD_ID", "A user's id is not empty.").await;
    for text in ["", "a b", "gmail,slack", "ü", &"x".repeat(65)] {
        let query = "query ($slug: String!) { toolkit(slug: $slug) { id } }";
        assert_refused(query, json!({ "slug": text }), "BAD_SLUG", slug).await;
    }

    let world = World::new();
    for list in ["ids", "toolkits", "statuses", "userIds", "authConfigIds"] {
        let page = page(&world, json!({ "filter": { list: [] } })).await;
        assert_eq!((&page["nodes"], &page["totalCount"]), (&json!([]), &json!(0)), "{list}");
    }
    let nested = "{ toolkit(slug: \"gmail\") { connectedAccounts(filter: { userIds: [] }) { nodes { id } totalCount } } }";
    assert_eq!(
        world.data(nested).await["toolkit"]["connectedAccounts"],
        json!({ "nodes": [], "totalCount": 0 })
    );
    assert_eq!(world.calls(), [] as [&str; 0]);
    // Null means "not set".
    let all = page(&world, json!({ "filter": { "toolkits": null, "userIds": null } })).await;
    assert_eq!(all["totalCount"], 384);
}

#[tokio::test(start_paused = true)]
async fn filter_too_long_for_a_url_is_an_upstream_error() {
    let users: Vec<_> = (0..100).map(|n| format!("{}{n:03}", "ü".repeat(126))).collect();
    let query = "query ($u: [String!]) { connectedAccounts(filter: { userIds: $u }) { totalCount } }";
    let world = World::new();
    let answer = world.query_as(tenant_a(), query, json!({ "u": users })).await;
    let error = only_error(&answer);
    assert_eq!(error["extensions"]["code"], "UPSTREAM_REJECTED", "{error}");
    assert_eq!(error["message"], "The connected-accounts API (Composio) did not accept the request.");
    assert_eq!(world.calls(), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn more_ids_than_the_limit_are_refused() {
    for (root, kind, name) in [
        ("nodes", "[ID!]!", "ids"),
        ("providersByIds", "[ID!]!", "ids"),
        ("connectedAccountsByIds", "[ID!]!", "ids"),
        ("usersByIds", "[ID!]!", "ids"),
        ("toolkitsBySlugs", "[String!]!", "slugs"),
    ] {
        let query = format!("query ($ids: {kind}) {{ {root}({name}: $ids) {{ id }} }}");
        let message = format!(
            "`{name}` holds 1001 values, but at most 1000 are allowed: request the others in another field."
        );
        assert_refused(&query, json!({ "ids": vec!["ca_1"; 1_001] }), "TOO_MANY_IDS", &message).await;
    }
}
