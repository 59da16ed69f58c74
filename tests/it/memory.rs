//! One byte limit over all caches: a process with far more requests than fit the limit stays small.
//!
//! These tests use real sockets and a separate sandbox process, because they measure the memory of the
//! process.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use futures_util::stream::{self, StreamExt as _};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::abuse::bombs::bombs;

const MIB: usize = 1 << 20;

/// `cache.limit_bytes`.
const LIMIT: usize = 4 * MIB;

/// Additional growth allowed beside the cached bytes: weights are estimates, the allocator keeps pages, and
/// some requests are in flight.
const OVERHEAD: usize = 24 * MIB;

/// A process that ends with the test.
struct Running {
    process: Child,
    /// Its address, from the first line that it printed.
    address: String,
}

impl Running {
    fn start(command: &mut Command, word: &str) -> Self {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        // Kept open, so that the process can print more.
        process.stdout = Some(out.into_inner());
        let address = line.trim_end().strip_prefix(word).unwrap_or_else(|| panic!("`{line}`")).to_owned();
        Self { process, address }
    }

    /// The resident memory, if the system reports it.
    fn resident_bytes(&self) -> Option<usize> {
        self.bytes("VmRSS:")
    }

    /// The peak resident memory.
    fn peak_resident_bytes(&self) -> Option<usize> {
        self.bytes("VmHWM:")
    }

    fn bytes(&self, name: &str) -> Option<usize> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<usize>().unwrap() * 1024)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        self.process.wait().unwrap();
    }
}

fn switchboard(command: &str) -> Command {
    let mut switchboard = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    switchboard.arg(command).env_clear();
    switchboard
}

fn sandbox() -> Running {
    let mut command = switchboard("sandbox");
    command.args([
        "--fixed-clock",
        "--listen",
        "127.0.0.1:0",
        "--accounts",
        "150",
        "--composio-plan",
        "enterprise",
    ]);
    Running::start(&mut command, "sandbox listening on ")
}

fn serve(sandbox: &Running) -> Running {
    let mut command = switchboard("serve");
    let base = &sandbox.address;
    for (setting, value) in [
        ("CACHE__LIMIT_BYTES", LIMIT.to_string()),
        ("HTTP__LISTEN", "127.0.0.1:0".to_owned()),
        ("OPS__LISTEN", "127.0.0.1:0".to_owned()),
        ("UPSTREAM__LEADLEX__BASE_URL", format!("{base}/functions/v1/api-gateway")),
        ("UPSTREAM__LEADLEX__API_KEY", "wbk_sandbox_a".to_owned()),
        ("UPSTREAM__COMPOSIO__BASE_URL", base.clone()),
        ("UPSTREAM__COMPOSIO__API_KEY", "ak_sandbox_a".to_owned()),
    ] {
        command.env(format!("SWITCHBOARD__{setting}"), value);
    }
    Running::start(&mut command, "listening on ")
}

/// A request with a large response that needs no upstream data.
fn large_answer(number: usize) -> Value {
    let slugs: Vec<_> = (0..100).map(|slug| format!("s{number}x{slug}")).collect();
    let alias = "a".repeat(2_000);
    json!({
        "query": format!("query ($slugs: [String!]!) {{ toolkitsBySlugs(slugs: $slugs) {{ {alias}: slug }} }}"),
        "variables": { "slugs": slugs },
    })
}

/// A request with a large document, parsed and validated once.
fn large_document(number: usize) -> Value {
    let fields: String = (0..100).map(|field| format!(" f{number}x{field}: __typename")).collect();
    json!({ "query": format!("{{{fields} }}") })
}

/// A request for a separate list, of which a complete page is cached.
fn page(number: usize) -> Value {
    let query = "query ($toolkits: [String!]) { connectedAccounts(first: 1, filter: { toolkits: $toolkits }) { totalCount } }";
    let all = "gmail googlecalendar slack github notion outlook hubspot salesforce linear jira asana trello";
    let toolkits: Vec<_> = all.split(' ').map(str::to_owned).chain([format!("none{number}")]).collect();
    json!({ "query": query, "variables": { "toolkits": toolkits } })
}

/// A request for accounts that do not exist.
fn missing(number: usize) -> Value {
    let ids: Vec<_> = (0..500).map(|id| format!("ca_{number}x{id}{}", "y".repeat(40))).collect();
    json!({ "query": "query ($ids: [ID!]!) { connectedAccountsByIds(ids: $ids) { id } }", "variables": { "ids": ids } })
}

/// Sends requests, a few concurrently, and returns the total size of the responses.
async fn send_all(graph: &str, requests: impl Iterator<Item = Value>) -> usize {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answers = stream::iter(requests).map(|request| {
        let post = client.post(graph).header("content-type", "application/json").body(request.to_string());
        async move {
            let text = post.send().await.unwrap().text().await.unwrap();
            assert!(text.starts_with(r#"{"data""#), "{text:.300}");
            text.len()
        }
    });
    answers.buffer_unordered(4).fold(0, async |sum, bytes| sum + bytes).await
}

#[tokio::test(flavor = "multi_thread")]
async fn process_memory_stays_within_the_cache_limit() {
    let sandbox = sandbox();
    let serve = serve(&sandbox);
    if serve.resident_bytes().is_none() {
        // Only Linux reports a process's memory under /proc.
        return;
    }
    let graph = serve.address.clone();
    let round = |numbers: std::ops::Range<usize>| {
        let (few, many) = (numbers.clone(), numbers.clone());
        let large = many.clone().flat_map(|number| [large_answer(number), large_document(number)]);
        large.chain(few.step_by(2).map(page)).chain(numbers.step_by(10).map(missing))
    };
    send_all(&graph, round(0..20)).await;
    let before = serve.resident_bytes().unwrap();
    let answered = send_all(&graph, round(20..260)).await;
    assert!(answered > 10 * LIMIT, "{answered} bytes");
    let after = serve.resident_bytes().unwrap();
    let grown = after.saturating_sub(before);
    assert!(grown < LIMIT + OVERHEAD, "from {before} to {after} bytes, by {} MiB", grown / MIB);
}

/// The number of concurrent clients of a flood.
const CONCURRENT_CLIENTS: usize = 24;

/// Additional memory during a flood, beside the request bodies: documents under validation, and responses.
const FLOOD_OVERHEAD: usize = 96 * MIB;

/// Requests that are refused: every bomb, bodies that are or claim to be too long, and very long ids.
fn attacks(round: usize) -> Vec<(Vec<u8>, StatusCode)> {
    let body = |document: &str| json!({ "query": document }).to_string().into_bytes();
    // The text differs each time, so that no cached validation result saves work.
    let bombs = bombs()
        .into_iter()
        .map(|(_, document, ..)| (body(&format!("{document} #{round}")), StatusCode::BAD_REQUEST));
    let ids: Vec<_> = (0..40_000).map(|id| format!("ca_{round}x{id}")).collect();
    let query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }";
    let many = json!({ "query": query, "variables": { "ids": ids } }).to_string().into_bytes();
    let long = vec![b' '; 8 * MIB];
    bombs.chain([(many, StatusCode::BAD_REQUEST), (long, StatusCode::PAYLOAD_TOO_LARGE)]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn flood_of_bombs_needs_little_memory_and_releases_it() {
    let sandbox = sandbox();
    let serve = serve(&sandbox);
    if serve.resident_bytes().is_none() {
        return;
    }
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let flood = async |rounds: std::ops::Range<usize>| {
        let requests = stream::iter(rounds).flat_map(|round| stream::iter(attacks(round)));
        let refused = requests.map(|(body, expected)| {
            let post = client.post(&serve.address).header("content-type", "application/json");
            let post = post.header("accept", "application/graphql-response+json").body(body);
            async move {
                // A client that sends too much may be disconnected before it reads the reason.
                let Ok(response) = post.send().await else { return };
                let (status, text) = (response.status(), response.text().await.unwrap_or_default());
                assert_eq!(status, expected, "{text:.300}");
                assert!(text.len() < 8_000, "{} bytes", text.len());
            }
        });
        refused.buffer_unordered(CONCURRENT_CLIENTS).collect::<Vec<_>>().await.len()
    };
    flood(0..3).await;
    let (before, most_before) = (serve.resident_bytes().unwrap(), serve.peak_resident_bytes().unwrap());
    assert!(flood(3..20).await > 300);
    let (after, most) = (serve.resident_bytes().unwrap(), serve.peak_resident_bytes().unwrap());
    let grown = after.saturating_sub(before);
    assert!(grown < LIMIT + OVERHEAD, "from {before} to {after} bytes, by {} MiB", grown / MIB);
    assert!(
        most < before + FLOOD_OVERHEAD + CONCURRENT_CLIENTS * MIB,
        "{} MiB at most, {} before",
        most / MIB,
        most_before / MIB
    );
}
