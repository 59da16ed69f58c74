//! The schema's text as a tree that can be edited: what the texts for larger graphs are made from.
//!
//! async-graphql can print a federation schema of its own, with a version, imports and directives that are fixed in
//! it. So its plain text is read back with apollo-compiler, and directives are put where they belong. (Rejected: to
//! replace strings, which meets a description sooner or later, and to declare the directives on the types, which would
//! put them into the plain schema.)

use std::collections::HashSet;

use apollo_compiler::ast::{
    Argument, Definition, Directive, Document, FieldDefinition, InputValueDefinition, ObjectTypeDefinition,
    Value,
};
use apollo_compiler::{Name, Node};

/// Whatever a query, mutation or subscription begins with.
const ROOTS: [&str; 3] = ["Query", "Mutation", "Subscription"];

/// A schema under edit.
pub(super) struct Tree(Document);

impl Tree {
    /// Reads a schema that the library has printed.
    pub(super) fn read(sdl: &str) -> Self {
        // A text of its own that it cannot read would be a fault of the library; the tests of the texts would see it.
        Self(Document::parse(sdl, "schema.graphql").unwrap_or_else(|broken| broken.partial))
    }

    /// The definitions, to put others among them.
    pub(super) fn definitions(&mut self) -> &mut Vec<Definition> {
        &mut self.0.definitions
    }

    /// The object types.
    pub(super) fn objects(&mut self) -> impl Iterator<Item = &mut ObjectTypeDefinition> {
        self.0.definitions.iter_mut().filter_map(|definition| match definition {
            Definition::ObjectTypeDefinition(object) => Some(object.make_mut()),
            _ => None,
        })
    }

    /// The object type of that name.
    pub(super) fn object(&mut self, name: &str) -> Option<&mut ObjectTypeDefinition> {
        self.objects().find(|object| object.name == name)
    }

    /// The field of that name of an object type.
    pub(super) fn field(&mut self, object: &str, name: &str) -> Option<&mut FieldDefinition> {
        self.object(object)?.fields.iter_mut().find(|field| field.name == name).map(Node::make_mut)
    }

    /// The field of that name of an input type.
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
        let reached = self.reached();
        self.0
            .definitions
            .retain(|definition| definition.name().is_none_or(|name| reached.contains(name.as_str())));
    }

    /// The types that something leads to from a root; an interface leads to those that implement it.
    fn reached(&self) -> HashSet<String> {
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

    /// The names of the directives that stand on some object type or a field of one, in the order of the alphabet.
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

/// The types that a definition names.
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

/// The types of some fields and of their arguments.
fn types(fields: &[Node<FieldDefinition>]) -> impl Iterator<Item = &Name> {
    fields.iter().flat_map(|field| {
        let arguments = field.arguments.iter().map(|argument| argument.ty.inner_named_type());
        arguments.chain([field.ty.inner_named_type()])
    })
}

/// A directive with its arguments.
pub(super) fn directive(name: Name, arguments: impl IntoIterator<Item = (Name, Value)>) -> Directive {
    let argument = |(name, value)| Node::new(Argument { name, value: Node::new(value) });
    Directive { name, arguments: arguments.into_iter().map(argument).collect() }
}

/// A text as a directive's argument.
pub(super) fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}

/// Texts as a directive's argument.
pub(super) fn texts<'v>(values: impl IntoIterator<Item = &'v str>) -> Value {
    Value::List(values.into_iter().map(|value| Node::new(text(value))).collect())
}
