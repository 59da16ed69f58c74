//! Secrets are nowhere: every one is a canary, one test asks for everything, as every caller, in every scenario and through
//! every fault, and looks through every place that anything of it could have got to.
//!
//! A test of the crate itself and not beside the others, as two places have no door to the outside: what the caches hold, and
//! what `check` writes. A new place (a store that replicas share) is a word of [`Place`] and a [`Watch::look`];
//! the test fails while nothing was looked at there.

mod bearers;
mod selections;
mod situations;
mod spans;
mod subscriptions;
mod tap;

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

use self::bearers::{Bearer, Mode, modes};
use self::selections::{Everything, everything};
use self::situations::{Situation, situations};
use self::spans::Spans;
use self::tap::{Accident, Panicking, Tap};
use switchboard::app::{self, Networks};
use switchboard::cli::check;
use switchboard::config::{ApiKeys, Config, ConfigSources};
use switchboard::domain::clock::Clock;
use switchboard::domain::credential::Credential;
use switchboard::domain::filters::{AccountFilter, AccountOrder};
use switchboard::domain::global_id::GlobalId;
use switchboard::graphql::graph::Graph;
use switchboard::http::webhook::Webhooks;
use switchboard::http::{EdgeParts, router};
use switchboard::operation::OperationEngine;
use switchboard::sandbox::{self, CANARY, EmulatedUpstream, Fault, Sandbox, Tenant};
use switchboard::telemetry::panics;
use switchboard::upstream::error::UpstreamError;
use switchboard::upstream::quota::Purpose;

/// Where anything could have got to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Answer,
    Header,
    Trace,
    /// What errors say: those of answers, of upstreams, and of configurations.
    Error,
    /// The log at trace level, that of libraries too.
    Log,
    /// What is logged of panics.
    Panic,
    /// The output of `check`.
    Check,
    /// `Debug` of configurations, callers, and errors with all that caused them.
    Debug,
    /// The caches of what was fetched.
    Cache,
    FinishedAnswer,
    /// What is told to those who listen.
    Event,
    /// What the collector of traces is told.
    Span,
    /// What `/metrics` tells.
    Metric,
}

const PLACES: [Place; 13] = [
    Place::Answer,
    Place::Header,
    Place::Trace,
    Place::Error,
    Place::Log,
    Place::Panic,
    Place::Check,
    Place::Debug,
    Place::Cache,
    Place::FinishedAnswer,
    Place::Event,
    Place::Span,
    Place::Metric,
];

/// What every secret has in it: those of accounts, the keys to both upstreams, the tokens that are known here, and those that
/// an issuer signed.
const MARKS: [&str; 4] = [CANARY, "_sandbox", "swb_", "eyJ"];

/// How much was looked through.
struct Watch {
    looked_at: BTreeMap<Place, usize>,
}

impl Watch {
    /// Looks through a text, and through what stands in it as base64: ids and cursors.
    fn look(&mut self, place: Place, what: &str, text: &str) {
        *self.looked_at.entry(place).or_default() += text.len();
        Self::search(place, what, text);
        for word in text.split('"').filter(|word| word.len() > 15) {
            if let Ok(bytes) = URL_SAFE_NO_PAD.decode(word) {
                Self::search(place, what, &String::from_utf8_lossy(&bytes));
            }
        }
    }

    fn search(place: Place, what: &str, text: &str) {
        for secret in MARKS {
            if let Some(at) = text.find(secret) {
                let around: String = text.chars().skip(at.saturating_sub(200)).take(400).collect();
                panic!("{secret} in {place:?}, {what}: …{around}…");
            }
        }
    }
}

/// The log, as it is written.
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

/// A configuration of a file's text.
fn configured(text: &str) -> Result<Config, switchboard::config::ConfigErrors> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name =
        format!("switchboard-canaries-{}-{}.toml", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
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
    tap: Tap,
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
        let tap = Tap::new(situation.accident);
        let network = tap.over(&sandbox);
        let networks = Networks { leadlex: network.clone(), composio: network, store: None };
        let graph = app::graph_over(config, clock, &networks).unwrap();
        let shares = config.cache.shares();
        let operations = match situation.accident {
            Accident::PanicInAResolver => OperationEngine::new(Panicking(graph.clone()), &shares, clock),
            _ => OperationEngine::new(graph.clone(), &shares, clock),
        }
        .unwrap();
        let (limits, connections, lists) =
            (config.limits.clone(), config.connections.clone(), config.lists.clone());
        let operations = operations.within(limits, connections, lists);
        let operations = operations.naming(&config.documents, None);
        Self { sandbox, networks, tap, graph, operations, clock }
    }

    /// Asks as a bearer, and looks at all that comes.
    async fn ask(&self, mode: &Mode, bearer: &Bearer, body: &Value, what: &str, watch: &mut Watch) -> Value {
        let callers = app::callers(&mode.config).unwrap();
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
        for (name, value) in &bearer.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Body::from(body.to_string())).unwrap();
        let spans = Spans::of(&mode.config);
        let (head, body) = spans.over(router(edge)).oneshot(request).await.unwrap().into_parts();
        watch.look(Place::Header, what, &format!("{head:?}"));
        let bytes = body.collect().await.unwrap().to_bytes();
        watch.look(Place::Span, what, &spans.told().await);
        let text = std::str::from_utf8(&bytes).unwrap();
        watch.look(Place::Answer, what, text);
        let answer: Value = serde_json::from_str(text).unwrap();
        let crashes = self.tap.accident() == Accident::PanicInAResolver;
        assert_eq!(head.status.is_success(), bearer.is_let_in && !crashes, "{what}: {text:.500}");
        if let Some(errors) = answer.get("errors") {
            watch.look(Place::Error, what, &errors.to_string());
        }
        if let Some(extensions) = answer.get("extensions") {
            let (is_traced, tells_problems) =
                (extensions["cost"].is_object(), extensions["switchboard"]["problems"].is_array());
            assert!(is_traced || tells_problems, "{extensions}");
            if is_traced {
                watch.look(Place::Trace, what, &extensions.to_string());
            }
        }
        answer
    }

    /// Calls both upstreams as their clients do, with errors that nothing has masked.
    async fn call(&self, config: &Config, what: &str, watch: &mut Watch) {
        let (providers, accounts) = app::clients(config, self.clock, &self.networks, None);
        let leadlex = Credential::new(Tenant::A.leadlex_key()).unwrap();
        let composio = Credential::new(Tenant::A.composio_key()).unwrap();
        let (filter, order) = (AccountFilter::default(), AccountOrder::NEWEST_FIRST);
        // Where a client panics, its operation ends, which `ask` looks at.
        if self.tap.accident() == Accident::None {
            let list = providers.fetch_list(&leadlex, Purpose::Needed).await;
            let page = accounts.fetch_page(&composio, &filter, order, None, 100, Purpose::Needed).await;
            watch.look(Place::Debug, what, &format!("{list:?} {page:?}"));
            for error in [list.err(), page.err()].into_iter().flatten() {
                look_at_error(&error, what, watch);
            }
        }
    }
}

fn look_at_error(error: &UpstreamError, what: &str, watch: &mut Watch) {
    watch.look(Place::Error, what, &error.to_string());
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        watch.look(Place::Debug, what, &format!("{error} {error:?}"));
        cause = error.source();
    }
}

/// Everything that can be asked for, by ids of a tenant.
async fn catalogue(mode: &Mode, bearer: &Bearer, tenant: Tenant, watch: &mut Watch) -> Everything {
    let all_is_well = situations().remove(0);
    let world = World::of(&mode.config, &all_is_well);
    let body = json!({ "query": "{ providers(first: 2) { nodes { id } } }" });
    let answer = world.ask(mode, bearer, &body, "providers", watch).await;
    let providers: Vec<_> =
        answer["data"]["providers"]["nodes"].as_array().unwrap().iter().map(|node| &node["id"]).collect();
    let accounts = world.sandbox.accounts(tenant);
    let ids: Vec<_> = accounts.iter().take(3).map(|account| account.id.as_str()).collect();
    let users: Vec<_> = accounts.iter().take(1).map(|account| account.user_id.as_str()).collect();
    let global = |id: &str| GlobalId::Account(id.into()).encode();
    everything(&|field, argument| match (field, argument) {
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
        _ => panic!("what is `{argument}` of `{field}`?"),
    })
}

/// A query that is short enough for its answer to be kept.
const ROWS: &str = "{ connectedAccounts(first: 100, filter: { accountType: ALL }) { edges { cursor } nodes { id userId alias state { withheld settings { name value } } } } \
                    providers { nodes { id displayName accountId } } }";

/// Configurations that are wrong, with a secret where it is or where it should not be.
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

fn look_at_configurations(modes: &[Mode], watch: &mut Watch) {
    for text in WRONG {
        let errors = configured(text).unwrap_err();
        let said: Vec<_> = errors.iter().map(ToString::to_string).collect();
        watch.look(Place::Error, text, &said.join("\n"));
        watch.look(Place::Debug, text, &format!("{errors:?}"));
    }
    for mode in modes {
        watch.look(Place::Debug, mode.name, &format!("{:?}", mode.config));
    }
}

#[test]
fn no_secret_is_anywhere_whoever_asks_for_whatever_and_whatever_goes_wrong() {
    let log = Log::default();
    let writer = log.clone();
    let all = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false);
    let _listening = tracing::subscriber::set_default(all.with_writer(move || writer.clone()).finish());
    // The product's own hook, for this thread: other tests' panics are theirs.
    let (before, here) = (Arc::new(take_hook()), thread::current().id());
    let others = Arc::clone(&before);
    let panics_told = Arc::new(AtomicUsize::new(0));
    let told = Arc::clone(&panics_told);
    set_hook(Box::new(move |panic| {
        let is_injected =
            panic.payload().downcast_ref::<String>().is_some_and(|text| text.starts_with(tap::PANIC));
        if thread::current().id() == here && is_injected {
            told.fetch_add(1, Ordering::Relaxed);
            panics::log(panic);
        } else {
            others(panic);
        }
    }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(look_everywhere(&log));
    set_hook(Box::new(move |panic| before(panic)));
    std::fs::remove_file(bearers::issuers_keys()).unwrap();
    assert!(panics_told.load(Ordering::Relaxed) > 0, "nothing panicked");
}

async fn look_everywhere(log: &Log) {
    let modes = modes();
    let mut watch = Watch { looked_at: BTreeMap::new() };
    look_at_configurations(&modes, &mut watch);
    let [open, .., passthrough] = &modes[..] else { panic!("{} modes", modes.len()) };
    let of_a = catalogue(open, &open.bearers[0], Tenant::A, &mut watch).await;
    let of_b = catalogue(passthrough, &passthrough.bearers[0], Tenant::B, &mut watch).await;
    let mut passed = tap::Passed::default();
    for situation in situations().iter().filter(|it| ["Healthy", "Drift"].contains(&it.name.as_str())) {
        let caller = switchboard::domain::caller::Caller::admin("listener", tenant_a());
        subscriptions::listen(&open.config, situation, &of_a.subscriptions, &caller, &mut watch).await;
    }
    let shared = World::of(&open.config, &situations().remove(0));
    for situation in situations() {
        let world = World::of(&open.config, &situation);
        let world = World { operations: world.operations.sharing_documents_of(&shared.operations), ..world };
        for mode in &modes {
            // Who it is that asks matters where there are answers; where there are none, the mode does.
            let all_ask = ["Healthy", "Drift"].contains(&situation.name.as_str());
            for bearer in mode.bearers.iter().take(if all_ask { usize::MAX } else { 1 }) {
                let what = format!("{}, mode {}, {}", situation.name, mode.name, bearer.name);
                let of = if bearer.tenant == Tenant::A { &of_a } else { &of_b };
                let (everything, rows) = ((&*of.kept, true), (ROWS, false));
                // The third of these is given from where it is kept.
                let requests =
                    [(&*of.of_the_moment, true), everything, rows, rows, rows, (&*of.mutation, false)];
                for (text, is_traced) in requests.into_iter().take(if bearer.is_let_in { 6 } else { 1 }) {
                    let extensions = json!({ "switchboard": { "trace": is_traced } });
                    let body = json!({ "query": text, "extensions": extensions });
                    let answer = world.ask(mode, bearer, &body, &what, &mut watch).await;
                    if situation.name == "Healthy" && bearer.is_admin && text == of.kept {
                        // The secrets were there: what holds them is named.
                        assert!(answer.to_string().contains("\"access_token\""), "{what}: {answer:.2000}");
                    }
                }
            }
            let mut printed = String::new();
            let mut print = |text: &str| {
                printed.push_str(text);
                Ok(())
            };
            if world.tap.accident() == Accident::None {
                check::report(&mode.config, &world.networks, &mut print).await.unwrap();
                watch.look(Place::Check, &situation.name, &printed);
            }
        }
        world.call(&open.config, &situation.name, &mut watch).await;
        let caller = switchboard::domain::caller::Caller::admin("dump", tenant_a());
        watch.look(Place::Cache, &situation.name, &world.graph.dump(&caller));
        for (question, bytes) in world.operations.dump() {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            watch.look(Place::FinishedAnswer, &question, &text);
        }
        watch.look(Place::Metric, &situation.name, &world.graph.metrics().page());
        let logged = log.take();
        let of_panics: String = logged.lines().filter(|line| line.contains("a panic")).collect();
        watch.look(Place::Panic, &situation.name, &of_panics);
        watch.look(Place::Log, &situation.name, &logged);
        passed.extend(world.tap.passed());
    }
    let unseen: Vec<_> = PLACES
        .into_iter()
        .filter(|place| watch.looked_at.get(place).is_none_or(|&bytes| bytes == 0))
        .collect();
    assert_eq!(unseen, [], "nothing was looked at there");
    let never: Vec<_> = tap::SECRETS.into_iter().filter(|secret| !passed.contains(*secret)).collect();
    assert_eq!(never, [] as [&str; 0], "no upstream answered these");
}

fn tenant_a() -> switchboard::domain::caller::Tenant {
    switchboard::domain::caller::Tenant {
        leadlex: Credential::new(Tenant::A.leadlex_key()).ok(),
        composio: Credential::new(Tenant::A.composio_key()).ok(),
    }
}
