//! Runs this program under callgrind, and reads the instructions of its main thread by function.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Command;

/// Instructions, in total and by function (self cost).
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) total: u64,
    pub(crate) functions: BTreeMap<String, u64>,
}

impl Counts {
    pub(crate) fn minus(mut self, other: &Self) -> Self {
        self.total -= other.total;
        for (function, count) in &mut self.functions {
            *count = count.saturating_sub(other.functions.get(function).copied().unwrap_or_default());
        }
        self
    }

    pub(crate) fn divided_by(mut self, requests: u64) -> Self {
        self.total /= requests;
        self.functions.values_mut().for_each(|count| *count /= requests);
        self
    }

    pub(crate) fn largest(&self, most: usize) -> BTreeMap<String, u64> {
        let mut functions: Vec<_> = self.functions.iter().collect();
        functions.sort_unstable_by_key(|(_, count)| std::cmp::Reverse(**count));
        functions.into_iter().take(most).map(|(function, count)| (function.clone(), *count)).collect()
    }
}

/// Runs this program with these arguments under callgrind.
pub(crate) fn run(arguments: &[String]) -> Counts {
    let folder = std::env::temp_dir().join(format!("switchboard-instructions-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let out = folder.join("callgrind.out");
    let program = std::env::current_exe().expect("this program's path");
    let log = std::fs::File::create(folder.join("log")).expect("a log file");
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--separate-threads=yes", "-q"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args(arguments)
        .stderr(log)
        .status()
        .expect("valgrind, Debian's package of that name");
    assert!(status.success(), "the measured program failed: see {}", folder.join("log").display());
    // The main thread's file; the others are the client's and the upstreams'.
    let counts = read(&folder.join("callgrind.out-01"));
    std::fs::remove_dir_all(&folder).expect("the temporary folder");
    counts
}

/// Reads a profile: <https://valgrind.org/docs/manual/cl-format.html>.
///
/// A cost line is "position cost". The line after `calls=` is the cost of the called functions and does not count as
/// the function's own. Names are written once, as `fn=(1) name`, and then as `fn=(1)`.
fn read(file: &Path) -> Counts {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let (mut names, mut counts) = (HashMap::new(), Counts::default());
    let (mut function, mut is_call) = (String::new(), false);
    for line in text.lines() {
        if let Some(named) = line.strip_prefix("fn=") {
            function = name(named, &mut names);
        } else if let Some(named) = line.strip_prefix("cfn=") {
            name(named, &mut names);
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '*'))
            && !std::mem::take(&mut is_call)
            && let Some(cost) = line.split(' ').nth(1).and_then(|cost| cost.parse::<u64>().ok())
        {
            counts.total += cost;
            *counts.functions.entry(function.clone()).or_default() += cost;
        }
    }
    counts
}

fn name(text: &str, names: &mut HashMap<String, String>) -> String {
    let (id, name) = text.split_once(' ').unwrap_or((text, ""));
    if !name.is_empty() {
        names.insert(id.to_owned(), without_hash(name));
    }
    names.get(id).cloned().unwrap_or_default()
}

/// A mangled name without its hash, which changes with every build.
fn without_hash(name: &str) -> String {
    match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 => path.to_owned(),
        _ => name.to_owned(),
    }
}
