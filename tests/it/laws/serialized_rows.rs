//! Rows are serialized by a plan where possible and resolved by the library elsewhere, with identical
//! responses.
//!
//! The library resolves everything below a name that is selected twice. So each random selection runs once
//! alone, and once beside a second `list: … { __typename }`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use apollo_compiler::Schema;
use apollo_compiler::schema::{ExtendedType, FieldDefinition};
use apollo_compiler::validation::Valid;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use switchboard::graphql::schema::sdl;
use switchboard::operation::TransportRules;
use switchboard::operation::request::OperationRequest;
use switchboard::sandbox::{EmulatedUpstream, Fault};

use super::{cases, one_tenth, with_paused_clock};
use crate::world::{World, tenant_a};

const LEVELS: usize = 5;

/// Writes a random selection. Each choice uses the next number, and 0 after the last.
struct Writer<'s> {
    schema: &'s Valid<Schema>,
    choices: std::vec::IntoIter<u8>,
    /// The definitions of the fragments, by type.
    fragments: BTreeMap<String, Vec<String>>,
}

impl Writer<'_> {
    fn choose(&mut self, ways: usize) -> usize {
        usize::from(self.choices.next().unwrap_or(0)) % ways
    }

    /// A selection without its braces.
    fn selection(&mut self, ty: &str, levels: usize) -> String {
        let mut text = String::new();
        for _ in 0..=self.choose(4) {
            let item = self.item(ty, levels);
            let _ = write!(text, "{item} ");
        }
        text
    }

    fn item(&mut self, ty: &str, levels: usize) -> String {
        let schema = self.schema;
        let fields = match &schema.types[ty] {
            ExtendedType::Object(object) => &object.fields,
            ExtendedType::Interface(interface) => &interface.fields,
            other => panic!("{ty} has no fields: {other:?}"),
        };
        let can_nest = levels > 0;
        match self.choose(if can_nest { 12 } else { 6 }) {
            0 => format!("__typename{}", self.directive()),
            6 => format!("...{} {{ {} }}", self.directive(), self.selection(ty, levels - 1)),
            7 => {
                let type_or_interface = self.type_or_interface(ty);
                let directive = self.directive();
                format!(
                    "... on {type_or_interface}{directive} {{ {} }}",
                    self.selection(&type_or_interface, levels - 1)
                )
            }
            8 => {
                let type_or_interface = self.type_or_interface(ty);
                let name = self.fragment(&type_or_interface, levels - 1);
                format!("...{name}{}", self.directive())
            }
            _ => {
                let is_near = |field: &&apollo_compiler::schema::Component<FieldDefinition>| {
                    can_nest || is_leaf(schema, field)
                };
                let fields: Vec<_> = fields.values().filter(is_near).collect();
                if fields.is_empty() {
                    return "__typename".to_owned();
                }
                let field = fields[self.choose(fields.len())];
                self.field(ty, field, levels)
            }
        }
    }

    /// The alias encodes type and field, so that merged fields always have one meaning.
    fn field(&mut self, ty: &str, field: &FieldDefinition, levels: usize) -> String {
        let name = &field.name;
        let is_interface = matches!(self.schema.types[ty], ExtendedType::Interface(_));
        let alias =
            if !is_interface && self.choose(4) == 1 { format!("{ty}_{name}: ") } else { String::new() };
        let has_first = field.arguments.iter().any(|argument| argument.name == "first");
        let arguments = if has_first { "(first: 2)" } else { "" };
        let directive = self.directive();
        let inner = field.ty.inner_named_type();
        let below = if is_leaf(self.schema, field) {
            String::new()
        } else {
            format!(" {{ {} }}", self.selection(inner, levels.saturating_sub(1)))
        };
        format!("{alias}{name}{arguments}{directive}{below}")
    }

    fn directive(&mut self) -> &'static str {
        match self.choose(12) {
            1 => " @skip(if: $no)",
            2 => " @include(if: $yes)",
            3 => " @skip(if: $yes)",
            4 => " @include(if: $no) @skip(if: false)",
            5 => " @include(if: true)",
            _ => "",
        }
    }

    /// The type itself or its interface.
    fn type_or_interface(&mut self, ty: &str) -> String {
        let interfaces = self.schema.types[ty].as_object().map(|object| &object.implements_interfaces);
        match interfaces.and_then(|interfaces| interfaces.first()) {
            Some(interface) if self.choose(3) == 1 => interface.to_string(),
            _ => ty.to_owned(),
        }
    }

    /// A fragment for a type: a new one, or one that was spread before.
    fn fragment(&mut self, ty: &str, levels: usize) -> String {
        let known = self.fragments.get(ty).map_or(0, Vec::len);
        let choice = self.choose(3);
        if choice < known {
            return format!("{ty}_{choice}");
        }
        let selection = self.selection(ty, levels);
        let fragments = self.fragments.entry(ty.to_owned()).or_default();
        let name = format!("{ty}_{}", fragments.len());
        fragments.push(format!("fragment {name} on {ty} {{ {selection} }}"));
        name
    }
}

fn is_leaf(schema: &Schema, field: &FieldDefinition) -> bool {
    matches!(schema.types[field.ty.inner_named_type()], ExtendedType::Scalar(_) | ExtendedType::Enum(_))
}

/// A response with its data as text.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    errors: Value,
    data: Box<RawValue>,
}

async fn run_query(world: &World, query: &str) -> Answer {
    let request = json!({ "query": query, "variables": { "yes": true, "no": false } }).to_string();
    let request = OperationRequest::from_json(request.as_bytes()).unwrap();
    let answer = world.operations.run(request, TransportRules { mutations: true }, tenant_a()).await;
    let mut answer: Answer = serde_json::from_slice(&answer.body)
        .unwrap_or_else(|error| panic!("{error}: {}\n{query}", String::from_utf8_lossy(&answer.body)));
    for error in answer.errors.as_array_mut().into_iter().flatten() {
        // Each upstream call has its own id.
        error["extensions"].as_object_mut().unwrap().remove("requestId");
    }
    answer
}

async fn check_equal_responses(root: &str, is_down: Option<EmulatedUpstream>, choices: Vec<u8>) {
    let schema = Schema::parse_and_validate(sdl(), "schema.graphql").unwrap();
    let ty = schema.root_operation(apollo_compiler::ast::OperationType::Query).unwrap();
    let field = schema.type_field(ty, root).unwrap();
    let mut writer = Writer { schema: &schema, choices: choices.into_iter(), fragments: BTreeMap::new() };
    let selection = writer.selection(field.ty.inner_named_type(), LEVELS);
    let fragments: Vec<_> = writer.fragments.into_values().flatten().collect();
    let fragments = fragments.join(" ");
    // Both locations of the selection are replaced by one, because errors name lines and columns.
    let query = |rest: &str| {
        format!(
            "query ($yes: Boolean! = true, $no: Boolean! = false) {{ list: {root}(first: 3) {{ {selection}{rest} }} \
             used: __typename @skip(if: $yes) @include(if: $no) }}\n{fragments}"
        )
    };
    let world = World::new();
    if let Some(upstream) = is_down {
        world.sandbox.emulate(upstream, Some(Fault::parse("status=503").unwrap()));
    }
    let planned = run_query(&world, &query("__typename")).await;
    let resolved = run_query(&world, &query(&format!("}} list: {root}(first: 3) {{ __typename"))).await;
    assert_eq!(planned.data.get(), resolved.data.get(), "{}", query(""));
    assert_eq!(planned.errors, resolved.errors, "{}", query(""));
}

proptest! {
    #![proptest_config(one_tenth(cases()))]

    #[test]
    fn planned_and_resolved_rows_are_identical(
        (root, is_down) in prop_oneof![
            3 => Just(("connectedAccounts", None)),
            3 => Just(("providers", None)),
            1 => Just(("connectedAccounts", Some(EmulatedUpstream::Leadlex))),
            1 => Just(("providers", Some(EmulatedUpstream::Composio))),
        ],
        choices in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        with_paused_clock(check_equal_responses(root, is_down, choices));
    }
}
