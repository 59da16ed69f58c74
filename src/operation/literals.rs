//! Input coercion of literals (specification, 3.5 and 3.10 to 3.12).
//!
//! async-graphql converts literals by its own rules: an ID above 64 bits, `-0` for an Int and `\u{…}` in a string fail
//! inside a resolver, as if the server had failed. Each argument of the executed tree is therefore replaced by the
//! value that apollo-compiler has parsed and validated, coerced to the argument's type. Entry points:
//! [`coerce_arguments`] for a document, [`coerce`] for one value. [`super::variables`] coerces variables.

use apollo_compiler::ast::{Type, Value as Literal};
use apollo_compiler::executable::{Argument, Field, Selection, SelectionSet};
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::{ExecutableDocument, Node, Schema};
use async_graphql::parser::types as executed;
use async_graphql::{Name, Positioned};
use async_graphql_value::Value;
use serde_json::Number;

/// Replaces the arguments of all fields by their coerced values. Both trees must be of the same document.
pub(crate) fn coerce_arguments(
    schema: &Schema,
    validated: &ExecutableDocument,
    executed: &mut executed::ExecutableDocument,
) {
    match &mut executed.operations {
        executed::DocumentOperations::Single(operation) => {
            if let Some(validated) = validated.operations.iter().next() {
                selections(schema, &validated.selection_set, &mut operation.node.selection_set.node);
            }
        }
        executed::DocumentOperations::Multiple(operations) => {
            for (name, operation) in operations {
                if let Some(validated) = validated.operations.named.get(name.as_str()) {
                    selections(schema, &validated.selection_set, &mut operation.node.selection_set.node);
                }
            }
        }
    }
    for (name, fragment) in &mut executed.fragments {
        if let Some(validated) = validated.fragments.get(name.as_str()) {
            selections(schema, &validated.selection_set, &mut fragment.node.selection_set.node);
        }
    }
}

fn selections(schema: &Schema, validated: &SelectionSet, executed: &mut executed::SelectionSet) {
    for (validated, executed) in validated.selections.iter().zip(&mut executed.items) {
        match (validated, &mut executed.node) {
            (Selection::Field(validated), executed::Selection::Field(executed)) => {
                arguments(schema, validated, &mut executed.node.arguments);
                selections(schema, &validated.selection_set, &mut executed.node.selection_set.node);
            }
            (Selection::InlineFragment(validated), executed::Selection::InlineFragment(executed)) => {
                selections(schema, &validated.selection_set, &mut executed.node.selection_set.node);
            }
            _ => {}
        }
    }
}

fn arguments(schema: &Schema, field: &Node<Field>, executed: &mut [(Positioned<Name>, Positioned<Value>)]) {
    for (name, value) in executed {
        let named = |argument: &&Node<Argument>| argument.name == name.node.as_str();
        let literal = field.arguments.iter().find(named);
        let definition = field.definition.argument_by_name(&name.node);
        if let (Some(literal), Some(definition)) = (literal, definition) {
            value.node = coerce(schema, &definition.ty, &literal.value);
        }
    }
}

/// Coerces a validated literal to an input type.
pub(crate) fn coerce(schema: &Schema, ty: &Type, literal: &Literal) -> Value {
    match (literal, ty) {
        (Literal::Null, _) => Value::Null,
        (Literal::Variable(name), _) => Value::Variable(Name::new(name)),
        (Literal::List(items), Type::List(item) | Type::NonNullList(item)) => {
            Value::List(items.iter().map(|literal| coerce(schema, item, literal)).collect())
        }
        // A single value is coerced to a list of one (specification, 3.12).
        (_, Type::List(item) | Type::NonNullList(item)) => Value::List(vec![coerce(schema, item, literal)]),
        (Literal::Enum(name), _) => Value::Enum(Name::new(name)),
        (Literal::Boolean(boolean), _) => Value::Boolean(*boolean),
        (Literal::String(text), _) => Value::String(text.clone()),
        (Literal::Int(_), Type::Named(name) | Type::NonNullNamed(name)) if name == "ID" => {
            Value::String(source_text(literal))
        }
        (Literal::Int(_) | Literal::Float(_), _) => number(&source_text(literal)),
        // Only a custom scalar can be a list here.
        (Literal::List(items), _) => {
            Value::List(items.iter().map(|literal| coerce(schema, ty, literal)).collect())
        }
        (Literal::Object(members), _) => {
            let fields = match schema.types.get(ty.inner_named_type()) {
                Some(ExtendedType::InputObject(object)) => Some(&object.fields),
                _ => None,
            };
            let member = |(name, literal): &(apollo_compiler::Name, Node<Literal>)| {
                let definition = fields.and_then(|fields| fields.get(name));
                let ty = definition.map_or(ty, |definition| &*definition.ty);
                (Name::new(name), coerce(schema, ty, literal))
            };
            Value::Object(members.iter().map(member).collect())
        }
    }
}

/// Returns a number as it is written in the document.
fn source_text(literal: &Literal) -> String {
    match literal {
        Literal::Int(number) => number.as_str().to_owned(),
        Literal::Float(number) => number.as_str().to_owned(),
        _ => String::new(),
    }
}

/// Returns a number's value: an integer if it is whole, so that `-0` is 0.
fn number(text: &str) -> Value {
    let whole = text.parse::<i64>().map(Number::from);
    match whole.or_else(|_| text.parse::<Number>()) {
        Ok(number) => Value::Number(number),
        // Validation has refused numbers that do not fit their type. A custom scalar gets the text.
        Err(_) => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::parser::parse_query;

    const SCHEMA: &str = "type Query { f(id: ID, ids: [ID!], n: Int, x: Float, s: String, e: E, o: O): Int }
        enum E { A } input O { id: ID, ids: [ID!], o: O, n: Int = 3 }";

    fn coerced(arguments: &str) -> String {
        let schema = Schema::parse_and_validate(SCHEMA, "schema").unwrap();
        let text = format!(
            "{{ a: f({arguments}) ... on Query {{ b: f({arguments}) }} ...F }} fragment F on Query {{ c: f({arguments}) }}"
        );
        let validated = ExecutableDocument::parse_and_validate(&schema, &text, "document").unwrap();
        let mut executed = parse_query(&text).unwrap();
        coerce_arguments(&schema, &validated, &mut executed);
        let mut seen = Vec::new();
        let mut sets: Vec<_> =
            executed.operations.iter().map(|(_, operation)| &operation.node.selection_set).collect();
        sets.extend(executed.fragments.values().map(|fragment| &fragment.node.selection_set));
        while let Some(set) = sets.pop() {
            for item in &set.node.items {
                match &item.node {
                    executed::Selection::Field(field) => {
                        let values = field
                            .node
                            .arguments
                            .iter()
                            .map(|(name, value)| format!("{}: {}", name.node, value.node));
                        seen.push(values.collect::<Vec<_>>().join(", "));
                    }
                    executed::Selection::InlineFragment(inline) => sets.push(&inline.node.selection_set),
                    executed::Selection::FragmentSpread(_) => {}
                }
            }
        }
        assert_eq!(seen.len(), 3);
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
        seen.remove(0)
    }

    #[test]
    fn an_id_takes_any_integer_literal_as_it_is_written() {
        assert_eq!(coerced("id: 9223372036854775808"), r#"id: "9223372036854775808""#);
        assert_eq!(coerced("id: -0"), r#"id: "-0""#);
        assert_eq!(coerced("id: 123456789012345678901234567890"), r#"id: "123456789012345678901234567890""#);
        assert_eq!(
            coerced("o: {id: 18446744073709551616, o: {ids: 7}}"),
            r#"o: {id: "18446744073709551616", o: {ids: ["7"]}}"#
        );
    }

    #[test]
    fn minus_zero_is_coerced_to_zero_for_int() {
        assert_eq!(coerced("n: -0, o: {n: -0}"), "n: 0, o: {n: 0}");
    }

    #[test]
    fn a_single_value_is_coerced_to_a_list_of_one() {
        assert_eq!(coerced("ids: 5"), r#"ids: ["5"]"#);
        assert_eq!(coerced("ids: null"), "ids: null");
    }

    #[test]
    fn other_literals_keep_their_values() {
        assert_eq!(coerced(r#"x: 1, e: A, s: "a\n\u0041""#), "x: 1, e: A, s: \"a\\nA\"");
        assert_eq!(coerced("x: -1.5e3"), "x: -1500.0");
    }
}
