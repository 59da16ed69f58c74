//! GraphQL over HTTP: methods, media types, bodies and statuses.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;

use super::{BODY_LIMIT, default_callers, edge, get, post, send, with_header};

const HELLO: &str = r#"{"query":"{ hello }"}"#;

#[tokio::test]
async fn get_runs_queries_but_no_mutations() {
    let response = send(edge(default_callers()), get("/graphql?query=%7Bhello%7D")).await;
    assert_eq!((response.status, response.text.as_str()), (StatusCode::OK, r#"{"data":{"hello":"hello"}}"#));

    for accept in ["application/json", "application/graphql-response+json"] {
        let request = with_header(get("/graphql?query=mutation%7Bbump%7D"), "accept", accept);
        let response = send(edge(default_callers()), request).await;
        assert_eq!((response.status, response.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
        assert_eq!(response.message(), "Mutations are not allowed by GET. Send the request by POST.");
    }
    let response = send(edge(default_callers()), post(r#"{"query":"mutation { bump }"}"#)).await;
    assert_eq!(response.text, r#"{"data":{"bump":1}}"#);
}

#[tokio::test]
async fn other_methods_are_405_with_allow() {
    for method in [Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let mut request = post(HELLO);
        *request.method_mut() = method;
        let response = send(edge(default_callers()), request).await;
        assert_eq!(
            (response.status, response.header("allow")),
            (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD, POST")
        );
        assert_eq!(response.message(), "This method is not allowed. Allowed: GET, HEAD, POST.");
    }
}

#[tokio::test]
async fn content_type_must_be_json() {
    for declared in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"] {
        let response =
            send(edge(default_callers()), with_header(post(HELLO), "content-type", declared)).await;
        assert_eq!(response.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(response.message(), "A POST request must have `Content-Type: application/json` in UTF-8.");
        assert_eq!(response.code(), "BAD_USER_INPUT");
    }
    let response = send(edge(default_callers()), with_header(post(HELLO), "content-encoding", "gzip")).await;
    assert_eq!(response.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(
        response.message(),
        "`Content-Encoding` is not supported for requests. Send the body uncompressed."
    );
    for declared in ["application/json;charset=\"UTF-8\"", "Application/Json"] {
        let response =
            send(edge(default_callers()), with_header(post(HELLO), "content-type", declared)).await;
        assert_eq!(response.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn unacceptable_media_type_is_406() {
    let response =
        send(edge(default_callers()), with_header(post(HELLO), "accept", "text/html, multipart/mixed")).await;
    assert_eq!(response.status, StatusCode::NOT_ACCEPTABLE);
    assert!(response.message().contains("application/graphql-response+json"), "{}", response.message());
}

#[tokio::test]
async fn oversized_body_is_refused_with_and_without_content_length() {
    let long = format!(r#"{{"query":"{{ hello }}","extensions":{{"x":"{}"}}}}"#, "x".repeat(BODY_LIMIT));
    let declared = with_header(post(long.clone()), "content-length", &long.len().to_string());
    let chunks: Vec<_> =
        long.as_bytes().chunks(100).map(|c| Ok::<_, std::io::Error>(Bytes::copy_from_slice(c))).collect();
    let chunked = post(Body::from_stream(stream::iter(chunks)));
    for request in [declared, chunked] {
        let response = send(edge(default_callers()), request).await;
        assert_eq!(
            (response.status, response.code().as_str()),
            (StatusCode::PAYLOAD_TOO_LARGE, "LIMIT_EXCEEDED")
        );
        assert_eq!(response.message(), "The request body is larger than 4096 bytes.");
    }
}

#[tokio::test]
async fn incomplete_body_is_refused() {
    let parts = [Ok(Bytes::from_static(b"{\"que")), Err(std::io::Error::other("reset"))];
    let response = send(edge(default_callers()), post(Body::from_stream(stream::iter(parts)))).await;
    assert_eq!(
        (response.status, response.message().as_str()),
        (StatusCode::BAD_REQUEST, "The request body is incomplete.")
    );
}

#[tokio::test]
async fn malformed_body_is_400_in_both_media_types() {
    for accept in ["application/json", "application/graphql-response+json"] {
        for (body, part) in [
            ("", "The request has no body."),
            ("{", "The body is not JSON"),
            (r#"[{"query":"{ hello }"}]"#, "Batches are not accepted"),
            (r#"{"qeury":"{ hello }"}"#, "`query` is missing"),
            (r#"{"query":"{ hello }","variables":[]}"#, "`variables` must be a JSON object or null"),
        ] {
            let response = send(edge(default_callers()), with_header(post(body), "accept", accept)).await;
            assert_eq!(
                (response.status, response.code().as_str()),
                (StatusCode::BAD_REQUEST, "BAD_USER_INPUT")
            );
            assert!(response.message().contains(part), "{}", response.message());
            assert!(response.header("content-type").starts_with(accept));
        }
    }
}

#[tokio::test]
async fn cross_site_requests_are_refused_by_every_method() {
    let refusal = "Requests of another site's page are refused (`Sec-Fetch-Site`, `Origin`). To allow the page, add its origin to the setting `http.cors_origins` (in `demo`: --cors-origin).";
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "http://localhost:9999"),
        ("origin", "null"),
    ] {
        for request in [post(HELLO), get("/graphql?query=%7Bhello%7D")] {
            let response = send(edge(default_callers()), with_header(request, name, value)).await;
            assert_eq!((response.status, response.code().as_str()), (StatusCode::FORBIDDEN, "FORBIDDEN"));
            assert_eq!(response.message(), refusal);
        }
    }
    for (name, value) in [
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "none"),
        ("origin", "http://localhost:8080"),
        ("origin", "https://localhost:8080"),
    ] {
        assert_eq!(
            send(edge(default_callers()), with_header(post(HELLO), name, value)).await.status,
            StatusCode::OK,
            "{value}"
        );
    }
}

#[tokio::test]
async fn request_id_is_reused_if_valid_else_generated() {
    let response = send(edge(default_callers()), with_header(post(HELLO), "x-request-id", "trace_7-a")).await;
    assert_eq!(response.header("x-request-id"), "trace_7-a");
    let long = "x".repeat(65);
    for odd in ["with space", "<b>", long.as_str(), ""] {
        let response = send(edge(default_callers()), with_header(post(HELLO), "x-request-id", odd)).await;
        let made = response.header("x-request-id");
        assert!(made.len() == 32 && made.bytes().all(|byte| byte.is_ascii_hexdigit()), "{made}");
    }
    let missing = |response: super::TestResponse| response.header("x-request-id").to_owned();
    let (one, two) = (
        send(edge(default_callers()), post(HELLO)).await,
        send(edge(default_callers()), post(json!(1).to_string())).await,
    );
    assert_ne!(missing(one), missing(two));
}
