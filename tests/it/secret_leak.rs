//! Secrets do not leak: each planted secret contains a canary value, one test requests all fields as every kind of
//! caller, in every scenario and through every fault, and searches all output for canary values.
//!
//! A new output is a variant of [`Surface`] and a call of [`LeakSearch::look`]; the test fails while nothing of a
//! surface was searched.

mod callers;
mod selections;
mod sign_in_links;
mod situations;
mod spans;
mod subscriptions;
mod test_network;

use std::collections::BTreeMap;
use std::io::Write;
use std::panic::{set_hook, take_hook};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tracing_subscriber::filter::LevelFilter;

use self::callers::{Mode, TestCaller, modes};
use self::selections::{FullSelections, full_selections};
use self::situations::{Situation, situations};
use self::spans::Spans;
use self::test_network::{Accident, PanickingExecutor, TestNetwork};
use switchboard::app::access::callers;
use switchboard::app::wiring::{self, Networks};
use switchboard::cli::check;
use switchboard::config::{ApiKeys, Config, ConfigSources};
use switchboard::domain::clock::Clock;
use switchboard::domain::credential::Credential;
use switchboard::domain::filters::{AccountFilter, AccountOrder};
use switchboard::domain::global_id::GlobalId;
use switchboard::graphql::graph::Graph;
use switchboard::http::EdgeParts;
use switchboard::http::webhook::Webhooks;
use switchboard::operation::{Executor as _, OperationEngine};
use switchboard::sandbox::{self, CANARY, EmulatedUpstream, Fault, Sandbox, Tenant};
use switchboard::telemetry::panics;
use switchboard::upstream::error::UpstreamError;
use switchboard::upstream::quota::Purpose;

use crate::world::engine;

/// An output that could contain a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Surface {
    Answer,
    Header,
    Trace,
    /// Error messages of responses, upstreams and configurations.
    Error,
    /// The log at trace level, including libraries.
    Log,
    /// Log lines of panics.
    Panic,
    /// The output of `check`.
    Check,
    /// `Debug` of configurations, callers, and errors with their causes.
    Debug,
    /// Cached upstream data.
    Cache,
    FinishedAnswer,
    /// Messages of subscriptions.
    Event,
    /// Exported traces.
    Span,
    /// The page of `/metrics`.
    Metric,
}

const SURFACES: [Surface; 13] = [
    Surface::Answer,
    Surface::Header,
    Surface::Trace,
    Surface::Error,
    Surface::Log,
    Surface::Panic,
    Surface::Check,
    Surface::Debug,
    Surface::Cache,
    Surface::FinishedAnswer,
    Surface::Event,
    Surface::Span,
    Surface::Metric,
];

/// Parts of every secret: the canary values of accounts, the API keys, the configured tokens, and JWTs.
const MARKS: [&str; 4] = [CANARY, "_sandbox", "swb_", "eyJ"];

/// The search, and how much of each surface it has covered.
struct LeakSearch {
    looked_at: BTreeMap<Surface, usize>,
}

impl LeakSearch {
    /// Searches a text, and the base64 words in it: ids and cursors.
    fn look(&mut self, place: Surface, what: &str, text: &str) {
        *self.looked_at.entry(place).or_default() += text.len();
        Self::find(place, what, text);
        for word in text.split('"').filter(|word| word.len() > 15) {
            if let Ok(bytes) = URL_SAFE_NO_PAD.decode(word) {
                Self::find(place, what, &String::from_utf8_lossy(&bytes));
            }
        }
    }

    fn find(place: Surface, what: &str, text: &str) {
        for secret in MARKS {
            if let Some(at) = text.find(secret) {
                let around: String = text.chars().skip(at.saturating_sub(200)).take(400).collect();
                panic!("{secret} in {place:?}, {what}: …{around}…");
            }
        }
    }
}

/// Captured log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
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

/// Loads a configuration from text.
fn configured(text: &str) -> Result<Config, switchboard::config::ConfigErrors> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!(
        "switchboard-secret-leak-{}-{}.toml",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    );
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, text).unwrap();
    let config = Config::load(ConfigSources {
        file: Some(file.clone()),
        keys: ApiKeys::Optional,
        ..ConfigSources::default()
    });
    std::fs::remove_file(file).unwrap();
    config
}

/// A graph over a sandbox.
struct World {
    sandbox: Sandbox,
    networks: Networks,
    test_network: TestNetwork,
    graph: Graph,
    operations: OperationEngine,
    clock: Clock,
}

impl World {
    fn of(config: &Config, situation: &Situation) -> Self {
        let clock = Clock::starting_at("2026-11-21T12:00:00Z".parse().unwrap());
        let settings = sandbox::Settings { accounts: 160, ..sandbox::Settings::default() };
        let settings = situation.scenario.settings(settings);
        let sandbox = Sandbox::new(settings, sandbox::Clock::new(move || clock.now()));
        situation.scenario.arrange(&sandbox);
        if situation.fault != Fault::default() {
            for upstream in [EmulatedUpstream::Leadlex, EmulatedUpstream::Composio] {
                sandbox.emulate(upstream, Some(situation.fault.clone()));
            }
        }
        let test_network = TestNetwork::new(situation.accident);
        let network = test_network.over(&sandbox);
        let networks = Networks { leadlex: network.clone(), composio: network, store: None };
        let graph = wiring::graph_over(config, clock, &networks);
        let (shares, limits) = (config.cache.shares(), config.limits.clone());
        let operations = match situation.accident {
            Accident::PanicInAResolver => engine(PanickingExecutor(graph.clone()), &shares, clock, limits),
            _ => engine(graph.clone(), &shares, clock, limits),
        };
        let operations = operations.with_documents(&config.documents, None);
        Self { sandbox, networks, test_network, graph, operations, clock }
    }

    /// Sends a request as a caller and searches the response.
    async fn ask(
        &self,
        mode: &Mode,
        caller: &TestCaller,
        body: &Value,
        what: &str,
        search: &mut LeakSearch,
    ) -> Value {
        let callers = callers(&mode.config).unwrap();
        let edge = EdgeParts {
            operations: self.operations.clone(),
            callers,
            webhooks: Webhooks::none(),
            settings: mode.config.http.clone(),
        };
        let mut request = Request::post("/graphql")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("accept", "application/graphql-response+json");
        for (name, value) in &caller.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Body::from(body.to_string())).unwrap();
        let spans = Spans::of(&mode.config);
        let (head, body) = spans.over(edge).oneshot(request).await.unwrap().into_parts();
        search.look(Surface::Header, what, &format!("{head:?}"));
        let bytes = body.collect().await.unwrap().to_bytes();
        search.look(Surface::Span, what, &spans.exported().await);
        let text = std::str::from_utf8(&bytes).unwrap();
        search.look(Surface::Answer, what, text);
        let answer: Value = serde_json::from_str(text).unwrap();
        let crashes = self.test_network.accident() == Accident::PanicInAResolver;
        assert_eq!(head.status.is_success(), caller.is_authenticated && !crashes, "{what}: {text:.500}");
        if let Some(errors) = answer.get("errors") {
            search.look(Surface::Error, what, &errors.to_string());
        }
        if let Some(extensions) = answer.get("extensions") {
            let (is_traced, tells_problems) =
                (extensions["cost"].is_object(), extensions["switchboard"]["problems"].is_array());
            assert!(is_traced || tells_problems, "{extensions}");
            if is_traced {
                search.look(Surface::Trace, what, &extensions.to_string());
            }
        }
        answer
    }

    /// Calls both upstreams by their clients, whose errors are not masked yet.
    async fn call(&self, config: &Config, what: &str, search: &mut LeakSearch) {
        let (providers, accounts) = wiring::clients(config, self.clock, &self.networks, None);
        let leadlex = Credential::new(Tenant::A.leadlex_key()).unwrap();
        let composio = Credential::new(Tenant::A.composio_key()).unwrap();
        let (filter, order) = (AccountFilter::default(), AccountOrder::NEWEST_FIRST);
        // A panic in a client ends its operation, which `ask` covers.
        if self.test_network.accident() == Accident::None {
            let list = providers.fetch_list(&leadlex, Purpose::Needed).await;
            let page = accounts.fetch_page(&composio, &filter, order, None, 100, Purpose::Needed).await;
            search.look(Surface::Debug, what, &format!("{list:?} {page:?}"));
            for error in [list.err(), page.err()].into_iter().flatten() {
                look_at_error(&error, what, search);
            }
        }
    }
}

fn look_at_error(error: &UpstreamError, what: &str, search: &mut LeakSearch) {
    search.look(Surface::Error, what, &error.to_string());
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        search.look(Surface::Debug, what, &format!("{error} {error:?}"));
        cause = error.source();
    }
}

/// Selections of all fields, with ids of a tenant.
async fn catalogue(
    mode: &Mode,
    caller: &TestCaller,
    tenant: Tenant,
    search: &mut LeakSearch,
) -> FullSelections {
    let all_is_well = situations().remove(0);
    let world = World::of(&mode.config, &all_is_well);
    let body = json!({ "query": "{ providers(first: 2) { nodes { id } } }" });
    let answer = world.ask(mode, caller, &body, "providers", search).await;
    let providers: Vec<_> =
        answer["data"]["providers"]["nodes"].as_array().unwrap().iter().map(|node| &node["id"]).collect();
    let accounts = world.sandbox.accounts(tenant);
    let ids: Vec<_> = accounts.iter().take(3).map(|account| account.id.as_str()).collect();
    let users: Vec<_> = accounts.iter().take(1).map(|account| account.user_id.as_str()).collect();
    let global = |id: &str| GlobalId::Account(id.into()).encode();
    full_selections(&|field, argument| match (field, argument) {
        ("node", _) => json!(global(ids[0])),
        ("nodes", _) => json!([global(ids[1]), providers[1], URL_SAFE_NO_PAD.encode("Toolkit:gmail")]),
        ("provider", _) => json!(providers[0]),
        ("providersByIds", _) => json!(providers),
        ("connectedAccount", _) => json!(ids[2]),
        ("connectedAccountsByIds", _) => json!(ids[..2]),
        ("user", _) => json!(users[0]),
        ("usersByIds", _) => json!(users),
        ("toolkit", _) => json!("slack"),
        ("toolkitsBySlugs", _) => json!(["gmail"]),
        ("createConnectLink", _) => json!({ "authConfigId": "ac_gmail", "userId": users[0] }),
        ("setAccountEnabled", _) => json!({ "id": ids[0], "enabled": false }),
        ("renameAccount", _) => json!({ "id": ids[0], "alias": "Work" }),
        ("reconnectAccount" | "revokeAccount" | "removeAccount", _) => json!({ "id": ids[0] }),
        _ => panic!("what is `{argument}` of `{field}`?"),
    })
}

/// A query whose response is small enough to be cached.
const ROWS: &str = "{ connectedAccounts(first: 100, filter: { accountType: ALL }) { edges { cursor } nodes { id userId alias state { withheld settings { name value } } } } \
                    providers { nodes { id displayName accountId } } }";

/// Invalid configurations, with a secret in the right or a wrong place.
const WRONG: [&str; 14] = [
    "[upstream.leadlex]\napi_key = \"ak_CANARY-prefix\"",
    "[upstream.leadlex]\napi_key = \"wbk_CANARY-with a space\"",
    "[upstream.composio]\napi_key = [\"CANARY-list\"]",
    "[upstream.composio]\napi_key = \"ak_CANARY-open",
    "[upstream.composio]\napi_kye = \"ak_CANARY-slip\"",
    "[upstream.composio]\nbase_url = \"https://me:CANARY-password@api.example\"",
    "[upstream.composio]\nbase_url = \"https://api.example/?key=CANARY-query\"",
    "[ids]\nkey = \"CANARY-short\"",
    "[auth.jwt]\njwks_url = \"https://CANARY-user@issuer.example/keys\"",
    "[auth.jwt]\njwks_url = \"https://issuer.example/keys?key=CANARY-query\"",
    "[[auth.tokens]]\nname = \"a\"\nsha256 = \"CANARY-token\"",
    "[[auth.tokens]]\nname = \"a\"\ntoken = \"CANARY-token\"",
    "[[tenants]]\nname = \"a\"\nleadlex_api_key = \"ak_CANARY-key\"",
    "[[tenants]]\nname = \"a\"\ncomposio_api_key = 7\nleadlex_api_key = \"CANARY-\\u0007\"",
];

fn look_at_configurations(modes: &[Mode], search: &mut LeakSearch) {
    for text in WRONG {
        let errors = configured(text).unwrap_err();
        let said: Vec<_> = errors.iter().map(ToString::to_string).collect();
        search.look(Surface::Error, text, &said.join("\n"));
        search.look(Surface::Debug, text, &format!("{errors:?}"));
    }
    for mode in modes {
        search.look(Surface::Debug, mode.name, &format!("{:?}", mode.config));
    }
}

#[test]
fn planted_secrets_do_not_leak() {
    let log = Log::default();
    let writer = log.clone();
    let all = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false);
    let _listening = tracing::subscriber::set_default(all.with_writer(move || writer.clone()).finish());
    // The product's own panic hook, for this thread alone: other tests run in parallel.
    let (before, here) = (Arc::new(take_hook()), thread::current().id());
    let others = Arc::clone(&before);
    let panics_logged = Arc::new(AtomicUsize::new(0));
    let logged = Arc::clone(&panics_logged);
    set_hook(Box::new(move |panic| {
        let is_injected = panic
            .payload()
            .downcast_ref::<String>()
            .is_some_and(|text| text.starts_with(test_network::PANIC));
        if thread::current().id() == here && is_injected {
            logged.fetch_add(1, Ordering::Relaxed);
            panics::log(panic);
        } else {
            others(panic);
        }
    }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(look_everywhere(&log));
    set_hook(Box::new(move |panic| before(panic)));
    std::fs::remove_file(callers::issuers_keys()).unwrap();
    assert!(panics_logged.load(Ordering::Relaxed) > 0, "nothing panicked");
}

async fn look_everywhere(log: &Log) {
    let modes = modes();
    let mut search = LeakSearch { looked_at: BTreeMap::new() };
    look_at_configurations(&modes, &mut search);
    let [open, .., passthrough] = &modes[..] else { panic!("{} modes", modes.len()) };
    let of_a = catalogue(open, &open.callers[0], Tenant::A, &mut search).await;
    let of_b = catalogue(passthrough, &passthrough.callers[0], Tenant::B, &mut search).await;
    let mut returned = test_network::CanaryNames::default();
    for situation in situations().iter().filter(|it| ["Healthy", "Drift"].contains(&it.name.as_str())) {
        let caller = switchboard::domain::caller::Caller::admin("listener", tenant_a());
        subscriptions::listen(&open.config, situation, &of_a.subscriptions, &caller, &mut search).await;
    }
    let shared = World::of(&open.config, &situations().remove(0));
    for situation in situations() {
        let world = World::of(&open.config, &situation);
        let world = World { operations: world.operations.sharing_documents_of(&shared.operations), ..world };
        for mode in &modes {
            // Each caller matters where there is data; under faults one caller of each mode is enough.
            let all_ask = ["Healthy", "Drift"].contains(&situation.name.as_str());
            for caller in mode.callers.iter().take(if all_ask { usize::MAX } else { 1 }) {
                let what = format!("{}, mode {}, {}", situation.name, mode.name, caller.name);
                let of = if caller.tenant == Tenant::A { &of_a } else { &of_b };
                let (full_selections, rows) = ((&*of.cacheable, true), (ROWS, false));
                // The last of the three equal requests is served from the response cache.
                let requests =
                    [(&*of.uncached, true), full_selections, rows, rows, rows, (&*of.mutation, false)];
                for (text, is_traced) in
                    requests.into_iter().take(if caller.is_authenticated { 6 } else { 1 })
                {
                    let extensions = json!({ "switchboard": { "trace": is_traced } });
                    let body = json!({ "query": text, "extensions": extensions });
                    let answer = world.ask(mode, caller, &body, &what, &mut search).await;
                    if situation.name == "Healthy" && caller.is_admin && text == of.cacheable {
                        // The upstream did return the secrets: their names are in the response.
                        assert!(answer.to_string().contains("\"access_token\""), "{what}: {answer:.2000}");
                    }
                }
            }
            let mut printed = String::new();
            let mut print = |text: &str| {
                printed.push_str(text);
                Ok(())
            };
            if world.test_network.accident() == Accident::None {
                check::report(&mode.config, &world.networks, true, &mut print).await.unwrap();
                search.look(Surface::Check, &situation.name, &printed);
            }
        }
        world.call(&open.config, &situation.name, &mut search).await;
        let caller = switchboard::domain::caller::Caller::admin("dump", tenant_a());
        search.look(Surface::Cache, &situation.name, &world.graph.dump(&caller));
        for (question, bytes) in world.operations.dump() {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            search.look(Surface::FinishedAnswer, &question, &text);
        }
        search.look(Surface::Metric, &situation.name, &world.graph.metrics().page());
        let logged = log.take();
        let of_panics: String = logged.lines().filter(|line| line.contains("a panic")).collect();
        search.look(Surface::Panic, &situation.name, &of_panics);
        search.look(Surface::Log, &situation.name, &logged);
        returned.extend(world.test_network.returned());
    }
    let unseen: Vec<_> = SURFACES
        .into_iter()
        .filter(|place| search.looked_at.get(place).is_none_or(|&bytes| bytes == 0))
        .collect();
    assert_eq!(unseen, [], "nothing was searched there");
    let never: Vec<_> =
        test_network::SECRETS.into_iter().filter(|secret| !returned.contains(*secret)).collect();
    assert_eq!(never, [] as [&str; 0], "no upstream returned these");
}

fn tenant_a() -> switchboard::domain::caller::Tenant {
    switchboard::domain::caller::Tenant {
        leadlex: Credential::new(Tenant::A.leadlex_key()).ok(),
        composio: Credential::new(Tenant::A.composio_key()).ok(),
    }
}
