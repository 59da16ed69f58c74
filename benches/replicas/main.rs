//! The cost and the benefit of a shared Redis for a replica: a cached response, data that another replica has
//! read, and data that none has read.
//!
//! `cargo bench --bench replicas` starts a `redis-server` and the sandbox on loopback. Both end with it,
//! after about 90 seconds. Each replica is a thread, and its CPU time includes background work. Rounds are
//! interleaved; the ratios of the medians do not depend on the machine.
//!
//! - `hot`: a cached response, from a replica with Redis and one without, with the Redis commands meanwhile.
//!
//! - reads: a page of 100 accounts, 100 accounts by id, and the providers, all executed without a response
//!   cache: from the replica's own cache (L1), from data of another replica (L2, after L1 has expired), and
//!   from the upstream. Data is fresh for [`FRESH_FOR`] and then dropped, so each round begins with empty
//!   caches.
//!
//! - bytes: the size of each of them in Redis.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a program for the terminal"
)]

mod replica;
mod server;
mod upstreams;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mimalloc::MiMalloc;
use serde_json::json;
use switchboard::sandbox::Tenant;
use switchboard::telemetry::requests::ResponseSource;

use replica::{Cost, Replica, Setup};
use server::{Commands, Server, describe, difference, median_commands};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const HOT_ROUNDS: usize = 300;
/// Requests of one side in one round.
const HOT_REQUESTS: u32 = 10_000;

const ROUNDS: usize = 40;
/// Responses from a replica's own cache in one round, which are fast.
const OWN: u32 = 20;
const FRESH_FOR: Duration = Duration::from_millis(500);

const HOT: &str =
    "{ providers(first: 20) { nodes { category name status scopes connectedAccounts(first: 10) { nodes {
    id status userId toolkit { slug } authConfig { id authScheme } createdAt } } } } }";

const ACCOUNT: &str = "id status userId toolkit { slug } authConfig { id authScheme } createdAt";

fn main() -> ExitCode {
    let mut redis = match Server::start() {
        Ok(redis) => redis,
        Err(sentence) => {
            eprintln!("{sentence}");
            return ExitCode::FAILURE;
        }
    };
    let (near, far) = (upstreams::sandbox(0), upstreams::sandbox(50));
    let questions = [
        ("a page of 100 accounts", page()),
        ("100 accounts by ids", by_ids(near.accounts(Tenant::A).iter().map(|account| account.id.as_str()))),
        ("the list of providers", providers()),
    ];
    let (near, far) = (upstreams::serve(&near), upstreams::serve(&far));
    hot(&mut redis, &near);
    redis.empty();
    reads(&mut redis, &near, &far, &questions);
    ExitCode::SUCCESS
}

fn page() -> Vec<u8> {
    let query = format!("{{ connectedAccounts(first: 100) {{ nodes {{ {ACCOUNT} }} }} }}");
    json!({ "query": query }).to_string().into_bytes()
}

/// Other accounts than those of the page, because the page caches its accounts by id.
fn by_ids<'a>(accounts: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let global = |id: &str| URL_SAFE_NO_PAD.encode(format!("ConnectedAccount:{id}"));
    let ids: Vec<_> = accounts.skip(1_000).take(100).map(global).collect();
    let query = format!("query ($ids: [ID!]!) {{ connectedAccountsByIds(ids: $ids) {{ {ACCOUNT} }} }}");
    json!({ "query": query, "variables": { "ids": ids } }).to_string().into_bytes()
}

fn providers() -> Vec<u8> {
    br#"{"query":"{ providers(first: 100) { nodes { id category name status scopes } } }"}"#.to_vec()
}

/// A cached response with and without Redis, in turn.
fn hot(redis: &mut Server, upstream: &str) {
    let setup = |redis| Setup { upstream, redis, fresh_for: Duration::from_secs(3_600), keeps_answers: true };
    let sides = [Replica::start(&setup(None)), Replica::start(&setup(Some(redis.url.as_str())))];
    let request = json!({ "query": HOT }).to_string().into_bytes();
    for side in &sides {
        // A cold response is not cached, the next one is.
        side.ask(&request, 2 * OWN);
    }
    // Quota information from their calls is stored a moment later.
    std::thread::sleep(Duration::from_secs(2));
    let before = redis.commands();
    let (mut spent, mut ratios, mut bytes) = ([Vec::new(), Vec::new()], Vec::new(), 0);
    for round in 0..HOT_ROUNDS {
        let mut of_round = [Duration::ZERO; 2];
        // The order alternates, because the second run finds warm caches.
        for place in [round % 2, (round + 1) % 2] {
            let one = sides[place].ask(&request, HOT_REQUESTS);
            assert!(one.source == Some(ResponseSource::Cached), "a response did not come from the cache");
            (of_round[place], bytes) = (one.cpu, one.bytes);
            spent[place].push(one);
        }
        ratios.push(of_round[1].as_secs_f64() / of_round[0].as_secs_f64());
    }
    ratios.sort_unstable_by(f64::total_cmp);
    let asked = difference(&before, &redis.commands());
    let [without, with] = spent;
    println!("| hot: a cached response of {:.0} KB | CPU, µs | requests/s of a core |", bytes as f64 / 1e3);
    println!("|---|---:|---:|");
    for (what, spent) in [("without Redis", &without), ("with Redis", &with)] {
        let cpu = median(spent, |spent| spent.cpu);
        println!("| {what} | {cpu:.3} | {:.0} |", 1e6 / cpu);
    }
    let [least, middle, most] =
        [ratios.len() / 4, ratios.len() / 2, ratios.len() * 3 / 4].map(|place| ratios[place]);
    println!(
        "\nWith ÷ without: {middle:.3} (half of the rounds: {least:.3} to {most:.3}). In {} requests Redis received: {}. (A replica \
         publishes a heartbeat every 5 s.)\n",
        HOT_ROUNDS * HOT_REQUESTS as usize,
        describe(&asked)
    );
}

/// The source of the data, in the order of a round.
const FROM: [&str; 5] =
    ["upstream, 50 ms, no Redis", "upstream, 0 ms, no Redis", "upstream, 0 ms, and Redis", "L2", "L1"];
const SHARED: usize = 3;

/// The cost of one request from every source.
struct Taken {
    spent: [Vec<Cost>; FROM.len()],
    commands: [Vec<Commands>; FROM.len()],
}

/// Each request from every source, in turn.
fn reads(redis: &mut Server, near: &str, far: &str, questions: &[(&str, Vec<u8>)]) {
    let replica = |upstream, redis| {
        Replica::start(&Setup { upstream, redis, fresh_for: FRESH_FOR, keeps_answers: false })
    };
    let url = redis.url.clone();
    let (alone_far, alone) = (replica(far, None), replica(near, None));
    let (first, second) = (replica(near, Some(&url)), replica(near, Some(&url)));
    // The number of runs of each, and the upstream calls that this must cost.
    let asked = [(&alone_far, 1, 1), (&alone, 1, 1), (&first, 1, 1), (&second, 1, 0), (&second, OWN, 0)];
    let mut taken: Vec<_> =
        questions.iter().map(|_| Taken { spent: Default::default(), commands: Default::default() }).collect();
    let (mut stored, mut aside) = (BTreeMap::new(), 0);
    // The first round opens connections and validates documents.
    for round in 0..=ROUNDS {
        for ((_, request), taken) in questions.iter().zip(&mut taken) {
            for (place, (replica, times, calls)) in asked.into_iter().enumerate() {
                let (before, calls_before) = (redis.commands(), replica.calls());
                let spent = replica.ask(request, times);
                let commands = difference(&before, &redis.commands());
                let looked = place != SHARED || commands.contains_key("mget");
                if replica.calls() - calls_before != calls || !looked {
                    // The machine was so busy that the data had expired by then.
                    aside += 1;
                    continue;
                }
                if round > 0 {
                    taken.spent[place].push(spent);
                    taken.commands[place].push(commands);
                }
            }
            if round == ROUNDS {
                stored.extend(redis.stored());
            }
        }
        if round < ROUNDS {
            std::thread::sleep(FRESH_FOR + Duration::from_millis(10));
        }
    }
    show(questions, &taken);
    assert!(aside < ROUNDS, "{aside} answers did not come from where they should");
    println!(
        "{aside} answers of {} did not come from there, and were left out.\n",
        (ROUNDS + 1) * questions.len() * FROM.len()
    );
    println!("| in Redis | values | bytes of one | with key and overhead |\n|---|---:|---:|---:|");
    for (kind, of) in stored.iter().filter(|(kind, of)| is_read(kind) && of.value_bytes > 100 * of.values) {
        println!(
            "| {kind} | {} | {} | {} |",
            of.values,
            of.value_bytes / of.values,
            of.all_bytes / of.values
        );
    }
}

fn show(questions: &[(&str, Vec<u8>)], taken: &[Taken]) {
    println!("| what | from | ms | CPU, µs | time ÷ L2 | CPU ÷ L2 | Redis commands |");
    println!("|---|---|---:|---:|---:|---:|---|");
    for ((what, _), Taken { spent, commands }) in questions.iter().zip(taken) {
        let figures = spent
            .each_ref()
            .map(|spent| (median(spent, |spent| spent.latency), median(spent, |spent| spent.cpu)));
        let (shared_latency, shared_cpu) = figures[SHARED];
        for place in (0..FROM.len()).rev() {
            let (latency, cpu) = figures[place];
            println!(
                "| {what} | {} | {:.3} | {cpu:.0} | {:.2} | {:.2} | {} |",
                FROM[place],
                latency / 1e3,
                latency / shared_latency,
                cpu / shared_cpu,
                describe(&median_commands(&commands[place]))
            );
        }
    }
    println!();
}

/// Whether the entry is data that was read, and not a generation, a lease or a quota count under a
/// credential's tag.
fn is_read(kind: &str) -> bool {
    kind.bytes().all(|letter| letter.is_ascii_lowercase())
}

/// In microseconds.
fn median(spent: &[Cost], of: impl Fn(&Cost) -> Duration) -> f64 {
    let mut times: Vec<_> = spent.iter().map(of).collect();
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}
