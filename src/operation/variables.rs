//! The values of variables, coerced before execution (specification, 6.1.2 `CoerceVariableValues`).
//!
//! async-graphql coerces a variable where a field uses it. An invalid value then becomes an error of the field, and a
//! missing value of an unused variable is not an error. [`coerce`] therefore runs first, and the executor receives
//! coerced values.

use apollo_compiler::ast::{Type, VariableDefinition};
use apollo_compiler::executable::Operation;
use apollo_compiler::request::coerce_variable_values;
use apollo_compiler::response::{JsonMap, JsonValue};
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Node, Schema};
use async_graphql::{Name, Value, Variables};

use super::codes::Code;
use super::errors::{GraphqlError, VALUE_CHARS_MAX, shortened, shortened_to};
use super::literals;
use super::suggestions;
use super::variable_positions;

/// Returns the values for an operation's variables. Values of undeclared variables are left out.
///
/// # Errors
/// One error for each variable whose value does not fit. Its message repeats the beginning of the value, which is safe
/// because it goes to the client only.
pub(crate) fn coerce(
    schema: &Valid<Schema>,
    document: &ExecutableDocument,
    operation: &Operation,
    values: &JsonMap,
    suggests: bool,
) -> Result<Variables, Vec<GraphqlError>> {
    if operation.variables.is_empty() {
        return Ok(Variables::default());
    }
    let values = &with_defaults(schema, operation, with_whole_numbers(schema, operation, values));
    let Ok(coerced) = coerce_variable_values(schema, operation, values) else {
        return Err(refusals(schema, operation, values, suggests));
    };
    if coerced.values().any(JsonValue::is_null) {
        let misplaced = variable_positions::check_nulls(schema, document, operation, &coerced);
        if !misplaced.is_empty() {
            return Err(misplaced);
        }
    }
    Ok(Variables::from_value(object(coerced.into_inner())))
}

/// Returns the values, with defaults for variables without a value. The defaults are coerced here, because
/// apollo-compiler uses them as they are written and refuses long integers.
fn with_defaults(schema: &Schema, operation: &Operation, mut values: JsonMap) -> JsonMap {
    for variable in &operation.variables {
        if !values.contains_key(variable.name.as_str())
            && let Some(default) = &variable.default_value
            && let Some(value) = literals::coerce(schema, &variable.ty, default).into_const()
            && let Ok(value) = value.into_json().and_then(serde_json::from_value::<JsonValue>)
        {
            values.insert(variable.name.as_str(), value);
        }
    }
    values
}

/// Returns the values with `1.0` and `-0` as integers, because JSON does not distinguish them (graphql-js accepts
/// both), and with integers as strings where an ID is expected.
fn with_whole_numbers(schema: &Schema, operation: &Operation, values: &JsonMap) -> JsonMap {
    let mut values = values.clone();
    for variable in &operation.variables {
        if let Some(value) = values.get_mut(variable.name.as_str()) {
            make_whole(schema, &variable.ty, value);
        }
    }
    values
}

fn make_whole(schema: &Schema, ty: &Type, value: &mut JsonValue) {
    match value {
        JsonValue::Number(number) => {
            if let Some(whole) = whole(number) {
                *number = whole;
            }
            if ty.inner_named_type() == "ID" && !number.is_f64() {
                *value = JsonValue::from(number.to_string());
            }
        }
        JsonValue::Array(items) => {
            let item = match ty {
                Type::List(item) | Type::NonNullList(item) => item,
                _ => ty,
            };
            items.iter_mut().for_each(|value| make_whole(schema, item, value));
        }
        JsonValue::Object(members) => {
            if let Some(ExtendedType::InputObject(object)) = schema.types.get(ty.inner_named_type()) {
                for (name, value) in members.iter_mut() {
                    if let Some(definition) = object.fields.get(name.as_str()) {
                        make_whole(schema, &definition.ty, value);
                    }
                }
            }
        }
        _ => {}
    }
}

/// Largest integer up to which all integers are exact in a double (IEEE 754).
const EXACT_MAX: f64 = 9_007_199_254_740_991.0;

/// Returns the integer that equals a number, if there is one.
fn whole(number: &serde_json::Number) -> Option<serde_json::Number> {
    let double = number.as_f64().filter(|_| number.is_f64())?;
    let is_whole = double.fract() == 0.0 && double.abs() <= EXACT_MAX;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
    is_whole.then(|| (double as i64).into())
}

/// Returns an error for each invalid variable. apollo-compiler stops at the first one and names it only in a message,
/// so each variable is coerced on its own.
fn refusals(
    schema: &Valid<Schema>,
    operation: &Operation,
    values: &JsonMap,
    suggests: bool,
) -> Vec<GraphqlError> {
    let mut single_variable = operation.clone();
    let refusal = |variable: &Node<VariableDefinition>| {
        single_variable.variables = vec![variable.clone()];
        let refused = coerce_variable_values(schema, &single_variable, values).err()?;
        let VariableDefinition { name, ty, .. } = variable.as_ref();
        let sentence = match values.get(name.as_str()) {
            None => format!("Variable \"${name}\" of required type \"{ty}\" was not provided."),
            Some(JsonValue::Null) => {
                format!("Variable \"${name}\" of non-null type \"{ty}\" must not be null.")
            }
            Some(_) => {
                let (detail, hint) = detail(schema, &refused.message().to_string());
                let sentence =
                    format!("Variable \"${name}\" got an invalid value for type \"{ty}\": {detail}.");
                let hint = hint.filter(|_| suggests).unwrap_or_default();
                return Some(refusal_of(shortened(sentence) + &hint));
            }
        };
        Some(refusal_of(shortened(sentence)))
    };
    operation.variables.iter().filter_map(refusal).collect()
}

fn refusal_of(message: String) -> GraphqlError {
    GraphqlError::new(Code::BadUserInput, message).with_reason("BAD_VARIABLE")
}

/// Returns the library's message with at most the beginning of the value, and a hint about allowed values.
fn detail(schema: &Schema, message: &str) -> (String, Option<String>) {
    // `Input object has key staus not in type F`
    if let Some((key, ty)) =
        message.strip_prefix("Input object has key ").and_then(|rest| rest.rsplit_once(" not in type "))
    {
        let hint = suggestions::similar_input_fields(schema, ty, key);
        return (format!("\"{ty}\" has no field \"{}\"", shortened_to(VALUE_CHARS_MAX, key)), hint);
    }
    if let Some(field) = message.strip_prefix("Missing value for non-null input object field ") {
        return (format!("the required field \"{field}\" is missing"), None);
    }
    // `could not coerce input field F.first: "the value" to type Int`
    let parts =
        message.split_once(": ").and_then(|(start, rest)| Some((start, rest.rsplit_once(" to type ")?)));
    let Some((start, (value, ty))) = parts else { return (message.to_owned(), None) };
    let value = shortened_to(VALUE_CHARS_MAX, value);
    let text = match start.strip_prefix("could not coerce input field ") {
        Some(field) => format!("{value} at \"{field}\" is not a value of type \"{ty}\""),
        None => format!("{value} is not a value of type \"{ty}\""),
    };
    (text, suggestions::enum_values(schema, ty))
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
