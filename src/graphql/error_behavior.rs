//! The client's choice of what a field error does to the response ([`ErrorBehavior`]).
//!
//! Most fields that can fail are `Option<Result<…>>`, for which `NULL` and `PROPAGATE` mean the same. [`NonNull`] is
//! the type of the few root fields that can fail and are non-null. `HALT` nulls the whole response, which `operation`
//! does; here it only keeps later mutations from being executed ([`is_halted`]).

use std::borrow::Cow;
use std::sync::PoisonError;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{
    Context, ContextBase, ContextSelectionSet, Error, OutputType, Positioned, ServerResult, Value,
};

use super::errors::FieldError;
use crate::domain::error_behavior::ErrorBehavior;

/// The value of a non-null field that can fail; `None` if it was not executed, because the operation is halted.
pub(super) struct NonNull<T>(pub(super) Option<Result<T, FieldError>>);

impl<T: OutputType + Sync> OutputType for NonNull<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn qualified_type_name() -> String {
        T::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        match &self.0 {
            None => Ok(Value::Null),
            Some(Ok(value)) => value.resolve(ctx, field).await,
            Some(Err(error)) => {
                let error = ctx.set_error_path(Error::from(error.clone()).into_server_error(field.pos));
                if behavior(ctx) != ErrorBehavior::Null {
                    return Err(error);
                }
                ctx.add_error(error);
                Ok(Value::Null)
            }
        }
    }
}

/// Whether the operation is to end at its first error and has one.
pub(super) fn is_halted(ctx: &Context<'_>) -> bool {
    let has_error = || !ctx.query_env.errors.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
    behavior(ctx) == ErrorBehavior::Halt && has_error()
}

fn behavior<T>(ctx: &ContextBase<'_, T>) -> ErrorBehavior {
    ctx.data_opt().copied().unwrap_or_default()
}
