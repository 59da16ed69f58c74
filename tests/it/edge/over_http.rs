//! GraphQL over HTTP: methods, media types, bodies, statuses.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;

use super::{BODY_LIMIT, anybody, ask, edge, get, post, with};

const HELLO: &str = r#"{"query":"{ hello }"}"#;

#[tokio::test]
async fn a_get_runs_queries_and_no_mutations() {
    let seen = ask(edge(anybody()), get("/graphql?query=%7Bhello%7D")).await;
    assert_eq!((seen.status, seen.text.as_str()), (StatusCode::OK, r#"{"data":{"hello":"hello"}}"#));

    for accept in ["application/json", "application/graphql-response+json"] {
        let request = with(get("/graphql?query=mutation%7Bbump%7D"), "accept", accept);
        let seen = ask(edge(anybody()), request).await;
        assert_eq!((seen.status, seen.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
        assert_eq!(seen.message(), "Mutations are run by POST alone.");
    }
    let seen = ask(edge(anybody()), post(r#"{"query":"mutation { bump }"}"#)).await;
    assert_eq!(seen.text, r#"{"data":{"bump":1}}"#);
}

#[tokio::test]
async fn other_methods_are_told_which_are_taken() {
    for method in [Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let mut request = post(HELLO);
        *request.method_mut() = method;
        let seen = ask(edge(anybody()), request).await;
        assert_eq!((seen.status, seen.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD, POST"));
        assert_eq!(seen.message(), "This method is not taken here; these are: GET, HEAD, POST.");
    }
}

#[tokio::test]
async fn a_body_must_be_declared_json() {
    for declared in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"] {
        let seen = ask(edge(anybody()), with(post(HELLO), "content-type", declared)).await;
        assert_eq!(seen.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(seen.message(), "A POST must be declared `Content-Type: application/json`, in UTF-8.");
        assert_eq!(seen.code(), "BAD_USER_INPUT");
    }
    let seen = ask(edge(anybody()), with(post(HELLO), "content-encoding", "gzip")).await;
    assert_eq!(seen.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(seen.message(), "Request bodies are taken as they are, without `Content-Encoding`.");
    for declared in ["application/json;charset=\"UTF-8\"", "Application/Json"] {
        let seen = ask(edge(anybody()), with(post(HELLO), "content-type", declared)).await;
        assert_eq!(seen.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_client_that_takes_no_json_is_told_what_there_is() {
    let seen = ask(edge(anybody()), with(post(HELLO), "accept", "text/html, multipart/mixed")).await;
    assert_eq!(seen.status, StatusCode::NOT_ACCEPTABLE);
    assert!(seen.message().contains("application/graphql-response+json"), "{}", seen.message());
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_however_it_is_sent() {
    let long = format!(r#"{{"query":"{{ hello }}","extensions":{{"x":"{}"}}}}"#, "x".repeat(BODY_LIMIT));
    let declared = with(post(long.clone()), "content-length", &long.len().to_string());
    let chunks: Vec<_> =
        long.as_bytes().chunks(100).map(|c| Ok::<_, std::io::Error>(Bytes::copy_from_slice(c))).collect();
    let chunked = post(Body::from_stream(stream::iter(chunks)));
    for request in [declared, chunked] {
        let seen = ask(edge(anybody()), request).await;
        assert_eq!((seen.status, seen.code().as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "LIMIT_EXCEEDED"));
        assert_eq!(seen.message(), "The request's body is larger than 4096 bytes.");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused() {
    let parts = [Ok(Bytes::from_static(b"{\"que")), Err(std::io::Error::other("reset"))];
    let seen = ask(edge(anybody()), post(Body::from_stream(stream::iter(parts)))).await;
    assert_eq!(
        (seen.status, seen.message().as_str()),
        (StatusCode::BAD_REQUEST, "The request's body did not arrive whole.")
    );
}

#[tokio::test]
async fn a_body_that_is_no_request_is_400_in_either_media_type() {
    for accept in ["application/json", "application/graphql-response+json"] {
        for (body, part) in [
            ("", "The request has no body."),
            ("{", "The body is no JSON"),
            (r#"[{"query":"{ hello }"}]"#, "not taken in batches"),
            (r#"{"qeury":"{ hello }"}"#, "`query` is missing"),
            (r#"{"query":"{ hello }","variables":[]}"#, "`variables` must be a JSON object or null"),
        ] {
            let seen = ask(edge(anybody()), with(post(body), "accept", accept)).await;
            assert_eq!((seen.status, seen.code().as_str()), (StatusCode::BAD_REQUEST, "BAD_USER_INPUT"));
            assert!(seen.message().contains(part), "{}", seen.message());
            assert!(seen.header("content-type").starts_with(accept));
        }
    }
}

#[tokio::test]
async fn another_sites_page_is_refused_by_every_method() {
    let refusal = "Another site's page sent this request (`Sec-Fetch-Site`, `Origin`): it is refused.";
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "http://localhost:9999"),
        ("origin", "null"),
    ] {
        for request in [post(HELLO), get("/graphql?query=%7Bhello%7D")] {
            let seen = ask(edge(anybody()), with(request, name, value)).await;
            assert_eq!((seen.status, seen.code().as_str()), (StatusCode::FORBIDDEN, "FORBIDDEN"));
            assert_eq!(seen.message(), refusal);
        }
    }
    for (name, value) in [
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "none"),
        ("origin", "http://localhost:8080"),
        ("origin", "https://localhost:8080"),
    ] {
        assert_eq!(
            ask(edge(anybody()), with(post(HELLO), name, value)).await.status,
            StatusCode::OK,
            "{value}"
        );
    }
}

#[tokio::test]
async fn the_request_id_is_taken_where_it_is_plain_and_made_elsewhere() {
    let seen = ask(edge(anybody()), with(post(HELLO), "x-request-id", "trace_7-a")).await;
    assert_eq!(seen.header("x-request-id"), "trace_7-a");
    let long = "x".repeat(65);
    for odd in ["with space", "<b>", long.as_str(), ""] {
        let seen = ask(edge(anybody()), with(post(HELLO), "x-request-id", odd)).await;
        let made = seen.header("x-request-id");
        assert!(made.len() == 32 && made.bytes().all(|byte| byte.is_ascii_hexdigit()), "{made}");
    }
    let missing = |seen: super::Seen| seen.header("x-request-id").to_owned();
    let (one, two) =
        (ask(edge(anybody()), post(HELLO)).await, ask(edge(anybody()), post(json!(1).to_string())).await);
    assert_ne!(missing(one), missing(two));
}
