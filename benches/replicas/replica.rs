//! One replica: a graph and its engine on a separate thread, so that its cost is the CPU time of that thread
//! alone.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc;
use std::time::Duration;

use switchboard::app::wiring::{Networks, graph_over};
use switchboard::config::{ApiKeys, Config, ConfigSources};
use switchboard::domain::caller::{Caller, Tenant};
use switchboard::domain::clock::Clock;
use switchboard::domain::credential::Credential;
use switchboard::graphql::graph::Graph;
use switchboard::loaders::settings::Shares;
use switchboard::operation::request::OperationRequest;
use switchboard::operation::{OperationEngine, TransportRules};
use switchboard::sandbox::LEADLEX_PATH;
use switchboard::telemetry::requests::{ResponseSource, Transport};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use crate::upstreams::{COMPOSIO_KEY, LEADLEX_KEY};

/// Work after a response, such as a message to the other replicas, ends within this time and is counted.
const SETTLE_TIME: Duration = Duration::from_millis(2);

/// After this many responses without a wait, other tasks get a turn, as they do between connections.
const YIELD_INTERVAL: u32 = 100;

/// The maximum duration of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The settings of a replica.
pub(crate) struct Setup<'a> {
    pub(crate) upstream: &'a str,
    pub(crate) redis: Option<&'a str>,
    pub(crate) fresh_for: Duration,
    /// Whether responses are cached.
    pub(crate) keeps_answers: bool,
}

pub(crate) struct Replica {
    questions: UnboundedSender<Question>,
    answers: mpsc::Receiver<Cost>,
    graph: Graph,
}

struct Question {
    request: Vec<u8>,
    times: u32,
}

/// The cost of one response, or the mean of several.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) latency: Duration,
    /// CPU time of the replica's thread.
    pub(crate) cpu: Duration,
    /// Source of the last response.
    pub(crate) source: Option<ResponseSource>,
    pub(crate) bytes: usize,
}

impl Replica {
    pub(crate) fn start(setup: &Setup<'_>) -> Self {
        let config = config(setup);
        let (questions, asked) = unbounded_channel();
        let (answer, answers) = mpsc::channel();
        let (sender, receiver) = mpsc::channel();
        let keeps_answers = setup.keeps_answers;
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let clock = Clock::system();
                let networks = Networks::real(&config).expect("TLS");
                let graph = graph_over(&config, clock, &networks);
                let mut shares = config.cache.shares();
                if !keeps_answers {
                    shares = Shares { responses: 0, ..shares };
                }
                let operations = OperationEngine::new(
                    graph.clone(),
                    &shares,
                    clock,
                    config.limits.clone(),
                    config.connections.clone(),
                    config.lists.clone(),
                )
                .expect("a schema");
                sender.send(graph).expect("the other thread waits");
                serve(&operations, asked, &answer).await;
            });
        });
        Self { questions, answers, graph: receiver.recv().expect("the replica starts") }
    }

    /// The cost of a response to `request`, averaged over `times` runs.
    pub(crate) fn ask(&self, request: &[u8], times: u32) -> Cost {
        self.questions.send(Question { request: request.to_vec(), times }).expect("a replica");
        self.answers.recv_timeout(REQUEST_TIMEOUT).expect("an answer")
    }

    /// The number of calls to both upstreams.
    pub(crate) fn calls(&self) -> u64 {
        self.graph.calls().iter().map(|counts| counts.succeeded).sum()
    }
}

async fn serve(
    operations: &OperationEngine,
    mut asked: UnboundedReceiver<Question>,
    answer: &mpsc::Sender<Cost>,
) {
    let clock = CpuClock::of_this_thread();
    while let Some(Question { request, times }) = asked.recv().await {
        // The CPU time of a thread is exact just after a sleep.
        tokio::time::sleep(SETTLE_TIME).await;
        let (before, begun) = (clock.read(), Instant::now());
        let (mut source, mut bytes) = (None, 0);
        for number in 0..times {
            (source, bytes) = run(operations, &request).await;
            if number % YIELD_INTERVAL == YIELD_INTERVAL - 1 {
                tokio::task::yield_now().await;
            }
        }
        let took = begun.elapsed();
        tokio::time::sleep(SETTLE_TIME).await;
        let cpu = clock.read() - before;
        let spent = Cost { latency: took / times, cpu: cpu / times, source, bytes };
        if answer.send(spent).is_err() {
            return;
        }
    }
}

async fn run(operations: &OperationEngine, request: &[u8]) -> (Option<ResponseSource>, usize) {
    let tenant =
        Tenant { leadlex: Credential::new(LEADLEX_KEY).ok(), composio: Credential::new(COMPOSIO_KEY).ok() };
    let caller = Caller::admin("bench", tenant);
    let request = OperationRequest::from_json(request).expect("a request");
    let answer = operations.run(request, TransportRules { mutations: true }, caller).await;
    let record = answer.record(Transport::Http);
    assert!(record.code.is_none(), "the query failed: {:?}", record.code);
    (record.source, answer.body.len())
}

fn config(setup: &Setup<'_>) -> Config {
    let fresh_for = setup.fresh_for.as_millis().to_string();
    let variables = [
        ("UPSTREAM__LEADLEX__BASE_URL", format!("{}{LEADLEX_PATH}", setup.upstream)),
        ("UPSTREAM__COMPOSIO__BASE_URL", setup.upstream.to_owned()),
        ("CACHE__PROVIDERS_TTL_MS", fresh_for.clone()),
        ("CACHE__ACCOUNTS_TTL_MS", fresh_for),
        // Expired values are dropped, so that the next request is a miss.
        ("CACHE__STALE_WHILE_REVALIDATE_MS", "0".to_owned()),
        ("CACHE__STALE_IF_ERROR_MS", "0".to_owned()),
        ("CACHE__JITTER_PERCENT", "0".to_owned()),
        // A slow Redis on a busy machine must not be taken for an outage.
        ("REDIS__TIMEOUT_MS", "1000".to_owned()),
        ("REDIS__URL", setup.redis.unwrap_or_default().to_owned()),
    ];
    let variables = variables.map(|(name, value)| (format!("SWITCHBOARD__{name}").into(), value.into()));
    let sources =
        ConfigSources { variables: variables.to_vec(), keys: ApiKeys::Optional, ..ConfigSources::default() };
    Config::load(sources).expect("settings")
}

/// The CPU time of one thread.
struct CpuClock(File);

impl CpuClock {
    fn of_this_thread() -> Self {
        Self(File::open("/proc/thread-self/schedstat").expect("Linux's own count of CPU time"))
    }

    fn read(&self) -> Duration {
        let mut text = [0; 64];
        let length = self.0.read_at(&mut text, 0).expect("a count");
        let text = std::str::from_utf8(&text[..length]).expect("digits");
        let nanos = text.split(' ').next().and_then(|first| first.parse().ok());
        Duration::from_nanos(nanos.expect("nanoseconds"))
    }
}
