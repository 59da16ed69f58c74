//! Hours of bad luck in ten minutes: a server under load whose upstreams fail by chance, every answer of which is judged.
//!
//! `make soak` (`make soak SECONDS=60`: a short one): a server process ([`child`]) over two relays to the sandbox ([`upstreams`]),
//! asked by ADMINs and MEMBERs of two tenants ([`asking`]), by clients that hang up, and by some that read slowly or not at
//! all. An error is explained where a trouble of that upstream was on or just over; anything else is an accusation, as are
//! data of others, secrets, memory that grows, counters that do not add up, and connections or places that are kept. Built
//! as tests are, with all assertions in.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a program for the terminal"
)]

mod asking;
mod child;
mod clients;
mod upstreams;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use mimalloc::MiMalloc;
use tokio::time::Instant;

use asking::{Caller, Known, Tally};
use child::{Counted, Memory, Server};
use clients::Load;
use upstreams::{RATE_LIMITED, TROUBLES, Upstreams};

/// As in the program itself.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Accounts of the first tenant.
const ACCOUNTS: usize = 400;

/// How much more memory the last third may take than the second: by its part, and besides.
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
    // No benchmark, though Cargo takes it for one: it is not to run among them.
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
    let known = Arc::new(Known::of_sandbox(&upstreams.sandbox));
    let tally = Arc::new(Mutex::new(Tally::default()));
    let load =
        Load { port: server.port, upstreams: Arc::clone(&upstreams), known, tally: Arc::clone(&tally) };
    let mut rng = Rng::with_seed(seed);
    let clients = load.start(&mut rng);

    let (began, mut memory) = (Instant::now(), Vec::new());
    let mut next_strike = began;
    while began.elapsed() < time {
        tokio::time::sleep(Duration::from_millis(250)).await;
        memory.push(server.memory());
        if Instant::now() < next_strike {
            continue;
        }
        next_strike += Duration::from_millis(rng.u64(500..4_000));
        // Calm at last: what goes wrong then is not explained by anything.
        let is_calm = began.elapsed() > time.mul_f64(0.9);
        for upstream in [0, 1] {
            let trouble = match rng.usize(..100) {
                _ if is_calm => None,
                0..45 => None,
                45 if began.elapsed() > time / 2 => Some(RATE_LIMITED),
                _ => Some(TROUBLES[rng.usize(..TROUBLES.len())]),
            };
            upstreams.strike(upstream, trouble);
        }
        upstreams.sandbox.drift(!is_calm && rng.usize(..10) == 0);
    }
    for client in clients {
        client.abort();
    }
    let counted = quiet(&mut server).await;
    let asked = upstreams.asked();
    let connections = without_connections(&server).await;
    let counted_after = audit(&mut server, &upstreams, &load).await;
    let asked_after = upstreams.asked();

    let mut tally = std::mem::take(&mut *tally.lock().unwrap());
    for upstream in [0, 1] {
        let name = upstreams.both[upstream].name;
        if counted[upstream].under_way != 0 || counted_after[upstream].under_way != 0 {
            tally.accuse(format!("{name}: places are kept: {:?}", counted[upstream]));
        }
        // Some never arrived, as connections failed, or were given up; none is asked that nobody counted.
        if asked[upstream] > counted[upstream].all() {
            tally.accuse(format!(
                "{name} was asked {} times, of which {} are counted",
                asked[upstream],
                counted[upstream].all()
            ));
        }
        let (ours, theirs) = (
            counted_after[upstream].all() - counted[upstream].all(),
            asked_after[upstream] - asked[upstream],
        );
        if ours != theirs || ours == 0 {
            tally.accuse(format!(
                "{name}: {ours} calls counted here and {theirs} there, with connections whole"
            ));
        }
    }
    if connections > 0 {
        tally.accuse(format!("{connections} connections of clients that have hung up"));
    }
    let thirds = thirds(&memory);
    if thirds[2] > thirds[1] * GROWTH_PART + GROWTH_MEGABYTES {
        tally.accuse(format!("memory grows: {:.1} MB, then {:.1} MB", thirds[1], thirds[2]));
    }
    let most = server.memory().most;
    if !server.stop() {
        tally.accuse("the server did not end as it should");
    }
    report(&tally, &upstreams, (counted_after, asked_after), (thirds, most));
    tally.unexplained.len()
}

/// Waits until no call is under way, nor about to be.
async fn quiet(server: &mut Server) -> [Counted; 2] {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut last = server.counted();
    loop {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let now = server.counted();
        let is_quiet = [0, 1].iter().all(|at| now[*at].under_way == 0 && now[*at].all() == last[*at].all());
        if is_quiet || Instant::now() > deadline {
            return now;
        }
        last = now;
    }
}

/// How many connections are left, once those that were hung up have had time to end.
async fn without_connections(server: &Server) -> usize {
    let deadline = Instant::now() + Duration::from_secs(30);
    while server.connections() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    server.connections()
}

/// Has some calls made, of which some fail, and none by its connection: then both sides must count the same.
async fn audit(server: &mut Server, upstreams: &Upstreams, load: &Load) -> [Counted; 2] {
    for upstream in [0, 1] {
        let mut trouble = TROUBLES[0];
        trouble.what = upstreams::What::Emulated("status=500; times=4");
        upstreams.strike(upstream, Some(trouble));
    }
    let caller = &Caller::all()[0];
    for number in 0..60 {
        load.ask_as(caller, &serde_json::json!({ "query": "mutation { refresh { __typename } }" })).await;
        let query = format!(
            "{{ providers {{ totalCount }} connectedAccounts(first: 3, filter: {{ userIds: [\"audit-{number}\"] }}) {{ nodes {{ id }} }} }}"
        );
        load.ask_as(caller, &serde_json::json!({ "query": query })).await;
    }
    quiet(server).await
}

fn configuration(upstreams: &Upstreams) -> PathBuf {
    let road = |upstream: usize, name: &str, key: &str| {
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
        road(0, "leadlex", "wbk_sandbox_a"),
        road(1, "composio", "ak_sandbox_a"),
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
    (counted, asked): ([Counted; 2], [u64; 2]),
    (thirds, most): ([f64; 3], f64),
) {
    println!("answers judged   {:>8}   of which whole {}", tally.answers, tally.whole);
    println!("requests aborted {:>8}   slow readers {}", tally.aborted, tally.slow);
    println!("troubles         {:>8}", upstreams.troubles());
    for (code, times) in &tally.codes {
        println!("  {code:<24} {times:>7}");
    }
    for upstream in [0, 1] {
        let Counted { succeeded, failed, cancelled, retried, held, .. } = counted[upstream];
        println!(
            "{:<9} calls {}: succeeded {succeeded}, failed {failed}, cancelled {cancelled}; repeated {retried}; held back {held}; arrived {}",
            upstreams.both[upstream].name,
            counted[upstream].all(),
            asked[upstream],
        );
    }
    println!("memory, MB       thirds {:.1} {:.1} {:.1}, most {most:.1}", thirds[0], thirds[1], thirds[2]);
    println!("unexplained      {:>8}", tally.unexplained.len());
    for accusation in &tally.unexplained {
        println!("  {accusation}");
    }
}
