//! The schema as a subgraph of Apollo Federation 2: what `switchboard schema --format federation` prints and
//! `_service` returns.
//!
//! For the composer, which builds the supergraph, it adds the keys of entities, the shareable `PageInfo`, costs of
//! fields for routers that plan by them, and two tags for contracts. It omits the fields that the supergraph itself
//! defines.

use std::sync::LazyLock;

use apollo_compiler::ast::{Definition, Directive, SchemaExtension, Value};
use apollo_compiler::{Name, name};
use serde::Deserialize;

use super::federation_directives::{add_authorization, add_cache_tags};
use super::schema;
use super::sdl::{Tree, directive, string_list, text};
use crate::loaders::settings::ConnectionSettings;

/// `[federation]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FederationSettings {
    /// The version of the federation specification that the schema links.
    pub version: FederationVersion,
    /// The root fields to omit from the schema.
    pub left_out: RootFields,
    /// Whether root fields and entities have `@authenticated`, and those of ADMINs `@requiresScopes`.
    pub authorization: bool,
}

/// A version of the federation specification, by its text: `2.9`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct FederationVersion {
    minor: u8,
}

impl FederationVersion {
    /// The first version with `@cost`.
    const OF_COSTS: Self = Self { minor: 9 };

    /// The first version with `@authenticated` and `@requiresScopes`.
    const OF_AUTHORIZATION: Self = Self { minor: 5 };

    /// The first version with `@cacheTag`.
    const OF_CACHE_TAGS: Self = Self { minor: 12 };
}

impl TryFrom<String> for FederationVersion {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let minor = text.strip_prefix("2.").and_then(|minor| minor.parse().ok());
        // `2.09` and `2.+9` parse as numbers, but there are no such versions.
        let spelled = minor.filter(|minor: &u8| format!("2.{minor}") == text);
        spelled
            .map(|minor| Self { minor })
            .ok_or_else(|| format!("{text:?} is not a version of federation 2"))
    }
}

/// Names of root query fields, separated by commas: `node, user`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RootFields(Vec<String>);

impl TryFrom<String> for RootFields {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let left_out = Self(names.map(ToOwned::to_owned).collect());
        // Not checked: reading the schema takes several times as long as the rest of a start.
        if text != DEFAULT_LEFT_OUT {
            left_out.check(&QUERY_FIELDS)?;
        }
        Ok(left_out)
    }
}

impl RootFields {
    fn check(&self, fields: &[String]) -> Result<(), String> {
        let Self(names) = self;
        if let Some(unknown) = names.iter().find(|name| !fields.contains(name)) {
            return Err(format!("`{unknown}` is not a root field of queries"));
        }
        let is_left = |field: &String| !names.contains(field) && !COMPOSER_FIELDS.contains(&field.as_str());
        if fields.iter().any(is_left) { Ok(()) } else { Err("nothing would be left of queries".to_owned()) }
    }
}

/// The default of `federation.left_out`.
const DEFAULT_LEFT_OUT: &str = "node, nodes, user, viewer, _sdl";

/// The root fields of queries.
static QUERY_FIELDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut tree = Tree::read(&schema::full_sdl());
    let fields = tree.object("Query").into_iter().flat_map(|query| &query.fields);
    fields.map(|field| field.name.to_string()).collect()
});

/// Fields that composers define themselves.
const COMPOSER_FIELDS: [&str; 2] = ["_entities", "_service"];

/// The entities and their keys.
const KEYS: [(&str, &[&str]); 4] = [
    ("Provider", &["id"]),
    ("ConnectedAccount", &["id", "connectedAccountId"]),
    ("Toolkit", &["id", "slug"]),
    ("User", &["id"]),
];

/// The cost of a field that may call an upstream. Other fields cost 0, and objects 1. This is an approximation for
/// routers that limit the sum of costs; the exact cost of an operation is in `extensions.cost`.
const UPSTREAM_FIELD_COST: i32 = 10;

/// Fields that cause calls without returning upstream objects, or more than one call, and the number of their calls. It
/// is an estimate where the number varies. Counts by status take eight calls.
const CALLS: [(&str, &str, i32); 13] = [
    ("ConnectedAccountConnection", "totalCount", 1),
    ("ConnectedAccountConnection", "statusCounts", 8),
    ("IntegrationHealth", "providerCounts", 1),
    ("IntegrationHealth", "accountCounts", 8),
    ("Provider", "disagreement", 2),
    ("Toolkit", "name", 1),
    ("Mutation", "refresh", 2),
    ("Mutation", "createConnectLink", 1),
    ("Mutation", "reconnectAccount", 2),
    ("Mutation", "setAccountEnabled", 2),
    ("Mutation", "renameAccount", 2),
    ("Mutation", "revokeAccount", 2),
    ("Mutation", "removeAccount", 2),
];

/// Types that are loaded from an upstream unless they are part of a page.
const UPSTREAM_TYPES: [&str; 5] =
    ["Provider", "ProviderConnection", "ConnectedAccount", "ConnectedAccountConnection", "Node"];

/// The assumed length of a list without a known limit, as in the cost computation.
const ASSUMED_LIST_LENGTH: i32 = 5;

/// Fields tagged `personal`, for contracts that exclude personal data: fields that a MEMBER does not see, the users and
/// names of accounts, and the filters by which they could be found out.
const PERSONAL: [(&str, &[&str]); 8] = [
    ("Provider", &["accountId", "displayName", "errorMessage"]),
    ("ConnectedAccount", &["user", "userId", "alias", "displayName", "wordId", "state"]),
    ("User", &["connectedAccounts"]),
    ("Query", &["usersByIds"]),
    ("ProviderFilter", &["search"]),
    ("ConnectedAccountFilter", &["userIds"]),
    ("ProviderAccountFilter", &["userIds"]),
    ("AuthConfigAccountFilter", &["userIds"]),
];

/// Fields tagged `operations`, for contracts that exclude fields about Switchboard itself.
const OPERATIONS: [(&str, &[&str]); 2] = [("Query", &["upstreams"]), ("Mutation", &["refresh"])];

/// Returns the schema for composers.
#[must_use]
pub fn sdl(settings: &FederationSettings, connections: &ConnectionSettings) -> String {
    let mut tree = Tree::read(&schema::full_sdl());
    tree.leave_out(COMPOSER_FIELDS.into_iter().chain(settings.left_out.0.iter().map(String::as_str)));
    for (name, keys) in KEYS {
        if let Some(object) = tree.object(name) {
            let key = |fields: &&str| directive(name!(key), [(name!(fields), text(fields))]);
            keys.iter().map(key).for_each(|key| object.directives.push(key));
        }
    }
    if let Some(page_info) = tree.object("PageInfo") {
        page_info.directives.push(directive(name!(shareable), []));
    }
    tag(&mut tree, "personal", &PERSONAL);
    tag(&mut tree, "operations", &OPERATIONS);
    if settings.version.minor >= FederationVersion::OF_COSTS.minor {
        add_costs(&mut tree, connections);
    }
    if settings.version.minor >= FederationVersion::OF_CACHE_TAGS.minor {
        add_cache_tags(&mut tree);
    }
    if settings.authorization && settings.version.minor >= FederationVersion::OF_AUTHORIZATION.minor {
        add_authorization(&mut tree);
    }
    link(&mut tree, settings.version);
    tree.to_string()
}

fn tag(tree: &mut Tree, tag: &str, fields: &[(&str, &[&str])]) {
    for (object, names) in fields {
        for name in *names {
            let directive = directive(name!(tag), [(name!(name), text(tag))]);
            if let Some(field) = tree.field(object, name) {
                field.directives.push(directive);
            } else if let Some(field) = tree.input_field(object, name) {
                field.directives.push(directive);
            }
        }
    }
}

/// Adds costs of fields and sizes of lists, as far as the specification can express them.
fn add_costs(tree: &mut Tree, connections: &ConnectionSettings) {
    for (object, name, calls) in CALLS {
        if let Some(field) = tree.field(object, name) {
            field.directives.push(cost(calls * UPSTREAM_FIELD_COST));
        }
    }
    let objects: Vec<_> = tree.objects().map(|object| object.name.clone()).collect();
    for object in tree.objects() {
        // The objects of a page are loaded with the page; the cost of its counts is set above.
        if object.name.ends_with("Connection") || object.name.ends_with("Edge") {
            continue;
        }
        for field in &mut object.fields {
            let field = field.make_mut();
            let of = field.ty.inner_named_type().clone();
            if UPSTREAM_TYPES.contains(&of.as_str()) {
                field.directives.push(cost(UPSTREAM_FIELD_COST));
            }
            let default = match of.as_str() {
                "ProviderConnection" => connections.providers_default,
                _ => connections.accounts_default,
            };
            if of.ends_with("Connection") {
                field.directives.push(directive(name!(listSize), page_size(default)));
            } else if field.ty.is_list() && (objects.contains(&of) || of == "Node") {
                // A list with arguments has one item for each id or slug in them.
                let size = match field.name.as_str() {
                    "providersNeedingAttention" => int(connections.page_max),
                    _ if field.arguments.is_empty() => ASSUMED_LIST_LENGTH,
                    _ => int(connections.ids_max),
                };
                field
                    .directives
                    .push(directive(name!(listSize), [(name!(assumedSize), Value::Int(size.into()))]));
            }
        }
    }
}

fn cost(weight: i32) -> Directive {
    directive(name!(cost), [(name!(weight), Value::Int(weight.into()))])
}

fn int(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn page_size(default: usize) -> [(Name, Value); 4] {
    [
        (name!(assumedSize), Value::Int(int(default).into())),
        (name!(slicingArguments), string_list(["first", "last"])),
        (name!(sizedFields), string_list(["edges", "nodes"])),
        (name!(requireOneSlicingArgument), Value::Boolean(false)),
    ]
}

/// Links the specification's version, and imports what the schema uses of it.
fn link(tree: &mut Tree, version: FederationVersion) {
    let used: Vec<_> = tree.directives_used().iter().map(|name| format!("@{name}")).collect();
    let imported = used.iter().map(String::as_str).filter(|name| *name != "@deprecated");
    let url = format!("https://specs.apollo.dev/federation/v2.{}", version.minor);
    let link = directive(name!(link), [(name!(url), text(&url)), (name!(import), string_list(imported))]);
    let definitions = tree.definitions();
    // The root types have their default names, so the schema definition is omitted.
    definitions.retain(|definition| !matches!(definition, Definition::SchemaDefinition(_)));
    let extension = SchemaExtension { directives: [link].into_iter().collect(), root_operations: Vec::new() };
    definitions.insert(0, Definition::SchemaExtension(extension.into()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_that_of_the_configuration_and_valid() {
        let defaults: toml::Table = toml::from_str(include_str!("../../switchboard.default.toml")).unwrap();
        assert_eq!(defaults["federation"]["left_out"].as_str(), Some(DEFAULT_LEFT_OUT));
        let left_out = RootFields::try_from(DEFAULT_LEFT_OUT.to_owned()).unwrap();
        assert_eq!(left_out.check(&QUERY_FIELDS), Ok(()));
    }

    #[test]
    fn only_root_fields_can_be_left_out_and_not_all_of_them() {
        let check = |text: &str| RootFields::try_from(text.to_owned()).map(|RootFields(names)| names.len());
        assert_eq!(check(" node,, user "), Ok(2));
        assert_eq!(check(""), Ok(0));
        assert_eq!(check("node, nothing"), Err("`nothing` is not a root field of queries".to_owned()));
        assert_eq!(check(&QUERY_FIELDS.join(",")), Err("nothing would be left of queries".to_owned()));
    }
}
