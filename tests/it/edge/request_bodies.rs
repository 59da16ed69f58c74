//! Request bodies that arrive slowly, and the memory limit that all request bodies share.

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use switchboard::http::settings::HttpSettings;
use tokio::sync::mpsc;

use super::{BODY_LIMIT, default_callers, edge, edge_with_settings, http_settings, post, send};

#[tokio::test(start_paused = true)]
async fn slow_request_body_times_out() {
    let drip = stream::unfold((), async |()| {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
    });
    let response = send(edge(default_callers()), post(Body::from_stream(drip.boxed()))).await;
    assert_eq!(
        (response.status, response.code().as_str()),
        (StatusCode::REQUEST_TIMEOUT, "DEADLINE_EXCEEDED")
    );
    assert_eq!(response.message(), "The request body did not arrive within 10000 ms.");
    assert_eq!(response.header("cache-control"), "no-store");
}

#[tokio::test]
async fn slow_request_bodies_share_one_memory_limit() {
    let settings = HttpSettings { bodies_limit_bytes: 2 * BODY_LIMIT, ..http_settings() };
    let router = edge_with_settings(default_callers(), settings);
    let mut dripping = Vec::new();
    for _ in 0..2 {
        let (sender, received) = mpsc::channel::<Result<Bytes, std::io::Error>>(1);
        let chunks = stream::unfold(received, async |mut received| Some((received.recv().await?, received)));
        let task = tokio::spawn(send(router.clone(), post(Body::from_stream(chunks.boxed()))));
        sender.send(Ok(Bytes::from(vec![b' '; BODY_LIMIT - 1]))).await.unwrap();
        // The channel's capacity is 1. A second send succeeds only after the first item is read.
        sender.send(Ok(Bytes::new())).await.unwrap();
        sender.send(Ok(Bytes::new())).await.unwrap();
        dripping.push((sender, task));
    }
    let hello = r#"{"query":"{ hello }"}"#;
    let response = send(router.clone(), post(hello)).await;
    assert_eq!((response.status, response.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED"));
    assert_eq!(response.header("retry-after"), "1");
    assert_eq!(response.json()["errors"][0]["extensions"]["retryAfterMs"], json!(1_000));

    for (sender, task) in dripping {
        drop(sender);
        assert_eq!(task.await.unwrap().status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(send(router, post(hello)).await.status, StatusCode::OK);
}
