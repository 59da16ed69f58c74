//! Finished answers: what is given again without being executed, and when it no longer is.

use std::time::Duration;

use serde_json::{Value, json};
use switchboard::sandbox::{EmulatedUpstream, Fault};

use crate::world::{LONGEST_TTL, PROVIDERS, Setup, World, by_ids, list, run, tenant_a, tenant_b};

/// How long accounts are kept, as shipped; in the last tenth they are read again where they are asked for often.
const TTL: Duration = Duration::from_secs(30);
const EARLY: Duration = Duration::from_secs(27);

const ACCOUNTS: &str =
    "{ connectedAccounts(first: 2) { nodes { connectedAccountId } freshness { state fetchedAt } } }";

const SECOND: Duration = Duration::from_secs(1);

async fn ask(world: &World, query: &str) -> String {
    let answer = world.run(tenant_a(), &json!({ "query": query })).await;
    String::from_utf8(answer.body.to_vec()).unwrap()
}

fn state(answer: &str) -> String {
    let answer: Value = serde_json::from_str(answer).unwrap();
    answer["data"]["connectedAccounts"]["freshness"]["state"].as_str().unwrap().to_owned()
}

/// How often it was executed, and what it asked the upstreams, since the last look; once what runs behind has ended.
async fn work(world: &World) -> (usize, Vec<String>) {
    settle().await;
    (world.executions(), world.calls_sorted())
}

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// A world in which an answer to a query is kept.
async fn with_kept(setup: Setup, query: &str) -> (World, String) {
    let world = World::new_with(setup);
    ask(&world, query).await;
    let answer = ask(&world, query).await;
    settle().await;
    world.executions();
    world.calls();
    assert_eq!(ask(&world, query).await, answer);
    assert_eq!(work(&world).await, (0, vec![]), "kept");
    (world, answer)
}

#[tokio::test(start_paused = true)]
async fn an_answer_for_which_nothing_had_to_be_read_is_kept() {
    let world = World::new();
    let cold = ask(&world, ACCOUNTS).await;
    assert_eq!(work(&world).await, (1, vec![list(&[])]));
    assert_eq!(ask(&world, ACCOUNTS).await, cold);
    assert_eq!(work(&world).await, (1, vec![]));
    for _ in 0..10 {
        assert_eq!(ask(&world, ACCOUNTS).await, cold);
    }
    assert_eq!(work(&world).await, (0, vec![]));
}

#[tokio::test(start_paused = true)]
async fn what_is_made_of_nothing_is_not_ended_by_time() {
    let query = "{ toolkit(slug: \"gmail\") { id slug } __type(name: \"Toolkit\") { fields { name } } }";
    let world = World::new();
    let answer = ask(&world, query).await;
    world.advance(100 * LONGEST_TTL).await;
    world.executions();
    assert_eq!(ask(&world, query).await, answer);
    assert_eq!(world.executions(), 0);
}

#[tokio::test(start_paused = true)]
async fn it_is_good_until_the_first_of_its_parts_changes_by_time() {
    let (world, answer) = with_kept(Setup::default(), ACCOUNTS).await;
    world.advance(EARLY - Duration::from_millis(1)).await;
    assert_eq!(ask(&world, ACCOUNTS).await, answer);
    assert_eq!(work(&world).await, (0, vec![]));
    // A part that is asked for often is now read again behind the answer, of which the next one is made.
    world.advance(Duration::from_millis(1)).await;
    assert_eq!(ask(&world, ACCOUNTS).await, answer);
    assert_eq!(work(&world).await, (1, vec![list(&[])]));
    assert_ne!(ask(&world, ACCOUNTS).await, answer);
    assert_eq!(work(&world).await, (1, vec![]));
}

#[tokio::test(start_paused = true)]
async fn of_several_parts_the_first_counts() {
    let both = "{ providers(first: 1) { freshness { fetchedAt } } connectedAccounts(first: 1) { freshness { fetchedAt } } }";
    let world = World::new();
    ask(&world, "{ providers(first: 1) { nodes { id } } }").await;
    world.advance(Duration::from_secs(53)).await;
    ask(&world, both).await;
    let answer = ask(&world, both).await;
    work(&world).await;
    world.advance(Duration::from_millis(999)).await;
    assert_eq!((ask(&world, both).await, work(&world).await), (answer.clone(), (0, vec![])));
    world.advance(Duration::from_millis(1)).await;
    // The providers, 54 of their 60 seconds old.
    assert_eq!(
        (ask(&world, both).await, work(&world).await),
        (answer.clone(), (1, vec![PROVIDERS.to_owned()]))
    );
    assert_ne!(ask(&world, both).await, answer);
}

#[tokio::test(start_paused = true)]
async fn it_is_gone_as_soon_as_anything_of_its_tenant_is_read_and_of_no_other_tenant() {
    let (world, answer) = with_kept(Setup::default(), ACCOUNTS).await;
    run(&world.operations, tenant_b(), &json!({ "query": ACCOUNTS })).await;
    work(&world).await;
    assert_eq!((ask(&world, ACCOUNTS).await, work(&world).await), (answer.clone(), (0, vec![])));

    let account: Value = serde_json::from_str(&answer).unwrap();
    let id = account["data"]["connectedAccounts"]["nodes"][0]["connectedAccountId"].as_str().unwrap();
    ask(&world, &format!("{{ connectedAccount(id: \"{id}\") {{ status }} }}")).await;
    assert_eq!(work(&world).await, (1, vec![by_ids([id])]));
    assert_eq!((ask(&world, ACCOUNTS).await, work(&world).await), (answer.clone(), (1, vec![])));
    assert_eq!((ask(&world, ACCOUNTS).await, work(&world).await), (answer, (0, vec![])));
}

#[tokio::test(start_paused = true)]
async fn made_of_stale_parts_it_is_kept_until_their_refresh_ends() {
    let (world, fresh) = with_kept(Setup::as_shipped(), ACCOUNTS).await;
    world.sandbox.emulate(EmulatedUpstream::Composio, Some(Fault::parse("latency-ms=2000").unwrap()));
    world.advance(TTL).await;
    let stale = ask(&world, ACCOUNTS).await;
    assert_eq!((state(&stale), work(&world).await), ("STALE".into(), (1, vec![list(&[])])));
    world.advance(SECOND).await;
    for _ in 0..10 {
        assert_eq!((ask(&world, ACCOUNTS).await, work(&world).await), (stale.clone(), (0, vec![])));
    }
    world.advance(SECOND).await;
    settle().await;
    let refreshed = ask(&world, ACCOUNTS).await;
    assert_eq!((state(&refreshed), work(&world).await), ("FRESH".into(), (1, vec![])));
    assert_ne!(refreshed, fresh);
    assert_eq!((ask(&world, ACCOUNTS).await, work(&world).await), (refreshed, (0, vec![])));
}

#[tokio::test(start_paused = true)]
async fn made_of_parts_that_cannot_be_read_it_is_kept_until_the_next_attempt() {
    let (world, _) = with_kept(Setup::as_shipped(), ACCOUNTS).await;
    world.sandbox.emulate(EmulatedUpstream::Composio, Some(Fault::parse("status=503").unwrap()));
    world.advance(TTL).await;
    assert_eq!(state(&ask(&world, ACCOUNTS).await), "STALE");
    assert_eq!(work(&world).await, (1, vec![list(&[])]));
    let held = ask(&world, ACCOUNTS).await;
    assert_eq!((state(&held), work(&world).await), ("STALE_ON_ERROR".into(), (1, vec![])));
    world.advance(Duration::from_millis(4_999)).await;
    assert_eq!((ask(&world, ACCOUNTS).await, work(&world).await), (held.clone(), (0, vec![])));
    world.advance(Duration::from_millis(1)).await;
    // The attempt is made behind an answer that cannot know yet that it fails.
    assert_eq!(state(&ask(&world, ACCOUNTS).await), "STALE_ON_ERROR");
    assert_eq!(work(&world).await, (1, vec![list(&[])]));
}

#[tokio::test(start_paused = true)]
async fn an_answer_with_errors_is_made_anew_each_time() {
    let world = World::new();
    world.sandbox.emulate(EmulatedUpstream::Composio, Some(Fault::parse("status=503").unwrap()));
    let both = "{ providers(first: 1) { nodes { name } } connectedAccounts(first: 1) { nodes { id } } }";
    ask(&world, both).await;
    work(&world).await;
    for _ in 0..3 {
        assert!(ask(&world, both).await.contains("UPSTREAM_UNAVAILABLE"));
        assert_eq!(work(&world).await, (1, vec![list(&[])]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_account_is_missing_no_longer_than_that_is_believed() {
    let query = "{ connectedAccount(id: \"ca_nobody\") { id } }";
    let (world, answer) = with_kept(Setup::default(), query).await;
    assert_eq!(answer, r#"{"data":{"connectedAccount":null}}"#);
    world.advance(Duration::from_secs(5)).await;
    assert_eq!(ask(&world, query).await, answer);
    assert_eq!(work(&world).await, (1, vec![by_ids(["ca_nobody"])]));
}
