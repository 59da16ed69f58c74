//! The errors of a response: masked, and merged by their cause.
//!
//! The entry point is [`masked_and_merged`]. Resolvers return [`FieldError`]s, which arrive as the source of
//! async-graphql's errors. An error without such a source is not meant for clients (the library's `?` operator would
//! expose any error's text), so it becomes `INTERNAL`. Rejected: masking in an extension of the library, because a
//! single extension doubles the execution time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use apollo_compiler::parser::{SourceMap, SourceSpan};
use async_graphql::{PathSegment, Pos, ServerError};
use serde::Serialize;

use super::codes::Code;
use crate::graphql::errors::FieldError;
use crate::loaders::actions::outcome::ActionRefusal;
use crate::upstream::error::UpstreamError;

/// Maximum number of errors that are listed for a document.
const ERRORS_LISTED: usize = 10;

/// Maximum length of an error message, in bytes. A message can repeat names from the document.
const MESSAGE_BYTES: usize = 300;

/// Maximum number of paths in `extensions.paths`; `extensions.count` has the total.
const PATHS_NAMED: usize = 100;

/// Message of every internal error.
const MASKED: &str = "Something went wrong in Switchboard.";

/// An entry of a response's `errors`.
#[derive(Debug, Clone, Serialize)]
pub struct GraphqlError {
    /// Message for people.
    pub message: String,
    /// The positions in the document.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<Pos>,
    /// The path in the response; empty if the operation was not executed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<PathSegment>,
    /// The machine-readable part.
    pub extensions: Extensions,
}

/// The `extensions` of an error.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Extensions {
    /// One of [`Code::ALL`].
    pub code: &'static str,
    /// The kind of bad input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retryable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<Arc<str>>,
    /// Index of the representation that caused the error. A router reports its own paths, which do not contain the
    /// index.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    representations: Vec<usize>,
    #[serde(skip_serializing_if = "is_one")]
    count: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    paths: Vec<Vec<PathSegment>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_one(count: &usize) -> bool {
    *count == 1
}

impl GraphqlError {
    /// Creates an error of the request, or of this layer.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self::coded(code.as_str(), message)
    }

    /// Creates the error that replaces every error that clients may not see.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(Code::Internal, MASKED)
    }

    /// Adds the kind of bad input.
    #[must_use]
    pub fn with_reason(mut self, reason: &'static str) -> Self {
        self.extensions.reason = Some(reason);
        self
    }

    /// Adds the time after which the same request may succeed.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.extensions.retryable = Some(true);
        self.extensions.retry_after_ms = Some(millis(wait));
        self
    }

    /// Adds positions in the document.
    #[must_use]
    pub fn at(mut self, locations: impl IntoIterator<Item = Pos>) -> Self {
        self.locations = locations.into_iter().collect();
        self
    }

    fn coded(code: &'static str, message: impl Into<String>) -> Self {
        let extensions = Extensions {
            code,
            reason: None,
            upstream: None,
            retryable: None,
            retry_after_ms: None,
            request_id: None,
            representations: Vec::new(),
            count: 1,
            paths: Vec::new(),
        };
        Self { message: message.into(), locations: Vec::new(), path: Vec::new(), extensions }
    }

    fn masked(error: ServerError) -> Self {
        let known = error.source::<FieldError>().map(Self::from_field);
        Self { locations: error.locations, path: error.path, ..known.unwrap_or_else(Self::internal) }
    }

    fn from_field(failed: &FieldError) -> Self {
        let mut error = Self::coded(failed.code(), failed.to_string());
        match failed {
            FieldError::Upstream(failed) => Self::from_upstream(failed),
            FieldError::BadInput(input) => error.with_reason(input.reason.as_str()),
            FieldError::BadRepresentation { index, input } => {
                error.extensions.representations.push(*index);
                error.with_reason(input.reason.as_str())
            }
            FieldError::Action(ActionRefusal::TooMany(wait)) => error.with_retry_after(*wait),
            FieldError::Action(ActionRefusal::ReadOnlyKey) => error.with_reason("READ_ONLY_KEY"),
            FieldError::Action(ActionRefusal::Disabled | ActionRefusal::NotAllowed(_)) => error,
            FieldError::ForAdmins => error,
            FieldError::TooManyProviders { .. } => error.with_reason("TOOLKIT_PROVIDERS"),
            FieldError::ResponseTooLarge { .. } => error.with_reason("RESPONSE_SIZE"),
        }
    }

    pub(super) fn from_upstream(failed: &UpstreamError) -> Self {
        let mut error = Self::coded(failed.failure.code(), failed.to_string());
        error.extensions.upstream = Some(failed.upstream.to_string());
        error.extensions.retryable = Some(failed.failure.is_retryable());
        error.extensions.retry_after_ms = failed.retry_after.map(millis);
        error.extensions.request_id.clone_from(&failed.request_id);
        error
    }

    fn is_internal(&self) -> bool {
        self.extensions.code == Code::Internal.as_str()
    }
}

/// Returns the position at which a part of a document begins.
pub(super) fn start_of(part: Option<SourceSpan>, sources: &SourceMap) -> Option<Pos> {
    let start = part?.line_column_range(sources)?.start;
    Some(Pos { line: start.line, column: start.column })
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

/// Identity of an error. A call that failed under twenty parents is one error with twenty paths.
#[derive(PartialEq, Eq, Hash)]
struct Cause {
    code: &'static str,
    upstream: Option<String>,
    reason: Option<&'static str>,
    message: String,
}

impl Cause {
    fn of(error: &GraphqlError) -> Self {
        Self {
            code: error.extensions.code,
            upstream: error.extensions.upstream.clone(),
            reason: error.extensions.reason,
            message: error.message.clone(),
        }
    }
}

/// Masks the errors of an execution and merges those with the same cause, in the order of their first positions.
pub(crate) fn masked_and_merged(mut errors: Vec<ServerError>) -> Vec<GraphqlError> {
    // The executor reports errors in the order of their occurrence, which differs between runs.
    errors.sort_by_cached_key(position);
    let mut merged: Vec<GraphqlError> = Vec::new();
    let mut index_by_cause: HashMap<Cause, usize> = HashMap::new();
    for error in errors.into_iter().map(GraphqlError::masked) {
        match index_by_cause.entry(Cause::of(&error)) {
            Entry::Vacant(vacant) => {
                vacant.insert(merged.len());
                merged.push(error);
            }
            Entry::Occupied(known) => {
                if let Some(first) = merged.get_mut(*known.get()) {
                    first.join(error);
                }
            }
        }
    }
    for error in merged.iter().filter(|error| error.is_internal()) {
        // Neither the message, which may contain data, nor the path, which contains the client's aliases, is logged.
        tracing::error!(
            places = error.extensions.count,
            location = ?error.locations.first(),
            "fields failed with an error that is not for clients"
        );
    }
    merged
}

/// Returns the position of an error: in the document first, then in the lists of the response.
fn position(error: &ServerError) -> impl Ord + use<> {
    let segment = |segment: &PathSegment| match segment {
        PathSegment::Index(index) => (*index, String::new()),
        PathSegment::Field(name) => (0, name.clone()),
    };
    let document = error.locations.first().map(|at| (at.line, at.column));
    (document, error.path.iter().map(segment).collect::<Vec<_>>())
}

impl GraphqlError {
    fn join(&mut self, other: Self) {
        if self.extensions.paths.is_empty() {
            self.extensions.paths.push(self.path.clone());
        }
        self.extensions.count += 1;
        if self.extensions.paths.len() < PATHS_NAMED {
            self.extensions.paths.push(other.path);
            self.extensions.representations.extend(other.extensions.representations);
        }
    }
}

/// Returns the first few errors, and the number of the others.
pub(super) fn first_errors(
    errors: impl IntoIterator<Item = GraphqlError, IntoIter: ExactSizeIterator>,
    code: Code,
) -> Vec<GraphqlError> {
    let errors = errors.into_iter();
    let left_out = errors.len().saturating_sub(ERRORS_LISTED);
    let mut listed: Vec<_> = errors.take(ERRORS_LISTED).collect();
    if left_out > 0 {
        listed.push(GraphqlError::new(code, format!("Too many errors: {left_out} more are not listed.")));
    }
    listed
}

/// Maximum length of a client's value that a message repeats, in characters. Such messages go to the client only.
pub(super) const VALUE_CHARS_MAX: usize = 40;

/// Returns the beginning of a text, with an ellipsis if it is shortened.
pub(super) fn shortened_to(chars_max: usize, text: &str) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Shortens a long message at a character boundary.
pub(crate) fn shortened(mut sentence: String) -> String {
    if sentence.len() > MESSAGE_BYTES {
        let border = (0..=MESSAGE_BYTES).rev().find(|&at| sentence.is_char_boundary(at)).unwrap_or(0);
        sentence.truncate(border);
        sentence.push('…');
    }
    sentence
}
