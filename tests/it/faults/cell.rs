//! One cell of the matrix: a query over a cache in some state while a fault affects an upstream, and the
//! observed result.
//!
//! One graph serves many cells, because building it takes longer than a query. Each cell has its own keys, so
//! it shares no cache, quota or breaker with another. A cell begins after everything of the last one has
//! ended.

use std::fmt;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use switchboard::app::wiring::{Networks, graph_over, operations_of};
use switchboard::config::Config;
use switchboard::domain::caller::Tenant;
use switchboard::domain::clock::Clock;
use switchboard::domain::credential::Credential;
use switchboard::domain::upstream_name::UpstreamName::{self, Composio, Leadlex};
use switchboard::http::caller::Authenticator;
use switchboard::http::webhook::Webhooks;
use switchboard::http::{EdgeParts, router};
use switchboard::operation::OperationEngine;
use switchboard::sandbox::{self, CANARY, EmulatedUpstream, LEADLEX_PATH, Sandbox};
use switchboard::upstream::transport::{Network, NetworkBody};
use tokio::time::Instant;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt, service_fn};
use tracing_subscriber::filter::LevelFilter;

use super::fault::{Fault, UNKNOWN_WORD};
use crate::world::{NOW, Setup, global_id, network};

/// The number of accounts: more than a query requests, fewer than an upstream page.
const ACCOUNTS: usize = 24;

/// The upstreams that a fault affects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AffectedUpstreams {
    One(UpstreamName),
    Both,
}

impl AffectedUpstreams {
    pub(super) const ALL: [Self; 3] = [Self::One(Leadlex), Self::One(Composio), Self::Both];

    pub(super) fn holds(self, upstream: UpstreamName) -> bool {
        self == Self::Both || self == Self::One(upstream)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::One(Leadlex) => "LeadLex",
            Self::One(Composio) => "Composio",
            Self::Both => "both",
        }
    }
}

/// The cache state when the fault begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CacheState {
    Cold,
    Fresh,
    /// Past its fresh time: served, and refreshed in the background. The result is observed after the
    /// refresh.
    Stale,
    /// Past its stale time: served only if the refresh fails.
    Old,
}

impl CacheState {
    pub(super) const ALL: [Self; 4] = [Self::Cold, Self::Fresh, Self::Stale, Self::Old];
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Query {
    Providers,
    Accounts,
    Joined,
    Node,
    Nodes,
}

impl Query {
    pub(super) const ALL: [Self; 5] =
        [Self::Providers, Self::Accounts, Self::Joined, Self::Node, Self::Nodes];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Providers => "providers",
            Self::Accounts => "accounts",
            Self::Joined => "joined",
            Self::Node => "node",
            Self::Nodes => "nodes",
        }
    }

    pub(super) fn asks(self, upstream: UpstreamName) -> bool {
        match self {
            Self::Providers => upstream == Leadlex,
            Self::Accounts | Self::Node => upstream == Composio,
            Self::Joined | Self::Nodes => true,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Providers => "{ providers { freshness { state } nodes { id status rawStatus } } }",
            Self::Accounts => {
                "{ connectedAccounts(first: 50) { isComplete freshness { state } nodes { id status rawStatus } } }"
            }
            Self::Joined => {
                "{ providers { freshness { state } nodes { id connectedAccounts(first: 3) { isComplete freshness { state } nodes { id status rawStatus } } } } }"
            }
            Self::Node => {
                "query ($account: ID!) { node(id: $account) { ...A } } fragment A on ConnectedAccount { id status rawStatus freshness { state } }"
            }
            Self::Nodes => {
                "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on ConnectedAccount { id status rawStatus freshness { state } } ... on Provider { id category freshness { state } } } }"
            }
        }
    }
}

/// The result for one upstream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Half {
    pub(super) data: Data,
    /// The freshness states, joined if several.
    pub(super) state: String,
    pub(super) code: Option<String>,
    /// The calls made since the fault began.
    pub(super) calls: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Data {
    Whole,
    /// All data, marked as possibly incomplete.
    Unsure,
    Null,
    /// The response has no field for this data.
    #[default]
    Nowhere,
    Other(String),
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.data {
            Data::Whole => f.write_str("whole")?,
            Data::Unsure => f.write_str("whole, `isComplete: false`")?,
            Data::Null => f.write_str("null")?,
            Data::Nowhere => f.write_str("not requested")?,
            Data::Other(what) => f.write_str(what)?,
        }
        if !self.state.is_empty() && self.state != "FRESH" {
            write!(f, ", `{}`", self.state)?;
        }
        if let Some(code) = &self.code {
            write!(f, ", `{code}`")?;
        }
        match self.calls {
            0 => Ok(()),
            1 => f.write_str(", 1 call"),
            calls => write!(f, ", {calls} calls"),
        }
    }
}

/// The result of a cell, LeadLex's half first.
pub(super) type CellResult = [Half; 2];

pub(super) fn upstream_index(upstream: UpstreamName) -> usize {
    usize::from(upstream == Composio)
}

/// The network of a cell.
struct CellNetwork {
    clock: Clock,
    fault: Option<(Fault, AffectedUpstreams)>,
    calls: [usize; 2],
    keys: [(http::HeaderName, &'static str); 2],
}

type SharedCellNetwork = Arc<Mutex<CellNetwork>>;

/// A graph that serves one cell after another.
pub(super) struct Bench {
    config: Config,
    operations: OperationEngine,
    wire: SharedCellNetwork,
    sandbox: Sandbox,
    log: Log,
    cells: usize,
    whole: Vec<[Value; 2]>,
    variables: Value,
}

impl Bench {
    pub(super) async fn new(log: Log) -> Self {
        let mut config = Setup::as_shipped().config;
        config.upstream.leadlex.retry.retries_max = 2;
        config.upstream.composio.retry.retries_max = 2;
        // Otherwise ids would depend on the credential, which differs in each cell.
        config.ids.key = "a key of ids that is long enough".into();
        let clock = Clock::starting_at(NOW.parse::<Timestamp>().unwrap());
        let key = |header, key| (http::HeaderName::from_static(header), key);
        let sandbox = new_sandbox(clock);
        let wire = Arc::new(Mutex::new(CellNetwork {
            clock,
            fault: None,
            calls: [0; 2],
            keys: [key("authorization", "Bearer wbk_sandbox_a"), key("x-api-key", "ak_sandbox_a")],
        }));
        let faulty_network = |upstream| faulty_network(&wire, upstream, network(&sandbox));
        let networks =
            Networks { leadlex: faulty_network(Leadlex), composio: faulty_network(Composio), store: None };
        let operations = operations_of(graph_over(&config, clock, &networks), &config, clock).unwrap();
        let accounts = sandbox.accounts(sandbox::Tenant::A);
        let account = |upstream_index: usize| global_id("ConnectedAccount", &accounts[upstream_index].id);
        let variables = json!({ "account": account(0), "ids": [account(1), account(2)] });
        let (cells, whole) = (0, Vec::new());
        let mut bench = Self { config, operations, wire, sandbox, log, cells, whole, variables };
        bench.record_baseline(account(1), account(2)).await;
        bench
    }

    /// Records the responses without a fault, and checks them against the sandbox's data.
    async fn record_baseline(&mut self, one: String, two: String) {
        let edge = self.begin();
        let providers = self.send(&edge, Query::Providers).await;
        let provider = providers["data"]["providers"]["nodes"][0]["id"].clone();
        self.variables["ids"] = json!([provider, one, two]);
        for query in Query::ALL {
            let answer = self.send(&edge, query).await;
            assert_eq!(answer.get("errors"), None, "{answer}");
            self.whole.push([Leadlex, Composio].map(|upstream| part(query, &answer["data"], upstream).ids));
        }
        let counts =
            self.whole.iter().map(|halves| [0, 1].map(|half| halves[half].as_array().map_or(0, Vec::len)));
        assert_eq!(counts.collect::<Vec<_>>(), [[25, 0], [0, ACCOUNTS], [25, 25], [0, 1], [1, 2]]);
        self.end().await;
    }

    /// New keys, and no fault.
    fn begin(&mut self) -> axum::Router {
        self.cells += 1;
        let mut wire = self.wire.lock().unwrap();
        (wire.fault, wire.calls) = (None, [0; 2]);
        for upstream in [EmulatedUpstream::Leadlex, EmulatedUpstream::Composio] {
            self.sandbox.emulate(upstream, None);
        }
        let (operations, settings) = (self.operations.clone(), self.config.http.clone());
        let callers = Authenticator::Open(Tenant {
            leadlex: Credential::new(&format!("wbk_cell_{}", self.cells)).ok(),
            composio: Credential::new(&format!("ak_cell_{}", self.cells)).ok(),
        });
        router(EdgeParts { operations, callers, webhooks: Webhooks::none(), settings })
    }

    /// Waits until no work is in flight.
    async fn end(&self) {
        tokio::time::sleep(Duration::from_secs(120)).await;
        let log = std::mem::take(&mut *self.log.0.lock().unwrap());
        assert_no_secret(&String::from_utf8(log).unwrap(), "the log");
    }

    pub(super) async fn cell(
        &mut self,
        fault: Fault,
        affected: AffectedUpstreams,
        cache_state: CacheState,
        query: Query,
    ) -> CellResult {
        let edge = self.begin();
        if cache_state != CacheState::Cold {
            self.send(&edge, query).await;
        }
        let age = match cache_state {
            CacheState::Cold | CacheState::Fresh => 0,
            CacheState::Stale => 61,
            CacheState::Old => 400,
        };
        tokio::time::sleep(Duration::from_secs(age)).await;
        self.inject(fault, affected);
        if cache_state == CacheState::Stale {
            let began = Instant::now();
            let at_once = self.send(&edge, query).await;
            assert_eq!(at_once.get("errors"), None, "stale data is served first: {at_once}");
            assert_eq!(began.elapsed(), Duration::ZERO, "stale data is served without a wait");
            for upstream in [Leadlex, Composio].into_iter().filter(|upstream| query.asks(*upstream)) {
                let half = self.half(query, &at_once, upstream, fault);
                assert_eq!((half.data, &*half.state), (Data::Whole, "STALE"), "{at_once}");
            }
            tokio::time::sleep(refreshed_in(fault)).await;
        }
        let began = Instant::now();
        let answer = self.send(&edge, query).await;
        assert!(began.elapsed() <= Duration::from_secs(30), "{fault:?} took {:?}", began.elapsed());
        let seen = [Leadlex, Composio].map(|upstream| self.half(query, &answer, upstream, fault));
        self.end().await;
        seen
    }

    fn inject(&self, fault: Fault, affected: AffectedUpstreams) {
        let mut wire = self.wire.lock().unwrap();
        if let Some(words) = fault.emulated() {
            for (emulated, upstream) in
                [(EmulatedUpstream::Leadlex, Leadlex), (EmulatedUpstream::Composio, Composio)]
            {
                let fault = sandbox::Fault::parse(&words).unwrap();
                self.sandbox.emulate(emulated, affected.holds(upstream).then_some(fault));
            }
        }
        (wire.fault, wire.calls) = (Some((fault, affected)), [0; 2]);
    }

    /// A response over HTTP, checked to contain no secret.
    async fn send(&self, edge: &axum::Router, query: Query) -> Value {
        let request = json!({ "query": query.text(), "variables": self.variables });
        let request = Request::post("/graphql")
            .header("host", "localhost:8080")
            .header("content-type", "application/json")
            .header("accept", "application/graphql-response+json")
            .body(Body::from(request.to_string()))
            .unwrap();
        let (head, body) = edge.clone().oneshot(request).await.unwrap().into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        assert_eq!(head.status, StatusCode::OK, "{text}");
        assert_no_secret(&text, "the answer");
        assert_no_secret(&format!("{:?}", head.headers), "the headers");
        let answer: Value = serde_json::from_str(&text).unwrap();
        let errors = answer["errors"].as_array().map_or(&[][..], Vec::as_slice);
        let mut upstreams: Vec<_> = errors.iter().map(|error| &error["extensions"]["upstream"]).collect();
        upstreams.dedup();
        assert_eq!(upstreams.len(), errors.len(), "one error for one cause: {answer}");
        assert!(answer["data"].is_object(), "{answer}");
        answer
    }

    /// The result for one upstream.
    fn half(&self, query: Query, answer: &Value, upstream: UpstreamName, fault: Fault) -> Half {
        let calls = self.wire.lock().unwrap().calls[upstream_index(upstream)];
        let mut errors = answer["errors"].as_array().into_iter().flatten();
        let code = errors
            .find(|error| error["extensions"]["upstream"] == upstream.to_string())
            .map(|error| error["extensions"]["code"].as_str().unwrap().to_owned());
        if !query.asks(upstream) {
            return Half { code, calls, ..Half::default() };
        }
        let part = part(query, &answer["data"], upstream);
        let whole = &self.whole[Query::ALL.iter().position(|known| *known == query).unwrap()]
            [upstream_index(upstream)];
        let data = match &part.ids {
            Value::Null => Data::Nowhere,
            ids if ids == whole && part.is_unsure => Data::Unsure,
            ids if ids == whole => Data::Whole,
            // Without a value to request, as for a provider without toolkit, the upstream does not matter.
            ids if is_null_where_something_was(ids, whole) => Data::Null,
            ids => Data::Other(format!("{ids} of {whole}")),
        };
        if fault == Fault::UnknownWords && part.words.iter().any(|(raw, _)| raw == UNKNOWN_WORD) {
            let all_reported = part.words.iter().all(|word| *word == (json!(UNKNOWN_WORD), json!("UNKNOWN")));
            assert!(all_reported, "{:?}", part.words);
        }
        Half { data, state: part.states.join("+"), code, calls }
    }
}

fn is_null_where_something_was(ids: &Value, whole: &Value) -> bool {
    let (ids, whole) = (ids.as_array().unwrap(), whole.as_array().unwrap());
    let is_gone = |(id, was): (&Value, &Value)| if *was == json!([]) { id == was } else { id.is_null() };
    *ids == [Value::Null] || (ids.len() == whole.len() && ids.iter().zip(whole).all(is_gone))
}

/// The duration of a failing refresh.
fn refreshed_in(fault: Fault) -> Duration {
    match fault {
        Fault::TimeoutBefore | Fault::TimeoutWithin | Fault::SlowTrickle => Duration::from_millis(15_100),
        _ => Duration::from_secs(4),
    }
}

fn new_sandbox(clock: Clock) -> Sandbox {
    let settings = sandbox::Settings { accounts: ACCOUNTS, ..sandbox::Settings::default() };
    Sandbox::new(settings, sandbox::Clock::new(move || clock.now()))
}

/// The part of a response's data that comes from one upstream.
#[derive(Default)]
struct Part {
    /// The ids, with null where the id is missing. `None` if the response has no such field.
    ids: Value,
    states: Vec<String>,
    words: Vec<(Value, Value)>,
    is_unsure: bool,
}

fn part(query: Query, data: &Value, upstream: UpstreamName) -> Part {
    let mut part = Part::default();
    match (query, upstream) {
        (Query::Providers, Leadlex) | (Query::Joined, Leadlex) => part.list(&data["providers"]),
        (Query::Accounts, Composio) => part.list(&data["connectedAccounts"]),
        (Query::Joined, Composio) => {
            let Some(providers) = data["providers"]["nodes"].as_array() else { return part };
            let mut all = Vec::new();
            for provider in providers {
                part.list(&provider["connectedAccounts"]);
                all.push(if provider["connectedAccounts"].is_null() { Value::Null } else { part.ids.take() });
            }
            part.ids = all.into();
        }
        (Query::Node, Composio) => part.rows(&json!([data["node"]])),
        (Query::Nodes, Leadlex) => part.rows(&json!([data["nodes"][0]])),
        (Query::Nodes, Composio) => part.rows(&json!([data["nodes"][1], data["nodes"][2]])),
        _ => {}
    }
    part
}

impl Part {
    fn list(&mut self, connection: &Value) {
        if connection.is_null() {
            self.ids = json!([null]);
            return;
        }
        self.is_unsure |= connection["isComplete"] == false;
        self.state(&connection["freshness"]);
        self.rows(&connection["nodes"]);
    }

    fn rows(&mut self, rows: &Value) {
        let rows = rows.as_array().unwrap();
        self.ids = rows.iter().map(|row| row["id"].clone()).collect();
        for row in rows {
            self.state(&row["freshness"]);
            if row["status"].is_string() {
                self.words.push((row["rawStatus"].clone(), row["status"].clone()));
            }
        }
    }

    fn state(&mut self, freshness: &Value) {
        let state = freshness["state"].as_str().map(str::to_owned);
        self.states.extend(state.filter(|state| !self.states.contains(state)));
    }
}

/// The network to one upstream: the sandbox's, with the cell's fault.
fn faulty_network(wire: &SharedCellNetwork, upstream: UpstreamName, network: Network) -> Network {
    let wire = Arc::clone(wire);
    let carry = move |request| carry(Arc::clone(&wire), upstream, network.clone(), request);
    BoxCloneSyncService::new(service_fn(carry))
}

async fn carry(
    wire: SharedCellNetwork,
    upstream: UpstreamName,
    network: Network,
    mut request: Request<bytes::Bytes>,
) -> Result<Response<NetworkBody>, BoxError> {
    let (fault, call, now) = {
        let mut wire = wire.lock().unwrap();
        let call = wire.calls[upstream_index(upstream)];
        wire.calls[upstream_index(upstream)] += 1;
        let (name, key) = wire.keys[upstream_index(upstream)].clone();
        request.headers_mut().insert(name, key.parse().unwrap());
        let fault = wire.fault.filter(|(fault, affected)| {
            affected.holds(upstream) && fault.applies_to(upstream) && fault.affects_call(call)
        });
        (fault.map(|(fault, _)| fault), call, wire.clock.now())
    };
    match fault {
        Some(Fault::Flapping) => {
            request.headers_mut().insert("x-emulate", "status=500; times=-1".parse().unwrap())
        }
        Some(Fault::RepeatedCursor | Fault::EndlessCursor) => {
            // It refuses its own cursors and returns the first page again.
            let uri = request.uri().to_string();
            *request.uri_mut() = uri.split("&cursor=").next().unwrap().parse().unwrap();
            None
        }
        _ => None,
    };
    if let Some(error) = fault.and_then(Fault::connection_error) {
        return Err(error);
    }
    let mut answer = network.oneshot(request).await?;
    if let Some(fault) = fault {
        if let Some(seconds) = fault.clock_offset() {
            let date = now + jiff::SignedDuration::from_secs(seconds);
            let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&date).unwrap();
            answer.headers_mut().insert("date", date.parse().unwrap());
        }
        answer = fault.apply(answer, call).await;
    }
    Ok(answer)
}

fn assert_no_secret(text: &str, what: &str) {
    let gateway = LEADLEX_PATH.trim_matches('/');
    for secret in [
        CANARY,
        "sandbox.invalid",
        gateway,
        "http://",
        "wbk_",
        "ak_cell",
        "ak_sandbox",
        "Emulated",
        "DOCTYPE",
        "endless-",
    ] {
        assert!(!text.contains(secret), "{secret} in {what}: {text}");
    }
}

/// The log of a thread.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Captures everything that this thread logs from now on.
    pub(super) fn capture(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let all = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false);
        tracing::subscriber::set_default(all.with_writer(move || log.clone()).finish())
    }
}

impl Log {
    /// The text logged so far.
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
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
