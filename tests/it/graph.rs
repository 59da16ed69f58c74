//! The graph as a client sees it, and the exact upstream calls behind each answer.

use crate::world::World;

const PROVIDERS: &str = "GET /functions/v1/api-gateway/v1/settings/providers";

#[tokio::test(start_paused = true)]
async fn the_joined_query_makes_one_call_to_each_upstream_and_none_when_asked_again() {
    let world = World::new();
    let query = "{ providers { nodes { name connectedAccounts(first: 3) { nodes { id userId toolkit { slug } } } } } }";
    let answer = world.ask(query).await;
    assert_eq!(answer.get("errors"), None);
    let calls = world.calls();
    assert_eq!(calls.len(), 2, "{calls:#?}");
    assert_eq!(calls[0], PROVIDERS);
    assert_eq!(world.ask(query).await, answer);
    assert_eq!(world.calls(), [] as [&str; 0]);
}
