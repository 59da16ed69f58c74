//! What a shared Redis costs a replica, and what it saves: an answer that is kept already, one that another replica has read, and
//! one that nobody has.
//!
//! `cargo bench --bench replicas` starts a `redis-server` and the sandbox on loopback; both end with it, after about a minute and a half. Each
//! replica is a thread: its CPU time is that thread's alone, with what goes on behind the answer. Rounds are
//! interleaved; the medians' ratios count, the machine's own speed does not.
//!
//! - `hot`: a finished answer, from a replica with Redis and from one without; and what Redis was asked meanwhile.
//! - reads: 100 accounts as a page, 100 by their ids, and the providers, all executed (no answer is kept), from what a replica
//!   has itself (L1), from what another has read (L2: its own has ended), and from the upstream. What was read is fresh for
//!   [`FRESH_FOR`], and gone after that, so each round begins with nothing anywhere.
//! - bytes: what stands in Redis of each of them.

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
use switchboard::telemetry::requests::Made;

use replica::{Replica, Setup, Spent};
use server::{Commands, Server, between, told, usual};

/// As in the program itself.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const HOT_ROUNDS: usize = 300;
/// Requests of one side in one round.
const HOT_REQUESTS: u32 = 10_000;

const ROUNDS: usize = 40;
/// Answers of one round from what a replica has itself, which are quick.
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

/// Others than those of the page, which are known by their ids once it is read.
fn by_ids<'a>(accounts: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let global = |id: &str| URL_SAFE_NO_PAD.encode(format!("ConnectedAccount:{id}"));
    let ids: Vec<_> = accounts.skip(1_000).take(100).map(global).collect();
    let query = format!("query ($ids: [ID!]!) {{ connectedAccountsByIds(ids: $ids) {{ {ACCOUNT} }} }}");
    json!({ "query": query, "variables": { "ids": ids } }).to_string().into_bytes()
}

fn providers() -> Vec<u8> {
    br#"{"query":"{ providers(first: 100) { nodes { id category name status scopes } } }"}"#.to_vec()
}

/// A finished answer with and without Redis, in turn.
fn hot(redis: &mut Server, upstream: &str) {
    let setup = |redis| Setup { upstream, redis, fresh_for: Duration::from_secs(3_600), keeps_answers: true };
    let sides = [Replica::start(&setup(None)), Replica::start(&setup(Some(redis.url.as_str())))];
    let request = json!({ "query": HOT }).to_string().into_bytes();
    for side in &sides {
        // A cold answer is not kept, the next one is.
        side.ask(&request, 2 * OWN);
    }
    // What their calls told of quotas is put into the store a moment later.
    std::thread::sleep(Duration::from_secs(2));
    let before = redis.commands();
    let (mut spent, mut ratios, mut bytes) = ([Vec::new(), Vec::new()], Vec::new(), 0);
    for round in 0..HOT_ROUNDS {
        let mut of_round = [Duration::ZERO; 2];
        // Who is first changes: the second finds the caches warm.
        for place in [round % 2, (round + 1) % 2] {
            let one = sides[place].ask(&request, HOT_REQUESTS);
            assert!(one.made == Some(Made::Kept), "an answer was not a finished one");
            (of_round[place], bytes) = (one.cpu, one.bytes);
            spent[place].push(one);
        }
        ratios.push(of_round[1].as_secs_f64() / of_round[0].as_secs_f64());
    }
    ratios.sort_unstable_by(f64::total_cmp);
    let asked = between(&before, &redis.commands());
    let [without, with] = spent;
    println!("| hot: a finished answer of {:.0} KB | CPU, µs | requests/s of a core |", bytes as f64 / 1e3);
    println!("|---|---:|---:|");
    for (what, spent) in [("without Redis", &without), ("with Redis", &with)] {
        let cpu = median(spent, |spent| spent.cpu);
        println!("| {what} | {cpu:.3} | {:.0} |", 1e6 / cpu);
    }
    let [least, middle, most] =
        [ratios.len() / 4, ratios.len() / 2, ratios.len() * 3 / 4].map(|place| ratios[place]);
    println!(
        "\nWith ÷ without: {middle:.3} (half of the rounds: {least:.3} to {most:.3}). In {} requests Redis was asked: {}. (A replica \
         tells that it lives every 5 s: publish.)\n",
        HOT_ROUNDS * HOT_REQUESTS as usize,
        told(&asked)
    );
}

/// From where a question is answered, in the order of a round.
const FROM: [&str; 5] =
    ["upstream, 50 ms, no Redis", "upstream, 0 ms, no Redis", "upstream, 0 ms, and Redis", "L2", "L1"];
const SHARED: usize = 3;

/// What one question took from everywhere.
struct Taken {
    spent: [Vec<Spent>; FROM.len()],
    commands: [Vec<Commands>; FROM.len()],
}

/// Each question from everywhere, in turn.
fn reads(redis: &mut Server, near: &str, far: &str, questions: &[(&str, Vec<u8>)]) {
    let replica = |upstream, redis| {
        Replica::start(&Setup { upstream, redis, fresh_for: FRESH_FOR, keeps_answers: false })
    };
    let url = redis.url.clone();
    let (alone_far, alone) = (replica(far, None), replica(near, None));
    let (first, second) = (replica(near, Some(&url)), replica(near, Some(&url)));
    // How often each is asked, and how many calls to an upstream that must cost.
    let asked = [(&alone_far, 1, 1), (&alone, 1, 1), (&first, 1, 1), (&second, 1, 0), (&second, OWN, 0)];
    let mut taken: Vec<_> =
        questions.iter().map(|_| Taken { spent: Default::default(), commands: Default::default() }).collect();
    let (mut stored, mut aside) = (BTreeMap::new(), 0);
    // The first round opens connections and judges documents.
    for round in 0..=ROUNDS {
        for ((_, request), taken) in questions.iter().zip(&mut taken) {
            for (place, (replica, times, calls)) in asked.into_iter().enumerate() {
                let (before, calls_before) = (redis.commands(), replica.calls());
                let spent = replica.ask(request, times);
                let commands = between(&before, &redis.commands());
                let looked = place != SHARED || commands.contains_key("mget");
                if replica.calls() - calls_before != calls || !looked {
                    // The machine was so busy that what was read had ended by then.
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
    println!("| what | from | ms | CPU, µs | time ÷ L2 | CPU ÷ L2 | Redis was asked |");
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
                told(&usual(&commands[place]))
            );
        }
    }
    println!();
}

/// And not a generation, a claim, or what is known of a quota, which stands under a credential's tag.
fn is_read(kind: &str) -> bool {
    kind.bytes().all(|letter| letter.is_ascii_lowercase())
}

/// In microseconds.
fn median(spent: &[Spent], of: impl Fn(&Spent) -> Duration) -> f64 {
    let mut times: Vec<_> = spent.iter().map(of).collect();
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}
