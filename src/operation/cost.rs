//! The maximum cost of an operation, computed before its execution: fields of its response, and upstream calls.
//!
//! Both numbers are computed from the operation and its variables alone, for the worst case: every list has its maximum
//! length, nothing is cached, and rows are distributed as unevenly as possible. An operation therefore never costs more
//! than computed. The rules for a field follow from its type (a connection, a list by IDs), so a new field needs no
//! entry here. Rejected: weights in the schema (`@cost`), which cannot express that two fields share one call.
//!
//! The computation assumes upstreams that behave as documented. Rows that a filter should have excluded, a rejected
//! cursor, or a workspace that has changed since it was read cause further calls. Each of these has its own limit
//! (`[lists]`).

mod argument;
mod calls;
mod lengths;
mod representations;

use std::rc::Rc;

use apollo_compiler::ast::{DirectiveList, Value as Literal};
use apollo_compiler::executable::{Field, Operation, Selection, SelectionSet};
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Name, Node, Schema};
use async_graphql::{Value, Variables};
use serde::Serialize;

use self::argument::{Argument, rounded_up};
use self::calls::Calls;
use self::lengths::Lengths;
use self::representations::Representations;
use crate::loaders::settings::{ConnectionSettings, ListSettings};

/// The maximum cost of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationCost {
    /// Number of fields of the response.
    pub(crate) complexity: u64,
    /// Number of calls to both upstreams.
    pub(crate) upstream_calls: u64,
}

/// The cost of an operation with its limits, as the `cost` extension of a response.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReportedCost {
    #[serde(flatten)]
    pub(super) cost: OperationCost,
    pub(super) complexity_max: u64,
    pub(super) upstream_calls_max: u64,
}

/// A cost, and the fields that cause most of it with their parts.
pub(crate) struct CostBreakdown<'a> {
    pub(crate) cost: OperationCost,
    pub(crate) largest_by_complexity: Option<(&'a Node<Field>, u64)>,
    pub(crate) largest_by_calls: Option<(&'a Node<Field>, u64)>,
}

/// Computes costs for one schema and its settings.
pub(crate) struct CostModel {
    lengths: Lengths,
    lists: ListSettings,
}

impl CostModel {
    /// Creates the model of a schema with these settings.
    pub(crate) fn new(schema: &Valid<Schema>, connections: ConnectionSettings, lists: ListSettings) -> Self {
        Self { lengths: Lengths::new(schema, connections), lists }
    }

    /// Returns the cost of one operation with these variables.
    pub(crate) fn breakdown<'a>(
        &'a self,
        document: &'a ExecutableDocument,
        operation: &'a Operation,
        variables: &'a Variables,
    ) -> CostBreakdown<'a> {
        let calls = Calls::new(&self.lists);
        let mut visitor = CostVisitor {
            document,
            variables,
            model: self,
            calls,
            largest_by_complexity: None,
            largest_by_calls: None,
        };
        let root = Parents { count: 1.0, page: None, entities: None, is_root: true };
        let complexity = visitor.selections(&operation.selection_set, &root);
        let cost = OperationCost { complexity: rounded_up(complexity), upstream_calls: visitor.calls.sum() };
        let CostVisitor { largest_by_complexity, largest_by_calls, .. } = visitor;
        CostBreakdown { cost, largest_by_complexity, largest_by_calls }
    }
}

/// The objects that a selection set is applied to.
#[derive(Clone)]
struct Parents {
    /// The maximum number of parents; a fraction if it derives from an average list length.
    count: f64,
    /// The page length of each parent, if the parents are connections.
    page: Option<f64>,
    /// The requested objects by type, if the parents come from `_entities`.
    entities: Option<Rc<Representations>>,
    is_root: bool,
}

impl Parents {
    /// Returns the parents to which a fragment with a type condition applies.
    fn narrowed(&self, condition: Option<&Name>) -> Self {
        match (&self.entities, condition) {
            (Some(entities), Some(name)) if !matches!(name.as_str(), "_Entity" | "Node") => {
                Self { count: entities.of_type(name), entities: None, ..*self }
            }
            _ => self.clone(),
        }
    }
}

struct CostVisitor<'a> {
    document: &'a ExecutableDocument,
    variables: &'a Variables,
    model: &'a CostModel,
    calls: Calls<'a>,
    largest_by_complexity: Option<(&'a Node<Field>, u64)>,
    largest_by_calls: Option<(&'a Node<Field>, u64)>,
}

impl<'a> CostVisitor<'a> {
    /// Counts the fields of a selection set, and the upstream calls that they cause.
    fn selections(&mut self, set: &'a SelectionSet, parents: &Parents) -> f64 {
        let (mut fields, mut has_details) = (0.0, false);
        for selection in &set.selections {
            fields += match selection {
                Selection::Field(field) if self.is_included(&field.directives) => {
                    if !has_details && calls::is_detail_of_toolkit(&set.ty, field) {
                        has_details = true;
                        self.toolkits(field, parents);
                    }
                    let field_cost = self.field(field, parents);
                    if parents.is_root {
                        keep_largest(&mut self.largest_by_complexity, field, rounded_up(field_cost));
                    }
                    field_cost
                }
                Selection::InlineFragment(inline) if self.is_included(&inline.directives) => {
                    let parents = parents.narrowed(inline.type_condition.as_ref());
                    self.selections(&inline.selection_set, &parents)
                }
                Selection::FragmentSpread(spread) if self.is_included(&spread.directives) => {
                    let document = self.document;
                    let fragment = document.fragments.get(&spread.fragment_name);
                    fragment.map_or(0.0, |fragment| {
                        let parents = parents.narrowed(Some(fragment.type_condition()));
                        self.selections(&fragment.selection_set, &parents)
                    })
                }
                _ => 0.0,
            };
        }
        fields
    }

    /// Counts the calls for the details of toolkits, of which `field` is the first.
    fn toolkits(&mut self, field: &'a Node<Field>, parents: &Parents) {
        let before = self.calls.sum();
        self.calls.toolkits(parents.count);
        keep_largest(&mut self.largest_by_calls, field, self.calls.sum() - before);
    }

    fn field(&mut self, field: &'a Node<Field>, parents: &Parents) -> f64 {
        if field.selection_set.is_empty() {
            return parents.count;
        }
        let entities = self.entities(field);
        let length = self.model.lengths.of(field, parents.page, |name| self.argument(field, name));
        let page = self.model.lengths.page(field, |name| self.argument(field, name));
        let before = self.calls.sum();
        if let (Some(page), true) = (page, calls::is_list_of_accounts(field)) {
            let has_cursor =
                ["after", "before"].into_iter().any(|name| self.argument(field, name) != Argument::None);
            self.calls.list(field, parents.count, page, has_cursor, self.users_of_filter(field));
        } else if field.name == "disagreement" {
            self.calls.disagreements(parents.count);
        } else if let Some(entities) = &entities {
            self.calls.entities(entities);
        } else {
            self.calls.objects(field, parents.count * length);
        }
        let caused = self.calls.sum() - before;
        if caused > 0 {
            keep_largest(&mut self.largest_by_calls, field, caused);
        }
        let count = match &entities {
            Some(entities) => entities.all(),
            None => parents.count * length,
        };
        let inner = Parents { count, page, entities, is_root: false };
        parents.count + self.selections(&field.selection_set, &inner)
    }

    /// Returns the representations of a field, if it is `_entities`.
    fn entities(&self, field: &Field) -> Option<Rc<Representations>> {
        let argument = field.arguments.iter().find(|argument| argument.name == "representations")?;
        Some(Rc::new(Representations::of(&argument.value, self.variables)))
    }

    /// Returns the part of an argument's value that the cost depends on.
    fn argument(&self, field: &Field, name: &str) -> Argument {
        match field.arguments.iter().find(|argument| argument.name == name) {
            Some(argument) => self.value(&argument.value),
            None => match field.definition.argument_by_name(name).and_then(|it| it.default_value.as_ref()) {
                Some(default) => self.value(default),
                None => Argument::None,
            },
        }
    }

    /// The number of users that a list of accounts is filtered by.
    fn users_of_filter(&self, field: &Field) -> usize {
        let filter = field.arguments.iter().find(|argument| argument.name == "filter");
        let users = match filter.map(|filter| &*filter.value) {
            Some(Literal::Object(members)) => {
                members.iter().find(|(name, _)| name == "userIds").map(|(_, users)| self.value(users))
            }
            Some(Literal::Variable(name)) => match self.variables.get(name.as_str()) {
                Some(Value::Object(members)) => match members.get("userIds") {
                    Some(Value::List(users)) => Some(Argument::Items(users.len())),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        };
        match users {
            Some(Argument::Items(users)) => users,
            _ => 0,
        }
    }

    fn value(&self, value: &Literal) -> Argument {
        match value {
            Literal::Null => Argument::None,
            Literal::Int(number) => Argument::number(number.try_to_f64().ok()),
            Literal::List(items) => Argument::Items(items.len()),
            Literal::Boolean(value) => Argument::Boolean(*value),
            Literal::Variable(name) => match self.variables.get(name.as_str()) {
                None | Some(Value::Null) => Argument::None,
                Some(Value::Number(number)) => Argument::number(number.as_f64()),
                Some(Value::List(items)) => Argument::Items(items.len()),
                Some(Value::Boolean(value)) => Argument::Boolean(*value),
                Some(_) => Argument::Other,
            },
            _ => Argument::Other,
        }
    }

    /// Whether `@skip` and `@include` include a selection.
    fn is_included(&self, directives: &DirectiveList) -> bool {
        directives.iter().all(|directive| {
            let condition = directive.specified_argument_by_name("if").map(|value| self.value(value));
            match (directive.name.as_str(), condition) {
                ("skip", Some(Argument::Boolean(value))) => !value,
                ("include", Some(Argument::Boolean(value))) => value,
                _ => true,
            }
        })
    }
}

fn keep_largest<'a>(largest: &mut Option<(&'a Node<Field>, u64)>, field: &'a Node<Field>, amount: u64) {
    if largest.is_none_or(|(_, known)| known < amount) {
        *largest = Some((field, amount));
    }
}
