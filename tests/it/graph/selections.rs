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

/// All that can be asked for.
pub(super) struct Everything {
    /// With every root field.
    pub(super) query: String,
    /// With every root field.
    pub(super) mutation: String,
    /// One for each root field, as a subscription has one alone.
    pub(super) subscriptions: Vec<String>,
}

/// Everything; `arguments` gives the value of a required argument of a root field.
pub(super) fn everything(arguments: &dyn Fn(&str, &str) -> Value) -> Everything {
    let schema = Schema::parse_and_validate(sdl(), "schema.graphql").unwrap();
    let mut selections = Selections { schema: &schema, arguments, asked: BTreeSet::new() };
    let query = selections.of("Query", LEVELS).unwrap();
    let mutation = format!("mutation {}", selections.of("Mutation", LEVELS).unwrap());
    let roots = schema.get_object("Subscription").unwrap().fields.values();
    let roots = roots.filter_map(|field| selections.field("Subscription", field, LEVELS));
    let subscriptions: Vec<_> = roots.map(|field| format!("subscription {{ {field} }}")).collect();
    let objects = schema.types.values().filter(|ty| !ty.is_built_in()).filter_map(ExtendedType::as_object);
    let all: BTreeSet<_> =
        objects.flat_map(|ty| ty.fields.keys().map(|field| format!("{}.{field}", ty.name))).collect();
    assert_eq!(selections.asked, all, "some fields are deeper than {LEVELS} levels, or cannot be reached");
    Everything { query, mutation, subscriptions }
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
                arguments.push("first: 3".to_owned());
            }
        }
        let arguments =
            if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) };
        self.asked.insert(format!("{ty}.{name}"));
        // Types of one interface have fields of the same name and another type.
        Some(format!("{ty}_{name}: {name}{arguments} {below}"))
    }
}
