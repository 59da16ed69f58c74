//! The schema as others read it.

use switchboard::graphql::schema::sdl;

#[test]
fn the_file_at_the_root_is_the_schema_that_is_served() {
    let file =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql")).unwrap_or_default();
    assert!(
        file == sdl(),
        "schema.graphql is not what the code serves: run `make schema`, and look at the difference"
    );
}
