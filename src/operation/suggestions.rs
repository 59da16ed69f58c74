//! Suggestions for unknown names, as graphql-js makes them: "Did you mean …?".
//!
//! apollo-compiler's messages are worded as graphql-js's, but have no suggestions. Suggestions help to find a typo. They
//! also reveal names of the schema if introspection is disabled, so they can be disabled as well.

use apollo_compiler::Schema;
use apollo_compiler::schema::ExtendedType;

/// The maximum number of suggestions.
const SUGGESTED: usize = 3;

/// Maximum length of a compared name. All names of the schema are shorter, and a comparison costs the product of both lengths.
const LONGEST: usize = 64;

/// The text to append to a message about an unknown field or argument. `None` if no name is similar, or the message
/// is about something else.
pub(crate) fn like(schema: &Schema, sentence: &str) -> Option<String> {
    let mut quoted = sentence.split('"').skip(1).step_by(2);
    let (unknown, place) = (quoted.next()?, quoted.next()?);
    if unknown.len() > LONGEST {
        return None;
    }
    let names: Vec<&str> = if sentence.starts_with("Cannot query field") {
        fields(schema.types.get(place)?)
    } else if sentence.starts_with("Unknown argument") {
        let (of_type, field) = place.split_once('.')?;
        let field = schema.type_field(of_type, field).ok()?;
        field.arguments.iter().map(|argument| argument.name.as_str()).collect()
    } else {
        return None;
    };
    let mut like: Vec<(usize, &str)> = names
        .into_iter()
        // Fields for gateways are hidden, as in introspection.
        .filter(|name| !name.starts_with('_'))
        .map(|name| (strsim::damerau_levenshtein(&unknown.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= name.len().max(unknown.len()) * 2 / 5)
        .collect();
    like.sort_unstable();
    let mut like = like.into_iter().take(SUGGESTED).map(|(_, name)| format!("\"{name}\""));
    let first = like.next()?;
    let others: Vec<_> = like.collect();
    Some(match others.split_last() {
        None => format!(" Did you mean {first}?"),
        Some((last, [])) => format!(" Did you mean {first} or {last}?"),
        Some((last, between)) => format!(" Did you mean {first}, {}, or {last}?", between.join(", ")),
    })
}

fn fields(of: &ExtendedType) -> Vec<&str> {
    match of {
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
        let sdl =
            "type Query { provider(id: ID): Int providers: Int provide: Int toolkit: Int _entities: Int }";
        let schema = Schema::parse_and_validate(sdl, "schema").unwrap();
        for (sentence, suggested) in [
            (
                "Cannot query field \"providres\" on type \"Query\".",
                Some(" Did you mean \"providers\", \"provide\", or \"provider\"?"),
            ),
            ("Cannot query field \"Toolkits\" on type \"Query\".", Some(" Did you mean \"toolkit\"?")),
            ("Unknown argument \"ids\" on field \"Query.provider\".", Some(" Did you mean \"id\"?")),
            ("Cannot query field \"_entites\" on type \"Query\".", None),
            ("Cannot query field \"viewer\" on type \"Query\".", None),
            ("Cannot query field \"provider\" on type \"Nothing\".", None),
            ("Variable \"$providers\" is never used, \"provider\" is.", None),
        ] {
            assert_eq!(like(&schema, sentence).as_deref(), suggested, "{sentence}");
        }
    }
}
