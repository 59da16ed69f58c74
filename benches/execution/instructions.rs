//! Instructions that one request costs, counted by valgrind, with a budget. `make instructions` checks it, `make
//! budget` accepts new counts.
//!
//! It runs this program again under `valgrind --tool=callgrind`, once with few and once with many requests of each job.
//! The difference, divided by the number of requests, is one request's count: it does not depend on the machine's speed
//! or load. Only the server's thread counts; the client and the upstreams run on threads of their own.
//!
//! - `hot`: 20 providers with 10 accounts each, answered from the response cache, over HTTP/1.1 with default settings
//!   and one JSON log line per request.
//! - `unique`: 20 accounts behind a filter that no request used before: one call to the upstream each.
//!
//! `budget.json` has the accepted counts, in total and by function. The program exits with 1 if a total grew by more
//! than 5 %, and prints the functions that grew most.

mod callgrind;
mod server;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use callgrind::Counts;

/// Growth that is accepted, in percent: below it lie differences of compilers and hash seeds.
const TOLERANCE_PERCENT: u64 = 5;

/// Functions that the budget lists for each job.
const LISTED_FUNCTIONS: usize = 60;

/// Functions that are printed where a budget is exceeded.
const PRINTED_FUNCTIONS: usize = 12;

/// A kind of request, with the two numbers of requests whose difference is measured.
struct Job {
    name: &'static str,
    few: u64,
    many: u64,
}

const JOBS: [Job; 2] = [Job { name: "hot", few: 100, many: 600 }, Job { name: "unique", few: 50, many: 250 }];

/// Accepted instructions of one request.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Budget {
    total: u64,
    functions: BTreeMap<String, u64>,
}

/// Whether the program's arguments ask for this measurement.
pub(crate) fn is_requested(arguments: &[String]) -> bool {
    let modes = ["--serve", "--instructions", "--update"];
    arguments.iter().any(|argument| modes.contains(&argument.as_str()))
}

/// Counts, compares and reports; or, with `--serve`, is the measured process.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    if let [mode, job, requests] = arguments
        && mode == "--serve"
    {
        server::run(job, requests.parse().expect("a number of requests"));
        return ExitCode::SUCCESS;
    }
    let is_update = arguments.iter().any(|argument| argument == "--update");
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/execution/budget.json");
    let mut budgets: BTreeMap<String, Budget> = match std::fs::read(&file) {
        Ok(text) => serde_json::from_slice(&text).expect("benches/execution/budget.json"),
        Err(_) if is_update => BTreeMap::new(),
        Err(error) => panic!("{}: {error}", file.display()),
    };
    let mut is_exceeded = false;
    println!("| job | instructions of a request | budget | ratio |");
    println!("|---|---:|---:|---:|");
    for job in &JOBS {
        let counts = measure(job);
        let budget = budgets.entry(job.name.to_owned()).or_default();
        let ratio = counts.total as f64 / budget.total as f64;
        println!("| {} | {} | {} | {ratio:.3} |", job.name, counts.total, budget.total);
        if is_update {
            let functions = counts.largest(LISTED_FUNCTIONS);
            *budget = Budget { total: counts.total, functions };
        } else if counts.total * 100 > budget.total * (100 + TOLERANCE_PERCENT) {
            is_exceeded = true;
            report_growth(job, &counts, budget);
        }
    }
    if is_update {
        let text = serde_json::to_string_pretty(&budgets).expect("JSON");
        std::fs::write(&file, text + "\n").expect("benches/execution/budget.json is writable");
    }
    if is_exceeded {
        println!(
            "The instruction budget is exceeded by more than {TOLERANCE_PERCENT} %. Make the functions above cheaper, or accept \
             the cost with `make budget` and say why in the commit."
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Counts one request's instructions as the difference of two runs.
fn measure(job: &Job) -> Counts {
    let run = |requests: u64| {
        let arguments = ["--serve".to_owned(), job.name.to_owned(), requests.to_string()];
        callgrind::run(&arguments)
    };
    run(job.many).minus(&run(job.few)).divided_by(job.many - job.few)
}

fn report_growth(job: &Job, counts: &Counts, budget: &Budget) {
    let mut grown: Vec<(i128, &String)> = counts
        .functions
        .iter()
        .map(|(function, count)| {
            let accepted = budget.functions.get(function).copied().unwrap_or_default();
            (i128::from(*count) - i128::from(accepted), function)
        })
        .filter(|(growth, _)| *growth > 0)
        .collect();
    grown.sort_unstable_by(|a, b| b.cmp(a));
    println!("\n{}: functions that grew most, in instructions of a request:", job.name);
    for (growth, function) in grown.iter().take(PRINTED_FUNCTIONS) {
        println!("  +{growth:<8} {function}");
    }
    println!();
}
