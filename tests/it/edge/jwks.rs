//! An issuer's keys while they change, and while they cannot be read.

use std::time::Duration;

use axum::http::StatusCode;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::advance;

use super::issuer::{Issuer, Key, claims, now};
use super::{Seen, issuer};

fn valid_for_days() -> serde_json::Value {
    claims(json!({ "exp": now() + 900_000 }))
}

#[track_caller]
fn unreadable(seen: &Seen) {
    assert_eq!((seen.status, seen.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED"));
    assert_eq!(seen.header("retry-after"), "1");
    assert_eq!(seen.header("cache-control"), "no-store");
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_found_and_an_old_one_ends() {
    let (old, new) = (Key::ed("old"), Key::ed("new"));
    let issuer = Issuer::of(&[&old]);
    let (by_old, by_new) = (old.sign(&valid_for_days()), new.sign(&valid_for_days()));
    assert_eq!(issuer.ask(&by_old).await.status, StatusCode::OK);
    issuer.publish(&[&old, &new]);
    advance(Duration::from_secs(30)).await;
    assert_eq!(issuer.ask(&by_new).await.status, StatusCode::OK, "an unknown name has the keys read again");
    assert_eq!(issuer.reads(), 2);

    issuer.publish(&[&new]);
    advance(Duration::from_secs(599)).await;
    assert_eq!((issuer.ask(&by_old).await.status, issuer.reads()), (StatusCode::OK, 0));
    advance(Duration::from_secs(1)).await;
    // Old keys are in use until the new ones are there.
    assert_eq!(issuer.ask(&by_new).await.status, StatusCode::OK);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(issuer.reads(), 1);
    assert_eq!(issuer.ask(&by_old).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(start_paused = true)]
async fn names_that_do_not_exist_cost_the_issuer_one_reading_in_half_a_minute() {
    let (key, stranger) = (Key::ed("a"), Key::ed("b"));
    let issuer = Issuer::of(&[&key]);
    assert_eq!(issuer.ask(&key.sign(&claims(json!({})))).await.status, StatusCode::OK);
    assert_eq!(issuer.reads(), 1);
    let forged = stranger.sign(&claims(json!({})));
    for round in 0..3 {
        for seen in join_all((0..50).map(|_| issuer.ask(&forged))).await {
            assert_eq!(seen.status, StatusCode::UNAUTHORIZED);
            assert!(seen.message().contains("does not publish"), "{}", seen.message());
        }
        assert_eq!(issuer.reads(), usize::from(round > 0));
        advance(Duration::from_secs(30)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn many_at_once_wait_for_one_reading() {
    let key = Key::ed("a");
    let issuer = Issuer::of(&[&key]);
    let token = key.sign(&claims(json!({})));
    for seen in join_all((0..100).map(|_| issuer.ask(&token))).await {
        assert_eq!(seen.status, StatusCode::OK);
    }
    assert_eq!(issuer.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn while_the_issuer_is_down_its_last_keys_are_good_for_a_day() {
    let (key, new) = (Key::ed("a"), Key::ed("b"));
    let issuer = Issuer::of(&[&key]);
    let token = key.sign(&valid_for_days());
    assert_eq!(issuer.ask(&token).await.status, StatusCode::OK);
    issuer.publish_text(None);
    for _ in 0..23 {
        advance(Duration::from_secs(3_600)).await;
        assert_eq!(issuer.ask(&token).await.status, StatusCode::OK);
    }
    // Whether it is a new key of the issuer's cannot be told.
    advance(Duration::from_secs(60)).await;
    unreadable(&issuer.ask(&new.sign(&valid_for_days())).await);
    advance(Duration::from_secs(3_600)).await;
    unreadable(&issuer.ask(&token).await);
    issuer.publish(&[&key]);
    advance(Duration::from_secs(5)).await;
    assert_eq!(issuer.ask(&token).await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_was_never_read_lets_nobody_in_and_is_asked_again_soon() {
    let key = Key::ed("a");
    let issuer = Issuer::of(&[&key]);
    let token = key.sign(&claims(json!({})));
    let large = format!("{{\"keys\":[]}}{}", " ".repeat(256 * 1024));
    for text in [None, Some("<html>"), Some("{}"), Some("{\"keys\":[]}"), Some(large.as_str())] {
        issuer.publish_text(text);
        for _ in 0..3 {
            unreadable(&issuer.ask(&token).await);
        }
        assert_eq!(issuer.reads(), 1, "{text:?}");
        advance(Duration::from_secs(5)).await;
    }
    issuer.publish(&[&key]);
    assert_eq!(issuer.ask(&token).await.status, StatusCode::OK);
    // A token that can be refused without keys costs no reading.
    let unread = issuer::Issuer::of(&[&key]);
    assert_eq!(unread.ask("a.b.c").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(unread.reads(), 0);
}
