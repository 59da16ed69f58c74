//! Every field of the example documents: the schema field that shows it, or the reason why none does.
//!
//! The table and the documents must match in both directions: each JSON leaf has a row, and each row has a
//! leaf.

use std::collections::BTreeSet;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use switchboard::sandbox::Settings;
use switchboard::upstream::transport::Network;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, service_fn};

use crate::world::{PAGE_ROWS, World, at, caller, global_id, list, only_error};

/// A leaf's treatment by the graph.
enum Leaf {
    /// This field of the response shows it, as this value.
    ShownAs(&'static str, Value),
    /// This field of the response shows it unchanged.
    Same(&'static str),
    /// A setting of the connection, listed by its own name.
    Setting,
    /// A secret, or a link that finishes a login. `withheld` lists its name.
    Withheld,
    /// No field shows it, for this reason.
    Nowhere(&'static str),
}
use Leaf::{Nowhere, Same, Setting, ShownAs, Withheld};

/// Collects the paths of a document's leaves. An empty object or list is a leaf too.
fn leaves(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    let below = |step: &str| if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(name, value)| leaves(value, &below(name), into));
        }
        Value::Array(all) if !all.is_empty() => {
            all.iter().enumerate().for_each(|(place, value)| leaves(value, &below(&place.to_string()), into));
        }
        _ => drop(into.insert(path.to_owned())),
    }
}

/// Checks a table against its document and the response. A row's `#` stands for each of `rows` indexes.
fn check(document: &Value, answer: &Value, rows: usize, table: &[(&str, Leaf)]) {
    let mut known = BTreeSet::new();
    leaves(document, "", &mut known);
    let mut unseen = known.clone();
    for (pattern, leaf) in table {
        for place in 0..if pattern.contains('#') { rows } else { 1 } {
            let here = |text: &str| text.replace('#', &place.to_string());
            let path = here(pattern);
            assert!(known.contains(&path), "the document has no `{path}`");
            unseen.remove(&path);
            let name = path.rsplit('.').next().unwrap();
            let state = || at(answer, "connectedAccounts.nodes.0.state");
            match leaf {
                ShownAs(field, value) => assert_eq!(&at(answer, &here(field)), value, "{path}"),
                Same(field) => assert_eq!(at(answer, &here(field)), at(document, &path), "{path}"),
                Setting => {
                    let setting = json!({ "name": name, "value": at(document, &path) });
                    assert!(state()["settings"].as_array().unwrap().contains(&setting), "{path}");
                    assert!(!state()["withheld"].as_array().unwrap().contains(&json!(name)), "{path}");
                }
                Withheld => {
                    assert!(state()["withheld"].as_array().unwrap().contains(&json!(name)), "{path}");
                    let is_listed =
                        state()["settings"].as_array().unwrap().iter().any(|one| one["name"] == name);
                    assert!(!is_listed, "{path}");
                }
                Nowhere(reason) => assert!(!reason.is_empty(), "{path}"),
            }
        }
    }
    assert_eq!(unseen, BTreeSet::new(), "leaves without a row");
}

fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

const PROVIDERS: &str = "{ providers { nodes { category rawCategory name connected accountId displayName scopes connectedAt lastSyncAt status rawStatus errorMessage } } }";

async fn of_tenant(leadlex: &str, composio: &str, query: &str) -> (World, Value) {
    let world = World::new();
    let mut answer = world.query_as(caller(Some(leadlex), Some(composio)), query, json!({})).await;
    assert_eq!(answer.get("errors"), None);
    let data = answer["data"].take();
    (world, data)
}

#[tokio::test(start_paused = true)]
async fn every_field_of_the_leadlex_example_is_shown() {
    let (_, answer) = of_tenant("wbk_sandbox_seed", "ak_sandbox_seed", PROVIDERS).await;
    let document = document(include_str!("../../../src/sandbox/seeds/leadlex-example.json"));
    let table = [
        ("data.providers.#.category", Same("providers.nodes.#.rawCategory")),
        ("data.providers.0.category", ShownAs("providers.nodes.0.category", json!("EMAIL"))),
        ("data.providers.1.category", ShownAs("providers.nodes.1.category", json!("CALENDAR"))),
        ("data.providers.2.category", ShownAs("providers.nodes.2.category", json!("CHANNELS"))),
        ("data.providers.#.name", Same("providers.nodes.#.name")),
        ("data.providers.#.connected", Same("providers.nodes.#.connected")),
        ("data.providers.#.account_id", Same("providers.nodes.#.accountId")),
        ("data.providers.#.display_name", Same("providers.nodes.#.displayName")),
        ("data.providers.#.scopes.0", Same("providers.nodes.#.scopes.0")),
        ("data.providers.0.scopes.1", Same("providers.nodes.0.scopes.1")),
        ("data.providers.2.scopes.1", Same("providers.nodes.2.scopes.1")),
        ("data.providers.#.connected_at", Same("providers.nodes.#.connectedAt")),
        ("data.providers.#.last_sync_at", Same("providers.nodes.#.lastSyncAt")),
        ("data.providers.#.status", Same("providers.nodes.#.rawStatus")),
        ("data.providers.#.status", ShownAs("providers.nodes.#.status", json!("HEALTHY"))),
        ("data.providers.#.error_message", Same("providers.nodes.#.errorMessage")),
    ];
    check(&document, &answer, 3, &table);
    assert_eq!(at(&answer, "providers.nodes.*.scopes"), at(&document, "data.providers.*.scopes"));
}

#[tokio::test(start_paused = true)]
async fn leadlex_stub_is_read_with_null_for_missing_values() {
    let (_, answer) = of_tenant("wbk_sandbox_stub", "ak_sandbox_stub", PROVIDERS).await;
    let document = document(include_str!("../../../src/sandbox/seeds/leadlex-stub.json"));
    let table = [
        ("data.providers.0.category", Same("providers.nodes.0.rawCategory")),
        ("data.providers.0.category", ShownAs("providers.nodes.0.category", json!("OTHER"))),
        ("data.providers.0.name", Same("providers.nodes.0.name")),
        ("data.providers.0.connected", Same("providers.nodes.0.connected")),
        ("data.providers.0.account_id", Same("providers.nodes.0.accountId")),
        ("data.providers.0.display_name", Same("providers.nodes.0.displayName")),
        ("data.providers.0.scopes.0", ShownAs("providers.nodes.0.scopes", json!([]))),
        ("data.providers.0.connected_at", ShownAs("providers.nodes.0.connectedAt", Value::Null)),
        ("data.providers.0.last_sync_at", ShownAs("providers.nodes.0.lastSyncAt", Value::Null)),
        ("data.providers.0.status", Same("providers.nodes.0.rawStatus")),
        ("data.providers.0.status", ShownAs("providers.nodes.0.status", json!("UNKNOWN"))),
        ("data.providers.0.error_message", Same("providers.nodes.0.errorMessage")),
    ];
    check(&document, &answer, 1, &table);
}

#[tokio::test(start_paused = true)]
async fn every_field_of_the_composio_list_is_shown_or_withheld() {
    let query = "{ connectedAccounts { totalCount pageInfo { hasNextPage } nodes {
        id connectedAccountId wordId alias toolkit { id slug } user { id } userId status rawStatus statusReason isDisabled
        accountType createdAt updatedAt testRequestEndpoint legacy { uuid labels }
        authConfig { id authScheme rawAuthScheme isComposioManaged isDisabled legacyUuid }
        state { authScheme rawAuthScheme status scopes tokenType expiresAt expiredAt revokedAt error errorDescription settings { name value } withheld }
    } } }";
    let (world, answer) = of_tenant("wbk_sandbox_seed", "ak_sandbox_seed", query).await;
    let calls = world.calls();
    assert_eq!(
        calls,
        [list(&[]), format!("{}&cursor=string", list(&[]))],
        "next_cursor leads to the next page, in a circle"
    );
    let document = document(include_str!("../../../src/sandbox/seeds/composio-list.json"));
    let node = |field: &str| -> &'static str { format!("connectedAccounts.nodes.0.{field}").leak() };
    let (same, shown) = (|field| Same(node(field)), |field, value| ShownAs(node(field), value));
    let table = [
        ("items.0.id", same("connectedAccountId")),
        ("items.0.id", shown("id", json!(global_id("ConnectedAccount", "string")))),
        ("items.0.toolkit.slug", same("toolkit.slug")),
        ("items.0.toolkit.slug", shown("toolkit.id", json!(global_id("Toolkit", "string")))),
        ("items.0.auth_config.id", same("authConfig.id")),
        ("items.0.auth_config.auth_scheme", same("authConfig.rawAuthScheme")),
        ("items.0.auth_config.auth_scheme", shown("authConfig.authScheme", json!("OAUTH2"))),
        ("items.0.auth_config.is_composio_managed", same("authConfig.isComposioManaged")),
        ("items.0.auth_config.is_disabled", same("authConfig.isDisabled")),
        ("items.0.auth_config.deprecated.uuid", same("authConfig.legacyUuid")),
        ("items.0.user_id", same("userId")),
        ("items.0.user_id", same("user.id")),
        ("items.0.status", same("rawStatus")),
        ("items.0.status", shown("status", json!("INITIALIZING"))),
        ("items.0.status_reason", same("statusReason")),
        ("items.0.is_disabled", same("isDisabled")),
        ("items.0.created_at", shown("createdAt", Value::Null)),
        ("items.0.updated_at", shown("updatedAt", Value::Null)),
        ("items.0.test_request_endpoint", same("testRequestEndpoint")),
        ("items.0.deprecated.uuid", same("legacy.uuid")),
        ("items.0.deprecated.labels.0", same("legacy.labels.0")),
        ("items.0.state.authScheme", same("state.rawAuthScheme")),
        ("items.0.state.authScheme", shown("state.authScheme", json!("OAUTH1"))),
        ("items.0.state.val.status", same("state.status")),
        ("items.0.state.val.error", same("state.error")),
        ("items.0.state.val.error_description", same("state.errorDescription")),
        ("items.0.state.val.expired_at", shown("state.expiredAt", Value::Null)),
        ("items.0.state.val.subdomain", Setting),
        ("items.0.state.val.your-domain", Setting),
        ("items.0.state.val.region", Setting),
        ("items.0.state.val.shop", Setting),
        ("items.0.state.val.account_url", Setting),
        ("items.0.state.val.COMPANYDOMAIN", Setting),
        ("items.0.state.val.extension", Setting),
        ("items.0.state.val.form_api_base_url", Setting),
        ("items.0.state.val.instanceEndpoint", Setting),
        ("items.0.state.val.api_url", Setting),
        ("items.0.state.val.borneo_dashboard_url", Setting),
        ("items.0.state.val.domain", Setting),
        ("items.0.state.val.version", Setting),
        ("items.0.state.val.dc", Setting),
        ("items.0.state.val.site_name", Setting),
        ("items.0.state.val.instanceName", Setting),
        ("items.0.state.val.account_id", Setting),
        ("items.0.state.val.your_server", Setting),
        ("items.0.state.val.server_location", Setting),
        ("items.0.state.val.base_url", Setting),
        ("items.0.state.val.proxy_username", Withheld),
        ("items.0.state.val.proxy_password", Withheld),
        ("items.0.state.val.oauth_token", Withheld),
        ("items.0.state.val.oauth_token_secret", Withheld),
        ("items.0.state.val.oauth_verifier", Withheld),
        ("items.0.state.val.consumer_key", Withheld),
        ("items.0.state.val.authUri", Withheld),
        ("items.0.state.val.redirectUrl", Withheld),
        ("items.0.state.val.callbackUrl", Withheld),
        ("items.0.state.val.callback_url", Withheld),
        ("items.0.data.property1", Nowhere("`data` has headers and keys: its names and values are secret")),
        ("items.0.data.property2", Nowhere("`data` has headers and keys: its names and values are secret")),
        ("next_cursor", ShownAs("connectedAccounts.pageInfo.hasNextPage", json!(false))),
        // The example states 0 beside one row: a total that contradicts its rows is not shown.
        ("total_items", ShownAs("connectedAccounts.totalCount", Value::Null)),
        ("total_pages", Nowhere("transport detail: the graph has its own pages")),
        ("current_page", Nowhere("transport detail: the graph has its own pages")),
    ];
    check(&document, &answer, 1, &table);
    let account = at(&answer, "connectedAccounts.nodes.0");
    for absent in ["wordId", "alias", "accountType"] {
        assert_eq!(account[absent], Value::Null, "{absent} is not in the document");
    }
    for absent in ["tokenType", "expiresAt", "revokedAt"] {
        assert_eq!(account["state"][absent], Value::Null, "{absent} is not in the document");
    }
    assert_eq!(account["state"]["scopes"], json!([]));
}

/// A network that returns the document of errors for every call.
fn error_network(status: u16) -> Network {
    let body = include_bytes!("../../../src/sandbox/seeds/composio-error.json");
    BoxCloneSyncService::new(service_fn(move |_: http::Request<Bytes>| async move {
        let body = Full::new(Bytes::from_static(body)).map_err(BoxError::from).boxed_unsync();
        Ok(http::Response::builder().status(status).body(body).unwrap())
    }))
}

#[tokio::test(start_paused = true)]
async fn every_field_of_the_composio_errors_is_shown_or_withheld() {
    let document = document(include_str!("../../../src/sandbox/seeds/composio-error.json"));
    for (status, code) in [
        (400, "UPSTREAM_REJECTED"),
        (401, "UPSTREAM_UNAUTHORIZED"),
        (404, "UPSTREAM_REJECTED"),
        (422, "UPSTREAM_REJECTED"),
        (500, "UPSTREAM_UNAVAILABLE"),
    ] {
        let world = World::with_network(Settings::default(), PAGE_ROWS, move |_| error_network(status));
        let answer = world.query("{ connectedAccounts { totalCount } }").await;
        let own = "the upstream's own text, which can repeat a key or a URL";
        let table = [
            ("error.request_id", Same("extensions.requestId")),
            ("error.status", ShownAs("extensions.code", json!(code))),
            ("error.slug", Nowhere("internal: clients use the graph's own codes")),
            ("error.code", Nowhere("internal: clients use the graph's own codes")),
            ("error.message", Nowhere(own)),
            ("error.suggested_fix", Nowhere(own)),
            ("error.errors.0", Nowhere(own)),
        ];
        check(&document, only_error(&answer), 1, &table);
    }
}
