//! Checks that no field of an input object is repeated (specification, 5.6.3 "Input Object Field Uniqueness").
//!
//! apollo-compiler 1.33 does not check this. Of two values, one component could check the first and the executor use
//! the second, which would bypass the check of a filter.

use std::collections::HashSet;

use apollo_compiler::Node;
use apollo_compiler::ast::{Argument, Definition, DirectiveList, Document, Selection, Value};

use super::codes::Code;
use super::errors::{GraphqlError, shortened, start_of};

/// Returns an error for each repeated input field.
pub(crate) fn check(document: &Document) -> Vec<GraphqlError> {
    let mut visitor = InputFieldVisitor { document, repeated: Vec::new() };
    for definition in &document.definitions {
        match definition {
            Definition::OperationDefinition(operation) => {
                for variable in &operation.variables {
                    variable.default_value.iter().for_each(|value| visitor.value(value));
                    visitor.directives(&variable.directives);
                }
                visitor.directives(&operation.directives);
                visitor.selections(&operation.selection_set);
            }
            Definition::FragmentDefinition(fragment) => {
                visitor.directives(&fragment.directives);
                visitor.selections(&fragment.selection_set);
            }
            _ => {}
        }
    }
    visitor.repeated
}

struct InputFieldVisitor<'a> {
    document: &'a Document,
    repeated: Vec<GraphqlError>,
}

impl InputFieldVisitor<'_> {
    /// Visits selections. The parser limits their depth, which bounds the recursion.
    fn selections(&mut self, selections: &[Selection]) {
        for selection in selections {
            match selection {
                Selection::Field(field) => {
                    self.arguments(&field.arguments);
                    self.directives(&field.directives);
                    self.selections(&field.selection_set);
                }
                Selection::InlineFragment(inline) => {
                    self.directives(&inline.directives);
                    self.selections(&inline.selection_set);
                }
                Selection::FragmentSpread(spread) => self.directives(&spread.directives),
            }
        }
    }

    fn directives(&mut self, directives: &DirectiveList) {
        directives.iter().for_each(|directive| self.arguments(&directive.arguments));
    }

    fn arguments(&mut self, arguments: &[Node<Argument>]) {
        arguments.iter().for_each(|argument| self.value(&argument.value));
    }

    fn value(&mut self, value: &Node<Value>) {
        match value.as_ref() {
            Value::List(items) => items.iter().for_each(|item| self.value(item)),
            Value::Object(fields) => {
                let mut names = HashSet::new();
                for (name, value) in fields {
                    if !names.insert(name.as_str()) {
                        let sentence =
                            shortened(format!("There can be only one input field named \"{name}\"."));
                        let error = GraphqlError::new(Code::GraphqlValidationFailed, sentence);
                        self.repeated.push(error.at(start_of(name.location(), &self.document.sources)));
                    }
                    self.value(value);
                }
            }
            _ => {}
        }
    }
}
