//! Directives of the federation schema for a router's cache and its authorization.
//!
//! [`add_cache_tags`] adds `@cacheTag`, by which cached data can be invalidated; [`add_authorization`] adds
//! `@authenticated` and `@requiresScopes`. The `federation` module calls each only if the federation version that the
//! schema links with `@link` defines its directives.

use apollo_compiler::ast::Value;
use apollo_compiler::{Node, name};

use super::sdl::{Tree, directive, string_list, text};

/// All entities with their cache tags. A tag may contain a key field, as in `{$key.id}`, only if every `@key` of the
/// type includes that field.
const ENTITIES: [(&str, &[&str]); 4] = [
    ("Provider", &["providers", "provider-{$key.id}"]),
    ("ConnectedAccount", &["accounts"]),
    ("Toolkit", &["toolkits"]),
    ("User", &["users", "user-{$key.id}"]),
];

/// The cache tags of root fields.
const TAGS_OF_ROOT_FIELDS: [(&str, &[&str]); 7] = [
    ("providers", &["providers"]),
    ("provider", &["providers"]),
    ("providersByIds", &["providers"]),
    ("connectedAccounts", &["accounts"]),
    ("connectedAccount", &["accounts"]),
    ("connectedAccountsByIds", &["accounts"]),
    ("integrationHealth", &["providers", "accounts"]),
];

/// The scope of the role ADMIN.
const ADMIN_SCOPE: &str = "switchboard:admin";

/// Root fields that only an ADMIN may use.
const ADMIN_FIELDS: [(&str, &str); 1] = [("Mutation", "refresh")];

/// Adds the tags of cached data.
pub(super) fn add_cache_tags(tree: &mut Tree) {
    let tag = |format: &&str| directive(name!(cacheTag), [(name!(format), text(format))]);
    for (name, formats) in ENTITIES {
        if let Some(object) = tree.object(name) {
            formats.iter().map(tag).for_each(|tag| object.directives.push(tag));
        }
    }
    for (name, formats) in TAGS_OF_ROOT_FIELDS {
        if let Some(field) = tree.field("Query", name) {
            formats.iter().map(tag).for_each(|tag| field.directives.push(tag));
        }
    }
}

/// Marks all root fields and entities as `@authenticated`, and [`ADMIN_FIELDS`] as requiring the scope of an ADMIN.
pub(super) fn add_authorization(tree: &mut Tree) {
    let authenticated = || directive(name!(authenticated), []);
    for (name, _) in ENTITIES {
        if let Some(object) = tree.object(name) {
            object.directives.push(authenticated());
        }
    }
    for root in ["Query", "Mutation", "Subscription"] {
        for field in tree.object(root).into_iter().flat_map(|object| &mut object.fields) {
            field.make_mut().directives.push(authenticated());
        }
    }
    for (object, name) in ADMIN_FIELDS {
        if let Some(field) = tree.field(object, name) {
            let scopes = Value::List(vec![Node::new(string_list([ADMIN_SCOPE]))]);
            field.directives.push(directive(name!(requiresScopes), [(name!(scopes), scopes)]));
        }
    }
}
