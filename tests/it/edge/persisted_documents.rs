//! Persisted documents: trusted documents, and documents that clients registered.

use std::fs;
use std::path::{Path, PathBuf};

use axum::Router;
use axum::http::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use switchboard::http::caller::Authenticator;
use switchboard::http::webhook::Webhooks;
use switchboard::http::{EdgeParts, router};
use switchboard::operation::persisted::trusted::TrustedDocuments;
use switchboard::operation::settings::{DocumentMode, DocumentSettings};

use super::faulty_schema::FaultySchema;
use super::{TestResponse, default_callers, get, http_settings, post, send, with_header};

const HELLO: &str = "query Hello { hello }";
const BUMP: &str = "mutation Bump { bump }";

fn settings() -> DocumentSettings {
    DocumentSettings {
        trusted: PathBuf::new(),
        mode: DocumentMode::Enforce,
        automatic: true,
        automatic_limit_bytes: 1 << 20,
    }
}

fn edge(settings: &DocumentSettings, trusted: Option<TrustedDocuments>) -> Router {
    let operations = super::operations(FaultySchema::new()).with_documents(settings, trusted);
    router(EdgeParts {
        operations,
        callers: default_callers(),
        webhooks: Webhooks::none(),
        settings: http_settings(),
    })
}

/// A temporary directory with two documents.
fn trusted() -> TrustedDocuments {
    let name = std::thread::current().name().unwrap_or("trusted").replace(':', "_");
    let directory = std::env::temp_dir().join(format!("switchboard-{}-{name}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("Hello.graphql"), format!("{HELLO}\n")).unwrap();
    fs::write(directory.join("bump.graphql"), BUMP).unwrap();
    fs::write(directory.join("notes.txt"), "no document").unwrap();
    let trusted = TrustedDocuments::read(&directory).unwrap();
    fs::remove_dir_all(&directory).unwrap();
    trusted
}

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn persisted_query(text: &str) -> Value {
    json!({ "persistedQuery": { "version": 1, "sha256Hash": sha256(text) } })
}

async fn post_json(router: &Router, body: Value) -> TestResponse {
    send(router.clone(), post(body.to_string())).await
}

fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[tokio::test]
async fn document_registered_once_runs_by_hash() {
    let router = edge(&settings(), None);
    let unknown = post_json(&router, json!({ "extensions": persisted_query(HELLO) })).await;
    assert_eq!(
        (unknown.message().as_str(), unknown.code().as_str()),
        ("PersistedQueryNotFound", "PERSISTED_QUERY_NOT_FOUND")
    );
    assert_eq!(unknown.header("cache-control"), "no-store");

    let left = post_json(&router, json!({ "query": HELLO, "extensions": persisted_query(HELLO) })).await;
    assert_eq!(left.json(), json!({ "data": { "hello": "hello" } }));
    let named =
        post_json(&router, json!({ "extensions": persisted_query(HELLO), "operationName": "Hello" })).await;
    assert_eq!(named.json(), json!({ "data": { "hello": "hello" } }));
    let by_id = post_json(&router, json!({ "documentId": format!("sha256:{}", sha256(HELLO)) })).await;
    assert_eq!(by_id.json(), json!({ "data": { "hello": "hello" } }));

    let url = format!("/graphql?extensions={}", escaped(&persisted_query(HELLO).to_string()));
    assert_eq!(send(router.clone(), get(&url)).await.status, StatusCode::OK);
    let url = format!("/graphql?documentId=sha256%3A{}", sha256(HELLO));
    assert_eq!(send(router, get(&url)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn registered_documents_are_separate_by_tenant() {
    let operations = super::operations(FaultySchema::new()).with_documents(&settings(), None);
    let router = router(EdgeParts {
        operations,
        callers: Authenticator::Passthrough,
        webhooks: Webhooks::none(),
        settings: http_settings(),
    });
    let post_json = async |leadlex: &str, composio: &str, body: Value| {
        let mut request = post(body.to_string());
        for (name, key) in [("authorization", leadlex), ("x-api-key", composio)] {
            if !key.is_empty() {
                request = with_header(request, name, key);
            }
        }
        send(router.clone(), request).await
    };
    let (one, other) = ("Bearer wbk_one", "Bearer wbk_other");
    let left =
        post_json(one, "ak_one", json!({ "query": HELLO, "extensions": persisted_query(HELLO) })).await;
    assert_eq!(left.status, StatusCode::OK);
    let named = json!({ "extensions": persisted_query(HELLO) });
    assert_eq!(post_json(one, "ak_one", named.clone()).await.json(), json!({ "data": { "hello": "hello" } }));
    for (leadlex, composio) in
        [(other, "ak_other"), (one, "ak_other"), (other, "ak_one"), (one, ""), ("", "ak_one")]
    {
        let response = post_json(leadlex, composio, named.clone()).await;
        assert_eq!(response.code(), "PERSISTED_QUERY_NOT_FOUND", "{leadlex} {composio}");
    }
}

#[tokio::test]
async fn mutation_by_get_is_refused_by_hash_too() {
    let router = edge(&settings(), Some(trusted()));
    for query in [
        format!("extensions={}", escaped(&persisted_query(BUMP).to_string())),
        format!("documentId=sha256%3A{}", sha256(BUMP)),
        "documentId=bump".to_owned(),
    ] {
        let response = send(router.clone(), get(&format!("/graphql?{query}"))).await;
        assert_eq!(response.status, StatusCode::METHOD_NOT_ALLOWED, "{query}");
        assert_eq!(response.message(), "Mutations are not allowed by GET. Send the request by POST.");
    }
    assert_eq!(
        post_json(&router, json!({ "documentId": "bump" })).await.json(),
        json!({ "data": { "bump": 1 } })
    );
}

#[tokio::test]
async fn wrong_hash_and_invalid_documents_are_not_registered() {
    let router = edge(&settings(), None);
    let response =
        post_json(&router, json!({ "query": "{ hello }", "extensions": persisted_query(HELLO) })).await;
    assert_eq!(
        response.json()["errors"][0]["extensions"],
        json!({ "code": "BAD_USER_INPUT", "reason": "BAD_HASH" })
    );
    let wrong = "{ nothing }";
    let response = post_json(&router, json!({ "query": wrong, "extensions": persisted_query(wrong) })).await;
    assert_eq!(response.code(), "GRAPHQL_VALIDATION_FAILED");
    let response = post_json(&router, json!({ "extensions": persisted_query(wrong) })).await;
    assert_eq!(response.code(), "PERSISTED_QUERY_NOT_FOUND");
}

#[tokio::test]
async fn registered_documents_are_bounded_and_evict_the_oldest() {
    let small = DocumentSettings { automatic_limit_bytes: 2_000, ..settings() };
    let router = edge(&small, None);
    let mut known = 0;
    for number in 0..200 {
        let text = format!("query Q{number} {{ hello }}");
        post_json(&router, json!({ "query": text, "extensions": persisted_query(&text) })).await;
        known += usize::from(
            post_json(&router, json!({ "extensions": persisted_query(&text) })).await.status.is_success(),
        );
    }
    assert_eq!(known, 200, "the newest documents are present");
    let first = post_json(&router, json!({ "extensions": persisted_query("query Q0 { hello }") })).await;
    assert_eq!(first.code(), "PERSISTED_QUERY_NOT_FOUND");
}

#[tokio::test]
async fn disabled_persisted_documents_are_reported() {
    let router = edge(&DocumentSettings { automatic: false, ..settings() }, None);
    let response = post_json(&router, json!({ "extensions": persisted_query(HELLO) })).await;
    let refusal = ("PersistedQueryNotSupported", "PERSISTED_QUERY_NOT_SUPPORTED");
    assert_eq!((response.message().as_str(), response.code().as_str()), refusal);
    let whole = post_json(&router, json!({ "query": HELLO, "extensions": persisted_query(HELLO) })).await;
    assert_eq!(whole.status, StatusCode::OK, "a request that also has the document runs");
}

#[tokio::test]
async fn enforced_mode_runs_only_trusted_documents() {
    let router = edge(&settings(), Some(trusted()));
    for body in [
        json!({ "documentId": "Hello" }),
        json!({ "documentId": format!("sha256:{}", sha256(HELLO)) }),
        json!({ "extensions": persisted_query(HELLO) }),
        json!({ "query": HELLO }),
        json!({ "query": HELLO, "extensions": persisted_query(HELLO) }),
    ] {
        let response = post_json(&router, body.clone()).await;
        assert_eq!(response.json(), json!({ "data": { "hello": "hello" } }), "{body}");
    }
    let stranger = "{ hello }";
    for body in
        [json!({ "query": stranger }), json!({ "query": stranger, "extensions": persisted_query(stranger) })]
    {
        let response = post_json(&router, body).await;
        assert_eq!(
            response.json()["errors"][0]["extensions"],
            json!({ "code": "FORBIDDEN", "reason": "NOT_TRUSTED" })
        );
    }
    for body in [json!({ "extensions": persisted_query(stranger) }), json!({ "documentId": "Unknown" })] {
        assert_eq!(post_json(&router, body).await.code(), "PERSISTED_QUERY_NOT_FOUND");
    }
}

#[tokio::test]
async fn log_mode_runs_untrusted_documents() {
    let router = edge(&DocumentSettings { mode: DocumentMode::Log, ..settings() }, Some(trusted()));
    let response = post_json(&router, json!({ "query": "{ hello }" })).await;
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(post_json(&router, json!({ "documentId": "Hello" })).await.status, StatusCode::OK);
}

#[tokio::test]
async fn each_malformed_document_id_has_its_own_message() {
    let router = edge(&settings(), None);
    for (body, sentence) in [
        (json!({ "documentId": 1 }), "`documentId` must be a string or null, but it is a number."),
        (
            json!({ "documentId": "sha256:abc" }),
            "`documentId` begins with `sha256:` and has no 64 hexadecimal digits after it.",
        ),
        (
            // A sign is not a digit, although Rust's integer parser accepts one.
            json!({ "documentId": format!("sha256:{}", "+f".repeat(32)) }),
            "`documentId` begins with `sha256:` and has no 64 hexadecimal digits after it.",
        ),
        (
            json!({ "documentId": "a", "query": HELLO }),
            "The request has a `documentId` and a `query`: send one of the two.",
        ),
        (
            json!({ "extensions": { "persistedQuery": { "version": 2, "sha256Hash": "a" } } }),
            "`extensions.persistedQuery` must be `{\"version\": 1, \"sha256Hash\": \"…\"}`.",
        ),
        (
            json!({ "query": HELLO, "extensions": { "persistedQuery": { "version": 1, "sha256Hash": "banana" } } }),
            "`extensions.persistedQuery.sha256Hash` has 6 characters: it must be the SHA-256 of the document's text, 64 hexadecimal digits.",
        ),
        (
            json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": "banana" } } }),
            "`extensions.persistedQuery.sha256Hash` has 6 characters: it must be the SHA-256 of the document's text, 64 hexadecimal digits.",
        ),
        (
            json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": "g".repeat(64) } } }),
            "`extensions.persistedQuery.sha256Hash` has other characters than hexadecimal digits: it must be the SHA-256 of the document's text, 64 hexadecimal digits.",
        ),
        (
            json!({ "extensions": { "persistedQuery": null } }),
            "`query` is missing: the text of a GraphQL document.",
        ),
    ] {
        let response = post_json(&router, body).await;
        assert_eq!((response.message().as_str(), response.code().as_str()), (sentence, "BAD_USER_INPUT"));
    }
    let plain = with_header(
        post(json!({ "extensions": persisted_query(HELLO) }).to_string()),
        "accept",
        "application/json",
    );
    assert_eq!(send(router, plain).await.status, StatusCode::OK, "Apollo Server does the same");
}

#[test]
fn unreadable_trusted_documents_are_reported_with_their_path() {
    let missing = TrustedDocuments::read(Path::new("no-such-directory")).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read \"no-such-directory\""), "{missing}");
    let empty =
        TrustedDocuments::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap_err().to_string();
    assert!(empty.ends_with("a directory needs files that end in .graphql"), "{empty}");
}
