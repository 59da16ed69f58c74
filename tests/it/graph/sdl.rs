//! The schema as others read it: in files that the repository keeps, as it is printed, and as a gateway is told it.

use serde_json::json;
use switchboard::graphql::federation::{self, FederationSettings};
use switchboard::graphql::schema::sdl;
use switchboard::graphql::stitching;

use crate::world::{Setup, World, tenant_a};

fn file(path: &str) -> String {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap_or_default()
}

fn shipped() -> FederationSettings {
    Setup::default().config.federation
}

fn of_federation(settings: &FederationSettings) -> String {
    federation::sdl(settings, &Setup::default().config.connections)
}

fn set(version: &str, left_out: &str) -> FederationSettings {
    FederationSettings {
        version: version.to_owned().try_into().unwrap(),
        left_out: left_out.to_owned().try_into().unwrap(),
    }
}

#[test]
fn the_files_of_the_repository_are_the_schema_that_is_served() {
    for (path, served) in [
        ("schema.graphql", sdl()),
        ("tests/it/graph/sdl/federation.graphql", of_federation(&shipped())),
        ("tests/it/graph/sdl/stitching.graphql", stitching::sdl()),
    ] {
        assert!(
            file(path) == served,
            "{path} is not what the code serves: run `make schema`, and look at the difference"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn gateways_are_told_the_same_texts() {
    let world = World::new();
    let data = world.data("{ _service { sdl } _sdl }").await;
    assert_eq!(data["_service"]["sdl"], of_federation(&shipped()));
    assert_eq!(data["_sdl"], stitching::sdl());

    let mut setup = Setup::default();
    setup.config.federation = set("2.3", "");
    let expected = of_federation(&setup.config.federation);
    let data = World::of(setup).data("{ _service { sdl } }").await;
    assert_eq!(data["_service"]["sdl"], expected);
}

#[tokio::test(start_paused = true)]
async fn what_gateways_ask_is_not_shown_to_people() {
    let world = World::new();
    let query = "{ __schema { types { name } queryType { name fields { name } } } }";
    let told = world.ask_as(tenant_a(), query, json!({})).await;
    let text = told["data"]["__schema"].to_string();
    for hidden in ["_entities", "_service", "_sdl", "_Any", "_Entity", "_Service", "QueryOf"] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
        assert!(!sdl().contains(hidden), "{hidden}");
    }
    assert_eq!(told["data"]["__schema"]["queryType"]["name"], "Query");
    assert_eq!(world.data("{ __typename ... on Query { __typename } }").await["__typename"], "Query");
}

#[test]
fn what_the_owner_of_a_larger_graph_has_itself_is_left_out_unless_it_is_set() {
    let told = of_federation(&shipped());
    for gone in ["  node(", "  nodes(", "  user(", "  viewer", "_sdl", "type Viewer", "enum ViewerRole"] {
        assert!(!told.contains(gone), "{gone}");
    }
    for there in
        ["interface Node", "usersByIds(", "type User @key(fields: \"id\")", "type PageInfo @shareable"]
    {
        assert!(told.contains(there), "{there}");
    }
    let whole = of_federation(&set("2.9", ""));
    for back in ["  node(", "  nodes(", "  user(", "  viewer", "_sdl", "type Viewer", "enum ViewerRole"] {
        assert!(whole.contains(back), "{back}");
    }
    // A composer has them of its own.
    assert!(!whole.contains("_entities") && !whole.contains("_service") && !whole.contains("_Any"));
}

#[test]
fn only_what_is_used_is_imported() {
    let import = |version| {
        let told = of_federation(&set(version, "node"));
        told.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(
        import("2.9"),
        "extend schema @link(url: \"https://specs.apollo.dev/federation/v2.9\", \
         import: [\"@cost\", \"@key\", \"@listSize\", \"@shareable\", \"@tag\"])"
    );
    // It knows nothing of costs yet.
    assert_eq!(
        import("2.8"),
        "extend schema @link(url: \"https://specs.apollo.dev/federation/v2.8\", \
         import: [\"@key\", \"@shareable\", \"@tag\"])"
    );
}

#[test]
fn a_version_or_a_field_that_is_none_is_refused_by_its_name() {
    use switchboard::graphql::federation::{FederationVersion, RootFields};
    for version in ["", "2", "1.0", "v2.9", "2.x", "2.9.1", "2.-1", "2.300"] {
        let refused = FederationVersion::try_from(version.to_owned()).unwrap_err();
        assert!(refused.contains(&format!("{version:?}")), "{refused}");
    }
    let refused = RootFields::try_from("node, usr".to_owned()).unwrap_err();
    assert_eq!(refused, "`usr` is no root field of queries");
    assert!(RootFields::try_from(" user ,, node,".to_owned()).is_ok());
}
