//! The duration of a cold query for providers with accounts, as a ratio to one upstream call.
//!
//! `cargo bench --bench hops`: the sandbox responds over real sockets with 50 ms of latency. A hop is one
//! call. With unknown toolkits the query takes two sequential hops. With known toolkits (the workspace was
//! read before and its list has expired) it takes one. Rounds are interleaved; the ratios of the medians do
//! not depend on the machine.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a program for the terminal"
)]

use std::net::SocketAddr;
use std::time::Duration;

use switchboard::app::wiring::{Networks, graph_over, operations_of};
use switchboard::config::{ApiKeys, Config, ConfigSources};
use switchboard::domain::caller::{Caller, Tenant};
use switchboard::domain::clock;
use switchboard::domain::credential::Credential;
use switchboard::operation::request::OperationRequest;
use switchboard::operation::{OperationEngine, TransportRules};
use switchboard::sandbox::{Clock, LEADLEX_PATH, Sandbox, Settings};
use tokio::time::Instant;

const ROUNDS: usize = 15;
const QUERY: &str = r#"{"query":"{ providers(first: 20) { nodes { name connectedAccounts(first: 10) { nodes { id status } } } } }"}"#;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(rounds());
}

async fn rounds() {
    let sandbox = Sandbox::new(Settings { latency_ms: 50, ..Settings::default() }, Clock::system());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move { axum::serve(listener, sandbox.router()).await });

    let (mut hops, mut unknown, mut known) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        hops.push(hop(address).await);
        let operations = operations(address);
        unknown.push(ask(&operations).await);
        // Both lists expire immediately, by the settings below. The connections stay open.
        tokio::time::sleep(Duration::from_millis(5)).await;
        known.push(ask(&operations).await);
    }
    let hop = median(hops);
    println!("| what | median, ms | ÷ one hop |");
    println!("|---|---:|---:|");
    for (what, times) in
        [("one hop", vec![hop]), ("cold, toolkits unknown", unknown), ("cold, toolkits known", known)]
    {
        let time = median(times);
        println!(
            "| {what} | {:.1} | {:.2} |",
            time.as_secs_f64() * 1e3,
            time.as_secs_f64() / hop.as_secs_f64()
        );
    }
}

/// One call to the sandbox on an open connection.
async fn hop(address: SocketAddr) -> Duration {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let call = || {
        client
            .get(format!("http://{address}/api/v3/connected_accounts?limit=100"))
            .header("x-api-key", "ak_sandbox_a")
    };
    call().send().await.expect("an answer").bytes().await.expect("its body");
    let start = Instant::now();
    call().send().await.expect("an answer").bytes().await.expect("its body");
    start.elapsed()
}

fn operations(address: SocketAddr) -> OperationEngine {
    let variables = [
        ("SWITCHBOARD__UPSTREAM__LEADLEX__BASE_URL", format!("http://{address}{LEADLEX_PATH}")),
        ("SWITCHBOARD__UPSTREAM__COMPOSIO__BASE_URL", format!("http://{address}")),
        ("SWITCHBOARD__CACHE__PROVIDERS_TTL_MS", "1".to_owned()),
        ("SWITCHBOARD__CACHE__ACCOUNTS_TTL_MS", "1".to_owned()),
    ];
    let variables = variables.map(|(name, value)| (name.into(), value.into())).to_vec();
    let config =
        Config::load(ConfigSources { variables, keys: ApiKeys::Optional, ..ConfigSources::default() })
            .expect("settings");
    let (clock, networks) = (clock::Clock::system(), Networks::real(&config).expect("TLS"));
    operations_of(graph_over(&config, clock, &networks), &config, clock).expect("the graph")
}

async fn ask(operations: &OperationEngine) -> Duration {
    let tenant = Tenant {
        leadlex: Credential::new("wbk_sandbox_a").ok(),
        composio: Credential::new("ak_sandbox_a").ok(),
    };
    let caller = Caller::admin("bench", tenant);
    let request = OperationRequest::from_json(QUERY.as_bytes()).expect("a request");
    let start = Instant::now();
    let answer = operations.run(request, TransportRules { mutations: true }, caller).await;
    let took = start.elapsed();
    assert!(!answer.body.windows(8).any(|window| window == b"\"errors\""), "the query failed");
    took
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
