//! Valid documents for each target, from which mutations start.

use ::http::{Request, header};
use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::json;
use switchboard::domain::global_id::GlobalId;
use switchboard::sandbox::{Clock, LEADLEX_PATH, Sandbox, Scenario, Settings};
use tower::ServiceExt;

use super::with_paused_clock;
use crate::world::{NOW, global_id};

/// The seeds of a target.
pub(crate) fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "accounts" => {
            let mut seeds = vec![include_bytes!("../../../../src/sandbox/seeds/composio-list.json").to_vec()];
            seeds.extend(sandbox("/api/v3/connected_accounts?limit=6", "x-api-key", "ak_sandbox_a"));
            seeds
        }
        "providers" => {
            let mut seeds = vec![
                include_bytes!("../../../../src/sandbox/seeds/leadlex-example.json").to_vec(),
                include_bytes!("../../../../src/sandbox/seeds/leadlex-stub.json").to_vec(),
            ];
            let path = format!("{LEADLEX_PATH}/v1/settings/providers");
            seeds.extend(sandbox(&path, header::AUTHORIZATION.as_str(), "Bearer wbk_sandbox_a"));
            seeds
        }
        "coding" => CODINGS.iter().map(|bytes| bytes.to_vec()).collect(),
        "documents" => DOCUMENTS.iter().map(|text| text.as_bytes().to_vec()).collect(),
        "headers" => HEADERS.iter().map(|text| text.as_bytes().to_vec()).collect(),
        "ids" => {
            let mut ids = vec!["ca_1".to_owned(), GlobalId::Provider(*b"sixteen bytes of").encode()];
            ids.extend([global_id("ConnectedAccount", "ca_1"), global_id("Toolkit", "gmail")]);
            ids.into_iter().map(String::into_bytes).collect()
        }
        "configuration" => configurations(),
        "http" => requests(),
        other => panic!("no target has the name `{other}`"),
    }
}

/// Responses of the sandbox, with and without drift.
fn sandbox(path: &str, key: &str, value: &str) -> Vec<Vec<u8>> {
    with_paused_clock(async {
        let mut answers = Vec::new();
        for scenario in [Scenario::Healthy, Scenario::Drift] {
            let sandbox = Sandbox::new(Settings::default(), Clock::new(|| NOW.parse().unwrap()));
            scenario.arrange(&sandbox);
            let request = Request::get(path).header(key, value).body(Body::empty()).unwrap();
            let answer = sandbox.router().oneshot(request).await.unwrap();
            answers.push(answer.into_body().collect().await.unwrap().to_bytes().to_vec());
        }
        answers
    })
}

/// docs/upstreams.md#composio-rate-limits, #rate-limit-reset: every known dialect.
const HEADERS: [&str; 8] = [
    "200\nX-RateLimit-Limit: 1000\nX-RateLimit-Remaining: 995\nX-RateLimit-Reset: 1795305600",
    "200\nX-RateLimit: 2000\nX-RateLimit-Remaining: 0\nX-RateLimit-Window-Size: 60s\nDate: Sat, 21 Nov 2026 12:00:00 GMT",
    "429\nRetry-After: 30\nX-RateLimit-Limit: 10\nX-RateLimit-Remaining: -1",
    "429\nRetry-After: Sat, 21 Nov 2026 12:10:00 GMT\nDate: Sat, 21 Nov 2026 12:00:00 GMT",
    "200\nRateLimit-Limit: 100\nRateLimit-Remaining: 1\nRateLimit-Reset: 50.5",
    "429\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1795305600000",
    "503\nRetry-After: 1e300\nX-RateLimit-Reset: 2026-11-22T00:00:00Z",
    "200\nX-RateLimit-Limit: 18446744073709551615\nX-RateLimit-Remaining: 9223372036854775807\nX-RateLimit-Reset: 0",
];

/// A list of providers, plain and compressed.
const CODINGS: [&[u8]; 3] = [
    b"identity\n{\"data\":{\"providers\":[]}}",
    b"gzip\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xab\x56\x4a\x49\x2c\x49\x54\xb2\xaa\x56\x2a\x28\xca\x2f\xcb\x4c\x49\x2d\x2a\x56\xb2\x8a\x8e\xad\xad\x05\x00\xe6\xc3\x79\x80\x19\x00\x00\x00",
    b"identity, X-GZIP\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xab\x56\x4a\x49\x2c\x49\x54\xb2\xaa\x56\x2a\x28\xca\x2f\xcb\x4c\x49\x2d\x2a\x56\xb2\x8a\x8e\xad\xad\x05\x00\xe6\xc3\x79\x80\x19\x00\x00\x00",
];

/// Tokens that only one of the two parsers knows, or reads otherwise.
const DOCUMENTS: [&str; 4] = [
    "\"What it is for.\" query Q(\"\"\"An id.\"\"\" $i: ID = \"x\" $j: [ID!] = [7]) { node(id: $i) { id } nodes(ids: $j) { id } } \"b\" fragment F on Query { viewer { name } }",
    "{ user(id: \"\\u{1F600}\\uD83D\\uDE00 \\u0041\\n\") { id } toolkit(slug: \"\"\"\n  a \\\"\"\" b\"\"\") { id } }",
    "query ($v: ID = 123456789012345678901234567890) { a: node(id: -0) { id } b: nodes(ids: [9223372036854775808, $v]) { id } providers(first: -0) { totalCount } }",
    "{ __schema { types { interfaces { name } ...T @include(if: true) } } t: __type(name: \"Node\") { fields(includeDeprecated: null) { name } } } fragment T on __Type { isOneOf }",
];

fn configurations() -> Vec<Vec<u8>> {
    let variables =
        "UPSTREAM__LEADLEX__API_KEY=k3ep-m3-qu1et\nHTTP__LISTEN=127.0.0.1:0\nCACHE__LIMIT_BYTES=1000000";
    let tenants =
        "[[tenants]]\nname = \"a\"\nleadlex_key = \"k3ep-m3-qu1et\"\ncomposio_key = \"k3ep-m3-qu1et\"\n";
    let defaults = include_str!("../../../../switchboard.default.toml");
    [
        format!("{defaults}\n---\n{variables}"),
        format!("[upstream.leadlex]\napi_key = \"k3ep-m3-qu1et\"\nbase_url = \"http://localhost:1\"\n\n---\n{variables}"),
        format!("[auth]\nmode = \"tokens\"\n\n{tenants}\n---\n"),
        format!("[ids]\nkey = \"k3ep-m3-qu1et\"\n{tenants}\n---\nIDS__KEY_FILE=/dev/null"),
    ]
    .into_iter()
    .map(String::into_bytes)
    .collect()
}

fn requests() -> Vec<Vec<u8>> {
    let query = "query Page($first: Int = 2, $after: String, $ids: [ID!] = [\"ca_1\"]) { providers(first: $first) { nodes { ...P } }
        connectedAccounts(first: 3, after: $after, filter: { toolkits: [\"gmail\"], statuses: [ACTIVE] }) { totalCount edges { cursor node { id } } }
        nodes(ids: $ids) { __typename id } } fragment P on Provider { id name connectedAccounts(last: 1) @include(if: true) { nodes { userId } } }";
    let bodies = [
        json!({ "query": query, "variables": { "first": 1, "after": null }, "operationName": "Page" }),
        json!({ "query": "{ a: __typename @skip(if: false) __schema { types { name } } toolkit(slug: \"gmail\") { slug } }" }),
        json!({ "query": "mutation { refresh(upstream: LEADLEX) { retryAt } }", "extensions": { "switchboard": { "trace": true } } }),
        json!({ "query": "{ viewer { name } upstreams { name state } }", "variables": null, "extensions": null }),
        json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": "0".repeat(64) } } }),
        json!({ "query": "subscription { x }", "documentId": "sha256:0" }),
    ];
    let post = "POST \nhost: localhost:8080\ncontent-type: application/json\naccept: application/graphql-response+json\n\n";
    let gets = [
        "GET query=%7B__typename%7D&variables=%7B%22a%22%3A1%7D&operationName=\nhost: localhost:8080\naccept: */*\n\n",
        "GET query=query+A(%24s%3AString!)%7Btoolkit(slug%3A%24s)%7Bid%7D%7D&variables=%7B%22s%22%3A%22gmail%22%7D&extensions=%7B%7D\nhost: 127.0.0.1\nif-none-match: *\n\n",
        "OPTIONS \nhost: localhost\norigin: http://localhost:3000\naccess-control-request-method: POST\n\n",
    ];
    let posts = bodies.iter().map(|body| format!("{post}{body}"));
    posts.chain(gets.map(str::to_owned)).map(String::into_bytes).collect()
}
