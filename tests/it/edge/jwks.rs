//! An issuer's keys during rotation and during outages.

use std::time::Duration;

use axum::http::StatusCode;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::advance;

use super::issuer::{Issuer, Key, claims, now};
use super::{TestResponse, issuer};

fn valid_for_days() -> serde_json::Value {
    claims(json!({ "exp": now() + 900_000 }))
}

#[track_caller]
fn unreadable(response: &TestResponse) {
    assert_eq!((response.status, response.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED"));
    assert_eq!(response.header("retry-after"), "1");
    assert_eq!(response.header("cache-control"), "no-store");
}

#[tokio::test(start_paused = true)]
async fn key_rotation_adds_and_removes_keys() {
    let (old, new) = (Key::ed("old"), Key::ed("new"));
    let issuer = Issuer::new(&[&old]);
    let (by_old, by_new) = (old.sign(&valid_for_days()), new.sign(&valid_for_days()));
    assert_eq!(issuer.send(&by_old).await.status, StatusCode::OK);
    issuer.publish(&[&old, &new]);
    advance(Duration::from_secs(30)).await;
    assert_eq!(issuer.send(&by_new).await.status, StatusCode::OK, "an unknown key id refreshes the key set");
    assert_eq!(issuer.reads(), 2);

    issuer.publish(&[&new]);
    advance(Duration::from_secs(599)).await;
    assert_eq!((issuer.send(&by_old).await.status, issuer.reads()), (StatusCode::OK, 0));
    advance(Duration::from_secs(1)).await;
    // Old keys stay in use until the new key set is read.
    assert_eq!(issuer.send(&by_new).await.status, StatusCode::OK);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(issuer.reads(), 1);
    assert_eq!(issuer.send(&by_old).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(start_paused = true)]
async fn unknown_key_ids_refresh_at_most_every_30_seconds() {
    let (key, stranger) = (Key::ed("a"), Key::ed("b"));
    let issuer = Issuer::new(&[&key]);
    assert_eq!(issuer.send(&key.sign(&claims(json!({})))).await.status, StatusCode::OK);
    assert_eq!(issuer.reads(), 1);
    let forged = stranger.sign(&claims(json!({})));
    for round in 0..3 {
        for response in join_all((0..50).map(|_| issuer.send(&forged))).await {
            assert_eq!(response.status, StatusCode::UNAUTHORIZED);
            assert!(response.message().contains("is not published"), "{}", response.message());
        }
        assert_eq!(issuer.reads(), usize::from(round > 0));
        advance(Duration::from_secs(30)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn concurrent_requests_share_one_key_refresh() {
    let key = Key::ed("a");
    let issuer = Issuer::new(&[&key]);
    let token = key.sign(&claims(json!({})));
    for response in join_all((0..100).map(|_| issuer.send(&token))).await {
        assert_eq!(response.status, StatusCode::OK);
    }
    assert_eq!(issuer.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn cached_keys_are_valid_for_a_day_while_the_issuer_is_down() {
    let (key, new) = (Key::ed("a"), Key::ed("b"));
    let issuer = Issuer::new(&[&key]);
    let token = key.sign(&valid_for_days());
    assert_eq!(issuer.send(&token).await.status, StatusCode::OK);
    issuer.publish_text(None);
    for _ in 0..23 {
        advance(Duration::from_secs(3_600)).await;
        assert_eq!(issuer.send(&token).await.status, StatusCode::OK);
    }
    // The key set cannot be read, so the key may be a new one.
    advance(Duration::from_secs(60)).await;
    unreadable(&issuer.send(&new.sign(&valid_for_days())).await);
    advance(Duration::from_secs(3_600)).await;
    unreadable(&issuer.send(&token).await);
    issuer.publish(&[&key]);
    advance(Duration::from_secs(5)).await;
    assert_eq!(issuer.send(&token).await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn unreadable_issuer_refuses_all_and_is_retried_soon() {
    let key = Key::ed("a");
    let issuer = Issuer::new(&[&key]);
    let token = key.sign(&claims(json!({})));
    let large = format!("{{\"keys\":[]}}{}", " ".repeat(256 * 1024));
    for text in [None, Some("<html>"), Some("{}"), Some("{\"keys\":[]}"), Some(large.as_str())] {
        issuer.publish_text(text);
        for _ in 0..3 {
            unreadable(&issuer.send(&token).await);
        }
        assert_eq!(issuer.reads(), 1, "{text:?}");
        advance(Duration::from_secs(5)).await;
    }
    issuer.publish(&[&key]);
    assert_eq!(issuer.send(&token).await.status, StatusCode::OK);
    // A token that is refused without keys causes no read of the key set.
    let unread = issuer::Issuer::new(&[&key]);
    assert_eq!(unread.send("a.b.c").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(unread.reads(), 0);
}
