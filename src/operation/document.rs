//! Is the document right? Parsed and judged once, its verdict kept by its text.
//!
//! apollo-compiler judges, since async-graphql's validation accepts documents that graphql-js refuses
//! (nullable variables in non-null places, overlapping fields, …). Of async-graphql only the parsed form is
//! needed, which its executor walks; both forms are kept, so that a known text costs one look-up.

use std::sync::Arc;

use apollo_compiler::diagnostic::{Diagnostic, ToCliReport};
use apollo_compiler::executable::Operation;
use apollo_compiler::parser::Parser;
use apollo_compiler::response::GraphQLError as Judged;
use apollo_compiler::validation::{DiagnosticData, DiagnosticList, Valid};
use apollo_compiler::{ExecutableDocument, Schema};
use async_graphql::Pos;
use async_graphql::parser::{parse_query, types::ExecutableDocument as Executable};

use super::bounds;
use super::codes::Code;
use super::errors::GraphqlError;
use super::input_fields;
use super::limits;
use super::positions;
use super::settings::LimitSettings;
use super::suggestions;
use crate::loaders::cache::bounded_map::Weighed;

/// How many errors of a document are listed.
const ERRORS_LISTED: usize = 10;

/// How much of one error's sentence is shown, in bytes: it can repeat names out of the document.
const MESSAGE_BYTES: usize = 300;

/// What a verdict takes for each byte of the document's text: both trees, measured on introspection and on
/// lists, and rounded up.
const BYTES_PER_TEXT_BYTE: usize = 64;

/// What a verdict takes even of an empty document.
const BYTES_PER_VERDICT: usize = 2048;

/// A document that fits the schema.
pub(crate) struct Document {
    judged: Valid<ExecutableDocument>,
    executable: Executable,
}

/// A document that can be run, or all that is wrong with it.
pub(crate) type ValidationResult = Result<Document, Vec<GraphqlError>>;

/// The judge of documents, and its memory.
pub(crate) struct Documents {
    schema: Valid<Schema>,
    limits: Option<LimitSettings>,
    verdicts: Weighed<Arc<str>, Arc<ValidationResult>>,
    limit_bytes: u64,
}

/// The schema that documents were to be judged by is none.
#[derive(Debug, thiserror::Error)]
#[error("the schema cannot be read back: {0}")]
pub struct InvalidSchema(String);

impl Documents {
    /// A judge by the schema that `sdl` defines, and by limits where there are any; what it keeps weighs at most `limit_bytes`.
    pub(crate) fn new(
        sdl: &str,
        limits: Option<LimitSettings>,
        limit_bytes: u64,
    ) -> Result<Self, InvalidSchema> {
        let schema = Schema::parse_and_validate(sdl, "schema.graphql")
            .map_err(|found| InvalidSchema(found.errors.to_string()))?;
        let verdicts = Weighed::new(limit_bytes, |text: &Arc<str>, _: &Arc<ValidationResult>| {
            text.len().saturating_mul(BYTES_PER_TEXT_BYTE).saturating_add(BYTES_PER_VERDICT)
        });
        Ok(Self { schema, limits, verdicts, limit_bytes })
    }

    /// What its verdicts weigh, about.
    pub(crate) fn weight_bytes(&self) -> u64 {
        self.verdicts.weight_bytes()
    }

    /// What its verdicts may weigh.
    pub(crate) fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// Keeps no verdict.
    pub(crate) fn forget(&self) {
        self.verdicts.clear();
    }

    /// The schema that documents are judged by.
    pub(crate) fn schema(&self) -> &Valid<Schema> {
        &self.schema
    }

    /// The verdict on a document.
    pub(crate) fn judge(&self, text: &str) -> Arc<ValidationResult> {
        if let Some(known) = self.verdicts.get(text) {
            return known;
        }
        let verdict = Arc::new(self.judge_anew(text));
        self.verdicts.insert(Arc::from(text), Arc::clone(&verdict));
        verdict
    }

    fn judge_anew(&self, text: &str) -> ValidationResult {
        let mut parser = Parser::new();
        if let Some(limits) = &self.limits {
            parser = parser.token_limit(limits.tokens);
        }
        let syntax = parser.parse_ast(text, "document").map_err(|found| self.unread(&found.errors))?;
        let too_large = |bound: bounds::TooLarge| {
            vec![GraphqlError::new(Code::LimitExceeded, bound.to_string()).because(bound.reason())]
        };
        bounds::check_operations(&syntax).map_err(too_large)?;
        let repeated = input_fields::check(&syntax);
        if !repeated.is_empty() {
            return Err(cut(repeated, Code::GraphqlValidationFailed));
        }
        let judged = syntax
            .to_executable_validate(&self.schema)
            .map_err(|found| self.listed(Code::GraphqlValidationFailed, &found.errors))?;
        let misplaced = positions::check(&self.schema, &judged);
        if !misplaced.is_empty() {
            return Err(cut(misplaced, Code::GraphqlValidationFailed));
        }
        bounds::check(&judged).map_err(too_large)?;
        if let Some(limits) = &self.limits {
            let beyond = limits::check(&judged, limits);
            if !beyond.is_empty() {
                return Err(cut(beyond, Code::LimitExceeded));
            }
        }
        let executable = executable(text, &judged)?;
        Ok(Document { judged, executable })
    }

    /// What is wrong with a text that is no document; where it is only too long, that alone, as nothing else was looked at.
    fn unread(&self, found: &DiagnosticList) -> Vec<GraphqlError> {
        let is_too_long = found.iter().any(|one| one.error.to_string().contains("token limit reached"));
        match &self.limits {
            Some(limits) if is_too_long => {
                let sentence = format!(
                    "The document has more than {} tokens, white space and comments counted.",
                    limits.tokens
                );
                vec![GraphqlError::new(Code::LimitExceeded, sentence).because("TOKENS")]
            }
            _ => self.listed(Code::GraphqlParseFailed, found),
        }
    }

    fn listed(&self, code: Code, found: &DiagnosticList) -> Vec<GraphqlError> {
        let told: Vec<_> = found.iter().filter(|one| !is_echo(one)).collect();
        cut(told.iter().map(|one| self.told(code, one)), code)
    }

    fn told(&self, code: Code, one: &Diagnostic<'_, DiagnosticData>) -> GraphqlError {
        let mut error = told(code, one);
        if self.limits.as_ref().is_none_or(|limits| limits.suggestions)
            && let Some(like) = suggestions::like(&self.schema, &error.message)
        {
            error.message.push_str(&like);
        }
        error
    }
}

/// The form that the executor walks. Its parser knows no `\u{…}` and no surrogate pairs: a document with those is read as
/// apollo-compiler writes it, without escapes; the places in errors of its fields are then those of that text.
fn executable(text: &str, judged: &Valid<ExecutableDocument>) -> Result<Executable, Vec<GraphqlError>> {
    let read = parse_query(text).or_else(|_| parse_query(judged.to_string()));
    // Its words would repeat the document's line.
    read.map_err(|error| {
        let places = error.positions().collect();
        vec![GraphqlError::new(Code::GraphqlParseFailed, "Syntax Error: this cannot be read.").at(places)]
    })
}

impl Document {
    /// The operation that a request means (specification, 6.1 `GetOperation`).
    pub(crate) fn operation(&self, name: Option<&str>) -> Result<&Operation, Vec<GraphqlError>> {
        self.judged.operations.get(name).map(AsRef::as_ref).map_err(|_| {
            let sentence = match name {
                Some(name) => shortened(format!("Unknown operation named \"{name}\".")),
                None if self.judged.operations.is_empty() => "Must provide an operation.".to_owned(),
                None => "Must provide operation name if query contains multiple operations.".to_owned(),
            };
            vec![GraphqlError::new(Code::OperationResolutionFailure, sentence)]
        })
    }

    /// The form that was judged.
    pub(crate) fn judged(&self) -> &ExecutableDocument {
        &self.judged
    }

    /// The form that the executor walks.
    pub(crate) fn executable(&self) -> Executable {
        self.executable.clone()
    }
}

/// Whether an error only repeats another: apollo-compiler leaves out a field that it does not know, and then
/// misses the selection that held nothing else. In the document, a field with a selection ends with its brace.
fn is_echo(one: &Diagnostic<'_, DiagnosticData>) -> bool {
    let text = || {
        let at = one.error.location()?;
        one.sources.get(&at.file_id())?.source_text().get(at.offset()..at.end_offset())
    };
    one.error.unstable_error_name() == Some("MissingSubselection")
        && text().is_some_and(|text| text.trim_end().ends_with('}'))
}

/// The first few errors, and how many more there are.
pub(super) fn cut(
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

fn told(code: Code, one: &Diagnostic<'_, DiagnosticData>) -> GraphqlError {
    let Judged { message, locations, .. } = one.unstable_to_json_compat();
    let message = match (code, one.error.unstable_error_name()) {
        (Code::GraphqlParseFailed, _) => {
            format!("Syntax Error: {}", message.trim_start_matches("syntax error: "))
        }
        // In graphql-js's words it would repeat the literal, which can be a secret in the wrong place.
        (_, Some("UnsupportedValueType")) => one.error.to_string(),
        // It would name the type that the field is of for the type that the field has.
        (_, Some("MissingSubselection")) => match message.split_once(" of type ") {
            Some((field, _)) => format!("{field} must have a selection of subfields."),
            None => one.error.to_string(),
        },
        _ => message,
    };
    let places = locations.iter().map(|at| Pos { line: at.line, column: at.column }).collect();
    GraphqlError::new(code, shortened(message)).at(places)
}

/// Ends an overlong sentence at a character's border.
pub(crate) fn shortened(mut sentence: String) -> String {
    if sentence.len() > MESSAGE_BYTES {
        let border = (0..=MESSAGE_BYTES).rev().find(|&at| sentence.is_char_boundary(at)).unwrap_or(0);
        sentence.truncate(border);
        sentence.push('…');
    }
    sentence
}
