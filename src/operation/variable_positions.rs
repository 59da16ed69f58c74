//! Checks that each variable is allowed where it is used (specification, 5.8.5 "All Variable Usages Are Allowed").
//!
//! apollo-compiler 1.33 checks this for whole arguments only. Inside a list or an input object it compares only the
//! name of the type. It also treats a default of null as a default, and so it does in arguments of directives. Without
//! this check the executor would receive a null or a single item where none is allowed, and fail with an internal
//! error.

use apollo_compiler::ast::{DirectiveList, InputValueDefinition, Type, Value, VariableDefinition};
use apollo_compiler::collections::HashSet;
use apollo_compiler::executable::{Operation, Selection, SelectionSet};
use apollo_compiler::parser::SourceMap;
use apollo_compiler::response::{JsonMap, JsonValue};
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::{ExecutableDocument, Node, Schema};

use super::codes::Code;
use super::errors::{GraphqlError, shortened, start_of};

/// Returns an error for each variable that is used where its type is not allowed.
pub(crate) fn check(schema: &Schema, document: &ExecutableDocument) -> Vec<GraphqlError> {
    let operations = document.operations.iter();
    operations.flat_map(|operation| UsageVisitor::check(schema, document, operation, None)).collect()
}

/// Returns an error for each variable that is null at a position where only an absent value selects the default.
pub(crate) fn check_nulls(
    schema: &Schema,
    document: &ExecutableDocument,
    operation: &Operation,
    values: &JsonMap,
) -> Vec<GraphqlError> {
    UsageVisitor::check(schema, document, operation, Some(values))
}

struct UsageVisitor<'a> {
    schema: &'a Schema,
    variables: &'a [Node<VariableDefinition>],
    sources: &'a SourceMap,
    /// The coerced values, if known. Values are then checked instead of types.
    values: Option<&'a JsonMap>,
    misplaced: Vec<GraphqlError>,
}

impl<'a> UsageVisitor<'a> {
    fn check(
        schema: &'a Schema,
        document: &'a ExecutableDocument,
        operation: &'a Operation,
        values: Option<&'a JsonMap>,
    ) -> Vec<GraphqlError> {
        let (variables, sources) = (&operation.variables, &document.sources);
        let mut visitor = Self { schema, variables, sources, values, misplaced: Vec::new() };
        if variables.is_empty() {
            return visitor.misplaced;
        }
        visitor.directives(&operation.directives);
        visitor.selections(&operation.selection_set, document, &mut HashSet::default());
        visitor.misplaced
    }

    fn selections(
        &mut self,
        set: &'a SelectionSet,
        document: &'a ExecutableDocument,
        visited: &mut HashSet<&'a str>,
    ) {
        for selection in &set.selections {
            self.directives(selection.directives());
            match selection {
                Selection::Field(field) => {
                    for argument in &field.arguments {
                        if let Some(definition) = field.definition.argument_by_name(&argument.name) {
                            self.input_value(definition, &argument.value);
                        }
                    }
                    self.selections(&field.selection_set, document, visited);
                }
                Selection::InlineFragment(inline) => {
                    self.selections(&inline.selection_set, document, visited);
                }
                Selection::FragmentSpread(spread) => {
                    if visited.insert(&spread.fragment_name)
                        && let Some(fragment) = document.fragments.get(&spread.fragment_name)
                    {
                        self.directives(&fragment.directives);
                        self.selections(&fragment.selection_set, document, visited);
                    }
                }
            }
        }
    }

    fn directives(&mut self, directives: &DirectiveList) {
        for directive in directives.iter() {
            let definition = self.schema.directive_definitions.get(&directive.name);
            for argument in &directive.arguments {
                if let Some(definition) =
                    definition.and_then(|definition| definition.argument_by_name(&argument.name))
                {
                    self.input_value(definition, &argument.value);
                }
            }
        }
    }

    /// Checks the value of an argument or of a field of an input object.
    fn input_value(&mut self, definition: &InputValueDefinition, value: &Node<Value>) {
        self.value(&definition.ty, definition.default_value.is_some(), value);
    }

    fn value(&mut self, ty: &Type, has_default: bool, value: &Node<Value>) {
        match value.as_ref() {
            Value::Variable(name) => {
                if let Some(variable) = self.variables.iter().find(|variable| variable.name == *name) {
                    self.misplaced.extend(self.variable(variable, ty, has_default, value));
                }
            }
            Value::List(items) => {
                if let Type::List(item) | Type::NonNullList(item) = ty {
                    items.iter().for_each(|value| self.value(item, false, value));
                }
            }
            Value::Object(members) => {
                let Some(ExtendedType::InputObject(object)) = self.schema.types.get(ty.inner_named_type())
                else {
                    return;
                };
                for (name, value) in members {
                    if let Some(definition) = object.fields.get(name) {
                        self.input_value(definition, value);
                    }
                }
            }
            _ => {}
        }
    }

    fn variable(
        &self,
        variable: &Node<VariableDefinition>,
        place: &Type,
        place_has_default: bool,
        usage: &Node<Value>,
    ) -> Option<GraphqlError> {
        let (name, ty) = (&variable.name, &variable.ty);
        let error = match self.values {
            None if is_allowed(variable, place, place_has_default) => return None,
            None => GraphqlError::new(
                Code::GraphqlValidationFailed,
                shortened(format!(
                    "Variable \"${name}\" of type \"{ty}\" used in position expecting type \"{place}\"."
                )),
            ),
            Some(values) if place.is_non_null() && values.get(name.as_str()) == Some(&JsonValue::Null) => {
                let sentence =
                    format!("Variable \"${name}\" must not be null in position expecting type \"{place}\".");
                GraphqlError::new(Code::BadUserInput, shortened(sentence)).with_reason("BAD_VARIABLE")
            }
            Some(_) => return None,
        };
        let positions = [variable.location(), usage.location()].map(|part| start_of(part, self.sources));
        Some(error.at(positions.into_iter().flatten()))
    }
}

/// `IsVariableUsageAllowed` of the specification.
fn is_allowed(variable: &VariableDefinition, place: &Type, place_has_default: bool) -> bool {
    let never_null = variable.default_value.as_ref().is_some_and(|value| !value.is_null());
    if place.is_non_null() && !variable.ty.is_non_null() {
        return (never_null || place_has_default) && variable.ty.is_assignable_to(&place.clone().nullable());
    }
    variable.ty.is_assignable_to(place)
}
