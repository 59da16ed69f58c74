//! The printed schema as a tree that can be edited, from which the schemas for gateways are made.
//!
//! [`Tree`] is the entry point; `federation` and `stitching` use it. async-graphql can print a federation schema, but
//! only with a fixed version, imports and directives. So the plain text is parsed with apollo-compiler, and directives
//! are added.
//!
//! Rejected: replacement of strings, which could change a description; and directives on the Rust types, which would
//! also appear in the plain schema.

use std::collections::HashSet;

use apollo_compiler::ast::{
    Argument, Definition, Directive, Document, FieldDefinition, InputValueDefinition, ObjectTypeDefinition,
    Value,
};
use apollo_compiler::{Name, Node};

/// The root types.
const ROOTS: [&str; 3] = ["Query", "Mutation", "Subscription"];

/// A schema that is being edited.
pub(super) struct Tree(Document);

impl Tree {
    /// Parses a schema that async-graphql has printed.
    pub(super) fn read(sdl: &str) -> Self {
        // A parse error would be a bug of the library, which the tests of the schemas would show.
        Self(Document::parse(sdl, "schema.graphql").unwrap_or_else(|broken| broken.partial))
    }

    /// Returns the definitions, so that others can be added.
    pub(super) fn definitions(&mut self) -> &mut Vec<Definition> {
        &mut self.0.definitions
    }

    /// Returns the object types.
    pub(super) fn objects(&mut self) -> impl Iterator<Item = &mut ObjectTypeDefinition> {
        self.0.definitions.iter_mut().filter_map(|definition| match definition {
            Definition::ObjectTypeDefinition(object) => Some(object.make_mut()),
            _ => None,
        })
    }

    /// Returns an object type by name.
    pub(super) fn object(&mut self, name: &str) -> Option<&mut ObjectTypeDefinition> {
        self.objects().find(|object| object.name == name)
    }

    /// Returns a field of an object type by name.
    pub(super) fn field(&mut self, object: &str, name: &str) -> Option<&mut FieldDefinition> {
        self.object(object)?.fields.iter_mut().find(|field| field.name == name).map(Node::make_mut)
    }

    /// Returns a field of an input type by name.
    pub(super) fn input_field(&mut self, input: &str, name: &str) -> Option<&mut InputValueDefinition> {
        let fields = self.0.definitions.iter_mut().find_map(|definition| match definition {
            Definition::InputObjectTypeDefinition(found) if found.name == input => {
                Some(&mut found.make_mut().fields)
            }
            _ => None,
        })?;
        fields.iter_mut().find(|field| field.name == name).map(Node::make_mut)
    }

    /// Removes fields from the query root, and all types that are no longer reachable.
    pub(super) fn leave_out<'n>(&mut self, root_fields: impl IntoIterator<Item = &'n str>) {
        let names: HashSet<_> = root_fields.into_iter().collect();
        if let Some(query) = self.object("Query") {
            query.fields.retain(|field| !names.contains(field.name.as_str()));
        }
        let reached = self.reachable();
        self.0
            .definitions
            .retain(|definition| definition.name().is_none_or(|name| reached.contains(name.as_str())));
    }

    /// Returns the types that are reachable from the roots. From an interface, the types that implement it are
    /// reachable.
    fn reachable(&self) -> HashSet<String> {
        let mut reached: HashSet<String> = ROOTS.into_iter().map(str::to_owned).collect();
        loop {
            let known = reached.len();
            for definition in &self.0.definitions {
                if let Definition::DirectiveDefinition(directive) = definition {
                    reached.insert(directive.name.to_string());
                }
                let is_of_reached =
                    implemented(definition).iter().any(|interface| reached.contains(interface.as_str()));
                if definition.name().is_some_and(|name| reached.contains(name.as_str())) || is_of_reached {
                    reached.extend(definition.name().map(ToString::to_string));
                    reached.extend(named(definition).into_iter().map(ToString::to_string));
                }
            }
            if reached.len() == known {
                return reached;
            }
        }
    }

    /// Returns the names of the directives that are used on object types and their fields, in alphabetical order.
    pub(super) fn directives_used(&mut self) -> Vec<String> {
        let mut names: Vec<String> = self
            .objects()
            .flat_map(|object| {
                let of_fields = object.fields.iter().flat_map(|field| field.directives.iter());
                object.directives.iter().chain(of_fields).map(|directive| directive.name.to_string())
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl std::fmt::Display for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

fn implemented(definition: &Definition) -> &[Name] {
    match definition {
        Definition::ObjectTypeDefinition(object) => &object.implements_interfaces,
        Definition::InterfaceTypeDefinition(interface) => &interface.implements_interfaces,
        _ => &[],
    }
}

/// Returns the types that a definition refers to.
fn named(definition: &Definition) -> Vec<&Name> {
    match definition {
        Definition::ObjectTypeDefinition(object) => {
            types(&object.fields).chain(&object.implements_interfaces).collect()
        }
        Definition::InterfaceTypeDefinition(interface) => {
            types(&interface.fields).chain(&interface.implements_interfaces).collect()
        }
        Definition::UnionTypeDefinition(union) => union.members.iter().collect(),
        Definition::InputObjectTypeDefinition(input) => {
            input.fields.iter().map(|field| field.ty.inner_named_type()).collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the types of fields and of their arguments.
fn types(fields: &[Node<FieldDefinition>]) -> impl Iterator<Item = &Name> {
    fields.iter().flat_map(|field| {
        let arguments = field.arguments.iter().map(|argument| argument.ty.inner_named_type());
        arguments.chain([field.ty.inner_named_type()])
    })
}

/// Creates a directive with its arguments.
pub(super) fn directive(name: Name, arguments: impl IntoIterator<Item = (Name, Value)>) -> Directive {
    let argument = |(name, value)| Node::new(Argument { name, value: Node::new(value) });
    Directive { name, arguments: arguments.into_iter().map(argument).collect() }
}

/// Creates a string argument.
pub(super) fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}

/// Creates an argument that is a list of strings.
pub(super) fn string_list<'v>(values: impl IntoIterator<Item = &'v str>) -> Value {
    Value::List(values.into_iter().map(|value| Node::new(text(value))).collect())
}
