//! Settings of operations: limits on their size, and documents that clients refer to by a hash or an id.

use std::path::PathBuf;

use crate::domain::settings::{GIB, Ranges};
use serde::Deserialize;

/// `[limits]`: limits of one operation, and of all concurrent operations together.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSettings {
    /// The maximum nesting of fields, introspection excluded.
    pub depth: usize,
    /// The maximum number of fields in a response, with every list at its maximum length.
    pub complexity: u64,
    /// The maximum number of aliases in an operation, with fragments expanded.
    pub aliases: usize,
    /// The maximum number of directives in an operation, with fragments expanded.
    pub directives: usize,
    /// The maximum number of tokens in a document, including white space and comments.
    pub tokens: usize,
    /// The maximum number of upstream calls of an operation.
    pub upstream_calls: u64,
    /// The maximum number of bytes of a response.
    pub response_bytes: u64,
    /// The timeout of an operation, in milliseconds.
    pub operation_timeout_ms: u64,
    /// The maximum total complexity of concurrent operations, over all callers.
    pub complexity_at_once: u32,
    /// The maximum time that an operation waits while running operations use up `complexity_at_once`, in milliseconds.
    pub wait_ms: u64,
    /// Whether introspection is allowed.
    pub introspection: bool,
    /// Whether errors about unknown names suggest similar names.
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
        ("response_bytes", 65_536..=GIB),
        ("operation_timeout_ms", 1..=600_000),
        ("complexity_at_once", 1_000..=4_000_000_000),
        ("wait_ms", 0..=600_000),
    ];
}

/// `[documents]`: documents that clients refer to by a hash or an id instead of sending them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentSettings {
    /// A directory of `.graphql` files, or a manifest of Relay or Apollo. Empty to disable trusted documents.
    pub trusted: PathBuf,
    /// The handling of documents that are not trusted.
    pub mode: DocumentMode,
    /// Whether clients may register documents (automatic persisted queries).
    pub automatic: bool,
    /// The maximum memory of automatic documents, in bytes.
    pub automatic_limit_bytes: u64,
}

impl DocumentSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges = &[("automatic_limit_bytes", 0..=1024 * GIB)];
}

/// The handling of a document that is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DocumentMode {
    /// It is executed and logged.
    Log,
    /// It is refused.
    Enforce,
}
