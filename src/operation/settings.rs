//! What can be set about operations: how large one may be, and which documents are taken.

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::settings::{GIB, Ranges};
use serde::Deserialize;

/// `[limits]`: how much one operation may ask for, and how much all of them together.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSettings {
    /// How many fields may lie in each other; those of introspection are not counted.
    pub depth: usize,
    /// How many fields one answer may come to, each counted as often as its lists can be long.
    pub complexity: u64,
    /// How many aliases an operation may have, fragments spread out.
    pub aliases: usize,
    /// How many directives an operation may have, fragments spread out.
    pub directives: usize,
    /// How many tokens a document may have, white space and comments counted.
    pub tokens: usize,
    /// How many upstream calls an operation may cause.
    pub upstream_calls: u64,
    /// How long an operation may take, in milliseconds.
    pub operation_timeout_ms: u64,
    /// How much complexity is executed at once, over all callers.
    pub complexity_at_once: u32,
    /// How long an operation waits for others to end where that much is executed already, in milliseconds.
    pub wait_ms: u64,
    /// Whether clients may ask for the schema.
    pub introspection: bool,
    /// Whether an unknown name is answered with those that are like it.
    pub suggestions: bool,
}

impl LimitSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges = &[
        ("depth", 1..=32),
        ("complexity", 1..=1_000_000_000),
        ("aliases", 0..=10_000),
        ("directives", 0..=10_000),
        ("tokens", 1..=10_000_000),
        ("upstream_calls", 0..=1_000_000),
        ("operation_timeout_ms", 1..=600_000),
        ("complexity_at_once", 1_000..=4_000_000_000),
        ("wait_ms", 0..=600_000),
    ];

    /// How long an operation may take.
    pub(crate) fn operation_timeout(&self) -> Duration {
        Duration::from_millis(self.operation_timeout_ms)
    }

    /// How long an operation waits for its turn.
    pub(crate) fn wait(&self) -> Duration {
        Duration::from_millis(self.wait_ms)
    }
}

/// `[documents]`: documents that clients name instead of sending them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentSettings {
    /// A directory of `.graphql` files, or a manifest of Relay's or Apollo's; empty where there is none.
    pub trusted: PathBuf,
    /// What becomes of documents that are not among them.
    pub mode: DocumentMode,
    /// Whether clients may leave documents here (automatic persisted queries).
    pub automatic: bool,
    /// How much memory the documents that clients left may take, in bytes.
    pub automatic_limit_bytes: u64,
}

impl DocumentSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges = &[("automatic_limit_bytes", 0..=1024 * GIB)];
}

/// What becomes of a document that is not among the trusted ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DocumentMode {
    /// It runs, and the log says so.
    Log,
    /// It is refused.
    Enforce,
}
