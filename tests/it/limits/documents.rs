//! Limits that depend on the document alone.

use serde_json::{Value, json};
use switchboard::operation::settings::LimitSettings;

use super::{refused, shipped, world};
use crate::world::{World, only_error};

const INTROSPECTION: [&str; 2] =
    [include_str!("introspection_of_graphiql.graphql"), include_str!("introspection_of_older_tools.graphql")];

#[tokio::test(start_paused = true)]
async fn introspection_of_common_tools_is_allowed() {
    let world = world();
    for query in INTROSPECTION {
        let data = world.data(query).await;
        assert!(data["__schema"]["types"].as_array().unwrap().len() > 40);
    }
}

#[tokio::test(start_paused = true)]
async fn introspection_can_be_disabled_and_typename_still_works() {
    let world = World::new().with_limits(LimitSettings { introspection: false, ..shipped() });
    for query in [
        INTROSPECTION[0],
        "{ __type(name: \"Query\") { name } }",
        "{ ... { a: __schema { description } } }",
        "{ _service { sdl } }",
        "{ text: _sdl }",
    ] {
        let answer = world.query(query).await;
        let error = only_error(&answer);
        assert_eq!(
            error["extensions"],
            json!({ "code": "GRAPHQL_VALIDATION_FAILED", "reason": "INTROSPECTION_OFF" })
        );
        assert!(error["message"].as_str().unwrap().ends_with("is not available."), "{error}");
    }
    assert_eq!(world.data("{ __typename }").await["__typename"], "Query");
}

#[tokio::test(start_paused = true)]
async fn suggestions_can_be_disabled() {
    let typo = "{ providres { totalCount } }";
    let response = world().query(typo).await;
    assert_eq!(
        only_error(&response)["message"],
        "Cannot query field \"providres\" on type \"Query\". Did you mean \"providers\" or \"provider\"?"
    );
    let quiet = World::new().with_limits(LimitSettings { suggestions: false, ..shipped() });
    let response = quiet.query(typo).await;
    assert_eq!(only_error(&response)["message"], "Cannot query field \"providres\" on type \"Query\".");
}

/// A query with this depth that alternates between accounts and providers.
fn deep(levels: usize) -> String {
    let steps = ["connectedAccounts", "nodes", "providers"];
    let path: String = steps.iter().cycle().take(levels - 3).map(|step| format!("{step} {{ ")).collect();
    format!("{{ providers(first: 0) {{ nodes {{ {path} __typename {} }} }} }}", "}".repeat(levels - 3))
}

#[tokio::test(start_paused = true)]
async fn depth_counts_fields_inside_fragments() {
    let world = world();
    world.data(&deep(15)).await;
    world.calls();
    let (reason, sentence, at) = refused(&world, &deep(16), json!({})).await;
    assert_eq!(reason, "DEPTH");
    assert_eq!(
        sentence,
        "The operation nests fields 16 levels deep; 15 are allowed, and `__typename` lies beyond them. Split it into several."
    );
    assert_eq!(at.as_array().unwrap().len(), 1);

    let inner = deep(16);
    let inner = inner.trim_start_matches("{ providers(first: 0) { nodes {").trim_end_matches("} } }");
    let through = format!(
        "{{ providers(first: 0) {{ nodes {{ ...Inner }} }} }} fragment Inner on Provider {{ {inner} }}"
    );
    let (reason, _, _) = refused(&world, &through, json!({})).await;
    assert_eq!(reason, "DEPTH", "{through}");
}

#[tokio::test(start_paused = true)]
async fn aliases_and_directives_count_for_each_fragment_spread() {
    let world = world();
    let aliases = |count: usize| (0..count).map(|i| format!("a{i}: __typename ")).collect::<String>();
    world.data(&format!("{{ {} }}", aliases(100))).await;
    let (reason, sentence, at) = refused(&world, &format!("{{ {} }}", aliases(101)), json!({})).await;
    assert_eq!(reason, "ALIASES");
    assert_eq!(
        sentence,
        "The operation has 101 aliases, fragments spread out; 100 are allowed. Use a field for many ids, or several operations."
    );
    assert_eq!(at[0]["line"], 1);
    let twice = format!("{{ ...F ... {{ ...F }} }} fragment F on Query {{ {} }}", aliases(51));
    assert!(refused(&world, &twice, json!({})).await.1.contains("102 aliases"));

    let directives = |count: usize| "... @skip(if: true) { __typename } ".repeat(count);
    let (reason, sentence, _) = refused(&world, &format!("{{ {} }}", directives(51)), json!({})).await;
    assert_eq!(reason, "DIRECTIVES");
    assert_eq!(
        sentence,
        "The operation has 51 directives, fragments spread out; 50 are allowed. Remove some, or use several operations."
    );
}

#[tokio::test(start_paused = true)]
async fn documents_are_read_up_to_the_token_limit() {
    let world = world();
    let long = format!("{{ {} }}", "__typename ".repeat(8_000));
    for text in [long, "{".repeat(20_000), "#\n".repeat(20_000)] {
        let (reason, sentence, _) = refused(&world, &text, json!({})).await;
        assert_eq!(reason, "TOKENS");
        assert_eq!(sentence, "The document has more than 15000 tokens, white space and comments counted.");
    }
}

#[tokio::test(start_paused = true)]
async fn operations_per_document_are_limited() {
    let many: String = (0..51).map(|i| format!("query Q{i} {{ ...F }} ")).collect();
    let wrong: String = (0..500).map(|i| format!("x{i} ")).collect();
    let text = format!("{many} fragment F on Query {{ {wrong} }}");
    let (reason, sentence, _) = refused(&world(), &text, json!({})).await;
    assert_eq!(reason, "OPERATIONS");
    assert_eq!(sentence, "The document has more than 50 operations.");
}

#[tokio::test(start_paused = true)]
async fn nested_introspection_lists_are_limited() {
    let world = world();
    let twice = "{ __schema { types { fields { type { fields { name } } } } } }";
    assert_ne!(world.data(twice).await["__schema"], Value::Null);
    let thrice = "{ __schema { types { ...T } } }
        fragment T on __Type { fields { type { possibleTypes { inputFields { name } } } } }";
    let (reason, sentence, at) = refused(&world, thrice, json!({})).await;
    assert_eq!(reason, "INTROSPECTION_DEPTH");
    assert!(sentence.ends_with("more than 2 deep, at `inputFields`."), "{sentence}");
    assert_eq!(at[0]["line"], 2);
    let flood: String = (0..90)
        .map(|i| {
            format!(
                "a{i}: __schema {{ types {{ fields {{ type {{ fields {{ name args {{ name }} }} }} }} }} }} "
            )
        })
        .collect();
    let (reason, _, _) = refused(&world, &format!("{{ {flood} }}"), json!({})).await;
    assert_eq!(reason, "COMPLEXITY");
}
