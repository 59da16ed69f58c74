//! Bodies that drip, and the room that all bodies share.

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use switchboard::http::settings::HttpSettings;
use tokio::sync::mpsc;

use super::{BODY_LIMIT, anybody, ask, edge, edge_with, http_settings, post};

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_refused_when_its_time_is_over() {
    let drip = stream::unfold((), async |()| {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
    });
    let seen = ask(edge(anybody()), post(Body::from_stream(drip.boxed()))).await;
    assert_eq!((seen.status, seen.code().as_str()), (StatusCode::REQUEST_TIMEOUT, "DEADLINE_EXCEEDED"));
    assert_eq!(seen.message(), "The request's body did not arrive within 10000 ms.");
    assert_eq!(seen.header("cache-control"), "no-store");
}

#[tokio::test]
async fn many_bodies_that_drip_hold_no_more_than_the_room_for_all() {
    let settings = HttpSettings { bodies_limit_bytes: 2 * BODY_LIMIT, ..http_settings() };
    let router = edge_with(anybody(), settings);
    let mut dripping = Vec::new();
    for _ in 0..2 {
        let (send, received) = mpsc::channel::<Result<Bytes, std::io::Error>>(1);
        let chunks = stream::unfold(received, async |mut received| Some((received.recv().await?, received)));
        let task = tokio::spawn(ask(router.clone(), post(Body::from_stream(chunks.boxed()))));
        send.send(Ok(Bytes::from(vec![b' '; BODY_LIMIT - 1]))).await.unwrap();
        // The channel holds one: where a second fits in, the first was read.
        send.send(Ok(Bytes::new())).await.unwrap();
        send.send(Ok(Bytes::new())).await.unwrap();
        dripping.push((send, task));
    }
    let hello = r#"{"query":"{ hello }"}"#;
    let seen = ask(router.clone(), post(hello)).await;
    assert_eq!((seen.status, seen.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED"));
    assert_eq!(seen.header("retry-after"), "1");
    assert_eq!(seen.json()["errors"][0]["extensions"]["retryAfterMs"], json!(1_000));

    for (send, task) in dripping {
        drop(send);
        assert_eq!(task.await.unwrap().status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(ask(router, post(hello)).await.status, StatusCode::OK);
}
