//! Runs one GraphQL operation, the same way for every transport.
//!
//! Entry point: [`OperationEngine`] ([`engine`]). A decoded request ([`request`]) passes these steps:
//!
//! 1. the caller's [`rate_limits`] count it;
//! 2. its document's text is found: sent with the request, or named by an id ([`persisted`]);
//! 3. the [`response_cache`] is checked; a hit ends here;
//! 4. [`document`] validates the text, once per text, against the schema ([`variable_positions`], [`input_fields`],
//!    [`suggestions`]), fixed [`bounds`] and configured [`limits`]. [`source_text`] rewrites it for both parsers,
//!    [`literals`] are coerced, and [`syntax_errors`] has the messages;
//! 5. [`prepare`] resolves the operation and coerces its [`variables`];
//! 6. its complexity is charged to the caller's rate limits;
//! 7. a query joins the execution of an equal one in flight ([`response_cache`]);
//! 8. its [`cost`] is checked and [`admission`] gives it a permit;
//! 9. the [`executor`] runs it before its [`deadline`]; [`introspection`] is answered here;
//! 10. errors are masked and merged ([`errors`], under the [`codes`] that clients rely on) and the [`response`] is
//!     written ([`response_body`]).
//!
//! [`subscription`] repeats steps 8 to 10 for every event. Nothing here depends on HTTP: [`OperationResponse`]
//! describes the result, and the transport chooses a status. [`trace_attributes`] and the origin of a response supply
//! data for the request log, metrics and traces. [`settings`] has `[limits]` and `[documents]`.

mod admission;
mod body_forms;
mod bounds;
pub mod codes;
mod cost;
mod deadline;
mod document;
mod engine;
pub mod errors;
mod input_fields;
mod introspection;
mod limits;
mod literals;
pub mod persisted;
mod prepare;
pub mod rate_limits;
pub mod request;
mod response;
mod response_body;
mod response_cache;
pub mod settings;
mod source_text;
pub mod subscription;
mod suggestions;
mod syntax_errors;
mod trace_attributes;
mod variable_positions;
mod variables;
#[cfg(all(test, target_os = "linux"))]
mod worst_case_tests;

pub(crate) use self::admission::OVERLOADED_RETRY_AFTER;
pub(crate) use self::body_forms::{BodyForms, CompressedBody};
pub use self::document::InvalidSchema;
pub use self::engine::OperationEngine;
pub use self::prepare::TransportRules;
pub use self::response::{OperationResponse, Outcome};
use crate::graphql::executor;
pub use crate::graphql::executor::{EventSource, Executor};
