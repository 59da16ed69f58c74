//! Introspection (specification, 4), answered from the schema's text.
//!
//! async-graphql's introspection differs from the specification: `interfaces` of an interface is null, a null or absent
//! `includeDeprecated` fails, the unused `Float` is listed, and `description` describes `__Schema` itself. It is
//! therefore never executed. [`reserve`] replaces each introspection field of the executed tree by a `__typename`,
//! which reserves its position in the response and respects `@skip` and `@include`. [`Introspection::fill`] then
//! inserts the result there.
//!
//! Entry point: [`Introspection`]. This file executes selections; [`resolvers`] returns the values of the schema's
//! objects.

mod resolvers;

use apollo_compiler::collections::{HashSet, IndexMap};
use apollo_compiler::executable::{Field, Operation, Selection, SelectionSet};
use apollo_compiler::schema::{Component, FieldDefinition};
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Name, Node, Schema};
use async_graphql::parser::types as executed;
use async_graphql::{Name as ResponseKey, Positioned, Value, Variables};

use self::resolvers::{Object, Resolved};

/// `@oneOf` is a built-in directive since September 2025, which apollo-compiler does not know.
const ONE_OF: &str = "
\"Indicates exactly one field must be supplied and this field must not be `null`.\"
directive @oneOf on INPUT_OBJECT";

/// Parses a schema, and adds the introspection fields that apollo-compiler lacks.
///
/// # Errors
/// If the text is not a valid schema.
pub(crate) fn schema(sdl: &str) -> Result<Valid<Schema>, String> {
    let text = if sdl.contains("directive @oneOf") { sdl.to_owned() } else { format!("{sdl}{ONE_OF}") };
    let mut schema = Schema::parse(text, "schema.graphql").map_err(|found| found.errors.to_string())?;
    if let Some(apollo_compiler::schema::ExtendedType::Object(meta)) = schema.types.get_mut("__Type") {
        let name = Name::new_static_unchecked("isOneOf");
        let field = FieldDefinition {
            description: None,
            name: name.clone(),
            arguments: Vec::new(),
            ty: apollo_compiler::ast::Type::Named(Name::new_static_unchecked("Boolean")),
            directives: Default::default(),
        };
        meta.make_mut().fields.entry(name).or_insert_with(|| Component::new(field));
    }
    schema.validate().map_err(|found| found.errors.to_string())
}

/// Whether an operation selects introspection fields.
pub(crate) fn is_selected(document: &ExecutableDocument, operation: &Operation) -> bool {
    operation.root_fields(document).any(|field| is_introspection(&field.name))
}

fn is_introspection(field: &str) -> bool {
    matches!(field, "__schema" | "__type")
}

/// Replaces the introspection fields of a valid document by cheap fields with the same response key. Only the root of a
/// query has introspection fields.
pub(crate) fn reserve(document: &mut executed::ExecutableDocument) {
    match &mut document.operations {
        executed::DocumentOperations::Single(operation) => reserve_in(&mut operation.node.selection_set),
        executed::DocumentOperations::Multiple(operations) => {
            operations.values_mut().for_each(|operation| reserve_in(&mut operation.node.selection_set));
        }
    }
    document.fragments.values_mut().for_each(|fragment| reserve_in(&mut fragment.node.selection_set));
}

fn reserve_in(set: &mut Positioned<executed::SelectionSet>) {
    for item in &mut set.node.items {
        match &mut item.node {
            executed::Selection::Field(field) if is_introspection(&field.node.name.node) => {
                let field = &mut field.node;
                field.alias.get_or_insert_with(|| field.name.clone());
                field.name.node = ResponseKey::new("__typename");
                field.arguments.clear();
                field.selection_set.node.items.clear();
            }
            executed::Selection::InlineFragment(inline) => reserve_in(&mut inline.node.selection_set),
            _ => {}
        }
    }
}

/// The schema that introspection shows.
pub(crate) struct Introspection {
    schema: Valid<Schema>,
}

impl Introspection {
    /// Creates the introspection of the schema that `sdl` defines.
    ///
    /// # Errors
    /// If the text is not a valid schema.
    pub(crate) fn new(sdl: &str) -> Result<Self, String> {
        schema(sdl).map(|schema| Self { schema })
    }

    /// Inserts the results of an operation's introspection fields into its response.
    pub(crate) fn fill(
        &self,
        document: &ExecutableDocument,
        operation: &Operation,
        variables: &Variables,
        data: &mut Value,
    ) {
        let Value::Object(data) = data else { return };
        let execution = Execution { schema: &self.schema, document, variables };
        for (key, fields) in execution.collect([&operation.selection_set]) {
            if let Some(first) = fields.first().filter(|field| is_introspection(&field.name))
                && let Some(value) = data.get_mut(key)
            {
                *value = execution.complete(execution.root(first), &fields);
            }
        }
    }
}

/// One operation's execution (specification, 6.3).
struct Execution<'a> {
    schema: &'a Schema,
    document: &'a ExecutableDocument,
    variables: &'a Variables,
}

type Fields<'a> = Vec<&'a Node<Field>>;

impl<'a> Execution<'a> {
    /// `CollectFields` of the specification. All introspection types are object types, so each fragment of a valid
    /// document applies.
    fn collect(&self, sets: impl IntoIterator<Item = &'a SelectionSet>) -> IndexMap<&'a str, Fields<'a>> {
        let mut collected = IndexMap::default();
        let mut visited = HashSet::default();
        sets.into_iter().for_each(|set| self.collect_into(set, &mut visited, &mut collected));
        collected
    }

    fn collect_into(
        &self,
        set: &'a SelectionSet,
        visited: &mut HashSet<&'a str>,
        collected: &mut IndexMap<&'a str, Fields<'a>>,
    ) {
        for selection in set.selections.iter().filter(|selection| self.is_included(selection)) {
            match selection {
                Selection::Field(field) => {
                    collected.entry(field.response_key().as_str()).or_default().push(field);
                }
                Selection::InlineFragment(inline) => {
                    self.collect_into(&inline.selection_set, visited, collected);
                }
                Selection::FragmentSpread(spread) => {
                    if visited.insert(&spread.fragment_name)
                        && let Some(fragment) = self.document.fragments.get(&spread.fragment_name)
                    {
                        self.collect_into(&fragment.selection_set, visited, collected);
                    }
                }
            }
        }
    }

    fn is_included(&self, selection: &Selection) -> bool {
        let condition = |name: &str| {
            let directive = selection.directives().get(name)?;
            self.boolean(directive.specified_argument_by_name("if")?)
        };
        condition("skip") != Some(true) && condition("include") != Some(false)
    }

    /// Returns the value of a Boolean argument; `None` for null and for a variable without a value.
    fn boolean(&self, value: &apollo_compiler::ast::Value) -> Option<bool> {
        match (value, value.as_variable().and_then(|name| self.variables.get(name.as_str()))) {
            (_, Some(Value::Boolean(boolean))) => Some(*boolean),
            _ => value.to_bool(),
        }
    }

    /// Returns the value of a string argument.
    fn text(&self, value: &'a apollo_compiler::ast::Value) -> Option<&'a str> {
        match (value, value.as_variable().and_then(|name| self.variables.get(name.as_str()))) {
            (_, Some(Value::String(text))) => Some(text),
            _ => value.as_str(),
        }
    }

    fn root(&self, field: &'a Field) -> Resolved<'a> {
        match field.specified_argument_by_name("name").and_then(|name| self.text(name)) {
            Some(name) => Object::type_named(self.schema, name),
            None => Resolved::Object(Object::Schema),
        }
    }

    /// `CompleteValue` of the specification, with the selections of all fields of one response key merged.
    fn complete(&self, resolved: Resolved<'a>, fields: &Fields<'a>) -> Value {
        match resolved {
            Resolved::Leaf(value) => value,
            Resolved::Object(object) => self.object(&object, fields),
            Resolved::List(objects) => {
                Value::List(objects.iter().map(|object| self.object(object, fields)).collect())
            }
        }
    }

    fn object(&self, object: &Object<'a>, fields: &Fields<'a>) -> Value {
        let collected = self.collect(fields.iter().map(|field| &field.selection_set));
        let member = |(key, fields): (&str, Fields<'a>)| {
            let value = fields.first().map_or(Value::Null, |first| {
                let includes_deprecated = first
                    .specified_argument_by_name("includeDeprecated")
                    .is_some_and(|value| self.boolean(value) == Some(true));
                self.complete(object.resolve(self.schema, &first.name, includes_deprecated), &fields)
            });
            (ResponseKey::new(key), value)
        };
        Value::Object(collected.into_iter().map(member).collect())
    }
}
