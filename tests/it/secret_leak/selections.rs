//! Operations that select all fields: every root field with every field below it, from the schema itself, so that new
//! fields are included.

use std::collections::BTreeSet;

use apollo_compiler::Schema;
use apollo_compiler::schema::{ExtendedType, FieldDefinition};
use apollo_compiler::validation::Valid;
use serde_json::Value;

use switchboard::graphql::schema::sdl;

/// Depth of the selections: an account below a provider, with its toolkit, auth config and user.
const LEVELS: usize = 6;

/// Builder of selections, which records the selected fields.
struct Selections<'s> {
    schema: &'s Valid<Schema>,
    /// Values of the required arguments of root fields.
    arguments: &'s dyn Fn(&str, &str) -> Value,
    selected: BTreeSet<String>,
}

/// Root fields whose responses are not cached.
const UNCACHED: [&str; 2] = ["upstreams", "viewer"];

/// Operations that together select all fields.
pub(super) struct FullSelections {
    /// All root fields whose responses may be cached.
    pub(super) cacheable: String,
    /// All other root fields.
    pub(super) uncached: String,
    pub(super) mutation: String,
    /// One for each root field.
    pub(super) subscriptions: Vec<String>,
}

/// Builds the operations; `arguments` gives the values of required arguments.
pub(super) fn full_selections(arguments: &dyn Fn(&str, &str) -> Value) -> FullSelections {
    let schema = Schema::parse_and_validate(sdl(), "schema.graphql").unwrap();
    let mut selections = Selections { schema: &schema, arguments, selected: BTreeSet::new() };
    let mut query = |is_included: &dyn Fn(&str) -> bool| {
        let fields = schema.types["Query"].as_object().unwrap().fields.values();
        let fields = fields.filter(|field| is_included(field.name.as_str()));
        let fields: Vec<_> = fields.filter_map(|field| selections.field("Query", field, LEVELS)).collect();
        format!("{{ {} }}", fields.join(" "))
    };
    let cacheable = query(&|name| !UNCACHED.contains(&name));
    let uncached = query(&|name| UNCACHED.contains(&name));
    let mutation = format!("mutation {}", selections.of("Mutation", LEVELS).unwrap());
    let roots = schema.types["Subscription"].as_object().unwrap().fields.values();
    let subscriptions = roots.filter_map(|field| selections.field("Subscription", field, LEVELS));
    let subscriptions = subscriptions.map(|field| format!("subscription {{ {field} }}")).collect();
    let objects = schema.types.values().filter(|ty| !ty.is_built_in()).filter_map(ExtendedType::as_object);
    let all: BTreeSet<_> =
        objects.flat_map(|ty| ty.fields.keys().map(|field| format!("{}.{field}", ty.name))).collect();
    assert_eq!(selections.selected, all, "some fields are deeper than {LEVELS} levels, or cannot be reached");
    FullSelections { cacheable, uncached, mutation, subscriptions }
}

/// A value as GraphQL writes it: names of input fields have no quotes.
fn literal(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{name}: {}", literal(value)));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

impl Selections<'_> {
    /// All fields of a type; `None` if all of them are too deep.
    fn of(&mut self, ty: &str, levels: usize) -> Option<String> {
        match &self.schema.types[ty] {
            ExtendedType::Object(object) => {
                let fields = object.fields.values();
                let fields: Vec<_> = fields.filter_map(|field| self.field(ty, field, levels)).collect();
                (!fields.is_empty()).then(|| format!("{{ {} }}", fields.join(" ")))
            }
            ExtendedType::Interface(_) => {
                let types = self.schema.implementers_map().remove(ty)?.objects;
                let parts =
                    types.iter().filter_map(|ty| Some(format!("... on {ty} {}", self.of(ty, levels)?)));
                Some(format!("{{ __typename {} }}", parts.collect::<Vec<_>>().join(" ")))
            }
            _ => Some(String::new()),
        }
    }

    fn field(&mut self, ty: &str, field: &FieldDefinition, levels: usize) -> Option<String> {
        let below = self.of(field.ty.inner_named_type(), levels.checked_sub(1)?)?;
        let (name, mut arguments) = (&field.name, Vec::new());
        for argument in &field.arguments {
            if argument.is_required() {
                let value = literal(&(self.arguments)(name, &argument.name));
                arguments.push(format!("{}: {value}", argument.name));
            } else if argument.name == "first" {
                arguments.push("first: 2".to_owned());
            }
        }
        let arguments =
            if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) };
        self.selected.insert(format!("{ty}.{name}"));
        // Types of one interface have fields of the same name and another type.
        Some(format!("{ty}_{name}: {name}{arguments} {below}"))
    }
}
