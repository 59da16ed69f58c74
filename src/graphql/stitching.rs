//! The schema as a subschema for stitching gateways: what `switchboard schema --format stitching` prints and `_sdl`
//! returns, with the directives that `@graphql-tools/stitching-directives` reads.
//!
//! The `@key` of that package takes a selection set, unlike federation's, so it appears in this schema only.

use apollo_compiler::ast::{Definition, Document};
use apollo_compiler::name;

use super::schema;
use super::sdl::{Tree, directive, text};

/// The merged types, each with its key and the root field that loads many of its objects.
const MERGED: [(&str, &str, &str); 4] = [
    ("Provider", "id", "providersByIds"),
    ("ConnectedAccount", "id", "connectedAccountsByIds"),
    ("Toolkit", "slug", "toolkitsBySlugs"),
    ("User", "id", "usersByIds"),
];

/// Fields for federation routers only.
const OF_FEDERATION: [&str; 2] = ["_entities", "_service"];

/// The directives as their package declares them; only those in use.
const DIRECTIVES: &str = "
directive @key(selectionSet: String!) on OBJECT
directive @merge(keyField: String) on FIELD_DEFINITION
";

/// Returns the schema for stitching gateways.
#[must_use]
pub fn sdl() -> String {
    let mut tree = Tree::read(&schema::full_sdl());
    tree.leave_out(OF_FEDERATION);
    for (name, key, root) in MERGED {
        if let Some(object) = tree.object(name) {
            let selection = text(&format!("{{ {key} }}"));
            object.directives.push(directive(name!(key), [(name!(selectionSet), selection)]));
        }
        if let Some(field) = tree.field("Query", root) {
            field.directives.push(directive(name!(merge), [(name!(keyField), text(key))]));
        }
    }
    let declared = Document::parse(DIRECTIVES, "directives.graphql").unwrap_or_else(|broken| broken.partial);
    let definitions = tree.definitions();
    definitions.retain(|definition| !matches!(definition, Definition::SchemaDefinition(_)));
    definitions.splice(0..0, declared.definitions);
    tree.to_string()
}
