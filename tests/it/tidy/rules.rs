//! The rules, each a pure function from sources to what is wrong in them.

use std::collections::BTreeSet;
use std::fmt;

use super::source::{Source, Token};

/// From the street down to the ground. What a file names lies in its own layer or below.
const LAYERS: [&str; 13] = [
    "main",
    "cli",
    "app",
    "config",
    "http",
    "operation",
    "graphql",
    "loaders",
    "upstream",
    "replicas",
    "telemetry",
    "domain",
    "sandbox",
];

/// Names that say nothing of what is inside.
const VAGUE: [&str; 8] = ["common", "helper", "helpers", "model", "models", "types", "util", "utils"];

/// How much code a reader takes in at once.
const LONGEST: usize = 400;

enum Place {
    OnlyIn(&'static [&'static str]),
    NotIn(&'static [&'static str]),
}

/// Which layers may name what of other crates, and what the others do instead.
const PLACES: [(&str, Place, &str); 15] = [
    ("reqwest", Place::OnlyIn(&["upstream"]), "ask through `upstream::transport`"),
    ("opentelemetry", Place::OnlyIn(&["telemetry"]), TOLD),
    ("opentelemetry_sdk", Place::OnlyIn(&["telemetry"]), TOLD),
    (
        "axum",
        Place::NotIn(&["operation", "graphql", "loaders", "upstream", "telemetry", "domain"]),
        "HTTP is the edge's: take and answer words of `operation` or `domain`",
    ),
    (
        "jsonwebtoken",
        Place::OnlyIn(&["http"]),
        "who asks is found out at the edge: take a `domain::caller::Caller`",
    ),
    ("moka", Place::NotIn(&["graphql", "domain"]), "keep values in `loaders::cache`"),
    ("redis", Place::NotIn(&["graphql", "domain"]), "keep values in `loaders::cache`"),
    (
        "anyhow",
        Place::OnlyIn(&["main", "cli", "config", "app"]),
        "give the failure a type of its own, as callers tell failures apart",
    ),
    (
        "prometheus_client",
        Place::OnlyIn(&["telemetry"]),
        "count in plain figures, and put them into `telemetry::metrics::readings`",
    ),
    (
        "async_graphql",
        Place::NotIn(&["upstream", "telemetry", "domain", "sandbox"]),
        "the schema is `graphql`'s",
    ),
    ("tokio::net", Place::NotIn(&["domain"]), NO_IO),
    ("tokio::fs", Place::NotIn(&["domain"]), NO_IO),
    ("tokio::spawn", Place::NotIn(&["domain"]), NO_IO),
    ("std::fs", Place::NotIn(&["domain"]), NO_IO),
    ("std::env", Place::NotIn(&["domain"]), NO_IO),
];

const NO_IO: &str = "`domain` does no I/O: take the value as a parameter";

const TOLD: &str = "tell a `telemetry::traces::Fact`: they are the one list of what a trace tells";

/// One thing that is wrong: where, what, and what would be right.
pub(crate) struct Problem {
    path: String,
    line: usize,
    wrong: String,
    right: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}. Right: {}.", self.path, self.line, self.wrong, self.right)
    }
}

fn problem(source: &Source, line: usize, wrong: impl Into<String>, right: impl Into<String>) -> Problem {
    Problem { path: source.path.clone(), line, wrong: wrong.into(), right: right.into() }
}

/// The files of the crate itself, each with its layer; the map, lib.rs, belongs to none.
fn layered(sources: &[Source]) -> impl Iterator<Item = (&Source, &str)> {
    sources.iter().filter_map(|source| Some((source, source.layer()?))).filter(|(_, layer)| *layer != "lib")
}

fn rank(layer: &str) -> Option<usize> {
    LAYERS.iter().position(|known| *known == layer)
}

pub(crate) fn imports_point_down_only(sources: &[Source]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (source, layer) in layered(sources) {
        let Some(from) = rank(layer) else {
            let right = format!("a place inside one of {}", LAYERS.join(", "));
            problems.push(problem(source, 1, format!("`{layer}` is no layer"), right));
            continue;
        };
        for named in source.names() {
            let [root, to, ..] = named.path.as_slice() else { continue };
            if root == "crate" && rank(to).is_some_and(|to| to < from) {
                let wrong = format!("`{layer}` names `{}`, which lies above it", named.path.join("::"));
                let right = format!("move what both need down, or let `{to}` pass it in");
                problems.push(problem(source, named.line, wrong, right));
            }
        }
    }
    problems
}

pub(crate) fn the_sandbox_stands_alone(sources: &[Source]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (source, layer) in layered(sources) {
        for named in source.names() {
            let [root, to, ..] = named.path.as_slice() else { continue };
            if root != "crate" || to == layer {
                continue;
            }
            let path = named.path.join("::");
            if layer == "sandbox" {
                let right =
                    "write it anew here: a type shared with the client lets one mistake pass on both sides";
                problems.push(problem(source, named.line, format!("`sandbox` names `{path}`"), right));
            } else if to == "sandbox" && !matches!(layer, "cli" | "app") {
                let right = "only `cli`, `app` and tests start the sandbox";
                problems.push(problem(source, named.line, format!("`{layer}` names `{path}`"), right));
            }
        }
    }
    problems
}

pub(crate) fn the_whole_configuration_ends_at_app(sources: &[Source]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (source, layer) in layered(sources).filter(|(_, layer)| rank(layer) > rank("config")) {
        for named in
            source.names().iter().filter(|named| named.path.starts_with(&["crate".into(), "config".into()]))
        {
            let wrong = format!("`{layer}` names `{}`", named.path.join("::"));
            problems.push(problem(
                source,
                named.line,
                wrong,
                "take your own settings as a parameter from `app`",
            ));
        }
    }
    problems
}

pub(crate) fn every_crate_keeps_its_place(sources: &[Source]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (source, layer) in layered(sources) {
        for named in source.names() {
            for (what, place, right) in &PLACES {
                let fits = match place {
                    Place::OnlyIn(layers) => layers.contains(&layer),
                    Place::NotIn(layers) => !layers.contains(&layer),
                };
                if !fits && what.split("::").eq(named.path.iter().take(what.split("::").count())) {
                    problems.push(problem(source, named.line, format!("`{layer}` names `{what}`"), *right));
                }
            }
        }
        for token in source.shipped.iter().filter(|token| layer == "domain" && token.text == "async") {
            let right = "`domain` is words: what waits belongs into `loaders` or above";
            problems.push(problem(source, token.line, "`domain` is async", right));
        }
    }
    problems
}

pub(crate) fn one_file_sends(sources: &[Source]) -> Vec<Problem> {
    let client = |path: &[String]| {
        path.first().is_some_and(|root| root == "reqwest")
            && path.iter().any(|part| matches!(part.as_str(), "Client" | "ClientBuilder" | "get"))
    };
    let senders: Vec<_> = layered(sources)
        .filter_map(|(source, _)| {
            source.names().into_iter().find(|named| client(&named.path)).map(|named| (source, named.line))
        })
        .collect();
    let wrong = format!("one of {} files with an HTTP client of their own", senders.len());
    let right = "one `send`, in `upstream::transport`, which holds every policy";
    let many = senders.iter().filter(|_| senders.len() > 1);
    many.map(|(source, line)| problem(source, *line, wrong.clone(), right)).collect()
}

pub(crate) fn files_are_short(sources: &[Source]) -> Vec<Problem> {
    let long =
        sources.iter().map(|source| (source, source.code_lines())).filter(|(_, lines)| *lines > LONGEST);
    long.map(|(source, lines)| {
        let right =
            format!("at most {LONGEST}, tests, comments and blank lines not counted: split it by idea");
        problem(source, 1, format!("{lines} lines of code"), right)
    })
    .collect()
}

pub(crate) fn names_say_something(sources: &[Source]) -> Vec<Problem> {
    let right = "a word of what is inside";
    let mut problems = Vec::new();
    for source in sources {
        let parts = source.path.trim_end_matches(".rs").split('/');
        for part in parts.filter(|part| VAGUE.contains(part)) {
            problems.push(problem(source, 1, format!("the name `{part}` says nothing"), right));
        }
        for three in source.tokens.windows(3).filter(|three| three[0].text == "mod" && three[2].text == "{") {
            if VAGUE.contains(&three[1].text.as_str()) {
                let wrong = format!("the name `{}` says nothing", three[1].text);
                problems.push(problem(source, three[1].line, wrong, right));
            }
        }
    }
    problems
}

pub(crate) fn every_file_says_what_it_is_for(sources: &[Source]) -> Vec<Problem> {
    // A file of unit tests is about the file above it.
    let headless = sources.iter().filter(|source| !source.has_head && !source.path.ends_with("/tests.rs"));
    headless
        .map(|source| {
            problem(source, 1, "no `//!` opens the file", "say what it is for, and what was chosen")
        })
        .collect()
}

pub(crate) fn every_file_is_reached(sources: &[Source]) -> Vec<Problem> {
    // What Cargo finds by itself: a file of `examples` or `benches`, or the `main.rs` of a folder there, and the
    // roots of the crates and their tests.
    let is_root = |path: &str| {
        matches!(path, "src/lib.rs" | "src/main.rs" | "tests/it/main.rs" | "benches/peers/rust/src/main.rs")
            || !path.starts_with("src/")
                && (path.matches('/').count() == 1
                    || path.matches('/').count() == 2 && path.ends_with("/main.rs"))
    };
    let (mut problems, mut reached) = (Vec::new(), BTreeSet::new());
    let mut next: Vec<_> = sources.iter().filter(|source| is_root(&source.path)).collect();
    while let Some(source) = next.pop() {
        reached.insert(source.path.as_str());
        let declared: Vec<_> = source.declared_files().into_iter().flatten().collect();
        let unseen =
            |other: &&Source| declared.contains(&other.path) && !reached.contains(other.path.as_str());
        next.extend(sources.iter().filter(unseen));
        let moved =
            |four: &&[Token]| four.iter().map(|token| token.text.as_str()).eq(["#", "[", "path", "="]);
        for four in source.tokens.windows(4).filter(moved) {
            let right = "the file where the module's name says that it is";
            problems.push(problem(source, four[0].line, "`#[path]` moves a module", right));
        }
    }
    for source in sources.iter().filter(|source| !reached.contains(source.path.as_str())) {
        let right = "a `mod` line in the file above it, or no file";
        problems.push(problem(source, 1, "no `mod` leads to this file, so it is never compiled", right));
    }
    problems
}
