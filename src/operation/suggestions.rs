//! Suggestions for unknown names, as graphql-js makes them: "Did you mean …?".
//!
//! apollo-compiler's messages are worded as graphql-js's, but have no suggestions. Suggestions help to find a typo.
//! They also reveal names of the schema, so they can be disabled, as introspection can.

use apollo_compiler::Schema;
use apollo_compiler::schema::ExtendedType;

/// Maximum number of suggestions.
const SUGGESTIONS_MAX: usize = 3;

/// Maximum number of names that are listed if none is similar.
const LISTED_MAX: usize = 12;

/// Maximum length of a compared name. All names of the schema are shorter. The limit matters because a comparison costs
/// the product of both lengths.
const NAME_MAX: usize = 64;

/// Returns the text to append to a message about an unknown field, argument, input field or enum value. Returns `None`
/// if no name is similar, or if the message is about something else.
pub(crate) fn suggestion(schema: &Schema, sentence: &str) -> Option<String> {
    let mut quoted = sentence.split('"').skip(1).step_by(2);
    if let Some(rest) = sentence.strip_prefix("expected value of type ") {
        let (ty, found) = rest.split_once(", found ")?;
        let ty = ty.trim_matches(['!', '[', ']']);
        let is_quoted = found == "a string" && matches!(ty, "Int" | "Float" | "Boolean");
        let values = enum_values(schema, ty).map(|values| format!("; enum values have no quotes.{values}"));
        return values.or_else(|| is_quoted.then(|| ". Write it without quotes.".to_owned()));
    }
    let unknown = quoted.next()?;
    let owner = quoted.next()?;
    if sentence.starts_with("Cannot query field") {
        let parent = schema.types.get(owner)?;
        return in_nodes(schema, parent, unknown).or_else(|| similar(unknown, &fields(parent)));
    }
    if sentence.starts_with("Unknown argument") {
        let (of_type, field) = owner.split_once('.')?;
        let field = schema.type_field(of_type, field).ok()?;
        let names: Vec<_> = field.arguments.iter().map(|argument| argument.name.as_str()).collect();
        return similar(unknown, &names).or_else(|| all(&names));
    }
    if sentence.starts_with("Field ") && sentence.contains(" is not defined by type ") {
        return similar_input_fields(schema, owner, unknown);
    }
    if sentence.starts_with("Value ") && sentence.contains(" does not exist in ") {
        return enum_values(schema, owner);
    }
    None
}

/// Returns a text with the values of an enum.
pub(crate) fn enum_values(schema: &Schema, name: &str) -> Option<String> {
    let ExtendedType::Enum(definition) = schema.types.get(name)? else { return None };
    let values: Vec<&str> = definition.values.keys().map(|name| name.as_str()).collect();
    Some(format!(" Allowed: {}.", values.join(", ")))
}

/// Returns a suggestion of fields of an input object with similar names, or of all if none is similar.
pub(crate) fn similar_input_fields(schema: &Schema, name: &str, unknown: &str) -> Option<String> {
    let ExtendedType::InputObject(definition) = schema.types.get(name)? else { return None };
    let names: Vec<_> = definition.fields.keys().map(|name| name.as_str()).collect();
    similar(unknown, &names).or_else(|| all(&names))
}

/// Returns a suggestion for a field of a connection's nodes that was selected on the connection itself.
fn in_nodes(schema: &Schema, connection: &ExtendedType, unknown: &str) -> Option<String> {
    let ExtendedType::Object(connection) = connection else { return None };
    let row = schema.types.get(connection.fields.get("nodes")?.ty.inner_named_type())?;
    let is_known = fields(row).contains(&unknown) && !unknown.starts_with('_');
    is_known.then(|| format!(" Did you mean \"nodes {{ {unknown} }}\"?"))
}

/// Returns all names, if they are few.
fn all(names: &[&str]) -> Option<String> {
    (!names.is_empty() && names.len() <= LISTED_MAX).then(|| format!(" Allowed: {}.", names.join(", ")))
}

fn similar(unknown: &str, names: &[&str]) -> Option<String> {
    if unknown.len() > NAME_MAX {
        return None;
    }
    let unknown = unknown.to_lowercase();
    let mut by_distance: Vec<(usize, &str)> = names
        .iter()
        // Fields for gateways are hidden, as in introspection.
        .filter(|name| !name.starts_with('_'))
        .filter_map(|name| {
            let lower = name.to_lowercase();
            let distance = strsim::damerau_levenshtein(&unknown, &lower);
            // `user` is not close to `userIds` by edits, but begins it.
            let is_prefix = unknown.len() >= 3 && lower.starts_with(&unknown);
            (is_prefix || distance <= name.len().max(unknown.len()) * 2 / 5).then_some((distance, *name))
        })
        .collect();
    by_distance.sort_unstable();
    let mut nearest = by_distance.into_iter().take(SUGGESTIONS_MAX).map(|(_, name)| format!("\"{name}\""));
    let first = nearest.next()?;
    let others: Vec<_> = nearest.collect();
    Some(match others.split_last() {
        None => format!(" Did you mean {first}?"),
        Some((last, [])) => format!(" Did you mean {first} or {last}?"),
        Some((last, middle)) => format!(" Did you mean {first}, {}, or {last}?", middle.join(", ")),
    })
}

fn fields(definition: &ExtendedType) -> Vec<&str> {
    match definition {
        ExtendedType::Object(object) => object.fields.keys().map(|name| name.as_str()).collect(),
        ExtendedType::Interface(interface) => interface.fields.keys().map(|name| name.as_str()).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_of_the_same_type_are_suggested() {
        let sdl = "type Query { provider(id: ID): Int providers: Int provide: Int toolkit: Int _entities: Int list(f: F): Rows }
            type Rows { nodes: [Row!]! count: Int } type Row { name: String } enum E { A B } input F { state: E }";
        let schema = Schema::parse_and_validate(sdl, "schema").unwrap();
        for (sentence, suggested) in [
            (
                "Cannot query field \"providres\" on type \"Query\".",
                Some(" Did you mean \"providers\", \"provide\", or \"provider\"?"),
            ),
            ("Cannot query field \"Toolkits\" on type \"Query\".", Some(" Did you mean \"toolkit\"?")),
            ("Unknown argument \"ids\" on field \"Query.provider\".", Some(" Did you mean \"id\"?")),
            ("Cannot query field \"name\" on type \"Rows\".", Some(" Did you mean \"nodes { name }\"?")),
            ("Cannot query field \"counts\" on type \"Rows\".", Some(" Did you mean \"count\"?")),
            ("Value \"C\" does not exist in \"E\" enum.", Some(" Allowed: A, B.")),
            (
                "expected value of type [E!]!, found a string",
                Some("; enum values have no quotes. Allowed: A, B."),
            ),
            ("expected value of type Int, found a string", Some(". Write it without quotes.")),
            ("expected value of type Int, found an object", None),
            ("Field \"stat\" is not defined by type \"F\".", Some(" Did you mean \"state\"?")),
            ("Field \"sta\" is not defined by type \"F\".", Some(" Did you mean \"state\"?")),
            ("Field \"other\" is not defined by type \"F\".", Some(" Allowed: state.")),
            ("Unknown argument \"other\" on field \"Query.provider\".", Some(" Allowed: id.")),
            ("Unknown argument \"other\" on field \"Query.providers\".", None),
            ("Cannot query field \"_entites\" on type \"Query\".", None),
            ("Cannot query field \"viewer\" on type \"Query\".", None),
            ("Cannot query field \"provider\" on type \"Nothing\".", None),
            ("Variable \"$providers\" is never used, \"provider\" is.", None),
        ] {
            assert_eq!(suggestion(&schema, sentence).as_deref(), suggested, "{sentence}");
        }
    }
}
