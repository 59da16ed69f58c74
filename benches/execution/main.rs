//! CPU time of one request, from request text to response text, compared with plain async-graphql.
//!
//! `cargo bench --bench execution`: both graphs run in this process on one thread and call the same upstream,
//! which runs on another thread. Only the CPU time of their thread counts. Their responses are compared
//! before the measurement. Rounds are interleaved; the ratio of the medians does not depend on the machine.
//!
//! - `hot`: 20 providers with 10 accounts each, repeated: a cached response of Switchboard.
//!
//! - `warm`: 20 providers with 10 accounts each, 38 KB, with cached upstream rows on both sides: execution
//!   only.
//!
//! - `unique`: 20 accounts with a new filter in a variable: one upstream call each.
//!
//! - `unique text`: the same with the filter in the query text, so that its document is new too.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a program for the terminal"
)]

mod instructions;
mod plain;
mod upstream;

use std::process::ExitCode;
use std::time::Duration;

use mimalloc::MiMalloc;
use serde_json::{Value, json};
use switchboard::app::wiring::{Networks, graph_over};
use switchboard::config::{ApiKeys, Config, ConfigSources};
use switchboard::domain::caller::{Caller, Tenant};
use switchboard::domain::clock::Clock;
use switchboard::domain::credential::Credential;
use switchboard::loaders::settings::Shares;
use switchboard::operation::request::OperationRequest;
use switchboard::operation::{OperationEngine, TransportRules};
use switchboard::sandbox::LEADLEX_PATH;

use plain::Plain;
use upstream::{COMPOSIO_KEY, LEADLEX_KEY, UNIQUE, Upstream};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const ROUNDS: usize = 15;
/// Requests of one side in one round.
const REQUESTS: usize = 60;

const WARM: &str =
    "{ providers(first: 20) { nodes { category name status scopes connectedAccounts(first: 10) { nodes {
    id status userId toolkit { slug } authConfig { id authScheme } createdAt } } } } }";

const ACCOUNTS: &str = "nodes { id status userId toolkit { slug } authConfig { id authScheme } createdAt }";

#[derive(Clone, Copy)]
enum Job {
    Hot,
    Warm,
    Unique,
    UniqueText,
}

impl Job {
    const ALL: [Self; 4] = [Self::Hot, Self::Warm, Self::Unique, Self::UniqueText];

    fn name(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Warm => "warm",
            Self::Unique => "unique",
            Self::UniqueText => "unique text",
        }
    }

    fn has_rows_at_hand(self) -> bool {
        matches!(self, Self::Hot | Self::Warm)
    }

    /// The request text. `serial` makes it unique.
    fn request(self, serial: usize) -> Vec<u8> {
        let unique = format!("{UNIQUE}{serial}");
        let request = match self {
            Self::Hot | Self::Warm => json!({ "query": WARM }),
            Self::Unique => {
                let query = format!(
                    "query ($users: [String!]) {{ connectedAccounts(first: 20, filter: {{ userIds: $users }}) {{ {ACCOUNTS} }} }}"
                );
                json!({ "query": query, "variables": { "users": [unique] } })
            }
            Self::UniqueText => {
                let query = format!(
                    "{{ connectedAccounts(first: 20, filter: {{ userIds: [\"{unique}\"] }}) {{ {ACCOUNTS} }} }}"
                );
                json!({ "query": query })
            }
        };
        request.to_string().into_bytes()
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if instructions::is_requested(&arguments) {
        return instructions::run(&arguments);
    }
    // `cargo bench -- warm ours` runs one side of one job, for a profiler.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let upstream = Upstream::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let ours = Ours::new(&upstream.base_url);
        let toolkits =
            serde_json::from_slice(&ask(&ours.executing, TOOLKITS.as_bytes()).await).expect("JSON");
        let plain = Plain::new(&upstream.base_url, &toolkits);
        match words.as_slice() {
            [] => compare(&ours, &plain).await,
            [job, side] => {
                let job =
                    Job::ALL.into_iter().find(|known| known.name().replace(' ', "-") == *job).expect("a job");
                for serial in 0..20_000 {
                    match side.as_str() {
                        "ours" => ask(ours.of(job), &job.request(serial)).await,
                        _ => plain.ask(&job.request(serial), job.has_rows_at_hand()).await,
                    };
                }
            }
            _ => panic!("expected no argument, or a job and a side"),
        }
    });
    ExitCode::SUCCESS
}

const TOOLKITS: &str =
    r#"{"query":"{ providers(first: 20) { nodes { category name toolkits { slug } } } }"}"#;

async fn compare(both: &Ours, plain: &Plain) {
    println!("| what | answer, KB | plain, µs | ours, µs | plain ÷ ours |");
    println!("|---|---:|---:|---:|---:|");
    let mut serial = 0;
    for job in Job::ALL {
        let (ours, rows_at_hand) = (both.of(job), job.has_rows_at_hand());
        let (our_answer, plain_answer) =
            (ask(ours, &job.request(serial)).await, plain.ask(&job.request(serial), rows_at_hand).await);
        let [ours_read, plain_read]: [Value; 2] =
            [&our_answer, &plain_answer].map(|answer| serde_json::from_slice(answer).expect("JSON"));
        assert_eq!(ours_read, plain_read, "the responses of the two graphs differ");
        let (mut our_times, mut plain_times) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let requests: Vec<_> = (0..REQUESTS)
                .map(|_| {
                    serial += 1;
                    job.request(serial)
                })
                .collect();
            let start = cpu();
            // A cached response takes less time than the resolution of this clock, so several are measured
            // together.
            let times = if matches!(job, Job::Hot) { 100 } else { 1 };
            for request in requests.iter().cycle().take(REQUESTS * times as usize) {
                ask(ours, request).await;
            }
            our_times.push((cpu() - start) / times);
            let start = cpu();
            for request in &requests {
                plain.ask(request, rows_at_hand).await;
            }
            plain_times.push(cpu() - start);
        }
        let [our_time, plain_time] =
            [our_times, plain_times].map(|times| median(times).as_secs_f64() * 1e6 / REQUESTS as f64);
        println!(
            "| {} | {:.1} | {plain_time:.0} | {our_time:.1} | {:.2} |",
            job.name(),
            our_answer.len() as f64 / 1e3,
            plain_time / our_time
        );
    }
}

/// The same graph twice: with a response cache and without.
struct Ours {
    keeping: OperationEngine,
    executing: OperationEngine,
}

impl Ours {
    fn of(&self, job: Job) -> &OperationEngine {
        if matches!(job, Job::Hot) { &self.keeping } else { &self.executing }
    }

    fn new(base_url: &str) -> Self {
        let (config, clock) = (config(base_url), Clock::system());
        let graph = graph_over(&config, clock, &Networks::real(&config).expect("TLS"));
        let shares = config.cache.shares();
        let engine = |shares: &Shares| {
            let Config { limits, connections, lists, .. } = config.clone();
            OperationEngine::new(graph.clone(), shares, clock, limits, connections, lists).expect("a schema")
        };
        Self { keeping: engine(&shares), executing: engine(&Shares { responses: 0, ..shares }) }
    }
}

fn config(base_url: &str) -> Config {
    let variables = [
        ("SWITCHBOARD__UPSTREAM__LEADLEX__BASE_URL", format!("{base_url}{LEADLEX_PATH}")),
        ("SWITCHBOARD__UPSTREAM__COMPOSIO__BASE_URL", base_url.to_owned()),
        ("SWITCHBOARD__CACHE__PROVIDERS_TTL_MS", "600000".to_owned()),
        ("SWITCHBOARD__CACHE__ACCOUNTS_TTL_MS", "600000".to_owned()),
    ];
    let variables = variables.map(|(name, value)| (name.into(), value.into())).to_vec();
    Config::load(ConfigSources { variables, keys: ApiKeys::Optional, ..ConfigSources::default() })
        .expect("settings")
}

async fn ask(operations: &OperationEngine, request: &[u8]) -> Vec<u8> {
    let tenant =
        Tenant { leadlex: Credential::new(LEADLEX_KEY).ok(), composio: Credential::new(COMPOSIO_KEY).ok() };
    let caller = Caller::admin("bench", tenant);
    let request = OperationRequest::from_json(request).expect("a request");
    operations.run(request, TransportRules { mutations: true }, caller).await.body.into()
}

/// The CPU time of this thread.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux's own count of CPU time");
    let nanos = text.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanos.expect("nanoseconds"))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
