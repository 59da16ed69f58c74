//! Who asks for the same at the same moment gets one execution's answer.

use axum::Router;
use axum::http::StatusCode;
use futures_util::future::join_all;
use serde_json::json;
use switchboard::http::caller::Authenticator;
use tokio::task::JoinHandle;

use super::faulty::Faulty;
use super::{Seen, anybody, ask, edge_over, post, with};

fn asking(router: &Router, query: &str) -> JoinHandle<Seen> {
    tokio::spawn(ask(router.clone(), post(json!({ "query": query }).to_string())))
}

#[tokio::test(start_paused = true)]
async fn a_thousand_at_once_are_one_execution_and_the_first_may_hang_up() {
    let (faulty, gate) = Faulty::with_gate();
    let router = edge_over(anybody(), faulty);
    let first = asking(&router, "{ waits }");
    gate.is_reached_by(1).await;
    let followers: Vec<_> = (0..1_000).map(|_| asking(&router, "{ waits }")).collect();
    let another = asking(&router, "{ another: waits }");
    gate.is_reached_by(1).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    gate.open();
    for seen in join_all(followers).await {
        assert_eq!(seen.unwrap().text, r#"{"data":{"waits":1}}"#);
    }
    assert_eq!(another.await.unwrap().text, r#"{"data":{"another":2}}"#);
}

#[tokio::test(start_paused = true)]
async fn all_get_the_errors_of_that_execution_and_the_next_is_another() {
    let (faulty, gate) = Faulty::with_gate();
    let router = edge_over(anybody(), faulty);
    let asked: Vec<_> = (0..10).map(|_| asking(&router, "{ waits limited }")).collect();
    gate.is_reached_by(1).await;
    gate.open();
    for seen in join_all(asked).await {
        let seen = seen.unwrap();
        assert_eq!(
            (seen.json()["data"]["waits"].clone(), seen.code()),
            (json!(1), "UPSTREAM_RATE_LIMITED".into())
        );
        assert_eq!(seen.header("cache-control"), "no-store");
    }
    assert_eq!(asking(&router, "{ waits limited }").await.unwrap().json()["data"]["waits"], json!(2));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_error_for_all_and_the_next_is_executed() {
    let (faulty, gate) = Faulty::with_gate();
    let router = edge_over(anybody(), faulty);
    let asked: Vec<_> = (0..10).map(|_| asking(&router, "{ waits panics }")).collect();
    for seen in join_all(asked).await {
        let seen = seen.unwrap();
        assert_eq!((seen.status, seen.code()), (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL".into()));
    }
    gate.open();
    assert_eq!(asking(&router, "{ waits }").await.unwrap().status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn nobody_joins_a_caller_with_other_keys_a_mutation_or_what_is_of_the_moment() {
    let (faulty, gate) = Faulty::with_gate();
    let router = edge_over(Authenticator::Passthrough, faulty);
    let keys = [("Bearer wbk_a", "ak_a"), ("Bearer wbk_a", "ak_b"), ("Bearer wbk_b", "ak_a")];
    let of = |(bearer, key): (&str, &str), query: &str| {
        let request = with(post(json!({ "query": query }).to_string()), "authorization", bearer);
        tokio::spawn(ask(router.clone(), with(request, "x-api-key", key)))
    };
    let asked: Vec<_> = keys.into_iter().map(|keys| of(keys, "{ waits }")).collect();
    let moments: Vec<_> = (0..2).map(|_| of(keys[0], "{ waits viewer }")).collect();
    gate.is_reached_by(5).await;
    gate.open();
    assert!(join_all(asked.into_iter().chain(moments)).await.into_iter().all(|seen| seen.is_ok()));
    let bumps = join_all((0..2).map(|_| of(keys[0], "mutation { bump }"))).await;
    let mut bumps: Vec<_> =
        bumps.into_iter().map(|seen| seen.unwrap().json()["data"]["bump"].clone()).collect();
    bumps.sort_by_key(|bump| bump.as_u64());
    assert_eq!(bumps, [json!(8), json!(9)]);
}
