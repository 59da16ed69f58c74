//! Secrets of the upstreams, each of which the sandbox fills with a canary, are in no answer and in no line of the log,
//! whatever is asked for and whatever goes wrong.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use switchboard::sandbox::{CANARY, EmulatedUpstream, Fault, Scenario, Settings, Tenant};
use tracing_subscriber::filter::LevelFilter;

use super::selections::{Everything, everything};
use crate::world::{World, global_id, tenant_a, tenant_b, texts};

/// What may befall both upstreams at once.
const FAULTS: [&str; 18] = [
    "",
    "status=400",
    "status=401",
    "status=403",
    "status=404",
    "status=422",
    "status=429; retry-after=3",
    "shape=documented",
    "status=500",
    "status=546",
    "status=302",
    "garbage=1",
    "empty=1",
    "cut=1",
    "size=10485760",
    "shape=list",
    "shape=wrong-types",
    "latency-ms=6000",
];

/// The log, as it is written.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Takes down everything that this thread logs from now on.
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let all = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false);
        tracing::subscriber::set_default(all.with_writer(move || log.clone()).finish())
    }
}

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Everything that a tenant can ask for, by ids of its own.
async fn catalogue(tenant: Tenant) -> Everything {
    let world = World::new();
    let caller = if tenant == Tenant::A { tenant_a() } else { tenant_b() };
    let answer = world.ask_as(caller, "{ providers { nodes { id } } }", json!({})).await;
    let providers = texts(&answer["data"], "providers.nodes.*.id");
    let accounts: Vec<_> = world.sandbox.accounts(tenant).into_iter().take(60).collect();
    let ids: Vec<_> = accounts.iter().map(|account| account.id.as_str()).collect();
    let users: Vec<_> = accounts.iter().take(3).map(|account| account.user_id.as_str()).collect();
    everything(&|field, argument| match (field, argument) {
        ("node", _) => json!(global_id("ConnectedAccount", ids[0])),
        ("nodes", _) => {
            json!([providers[1], global_id("ConnectedAccount", ids[1]), global_id("Toolkit", "gmail")])
        }
        ("provider", _) => json!(providers[0]),
        ("providersByIds", _) => json!(providers),
        ("connectedAccount", _) => json!(ids[2]),
        ("connectedAccountsByIds", _) => json!(ids),
        ("user", _) => json!(users[0]),
        ("usersByIds", _) => json!(users),
        ("toolkit", _) => json!("slack"),
        ("toolkitsBySlugs", _) => json!(["gmail", "zoom", "discord"]),
        _ => panic!("what is `{argument}` of `{field}`?"),
    })
}

fn holds_no_secret(text: &str, what: &str) {
    for secret in [CANARY, "wbk_sandbox", "ak_sandbox"] {
        if let Some(place) = text.find(secret) {
            let from = place.saturating_sub(200);
            panic!("{secret} in {what}: …{}…", text.chars().skip(from).take(400).collect::<String>());
        }
    }
}

/// Asks for everything through every fault, and through drift.
async fn ask_through_everything(tenant: Tenant) {
    let log = Log::default();
    let _listening = log.listen();
    let Everything { query, mutation, subscriptions } = catalogue(tenant).await;
    for (fault, drifts) in FAULTS.map(|fault| (fault, false)).into_iter().chain([("", true)]) {
        let world = World::new();
        if drifts {
            Scenario::Drift.arrange(&world.sandbox);
        }
        for upstream in [EmulatedUpstream::Leadlex, EmulatedUpstream::Composio] {
            world.sandbox.emulate(upstream, Some(Fault::parse(fault).unwrap()));
        }
        let caller = if tenant == Tenant::A { tenant_a() } else { tenant_b() };
        let mutated = world.ask_as(caller.clone(), &mutation, json!({})).await;
        holds_no_secret(&mutated.to_string(), &format!("the answer to a mutation with `{fault}`"));
        let traced = world.ask_traced(caller.clone(), &query, true).await;
        assert!(traced["extensions"]["switchboard"]["trace"].is_object(), "{fault}");
        holds_no_secret(&traced.to_string(), &format!("the trace of `{fault}`"));
        let answer = world.ask_as(caller, &query, json!({})).await;
        assert_eq!(answer.get("errors").is_none(), fault.is_empty(), "{fault}: {}", answer["errors"]);
        holds_no_secret(&answer.to_string(), &format!("the answer to `{fault}`"));
        if fault.is_empty() {
            hear_through(&world, tenant, &subscriptions).await;
            // The canaries were there: what holds them is named.
            assert!(answer.to_string().contains("\"access_token\""));
        }
    }
    let log = log.text();
    assert!(log.contains("an item was left out"), "nothing was logged: {log}");
    holds_no_secret(&log, "the log");
}

/// Hears of a change of everything that changes.
async fn hear_through(world: &World, tenant: Tenant, subscriptions: &[String]) {
    for subscription in subscriptions {
        let caller = if tenant == Tenant::A { tenant_a() } else { tenant_b() };
        let mut listening = world.subscribe(caller, subscription).await;
        world.sandbox.change_providers(tenant, |rows| drop(rows.swap_remove(0)));
        world.sandbox.change_accounts(tenant, |rows| {
            rows[0].updated_at += jiff::SignedDuration::from_hours(1_000);
        });
        let message = listening.next().await.unwrap();
        let text = String::from_utf8(message.answer.body.to_vec()).unwrap();
        assert!(text.contains("Changed"), "{text}");
        holds_no_secret(&text, "a change");
    }
}

#[tokio::test(start_paused = true)]
async fn no_canary_of_tenant_a_leaves_the_layer_whatever_is_asked_and_whatever_goes_wrong() {
    ask_through_everything(Tenant::A).await;
}

#[tokio::test(start_paused = true)]
async fn no_canary_of_tenant_b_leaves_the_layer_whatever_is_asked_and_whatever_goes_wrong() {
    ask_through_everything(Tenant::B).await;
}

#[tokio::test(start_paused = true)]
async fn no_account_of_the_whole_sandbox_tells_a_secret() {
    let log = Log::default();
    let _listening = log.listen();
    let world = World::over(Settings { accounts: 1_500, ..Settings::default() });
    let fields = "connectedAccountId wordId alias userId rawStatus statusReason testRequestEndpoint legacy { uuid labels } authConfig { id rawAuthScheme legacyUuid } \
        state { rawAuthScheme status scopes tokenType expiresAt expiredAt revokedAt error errorDescription settings { name value } withheld }";
    let query = format!(
        "query ($after: String) {{ connectedAccounts(first: 100, after: $after, filter: {{ accountType: ALL }}) {{ nodes {{ {fields} }} pageInfo {{ hasNextPage endCursor }} }} }}"
    );
    let (mut after, mut told) = (Value::Null, 0);
    loop {
        let page = world.data_with(&query, json!({ "after": after })).await["connectedAccounts"].take();
        holds_no_secret(&page.to_string(), "a page");
        told += page["nodes"].as_array().unwrap().len();
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    assert_eq!(told, 1_500);
    holds_no_secret(&log.text(), "the log");
}
