//! A server under load whose upstreams fail randomly, with a check of every response.
//!
//! `make soak` (`make soak SECONDS=60` for a short run) starts a server process ([`child`]) over two relays
//! to the sandbox ([`upstreams`]). ADMINs and MEMBERs of two tenants send requests ([`requests`]). Some clients
//! disconnect, and some read slowly or not at all. An error is explained if that upstream had a fault just
//! then. Anything else is a violation: other errors, data of others, secrets, growing memory, inconsistent
//! counters, leaked connections or leaked slots. Built like tests, with all assertions.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a program for the terminal"
)]

mod child;
mod clients;
mod requests;
mod upstreams;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use mimalloc::MiMalloc;
use tokio::time::Instant;

use child::{Counters, Memory, Server};
use clients::Load;
use requests::{Caller, Tally, TenantData};
use upstreams::{FAULTS, RATE_LIMITED, Upstreams};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Accounts of the first tenant.
const ACCOUNTS: usize = 400;

/// The allowed growth of memory from the second to the last third: a factor, and an absolute part.
const GROWTH_PART: f64 = 1.1;
const GROWTH_MEGABYTES: f64 = 4.0;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, file] = arguments.as_slice()
        && role == "serve"
    {
        return child::serve(PathBuf::from(file)).await;
    }
    // Cargo counts this among the benchmarks, but it must not run with them.
    let Some(seconds) = std::env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok()) else {
        return println!("soak: `make soak` runs this");
    };
    let seed = std::env::var("SOAK_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    println!("soak: {seconds} s, seed {seed}");
    let unexplained = soak(Duration::from_secs(seconds), seed).await;
    std::process::exit(i32::from(unexplained > 0));
}

async fn soak(time: Duration, seed: u64) -> usize {
    let upstreams = Arc::new(Upstreams::start(ACCOUNTS).await);
    let file = configuration(&upstreams);
    let mut server = Server::start(&file);
    let known = Arc::new(TenantData::of_sandbox(&upstreams.sandbox));
    let tally = Arc::new(Mutex::new(Tally::default()));
    let load =
        Load { port: server.port, upstreams: Arc::clone(&upstreams), known, tally: Arc::clone(&tally) };
    let mut rng = Rng::with_seed(seed);
    let clients = load.start(&mut rng);

    let (began, mut memory) = (Instant::now(), Vec::new());
    let mut next_fault_at = began;
    while began.elapsed() < time {
        tokio::time::sleep(Duration::from_millis(250)).await;
        memory.push(server.memory());
        if Instant::now() < next_fault_at {
            continue;
        }
        next_fault_at += Duration::from_millis(rng.u64(500..4_000));
        // No more faults: from now on no fault explains an error.
        let is_calm = began.elapsed() > time.mul_f64(0.9);
        for upstream in [0, 1] {
            let fault = match rng.usize(..100) {
                _ if is_calm => None,
                0..45 => None,
                45 if began.elapsed() > time / 2 => Some(RATE_LIMITED),
                _ => Some(FAULTS[rng.usize(..FAULTS.len())]),
            };
            upstreams.set_fault(upstream, fault);
        }
        upstreams.sandbox.set_drift(!is_calm && rng.usize(..10) == 0);
    }
    for client in clients {
        client.abort();
    }
    let counted = wait_until_idle(&mut server).await;
    let received = upstreams.request_counts();
    let connections = remaining_connections(&server).await;
    let counted_after = audit(&mut server, &upstreams, &load).await;
    let received_after = upstreams.request_counts();

    let mut tally = std::mem::take(&mut *tally.lock().unwrap());
    for upstream in [0, 1] {
        let name = upstreams.both[upstream].name;
        if counted[upstream].under_way != 0 || counted_after[upstream].under_way != 0 {
            tally.report_violation(format!("{name}: calls are still in flight: {:?}", counted[upstream]));
        }
        // Some calls never arrived, because connections failed or were cancelled. No uncounted call may
        // arrive.
        if received[upstream] > counted[upstream].all() {
            tally.report_violation(format!(
                "{name} received {} calls, but only {} are counted",
                received[upstream],
                counted[upstream].all()
            ));
        }
        let (counted_calls, received_calls) = (
            counted_after[upstream].all() - counted[upstream].all(),
            received_after[upstream] - received[upstream],
        );
        if counted_calls != received_calls || counted_calls == 0 {
            tally.report_violation(format!(
                "{name}: {counted_calls} calls counted, but {received_calls} received, without a failed connection"
            ));
        }
    }
    if connections > 0 {
        tally.report_violation(format!("{connections} connections of clients that have hung up"));
    }
    let thirds = thirds(&memory);
    if thirds[2] > thirds[1] * GROWTH_PART + GROWTH_MEGABYTES {
        tally.report_violation(format!("memory grows: {:.1} MB, then {:.1} MB", thirds[1], thirds[2]));
    }
    let most = server.memory().most;
    if !server.stop() {
        tally.report_violation("the server did not exit with success");
    }
    report(&tally, &upstreams, (counted_after, received_after), (thirds, most));
    tally.unexplained.len()
}

/// Waits until no call is in flight or about to begin.
async fn wait_until_idle(server: &mut Server) -> [Counters; 2] {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut last = server.counters();
    loop {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let now = server.counters();
        let is_quiet = [0, 1].iter().all(|at| now[*at].under_way == 0 && now[*at].all() == last[*at].all());
        if is_quiet || Instant::now() > deadline {
            return now;
        }
        last = now;
    }
}

/// The number of remaining connections, after disconnected ones have had time to close.
async fn remaining_connections(server: &Server) -> usize {
    let deadline = Instant::now() + Duration::from_secs(30);
    while server.connections() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    server.connections()
}

/// Makes some calls, some of which fail, but none by its connection. Then both sides must have the same
/// counts.
async fn audit(server: &mut Server, upstreams: &Upstreams, load: &Load) -> [Counters; 2] {
    for upstream in [0, 1] {
        let mut fault = FAULTS[0];
        fault.what = upstreams::FaultKind::Emulated("status=500; times=4");
        upstreams.set_fault(upstream, Some(fault));
    }
    let caller = &Caller::all()[0];
    for number in 0..60 {
        load.send_unchecked(caller, &serde_json::json!({ "query": "mutation { refresh { __typename } }" }))
            .await;
        let query = format!(
            "{{ providers {{ totalCount }} connectedAccounts(first: 3, filter: {{ userIds: [\"audit-{number}\"] }}) {{ nodes {{ id }} }} }}"
        );
        load.send_unchecked(caller, &serde_json::json!({ "query": query })).await;
    }
    wait_until_idle(server).await
}

fn configuration(upstreams: &Upstreams) -> PathBuf {
    let section = |upstream: usize, name: &str, key: &str| {
        let url = upstreams.base_url(upstream);
        // Short times, so that in ten minutes everything happens often.
        format!(
            "[upstream.{name}]\nbase_url = \"{url}\"\napi_key = \"{key}\"\ntimeout_ms = 3000\ndeadline_ms = 5000\n\
             [upstream.{name}.breaker]\nopen_max_ms = 2000\n"
        )
    };
    let text = format!(
        "[http]\nlisten = \"127.0.0.1:0\"\n[ops]\nlisten = \"127.0.0.1:0\"\n[auth]\nmode = \"tokens\"\n{}\
         [[tenants]]\nname = \"b\"\nleadlex_api_key = \"wbk_sandbox_b\"\ncomposio_api_key = \"ak_sandbox_b\"\n\
         {}{}[server]\nwrite_timeout_ms = 4000\nidle_timeout_ms = 5000\n[limits]\noperation_timeout_ms = 12000\n\
         [cache]\nlimit_bytes = 16777216\nproviders_ttl_ms = 1500\naccounts_ttl_ms = 1000\n\
         stale_while_revalidate_ms = 1000\nstale_if_error_ms = 6000\n[log]\nlevel = \"off\"\n",
        Caller::all().map(|caller| caller.entry()).concat(),
        section(0, "leadlex", "wbk_sandbox_a"),
        section(1, "composio", "ak_sandbox_a"),
    );
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("soak.toml");
    std::fs::write(&file, text).unwrap();
    file
}

/// The mean of each third.
fn thirds(memory: &[Memory]) -> [f64; 3] {
    let third = (memory.len() / 3).max(1);
    [0, 1, 2].map(|part| {
        let part: Vec<_> = memory.iter().skip(part * third).take(third).collect();
        part.iter().map(|memory| memory.now).sum::<f64>() / part.len().max(1) as f64
    })
}

fn report(
    tally: &Tally,
    upstreams: &Upstreams,
    (counted, received): ([Counters; 2], [u64; 2]),
    (thirds, most): ([f64; 3], f64),
) {
    println!("responses checked {:>8}   of which without errors {}", tally.answers, tally.without_errors);
    println!("requests aborted {:>8}   slow readers {}", tally.aborted, tally.slow);
    println!("faults           {:>8}", upstreams.fault_count());
    for (code, times) in &tally.codes {
        println!("  {code:<24} {times:>7}");
    }
    for upstream in [0, 1] {
        let Counters { succeeded, failed, cancelled, retried, held, .. } = counted[upstream];
        println!(
            "{:<9} calls {}: succeeded {succeeded}, failed {failed}, cancelled {cancelled}; repeated {retried}; held {held}; received {}",
            upstreams.both[upstream].name,
            counted[upstream].all(),
            received[upstream],
        );
    }
    println!("memory, MB       thirds {:.1} {:.1} {:.1}, most {most:.1}", thirds[0], thirds[1], thirds[2]);
    println!("unexplained      {:>8}", tally.unexplained.len());
    for accusation in &tally.unexplained {
        println!("  {accusation}");
    }
}
