//! Validation of documents, cached by their text.
//!
//! The entry point is [`Documents::validate`]. apollo-compiler validates, because async-graphql's validation accepts
//! documents that graphql-js rejects (nullable variables in non-null positions, conflicting fields). async-graphql's
//! parser is used too, because its executor needs its own syntax tree. Both trees are cached, so a known text costs one
//! lookup.

use std::sync::{Arc, OnceLock};

use apollo_compiler::diagnostic::{Diagnostic, ToCliReport};
use apollo_compiler::executable::Operation;
use apollo_compiler::parser::Parser;
use apollo_compiler::response::GraphQLError as JsonCompatibleError;
use apollo_compiler::validation::{DiagnosticData, DiagnosticList, Valid};
use apollo_compiler::{ExecutableDocument, Node, Schema};
use async_graphql::Pos;
use async_graphql::parser::{parse_query, types::ExecutableDocument as Executable};

use super::bounds;
use super::codes::Code;
use super::errors::{GraphqlError, first_errors, shortened};
use super::input_fields;
use super::introspection::{self, Introspection};
use super::limits;
use super::literals;
use super::settings::LimitSettings;
use super::source_text;
use super::suggestions;
use super::syntax_errors;
use super::variable_positions;
use crate::domain::bounded_map::BoundedMap;

/// Memory of a cached result per byte of its text, for both syntax trees. Measured on introspection queries and on
/// queries of lists, rounded up.
const BYTES_PER_TEXT_BYTE: usize = 64;

/// Memory of a cached result apart from its text.
const BYTES_PER_RESULT: usize = 2048;

/// Memory of one error of a rejected document, whose syntax trees are not cached.
const BYTES_PER_ERROR: usize = 512;

/// A document that is valid against the schema.
pub(crate) struct Document {
    pub(crate) validated: Valid<ExecutableDocument>,
    /// The form that the executor needs.
    pub(crate) executable: Executable,
}

/// A valid document, or its errors.
pub(crate) type ValidationResult = Result<Arc<Document>, Arc<[GraphqlError]>>;

/// Validates documents and caches the results.
pub(crate) struct Documents {
    /// The schema that documents are validated against.
    pub(crate) schema: Arc<Valid<Schema>>,
    /// The schema that introspection shows. It is read at the first introspection, because reading it is a third of the
    /// work of the process's start.
    introspection: OnceLock<Result<Introspection, String>>,
    limits: LimitSettings,
    pub(crate) results: BoundedMap<Arc<str>, ValidationResult>,
}

/// Error: the schema itself is invalid.
#[derive(Debug, thiserror::Error)]
#[error("the schema is not valid: {0}")]
pub struct InvalidSchema(String);

impl Documents {
    /// Creates a validator for the schema that `sdl` defines. The cache takes at most `limit_bytes`.
    pub(crate) fn new(sdl: &str, limit_bytes: u64, limits: LimitSettings) -> Result<Self, InvalidSchema> {
        let schema = Arc::new(introspection::schema(sdl).map_err(InvalidSchema)?);
        let results =
            BoundedMap::with_limit_bytes(limit_bytes, |text: &Arc<str>, result: &ValidationResult| {
                let bytes = match result {
                    Ok(_) => text.len().saturating_mul(BYTES_PER_TEXT_BYTE),
                    Err(errors) => text.len() + errors.len() * BYTES_PER_ERROR,
                };
                bytes.saturating_add(BYTES_PER_RESULT)
            });
        Ok(Self { schema, introspection: OnceLock::new(), limits, results })
    }

    /// Returns the introspection of the schema that `published_sdl` returns; an error if that is not valid.
    pub(crate) fn introspection(
        &self,
        published_sdl: impl FnOnce() -> String,
    ) -> Result<&Introspection, &str> {
        let introspection = self.introspection.get_or_init(|| Introspection::new(&published_sdl()));
        introspection.as_ref().map_err(String::as_str)
    }

    /// Validates a document, or returns the cached result for its text.
    pub(crate) fn validate(&self, text: &str) -> ValidationResult {
        if let Some(cached) = self.results.get(text) {
            return cached;
        }
        let result = self.validate_uncached(text).map(Arc::new).map_err(Arc::from);
        self.results.insert(Arc::from(text), result.clone());
        result
    }

    fn validate_uncached(&self, text: &str) -> Result<Document, Vec<GraphqlError>> {
        let too_large = |bound: bounds::TooLarge| {
            vec![GraphqlError::new(Code::LimitExceeded, bound.to_string()).with_reason(bound.reason())]
        };
        let text = &*source_text::without_descriptions(text).map_err(too_large)?;
        let syntax = Parser::new()
            .token_limit(self.limits.tokens)
            .parse_ast(text, "document")
            .map_err(|found| self.parse_errors(text, &found.errors))?;
        bounds::check(&syntax).map_err(too_large)?;
        let repeated = input_fields::check(&syntax);
        if !repeated.is_empty() {
            return Err(first_errors(repeated, Code::GraphqlValidationFailed));
        }
        let validated = syntax
            .to_executable_validate(&self.schema)
            .map_err(|found| self.validation_errors(Code::GraphqlValidationFailed, &found.errors))?;
        let misplaced = variable_positions::check(&self.schema, &validated);
        if !misplaced.is_empty() {
            return Err(first_errors(misplaced, Code::GraphqlValidationFailed));
        }
        let exceeded = limits::check(&validated, &self.limits);
        if !exceeded.is_empty() {
            return Err(first_errors(exceeded, Code::LimitExceeded));
        }
        let mut executable = executable(text)?;
        literals::coerce_arguments(&self.schema, &validated, &mut executable);
        introspection::reserve(&mut executable);
        Ok(Document { validated, executable })
    }

    /// Returns the error of a text that cannot be parsed. Only one is returned, because the parser's further errors
    /// follow from the first. If the text has too many tokens, that is the error.
    fn parse_errors(&self, text: &str, found: &DiagnosticList) -> Vec<GraphqlError> {
        let is_too_long =
            found.iter().any(|diagnostic| diagnostic.error.to_string().contains("token limit reached"));
        if is_too_long {
            let sentence = format!(
                "The document has more than {} tokens, white space and comments counted.",
                self.limits.tokens
            );
            return vec![GraphqlError::new(Code::LimitExceeded, sentence).with_reason("TOKENS")];
        }
        let error = |diagnostic| self.error(Code::GraphqlParseFailed, &diagnostic);
        syntax_errors::unbalanced(text).or_else(|| found.iter().next().map(error)).into_iter().collect()
    }

    /// Whether messages may suggest names of the schema that the document does not contain.
    pub(super) fn suggests(&self) -> bool {
        self.limits.suggestions
    }

    fn validation_errors(&self, code: Code, found: &DiagnosticList) -> Vec<GraphqlError> {
        let shown: Vec<_> = found.iter().filter(|diagnostic| !is_echo(diagnostic)).collect();
        first_errors(shown.iter().map(|diagnostic| self.error(code, diagnostic)), code)
    }

    fn error(&self, code: Code, diagnostic: &Diagnostic<'_, DiagnosticData>) -> GraphqlError {
        let mut error = graphql_error(code, diagnostic);
        if self.suggests()
            && let Some(suggestion) = suggestions::suggestion(&self.schema, &error.message)
        {
            error.message.push_str(&suggestion);
        }
        error
    }
}

/// Parses the tree that async-graphql executes.
fn executable(text: &str) -> Result<Executable, Vec<GraphqlError>> {
    // The library's own message would repeat the document's line.
    parse_query(source_text::for_execution(text)).map_err(|error| {
        let sentence = "Syntax Error: the document cannot be read.";
        vec![GraphqlError::new(Code::GraphqlParseFailed, sentence).at(error.positions())]
    })
}

impl Document {
    /// Returns the operation that a request selects (specification, 6.1 `GetOperation`).
    pub(crate) fn operation(&self, name: Option<&str>) -> Result<Node<Operation>, Arc<[GraphqlError]>> {
        self.validated.operations.get(name).cloned().map_err(|_| {
            let sentence = match name {
                Some(name) => shortened(format!("Unknown operation named \"{name}\".")),
                None if self.validated.operations.is_empty() => "Must provide an operation.".to_owned(),
                None => "Must provide operation name if query contains multiple operations.".to_owned(),
            };
            Arc::from([GraphqlError::new(Code::OperationResolutionFailure, sentence)])
        })
    }
}

/// Whether an error only repeats another. apollo-compiler drops an unknown field, and reports an empty selection if it
/// was the only one. In the document, such a field's selection ends with a brace.
fn is_echo(diagnostic: &Diagnostic<'_, DiagnosticData>) -> bool {
    let text = || {
        let location = diagnostic.error.location()?;
        diagnostic
            .sources
            .get(&location.file_id())?
            .source_text()
            .get(location.offset()..location.end_offset())
    };
    diagnostic.error.unstable_error_name() == Some("MissingSubselection")
        && text().is_some_and(|text| text.trim_end().ends_with('}'))
}

fn graphql_error(code: Code, diagnostic: &Diagnostic<'_, DiagnosticData>) -> GraphqlError {
    let JsonCompatibleError { message, locations, .. } = diagnostic.unstable_to_json_compat();
    let message = match (code, diagnostic.error.unstable_error_name()) {
        (Code::GraphqlParseFailed, _) => {
            format!(
                "Syntax Error: {}",
                syntax_errors::in_plain_words(message.trim_start_matches("syntax error: "))
            )
        }
        // The compatible message would repeat the literal, which may be a secret in the wrong place.
        (_, Some("UnsupportedValueType")) => diagnostic.error.to_string(),
        // The compatible message would name the object's type as the field's type.
        (_, Some("MissingSubselection")) => match message.split_once(" of type ") {
            Some((field, _)) => {
                let name = field.trim_start_matches("Field ").trim_matches('"');
                format!("{field} must have a selection of subfields, as in \"{name} {{ … }}\".")
            }
            None => diagnostic.error.to_string(),
        },
        (_, Some("UndefinedVariable")) => format!("{message} Declare it, as in \"query ($name: Type)\"."),
        // The library omits a quotation mark.
        (_, Some("ConflictingFieldType")) => message.replacen(" and \"", "\" and \"", 1),
        _ => message,
    };
    let positions = locations.iter().map(|at| Pos { line: at.line, column: at.column });
    GraphqlError::new(code, shortened(message)).at(positions)
}
