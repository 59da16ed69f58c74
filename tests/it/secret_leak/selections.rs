//! Queries that ask for everything: every root field with every field below it, out of the schema itself, so that a
//! field that is added later is asked for too.

use std::collections::BTreeSet;

use apollo_compiler::Schema;
use apollo_compiler::schema::{ExtendedType, FieldDefinition};
use apollo_compiler::validation::Valid;
use serde_json::Value;

use switchboard::graphql::schema::sdl;

/// How many levels of fields are asked for: an account below a provider, with its toolkit, auth config and user.
const LEVELS: usize = 6;

/// Writes selections, and remembers what they hold.
struct Selections<'s> {
    schema: &'s Valid<Schema>,
    /// What the arguments of root fields are.
    arguments: &'s dyn Fn(&str, &str) -> Value,
    asked: BTreeSet<String>,
}

/// Root fields whose answers are never kept.
const OF_THE_MOMENT: [&str; 2] = ["upstreams", "viewer"];

/// What asks for everything.
pub(super) struct Everything {
    /// Every root field whose answers may be kept.
    pub(super) kept: String,
    /// Every other one.
    pub(super) of_the_moment: String,
    pub(super) mutation: String,
    /// One with each root field.
    pub(super) subscriptions: Vec<String>,
}

/// Queries with every root field, and one mutation with every root field; `arguments` gives the value of a required argument of one of them.
pub(super) fn everything(arguments: &dyn Fn(&str, &str) -> Value) -> Everything {
    let schema = Schema::parse_and_validate(sdl(), "schema.graphql").unwrap();
    let mut selections = Selections { schema: &schema, arguments, asked: BTreeSet::new() };
    let mut query = |is_meant: &dyn Fn(&str) -> bool| {
        let fields = schema.types["Query"].as_object().unwrap().fields.values();
        let fields = fields.filter(|field| is_meant(field.name.as_str()));
        let fields: Vec<_> = fields.filter_map(|field| selections.field("Query", field, LEVELS)).collect();
        format!("{{ {} }}", fields.join(" "))
    };
    let kept = query(&|name| !OF_THE_MOMENT.contains(&name));
    let of_the_moment = query(&|name| OF_THE_MOMENT.contains(&name));
    let mutation = format!("mutation {}", selections.of("Mutation", LEVELS).unwrap());
    let roots = schema.types["Subscription"].as_object().unwrap().fields.values();
    let subscriptions = roots.filter_map(|field| selections.field("Subscription", field, LEVELS));
    let subscriptions = subscriptions.map(|field| format!("subscription {{ {field} }}")).collect();
    let objects = schema.types.values().filter(|ty| !ty.is_built_in()).filter_map(ExtendedType::as_object);
    let all: BTreeSet<_> =
        objects.flat_map(|ty| ty.fields.keys().map(|field| format!("{}.{field}", ty.name))).collect();
    assert_eq!(selections.asked, all, "some fields are deeper than {LEVELS} levels, or cannot be reached");
    Everything { kept, of_the_moment, mutation, subscriptions }
}

impl Selections<'_> {
    /// All of a type's fields; none where all of them are too deep.
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
                arguments.push(format!("{}: {}", argument.name, (self.arguments)(name, &argument.name)));
            } else if argument.name == "first" {
                arguments.push("first: 2".to_owned());
            }
        }
        let arguments =
            if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) };
        self.asked.insert(format!("{ty}.{name}"));
        // Types of one interface have fields of the same name and another type.
        Some(format!("{ty}_{name}: {name}{arguments} {below}"))
    }
}
