//! The schema in its forms: the files of the repository, the printed SDL, and `_service { sdl }`.

use serde_json::json;
use switchboard::graphql::federation::{self, FederationSettings};
use switchboard::graphql::schema::sdl;
use switchboard::graphql::stitching;

use crate::world::{Setup, World, tenant_a};

fn read_file(path: &str) -> String {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap_or_default()
}

fn shipped() -> FederationSettings {
    Setup::default().config.federation
}

fn of_federation(settings: &FederationSettings) -> String {
    federation::sdl(settings, &Setup::default().config.connections)
}

fn settings_with(version: &str, left_out: &str) -> FederationSettings {
    FederationSettings {
        version: version.to_owned().try_into().unwrap(),
        left_out: left_out.to_owned().try_into().unwrap(),
        authorization: false,
    }
}

#[test]
fn schema_files_are_up_to_date() {
    for (path, served) in [
        ("schema.graphql", sdl()),
        ("tests/it/graph/sdl/federation.graphql", of_federation(&shipped())),
        ("tests/it/graph/sdl/stitching.graphql", stitching::sdl()),
    ] {
        assert!(
            read_file(path) == served,
            "{path} is not what the code serves: run `make schema`, and look at the difference"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn service_sdl_equals_the_schema_files() {
    let world = World::new();
    let data = world.data("{ _service { sdl } _sdl }").await;
    assert_eq!(data["_service"]["sdl"], of_federation(&shipped()));
    assert_eq!(data["_sdl"], stitching::sdl());

    let mut setup = Setup::default();
    setup.config.federation = settings_with("2.3", "");
    let expected = of_federation(&setup.config.federation);
    let data = World::new_with(setup).data("{ _service { sdl } }").await;
    assert_eq!(data["_service"]["sdl"], expected);
}

#[tokio::test(start_paused = true)]
async fn federation_fields_are_hidden_from_introspection() {
    let world = World::new();
    let query = "{ __schema { types { name } queryType { name fields { name } } } }";
    let result = world.query_as(tenant_a(), query, json!({})).await;
    let text = result["data"]["__schema"].to_string();
    for hidden in ["_entities", "_service", "_sdl", "_Any", "_Entity", "_Service", "QueryOf"] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
        assert!(!sdl().contains(hidden), "{hidden}");
    }
    assert_eq!(result["data"]["__schema"]["queryType"]["name"], "Query");
    assert_eq!(world.data("{ __typename ... on Query { __typename } }").await["__typename"], "Query");
}

#[test]
fn fields_that_the_supergraph_defines_are_omitted_by_default() {
    let result = of_federation(&shipped());
    for gone in ["  node(", "  nodes(", "  user(", "  viewer", "_sdl", "type Viewer", "enum ViewerRole"] {
        assert!(!result.contains(gone), "{gone}");
    }
    for there in
        ["interface Node", "usersByIds(", "type User @key(fields: \"id\")", "type PageInfo @shareable"]
    {
        assert!(result.contains(there), "{there}");
    }
    let whole = of_federation(&settings_with("2.9", ""));
    for back in ["  node(", "  nodes(", "  user(", "  viewer", "_sdl", "type Viewer", "enum ViewerRole"] {
        assert!(whole.contains(back), "{back}");
    }
    // Composition defines these itself.
    assert!(!whole.contains("_entities") && !whole.contains("_service") && !whole.contains("_Any"));
}

#[test]
fn only_used_directives_are_imported() {
    let import = |version| {
        let result = of_federation(&settings_with(version, "node"));
        result.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(
        import("2.9"),
        "extend schema @link(url: \"https://specs.apollo.dev/federation/v2.9\", \
         import: [\"@cost\", \"@key\", \"@listSize\", \"@shareable\", \"@tag\"])"
    );
    // This version has no `@cost`.
    assert_eq!(
        import("2.8"),
        "extend schema @link(url: \"https://specs.apollo.dev/federation/v2.8\", \
         import: [\"@key\", \"@shareable\", \"@tag\"])"
    );
}

#[test]
fn cache_tags_need_a_version_that_has_them() {
    assert!(!of_federation(&settings_with("2.11", "")).contains("@cacheTag"));
    let result = of_federation(&settings_with("2.12", ""));
    assert!(result.lines().next().unwrap().contains("\"@cacheTag\""), "{result}");
    for tagged in [
        "type Provider implements Node @key(fields: \"id\") @cacheTag(format: \"providers\") @cacheTag(format: \"provider-{$key.id}\")",
        "IntegrationHealth! @cacheTag(format: \"providers\") @cacheTag(format: \"accounts\")",
    ] {
        assert!(result.contains(tagged), "{tagged} in {result}");
    }
}

#[test]
fn authorization_is_stated_only_if_the_setting_is_on() {
    let settings = |version| FederationSettings { authorization: true, ..settings_with(version, "") };
    for without in [of_federation(&shipped()), of_federation(&settings("2.4"))] {
        assert!(!without.contains("@authenticated") && !without.contains("@requiresScopes"), "{without}");
    }
    let result = of_federation(&settings("2.9"));
    let fields = |root: &str| {
        let (_, after) = result.split_once(&format!("type {root} {{")).unwrap();
        let (fields, _) = after.split_once("\n}").unwrap();
        fields.lines().filter(|line| line.contains("@authenticated")).count()
    };
    assert_eq!([fields("Query"), fields("Mutation"), fields("Subscription")], [16, 7, 2], "{result}");
    assert!(result.contains("@authenticated @requiresScopes(scopes: [[\"switchboard:admin\"]])"), "{result}");
    assert_eq!(result.matches("@requiresScopes(").count(), 1);
}

#[test]
fn unknown_version_or_field_is_refused_by_name() {
    use switchboard::graphql::federation::{FederationVersion, RootFields};
    for version in ["", "2", "1.0", "v2.9", "2.x", "2.9.1", "2.-1", "2.300", "2.09", "2.+9", "2. 9"] {
        let refused = FederationVersion::try_from(version.to_owned()).unwrap_err();
        assert!(refused.contains(&format!("{version:?}")), "{refused}");
    }
    let refused = RootFields::try_from("node, usr".to_owned()).unwrap_err();
    assert_eq!(refused, "`usr` is not a root field of queries");
    assert!(RootFields::try_from(" user ,, node,".to_owned()).is_ok());
    let schema = apollo_compiler::Schema::parse(sdl(), "schema").unwrap();
    let all: Vec<_> = schema.get_object("Query").unwrap().fields.keys().map(|name| name.as_str()).collect();
    assert!(all.contains(&"providers") && all.contains(&"upstreams"), "{all:?}");
    let refused = RootFields::try_from(format!("{}, _sdl", all.join(", "))).unwrap_err();
    assert_eq!(refused, "nothing would be left of queries");
}

/// The coordinates with a directive, each with the directive's argument.
fn coordinates_with(directive: &str) -> Vec<String> {
    let text = of_federation(&shipped());
    let mut within = "";
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(words) = line.strip_prefix("type ").or_else(|| line.strip_prefix("input ")) {
            within = words.split(' ').next().unwrap_or_default();
        } else if let Some((field, after)) = line.split_once(&format!(" @{directive}(")) {
            let name = field.trim().split(['(', ':']).next().unwrap_or_default();
            let argument = after.split(')').next().unwrap_or_default();
            found.push(format!("{within}.{name} {argument}"));
        }
    }
    found.sort_unstable();
    found
}

#[test]
fn account_owner_fields_have_one_tag() {
    let personal = [
        "AuthConfigAccountFilter.userIds",
        "ConnectedAccount.alias",
        "ConnectedAccount.displayName",
        "ConnectedAccount.state",
        "ConnectedAccount.user",
        "ConnectedAccount.userId",
        "ConnectedAccount.wordId",
        "ConnectedAccountFilter.userIds",
        "Provider.accountId",
        "Provider.displayName",
        "Provider.errorMessage",
        "ProviderAccountFilter.userIds",
        "ProviderFilter.search",
        "Query.usersByIds",
        "User.connectedAccounts",
    ];
    let mut expected: Vec<_> = personal.iter().map(|place| format!("{place} name: \"personal\"")).collect();
    expected
        .extend(["Mutation.refresh", "Query.upstreams"].map(|place| format!("{place} name: \"operations\"")));
    expected.sort_unstable();
    assert_eq!(coordinates_with("tag"), expected);
}

#[test]
fn expensive_fields_have_a_cost() {
    let costs = coordinates_with("cost");
    for result in [
        "ConnectedAccountConnection.statusCounts weight: 80",
        "ConnectedAccountConnection.totalCount weight: 10",
        "IntegrationHealth.accountCounts weight: 80",
        "IntegrationHealth.accountsNeedingAttention weight: 10",
        "IntegrationHealth.providerCounts weight: 10",
        "Mutation.createConnectLink weight: 10",
        "Mutation.refresh weight: 20",
        "Mutation.renameAccount weight: 20",
        "Provider.disagreement weight: 20",
    ] {
        assert!(costs.contains(&result.to_owned()), "{result} in {costs:?}");
    }
    let page = ["ProviderConnection.totalCount", "ProviderConnection.nodes", "ProviderEdge.node"];
    assert!(!costs.iter().any(|cost| page.iter().any(|free| cost.starts_with(free))), "{costs:?}");
    let sizes = coordinates_with("listSize");
    for root in ["connectedAccountsByIds", "providersByIds", "toolkitsBySlugs", "usersByIds"] {
        assert!(sizes.contains(&format!("Query.{root} assumedSize: 1000")), "{root} in {sizes:?}");
    }
}
