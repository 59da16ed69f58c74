//! The values of variables, coerced before execution (specification, 6.1.2 `CoerceVariableValues`).
//!
//! async-graphql coerces a variable where a field uses it, which makes a wrong value a field's error, and a
//! missing one that no field uses no error at all. So it is done here, and the executor gets coerced values.

use apollo_compiler::ast::VariableDefinition;
use apollo_compiler::executable::Operation;
use apollo_compiler::request::coerce_variable_values;
use apollo_compiler::response::{JsonMap, JsonValue};
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Node, Schema};
use async_graphql::{Name, Value, Variables};

use super::codes::Code;
use super::errors::{GraphqlError, shortened};
use super::variable_positions;

/// The values that an operation runs with; variables that it does not declare are left out.
///
/// # Errors
/// One for each variable whose value does not fit. None repeats a value: it can be a secret in the wrong place.
pub(crate) fn coerce(
    schema: &Valid<Schema>,
    document: &ExecutableDocument,
    operation: &Operation,
    values: &JsonMap,
) -> Result<Variables, Vec<GraphqlError>> {
    if operation.variables.is_empty() {
        return Ok(Variables::default());
    }
    let Ok(coerced) = coerce_variable_values(schema, operation, values) else {
        return Err(refusals(schema, operation, values));
    };
    if coerced.values().any(JsonValue::is_null) {
        let misplaced = variable_positions::check_nulls(schema, document, operation, &coerced);
        if !misplaced.is_empty() {
            return Err(misplaced);
        }
    }
    Ok(Variables::from_value(object(coerced.into_inner())))
}

/// apollo-compiler stops at the first wrong variable and names it in a sentence alone: asking for each on its
/// own tells all of them.
fn refusals(schema: &Valid<Schema>, operation: &Operation, values: &JsonMap) -> Vec<GraphqlError> {
    let mut alone = operation.clone();
    let refusal = |variable: &Node<VariableDefinition>| {
        alone.variables = vec![variable.clone()];
        let refused = coerce_variable_values(schema, &alone, values).err()?;
        let VariableDefinition { name, ty, .. } = variable.as_ref();
        let sentence = match values.get(name.as_str()) {
            None => format!("Variable \"${name}\" of required type \"{ty}\" was not provided."),
            Some(JsonValue::Null) => {
                format!("Variable \"${name}\" of non-null type \"{ty}\" must not be null.")
            }
            Some(_) => {
                let detail = without_value(&refused.message().to_string());
                format!("Variable \"${name}\" got an invalid value for type \"{ty}\": {detail}.")
            }
        };
        Some(GraphqlError::new(Code::BadUserInput, shortened(sentence)).because("BAD_VARIABLE"))
    };
    operation.variables.iter().filter_map(refusal).collect()
}

/// `could not coerce variable x: "the value" to type Int`, without the value.
fn without_value(message: &str) -> String {
    let parts =
        message.split_once(": ").and_then(|(what, rest)| Some((what, rest.rsplit_once(" to type ")?.1)));
    match parts {
        Some((what, ty)) => format!("{what} to type {ty}"),
        None => message.to_owned(),
    }
}

fn object(map: JsonMap) -> Value {
    Value::Object(map.into_iter().map(|(name, value)| (Name::new(name.as_str()), constant(value))).collect())
}

fn constant(value: JsonValue) -> Value {
    match value {
        JsonValue::Null => Value::Null,
        JsonValue::Bool(boolean) => Value::Boolean(boolean),
        JsonValue::Number(number) => Value::Number(number),
        JsonValue::String(text) => Value::String(text.as_str().to_owned()),
        JsonValue::Array(items) => Value::List(items.into_iter().map(constant).collect()),
        JsonValue::Object(map) => object(map),
    }
}
