//! The rules. Each is a pure function from sources to problems.

use std::collections::BTreeSet;
use std::fmt;

use super::source::{Source, Token};

/// From top to bottom. A file imports only from its own layer and from layers below it.
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

/// Names that do not describe the content.
const VAGUE: [&str; 8] = ["common", "helper", "helpers", "model", "models", "types", "util", "utils"];

/// The maximum number of code lines in a file.
const CODE_LINES_MAX: usize = 400;

enum Allowed {
    OnlyIn(&'static [&'static str]),
    NotIn(&'static [&'static str]),
}

/// The crates that only some layers may use, and the alternative for the others.
const CRATES: [(&str, Allowed, &str); 18] = [
    ("reqwest", Allowed::OnlyIn(&["upstream"]), "send through `upstream::transport`"),
    ("opentelemetry", Allowed::OnlyIn(&["telemetry"]), SPAN_ATTRIBUTES),
    ("opentelemetry_sdk", Allowed::OnlyIn(&["telemetry"]), SPAN_ATTRIBUTES),
    ("opentelemetry_otlp", Allowed::OnlyIn(&["telemetry"]), SPAN_ATTRIBUTES),
    ("opentelemetry_http", Allowed::OnlyIn(&["telemetry"]), SPAN_ATTRIBUTES),
    (
        "axum",
        Allowed::NotIn(&["operation", "graphql", "loaders", "upstream", "telemetry", "domain"]),
        "HTTP belongs to the edge: use types of `operation` or `domain`",
    ),
    ("jsonwebtoken", Allowed::OnlyIn(&["http"]), "the edge authenticates: take a `domain::caller::Caller`"),
    ("moka", Allowed::NotIn(&["graphql", "domain"]), "cache values in `loaders::cache`"),
    ("quick_cache", Allowed::OnlyIn(&["domain", "loaders"]), "use `domain::bounded_map`"),
    ("redis", Allowed::NotIn(&["graphql", "domain"]), "cache values in `loaders::cache`"),
    (
        "anyhow",
        Allowed::OnlyIn(&["main", "cli", "config", "app"]),
        "define an error type, because callers distinguish failures",
    ),
    (
        "prometheus_client",
        Allowed::OnlyIn(&["telemetry"]),
        "count in plain integers and export them in `telemetry::metrics::readings`",
    ),
    (
        "async_graphql",
        Allowed::NotIn(&["upstream", "telemetry", "domain", "sandbox"]),
        "the schema belongs to `graphql`",
    ),
    ("tokio::net", Allowed::NotIn(&["domain"]), NO_IO),
    ("tokio::fs", Allowed::NotIn(&["domain"]), NO_IO),
    ("tokio::spawn", Allowed::NotIn(&["domain"]), NO_IO),
    ("std::fs", Allowed::NotIn(&["domain"]), NO_IO),
    ("std::env", Allowed::NotIn(&["domain"]), NO_IO),
];

const NO_IO: &str = "`domain` does no I/O: take the value as a parameter";

const SPAN_ATTRIBUTES: &str = "add a `telemetry::traces::SpanAttribute`, the one list of span attributes";

/// A problem: location, cause and fix.
pub(crate) struct Problem {
    path: String,
    line: usize,
    cause: String,
    fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}. Fix: {}.", self.path, self.line, self.cause, self.fix)
    }
}

pub(crate) fn problem(
    source: &Source,
    line: usize,
    cause: impl Into<String>,
    fix: impl Into<String>,
) -> Problem {
    Problem { path: source.path.clone(), line, cause: cause.into(), fix: fix.into() }
}

/// The files of the crate with their layers. lib.rs belongs to no layer.
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
            let fix = format!("move it into one of {}", LAYERS.join(", "));
            problems.push(problem(source, 1, format!("`{layer}` is not a layer"), fix));
            continue;
        };
        for named in source.used_paths() {
            let [root, to, ..] = named.path.as_slice() else { continue };
            if root == "crate" && rank(to).is_some_and(|to| to < from) {
                let cause = format!("`{layer}` imports `{}`, which is above it", named.path.join("::"));
                let fix = format!("move the shared code down, or let `{to}` pass it in");
                problems.push(problem(source, named.line, cause, fix));
            }
        }
    }
    problems
}

pub(crate) fn sandbox_shares_no_code_with_the_client(sources: &[Source]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (source, layer) in layered(sources) {
        for named in source.used_paths() {
            let [root, to, ..] = named.path.as_slice() else { continue };
            if root != "crate" || to == layer {
                continue;
            }
            let path = named.path.join("::");
            if layer == "sandbox" {
                let fix = "write a separate type: a shared one would hide a mistake that both sides make";
                problems.push(problem(source, named.line, format!("`sandbox` imports `{path}`"), fix));
            } else if to == "sandbox" && !matches!(layer, "cli" | "app") {
                let fix = "only `cli`, `app` and tests start the sandbox";
                problems.push(problem(source, named.line, format!("`{layer}` imports `{path}`"), fix));
            }
        }
    }
    problems
}

pub(crate) fn only_app_and_above_see_the_whole_configuration(sources: &[Source]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (source, layer) in layered(sources).filter(|(_, layer)| rank(layer) > rank("config")) {
        for named in source
            .used_paths()
            .iter()
            .filter(|named| named.path.starts_with(&["crate".into(), "config".into()]))
        {
            let cause = format!("`{layer}` imports `{}`", named.path.join("::"));
            problems.push(problem(
                source,
                named.line,
                cause,
                "take only your own settings as a parameter from `app`",
            ));
        }
    }
    problems
}

pub(crate) fn crates_are_used_only_in_their_layers(sources: &[Source]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (source, layer) in layered(sources) {
        for named in source.used_paths() {
            for (what, place, fix) in &CRATES {
                let fits = match place {
                    Allowed::OnlyIn(layers) => layers.contains(&layer),
                    Allowed::NotIn(layers) => !layers.contains(&layer),
                };
                if !fits && what.split("::").eq(named.path.iter().take(what.split("::").count())) {
                    problems.push(problem(source, named.line, format!("`{layer}` imports `{what}`"), *fix));
                }
            }
        }
        for token in source.shipped.iter().filter(|token| layer == "domain" && token.text == "async") {
            let fix = "`domain` has no async code: move it to `loaders` or above";
            problems.push(problem(source, token.line, "`domain` is async", fix));
        }
    }
    problems
}

pub(crate) fn only_one_file_sends_http_requests(sources: &[Source]) -> Vec<Problem> {
    let client = |path: &[String]| {
        path.first().is_some_and(|root| root == "reqwest")
            && path.iter().any(|part| matches!(part.as_str(), "Client" | "ClientBuilder" | "get"))
    };
    let senders: Vec<_> = layered(sources)
        .filter_map(|(source, _)| {
            source
                .used_paths()
                .into_iter()
                .find(|named| client(&named.path))
                .map(|named| (source, named.line))
        })
        .collect();
    let cause = format!("one of {} files with an HTTP client", senders.len());
    let fix = "send only in `upstream::transport`, which applies every policy";
    let many = senders.iter().filter(|_| senders.len() > 1);
    many.map(|(source, line)| problem(source, *line, cause.clone(), fix)).collect()
}

pub(crate) fn files_are_short(sources: &[Source]) -> Vec<Problem> {
    let long = sources
        .iter()
        .map(|source| (source, source.code_lines()))
        .filter(|(_, lines)| *lines > CODE_LINES_MAX);
    long.map(|(source, lines)| {
        let fix = format!(
            "at most {CODE_LINES_MAX}, tests, comments and blank lines not counted: split it by topic"
        );
        problem(source, 1, format!("{lines} lines of code"), fix)
    })
    .collect()
}

pub(crate) fn names_are_specific(sources: &[Source]) -> Vec<Problem> {
    let fix = "name the content";
    let mut problems = Vec::new();
    for source in sources {
        let parts = source.path.trim_end_matches(".rs").split('/');
        for part in parts.filter(|part| VAGUE.contains(part)) {
            problems.push(problem(source, 1, format!("the name `{part}` is too vague"), fix));
        }
        for three in source.tokens.windows(3).filter(|three| three[0].text == "mod" && three[2].text == "{") {
            if VAGUE.contains(&three[1].text.as_str()) {
                let cause = format!("the name `{}` is too vague", three[1].text);
                problems.push(problem(source, three[1].line, cause, fix));
            }
        }
    }
    problems
}

pub(crate) fn every_file_has_a_head_comment(sources: &[Source]) -> Vec<Problem> {
    // A file of unit tests is about the file above it.
    let headless = sources.iter().filter(|source| !source.has_head && !source.path.ends_with("/tests.rs"));
    headless
        .map(|source| {
            problem(
                source,
                1,
                "the file does not begin with a `//!` comment",
                "describe its purpose and its design choices",
            )
        })
        .collect()
}

pub(crate) fn every_file_is_compiled(sources: &[Source]) -> Vec<Problem> {
    // Files that Cargo finds: a file of `examples` or `benches`, a `main.rs` in a folder there, and the roots
    // of the crates and their tests.
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
            let fix = "put the file at the module's default path";
            problems.push(problem(source, four[0].line, "`#[path]` moves a module", fix));
        }
    }
    for source in sources.iter().filter(|source| !reached.contains(source.path.as_str())) {
        let fix = "a `mod` line in the file above it, or no file";
        problems.push(problem(source, 1, "no `mod` leads to this file, so it is never compiled", fix));
    }
    problems
}
