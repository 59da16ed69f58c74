//! Introspection by the September 2025 edition of the specification (4.2), where the libraries differ from it.
//!
//! - apollo-compiler's built-in `__Type` has no `isOneOf`, which async-graphql serves and lists: [`schema`] adds it.
//! - async-graphql returns null for `interfaces` of an interface, where the specification wants a list: [`mark_interfaces`]
//!   selects the kind beside it, and [`fill_interfaces`] puts an empty list into the response. No interface of this
//!   schema implements another.

use apollo_compiler::ExecutableDocument;
use apollo_compiler::ast::Type;
use apollo_compiler::schema::{Component, ExtendedType, FieldDefinition};
use apollo_compiler::validation::Valid;
use apollo_compiler::{Name, Schema};
use async_graphql::parser::types as executed;
use async_graphql::{Name as ResponseKey, Positioned, Value};

/// Prefix of the response keys with the kind of a type; the rest is the response key of its `interfaces`. Names with two
/// underscores are reserved for introspection, so no client's alias has this prefix.
const KIND_OF: &str = "__kindOf_";

/// Parses the schema that documents are validated against.
///
/// # Errors
/// If the text is not a valid schema.
pub(crate) fn schema(sdl: &str) -> Result<Valid<Schema>, String> {
    let mut schema = Schema::parse(sdl, "schema.graphql").map_err(|found| found.errors.to_string())?;
    if let Some(ExtendedType::Object(meta)) = schema.types.get_mut("__Type") {
        let name = Name::new_static_unchecked("isOneOf");
        let ty = Type::Named(Name::new_static_unchecked("Boolean"));
        let field = FieldDefinition {
            description: None,
            name: name.clone(),
            arguments: Vec::new(),
            ty,
            directives: Default::default(),
        };
        meta.make_mut().fields.entry(name).or_insert_with(|| Component::new(field));
    }
    schema.validate().map_err(|found| found.errors.to_string())
}

/// Selects the kind of each type whose `interfaces` are selected. Returns whether there are any.
pub(crate) fn mark_interfaces(
    validated: &ExecutableDocument,
    executed: &mut executed::ExecutableDocument,
) -> bool {
    let is_introspection = validated.operations.iter().any(|operation| {
        let mut root_fields = operation.root_fields(validated);
        root_fields.any(|field| matches!(field.name.as_str(), "__schema" | "__type"))
    });
    if !is_introspection {
        return false;
    }
    let mut is_marked = false;
    match &mut executed.operations {
        executed::DocumentOperations::Single(operation) => {
            is_marked |= mark(&mut operation.node.selection_set.node);
        }
        executed::DocumentOperations::Multiple(operations) => {
            for operation in operations.values_mut() {
                is_marked |= mark(&mut operation.node.selection_set.node);
            }
        }
    }
    for fragment in executed.fragments.values_mut() {
        is_marked |= mark(&mut fragment.node.selection_set.node);
    }
    is_marked
}

fn mark(set: &mut executed::SelectionSet) -> bool {
    let mut kinds = Vec::new();
    let mut is_marked = false;
    for item in &mut set.items {
        match &mut item.node {
            executed::Selection::Field(field) => {
                if field.node.name.node == "interfaces" {
                    kinds.push(kind_beside(field));
                }
                is_marked |= mark(&mut field.node.selection_set.node);
            }
            executed::Selection::InlineFragment(inline) => {
                is_marked |= mark(&mut inline.node.selection_set.node);
            }
            executed::Selection::FragmentSpread(_) => {}
        }
    }
    is_marked |= !kinds.is_empty();
    set.items.extend(kinds);
    is_marked
}

fn kind_beside(interfaces: &Positioned<executed::Field>) -> Positioned<executed::Selection> {
    let at = interfaces.pos;
    let alias = format!("{KIND_OF}{}", interfaces.node.response_key().node);
    let field = executed::Field {
        alias: Some(Positioned::new(ResponseKey::new(alias), at)),
        name: Positioned::new(ResponseKey::new("kind"), at),
        arguments: Vec::new(),
        directives: Vec::new(),
        selection_set: Positioned::new(executed::SelectionSet { items: Vec::new() }, at),
    };
    Positioned::new(executed::Selection::Field(Positioned::new(field, at)), at)
}

/// Replaces null by an empty list where an interface's `interfaces` were selected, and removes the kinds again.
pub(crate) fn fill_interfaces(data: &mut Value) {
    match data {
        Value::Object(object) => {
            let is_kind = |key: &ResponseKey| key.starts_with(KIND_OF);
            let kinds: Vec<_> = object.keys().filter(|key| is_kind(key)).cloned().collect();
            for key in kinds {
                let kind = object.shift_remove(&key);
                let interfaces = key.strip_prefix(KIND_OF).and_then(|key| object.get_mut(key));
                if let Some(interfaces) = interfaces.filter(|value| **value == Value::Null)
                    && kind == Some(Value::Enum(ResponseKey::new("INTERFACE")))
                {
                    *interfaces = Value::List(Vec::new());
                }
            }
            object.values_mut().for_each(fill_interfaces);
        }
        Value::List(items) => items.iter_mut().for_each(fill_interfaces),
        _ => {}
    }
}
