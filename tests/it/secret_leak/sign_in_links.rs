//! Sign-in links: only the mutation's own response contains one. All other output is searched for it, the shared store
//! too.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use switchboard::domain::caller::Caller;
use switchboard::replicas::store::Store;
use switchboard::sandbox::{CANARY, EmulatedUpstream, Fault, Tenant};
use tracing_subscriber::filter::LevelFilter;

use super::{LeakSearch, Log, Surface, tenant_a};
use crate::replicas::memory::{Command, MemoryStore};
use crate::world::{Setup, World, run};

const SELECTED: &str =
    "redirectUrl expiresAt connectedAccount { id status state { withheld } } userErrors { message }";

async fn send(world: &World, caller: &Caller, query: &str, input: Value) -> Value {
    let request = json!({
        "query": query, "variables": { "input": input }, "extensions": { "switchboard": { "trace": true } },
    });
    serde_json::from_slice(&run(&world.operations(), caller.clone(), &request).await.body).unwrap()
}

#[test]
fn sign_in_links_reach_their_caller_alone() {
    let log = Log::default();
    let writer = log.clone();
    let all = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false);
    let _listening = tracing::subscriber::set_default(all.with_writer(move || writer.clone()).finish());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(connect_and_look(&log));
}

async fn connect_and_look(log: &Log) {
    let mut search = LeakSearch { looked_at: BTreeMap::new() };
    let mut setup = Setup::as_shipped();
    setup.config.actions.enabled = true;
    setup.config.actions.per_minute = 1_000;
    setup.config.actions.callback_origins = "https://app.example.com".to_owned().try_into().unwrap();
    let store = MemoryStore::new();
    let world = World::replicas(setup, [Some(Arc::new(store.clone()) as Arc<dyn Store>)]).remove(0);
    let caller = Caller::admin("settings-page", tenant_a());
    let mut listener = world
        .subscribe(caller.clone(), "subscription { connectedAccountChanged { kind cause connectedAccount { id status state { withheld } } } }")
        .await;
    let broken =
        world.sandbox.accounts(Tenant::A).into_iter().find(|row| row.status == "EXPIRED").unwrap().id;
    let connect = format!(
        "mutation ($input: CreateConnectLinkInput!) {{ link: createConnectLink(input: $input) {{ {SELECTED} }} }}"
    );
    let reconnect = format!(
        "mutation ($input: ReconnectAccountInput!) {{ link: reconnectAccount(input: $input) {{ {SELECTED} replacedAccount {{ id }} }} }}"
    );
    let input = json!({
        "authConfigId": "ac_gmail", "userId": "user_1", "alias": "Work",
        "callbackUrl": "https://app.example.com/connected",
    });
    for (query, input) in [(&connect, input.clone()), (&reconnect, json!({ "id": broken }))] {
        let mut answer = send(&world, &caller, query, input).await;
        let url = answer["data"]["link"]["redirectUrl"].take();
        assert!(url.as_str().unwrap().contains(CANARY), "the upstream returned a secret: {answer}");
        search.look(Surface::Answer, query, &answer.to_string());
        tokio::time::sleep(Duration::from_secs(1)).await;
        let message = listener.next().await.unwrap();
        search.look(Surface::Event, query, std::str::from_utf8(&message.response.body).unwrap());
    }
    // A refusal and an unreadable response, which quotes what it could not read.
    for fault in ["status=200", "cut=1; writes=1", "shape=wrong-types; writes=1", "status=500; writes=1"] {
        world.sandbox.emulate(EmulatedUpstream::Composio, Some(Fault::parse(fault).unwrap()));
        let answer = send(&world, &caller, &connect, input.clone()).await;
        assert_eq!(answer["data"]["link"]["redirectUrl"], Value::Null, "{answer}");
        search.look(Surface::Answer, fault, &answer.to_string());
    }
    search.look(Surface::Cache, "links", &world.dump(&caller));
    for (question, bytes) in world.operations.dump() {
        search.look(Surface::FinishedAnswer, &question, std::str::from_utf8(&bytes).unwrap());
    }
    search.look(Surface::Metric, "links", &world.operations.metrics().page());
    let entries = store.entries().into_values();
    let sent = store.commands().into_iter().map(|command| match command {
        Command::Publish(message) => message,
        other => format!("{other:?}").into_bytes(),
    });
    for bytes in entries.chain(sent) {
        // Not `search`: encrypted bytes contain its shortest patterns by chance.
        assert!(!String::from_utf8_lossy(&bytes).contains(CANARY), "a secret is in Redis");
    }
    let logged = log.take();
    assert!(logged.contains("switchboard::audit"), "{logged}");
    assert!(!logged.contains("app.example.com") && !logged.contains("Work"), "{logged}");
    search.look(Surface::Log, "links", &logged);
    for place in [Surface::Answer, Surface::Event, Surface::Cache, Surface::Metric, Surface::Log] {
        assert!(search.looked_at.contains_key(&place), "nothing was searched: {place:?}");
    }
}
