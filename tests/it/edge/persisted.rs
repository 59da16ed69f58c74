//! Documents that clients name: trusted ones, and those that they left here.

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

use super::faulty::Faulty;
use super::{Seen, anybody, ask, get, http_settings, post, with};

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
    let operations = super::operations(Faulty::new()).naming(settings, trusted);
    router(EdgeParts {
        operations,
        callers: anybody(),
        webhooks: Webhooks::none(),
        settings: http_settings(),
    })
}

/// A directory of its own with two documents in it.
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

fn by_hash(text: &str) -> Value {
    json!({ "persistedQuery": { "version": 1, "sha256Hash": sha256(text) } })
}

async fn send(router: &Router, body: Value) -> Seen {
    ask(router.clone(), post(body.to_string())).await
}

fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[tokio::test]
async fn a_document_is_left_once_and_named_from_then_on_by_post_and_get() {
    let router = edge(&settings(), None);
    let unknown = send(&router, json!({ "extensions": by_hash(HELLO) })).await;
    assert_eq!(
        (unknown.message().as_str(), unknown.code().as_str()),
        ("PersistedQueryNotFound", "PERSISTED_QUERY_NOT_FOUND")
    );
    assert_eq!(unknown.header("cache-control"), "no-store");

    let left = send(&router, json!({ "query": HELLO, "extensions": by_hash(HELLO) })).await;
    assert_eq!(left.json(), json!({ "data": { "hello": "hello" } }));
    let named = send(&router, json!({ "extensions": by_hash(HELLO), "operationName": "Hello" })).await;
    assert_eq!(named.json(), json!({ "data": { "hello": "hello" } }));
    let by_id = send(&router, json!({ "documentId": format!("sha256:{}", sha256(HELLO)) })).await;
    assert_eq!(by_id.json(), json!({ "data": { "hello": "hello" } }));

    let url = format!("/graphql?extensions={}", escaped(&by_hash(HELLO).to_string()));
    assert_eq!(ask(router.clone(), get(&url)).await.status, StatusCode::OK);
    let url = format!("/graphql?documentId=sha256%3A{}", sha256(HELLO));
    assert_eq!(ask(router, get(&url)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_one_tenant_left_another_neither_runs_nor_learns_of() {
    let operations = super::operations(Faulty::new()).naming(&settings(), None);
    let router = router(EdgeParts {
        operations,
        callers: Authenticator::Passthrough,
        webhooks: Webhooks::none(),
        settings: http_settings(),
    });
    let send = async |leadlex: &str, composio: &str, body: Value| {
        let mut request = post(body.to_string());
        for (name, key) in [("authorization", leadlex), ("x-api-key", composio)] {
            if !key.is_empty() {
                request = with(request, name, key);
            }
        }
        ask(router.clone(), request).await
    };
    let (one, other) = ("Bearer wbk_one", "Bearer wbk_other");
    let left = send(one, "ak_one", json!({ "query": HELLO, "extensions": by_hash(HELLO) })).await;
    assert_eq!(left.status, StatusCode::OK);
    let named = json!({ "extensions": by_hash(HELLO) });
    assert_eq!(send(one, "ak_one", named.clone()).await.json(), json!({ "data": { "hello": "hello" } }));
    for (leadlex, composio) in
        [(other, "ak_other"), (one, "ak_other"), (other, "ak_one"), (one, ""), ("", "ak_one")]
    {
        let seen = send(leadlex, composio, named.clone()).await;
        assert_eq!(seen.code(), "PERSISTED_QUERY_NOT_FOUND", "{leadlex} {composio}");
    }
}

#[tokio::test]
async fn a_mutation_by_get_is_refused_however_it_is_named() {
    let router = edge(&settings(), Some(trusted()));
    for query in [
        format!("extensions={}", escaped(&by_hash(BUMP).to_string())),
        format!("documentId=sha256%3A{}", sha256(BUMP)),
        "documentId=bump".to_owned(),
    ] {
        let seen = ask(router.clone(), get(&format!("/graphql?{query}"))).await;
        assert_eq!(seen.status, StatusCode::METHOD_NOT_ALLOWED, "{query}");
        assert_eq!(seen.message(), "Mutations are run by POST alone.");
    }
    assert_eq!(send(&router, json!({ "documentId": "bump" })).await.json(), json!({ "data": { "bump": 1 } }));
}

#[tokio::test]
async fn nobody_leaves_a_document_under_anothers_hash_nor_one_that_is_wrong() {
    let router = edge(&settings(), None);
    let seen = send(&router, json!({ "query": "{ hello }", "extensions": by_hash(HELLO) })).await;
    assert_eq!(
        seen.json()["errors"][0]["extensions"],
        json!({ "code": "BAD_USER_INPUT", "reason": "BAD_HASH" })
    );
    let wrong = "{ nothing }";
    let seen = send(&router, json!({ "query": wrong, "extensions": by_hash(wrong) })).await;
    assert_eq!(seen.code(), "GRAPHQL_VALIDATION_FAILED");
    let seen = send(&router, json!({ "extensions": by_hash(wrong) })).await;
    assert_eq!(seen.code(), "PERSISTED_QUERY_NOT_FOUND");
}

#[tokio::test]
async fn what_is_left_is_bounded_and_the_newest_stays() {
    let small = DocumentSettings { automatic_limit_bytes: 2_000, ..settings() };
    let router = edge(&small, None);
    let mut known = 0;
    for number in 0..200 {
        let text = format!("query Q{number} {{ hello }}");
        send(&router, json!({ "query": text, "extensions": by_hash(&text) })).await;
        known +=
            usize::from(send(&router, json!({ "extensions": by_hash(&text) })).await.status.is_success());
    }
    assert_eq!(known, 200, "what was left a moment ago is there");
    let first = send(&router, json!({ "extensions": by_hash("query Q0 { hello }") })).await;
    assert_eq!(first.code(), "PERSISTED_QUERY_NOT_FOUND");
}

#[tokio::test]
async fn where_documents_cannot_be_named_it_is_said() {
    let router = edge(&DocumentSettings { automatic: false, ..settings() }, None);
    let seen = send(&router, json!({ "extensions": by_hash(HELLO) })).await;
    let refusal = ("PersistedQueryNotSupported", "PERSISTED_QUERY_NOT_SUPPORTED");
    assert_eq!((seen.message().as_str(), seen.code().as_str()), refusal);
    let whole = send(&router, json!({ "query": HELLO, "extensions": by_hash(HELLO) })).await;
    assert_eq!(whole.status, StatusCode::OK, "with its document beside it, it runs");
}

#[tokio::test]
async fn enforced_nothing_runs_but_what_is_trusted() {
    let router = edge(&settings(), Some(trusted()));
    for body in [
        json!({ "documentId": "Hello" }),
        json!({ "documentId": format!("sha256:{}", sha256(HELLO)) }),
        json!({ "extensions": by_hash(HELLO) }),
        json!({ "query": HELLO }),
        json!({ "query": HELLO, "extensions": by_hash(HELLO) }),
    ] {
        let seen = send(&router, body.clone()).await;
        assert_eq!(seen.json(), json!({ "data": { "hello": "hello" } }), "{body}");
    }
    let stranger = "{ hello }";
    for body in [json!({ "query": stranger }), json!({ "query": stranger, "extensions": by_hash(stranger) })]
    {
        let seen = send(&router, body).await;
        assert_eq!(
            seen.json()["errors"][0]["extensions"],
            json!({ "code": "FORBIDDEN", "reason": "NOT_TRUSTED" })
        );
    }
    for body in [json!({ "extensions": by_hash(stranger) }), json!({ "documentId": "Nobody" })] {
        assert_eq!(send(&router, body).await.code(), "PERSISTED_QUERY_NOT_FOUND");
    }
}

#[tokio::test]
async fn logged_everything_runs() {
    let router = edge(&DocumentSettings { mode: DocumentMode::Log, ..settings() }, Some(trusted()));
    let seen = send(&router, json!({ "query": "{ hello }" })).await;
    assert_eq!(seen.status, StatusCode::OK);
    assert_eq!(send(&router, json!({ "documentId": "Hello" })).await.status, StatusCode::OK);
}

#[tokio::test]
async fn each_mistake_in_naming_has_its_own_sentence() {
    let router = edge(&settings(), None);
    for (body, sentence) in [
        (json!({ "documentId": 1 }), "`documentId` must be a string or null, but it is a number."),
        (
            json!({ "documentId": "sha256:abc" }),
            "`documentId` begins with `sha256:` and has no 64 hexadecimal digits after it.",
        ),
        (
            // A sign is no digit, though Rust's own reading of numbers takes one.
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
            "`extensions.persistedQuery.sha256Hash` must be the SHA-256 of the document's text: 64 hexadecimal digits.",
        ),
        (
            json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": "banana" } } }),
            "`extensions.persistedQuery.sha256Hash` must be the SHA-256 of the document's text: 64 hexadecimal digits.",
        ),
        (
            json!({ "extensions": { "persistedQuery": null } }),
            "`query` is missing: the text of a GraphQL document.",
        ),
    ] {
        let seen = send(&router, body).await;
        assert_eq!((seen.message().as_str(), seen.code().as_str()), (sentence, "BAD_USER_INPUT"));
    }
    let plain = with(post(json!({ "extensions": by_hash(HELLO) }).to_string()), "accept", "application/json");
    assert_eq!(ask(router, plain).await.status, StatusCode::OK, "as Apollo's servers answer it");
}

#[test]
fn what_cannot_be_read_is_told_with_its_path() {
    let missing = TrustedDocuments::read(Path::new("no-such-directory")).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read \"no-such-directory\""), "{missing}");
    let empty =
        TrustedDocuments::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap_err().to_string();
    assert!(empty.ends_with("a directory needs files that end in .graphql"), "{empty}");
}
