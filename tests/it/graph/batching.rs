//! Many parents in few calls, never with an unnoticed short list: on uniform, skewed and random data.

use std::sync::LazyLock;

use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;
use serde_json::{Value, json};
use switchboard::sandbox::{Account, Scenario, Settings, Tenant};

use crate::world::{LONGEST_TTL, PAGE_ROWS, PROVIDERS, World, list, strings_at};

fn nested_query(providers: usize, accounts: usize) -> String {
    format!(
        "{{ providers(first: {providers}) {{ nodes {{ id toolkits {{ slug }} connectedAccounts(first: {accounts}) {{ nodes {{ id toolkit {{ slug }} createdAt }} }} }} }} }}"
    )
}

/// Checks each provider's accounts against the sandbox's data and returns their counts.
fn checked_counts(world: &World, data: &Value, first: usize) -> Vec<usize> {
    let accounts: Vec<_> = world.sandbox.accounts(Tenant::A).into_iter().filter(|a| !a.shared).collect();
    let providers = data["providers"]["nodes"].as_array().unwrap();
    let length = |provider: &Value| {
        let slugs = strings_at(provider, "toolkits.*.slug");
        let of = accounts.iter().filter(|a| slugs.iter().any(|slug| slug == a.toolkit));
        let expected: Vec<_> = of.take(first).map(|a| a.created_at.to_string()).collect();
        assert_eq!(strings_at(provider, "connectedAccounts.nodes.*.createdAt"), expected, "{slugs:?}");
        expected.len()
    };
    providers.iter().map(length).collect()
}

#[tokio::test(start_paused = true)]
async fn uniform_data_is_read_with_the_fewest_possible_pages() {
    for (providers, first, calls) in [(100, 3, 1), (20, 3, 1), (20, 5, 1), (20, 10, 2)] {
        let world = World::new();
        let data = world.data(&nested_query(providers, first)).await;
        checked_counts(&world, &data, first);
        let made = world.calls();
        assert_eq!(made.len(), 1 + calls, "{providers} providers, {first} each: {made:#?}");
        assert_eq!(made[0], PROVIDERS);
    }
}

#[tokio::test(start_paused = true)]
async fn on_skewed_data_every_provider_gets_its_accounts() {
    let world = World::with_sandbox(Scenario::Skewed.settings(Settings::default()));
    Scenario::Skewed.arrange(&world.sandbox);
    let query = "{ providers(first: 20) { nodes { connectedAccounts(first: 10) { nodes { id } } } } }";
    let data = world.data(query).await;
    for provider in data["providers"]["nodes"].as_array().unwrap() {
        assert_eq!(strings_at(provider, "connectedAccounts.nodes.*.id").len(), 10);
    }
    let skewed = [
        "dropbox",
        "gmail",
        "googlecalendar",
        "googledrive",
        "googlesuper",
        "jumpcloud",
        "linkedin",
        "discord",
        "calendly",
        "mailchimp",
    ];
    let calls = world.calls();
    // Two batches. gmail alone fills its page, and the remaining parents fit into one more.
    assert_eq!(calls.len(), 4, "{calls:#?}");
    assert_eq!(calls[0], PROVIDERS);
    let asked = |call: &str, slug: &str| {
        call.split(['=', '&', '%']).any(|part| part.trim_start_matches("2C") == slug)
    };
    assert!(skewed.iter().all(|slug| asked(&calls[1], slug)), "{}", calls[1]);
    assert!(!asked(&calls[3], "gmail") && asked(&calls[3], "googlecalendar"), "{}", calls[3]);

    world.advance(LONGEST_TTL).await;
    for (first, most) in [(1, 1), (3, 1), (10, 2), (50, 10), (100, 20)] {
        world.advance(LONGEST_TTL).await;
        world.calls();
        let data = world.data(&nested_query(20, first)).await;
        assert_eq!(checked_counts(&world, &data, first), vec![first; 20]);
        let calls = world.calls().len();
        assert!(calls <= 1 + most + 19, "{first} each took {calls} calls");
    }
}

#[tokio::test(start_paused = true)]
async fn later_pages_of_a_completely_read_list_cost_no_call() {
    let world = World::with_sandbox(Settings { accounts: 60, ..Settings::default() });
    let query = r#"{ toolkitsBySlugs(slugs: ["gmail", "zoom", "unknown"]) { connectedAccounts(first: 1) { nodes { id } pageInfo { hasNextPage } totalCount } } }"#;
    let data = world.data(query).await;
    assert_eq!(world.calls(), [list(&["toolkit_slugs=gmail%2Cunknown%2Czoom"])]);
    assert_eq!(
        data["toolkitsBySlugs"][2]["connectedAccounts"],
        json!({ "nodes": [], "pageInfo": { "hasNextPage": false }, "totalCount": 0 })
    );
    let query = r#"{ toolkit(slug: "zoom") { connectedAccounts { nodes { id } totalCount } } }"#;
    let data = world.data(query).await["toolkit"]["connectedAccounts"].take();
    assert_eq!(data["totalCount"], strings_at(&data, "nodes.*.id").len());
    assert_eq!(world.calls(), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn unreadable_rows_are_counted() {
    let world = World::with_sandbox(Settings { accounts: 60, ..Settings::default() });
    Scenario::Drift.arrange(&world.sandbox);
    let query = r#"{ toolkitsBySlugs(slugs: ["gmail", "zoom", "slack"]) { slug connectedAccounts(first: 1) { totalCount } } }"#;
    let data = world.data(query).await;
    for toolkit in data["toolkitsBySlugs"].as_array().unwrap() {
        let accounts = world.sandbox.accounts(Tenant::A).into_iter();
        let own = accounts.filter(|account| !account.shared && toolkit["slug"] == account.toolkit);
        assert_eq!(toolkit["connectedAccounts"]["totalCount"], own.count(), "{toolkit}");
    }
}

const TOOLKITS: [&str; 7] = ["gmail", "outlook", "slack", "slackbot", "zoom", "googlecalendar", "stripe"];

/// Providers of one toolkit, of two, of shared toolkits, and of none.
const NAMES: [(&str, &str); 8] = [
    ("email", "gmail"),
    ("email", "microsoft"),
    ("channels", "email"),
    ("channels", "slack"),
    ("channels", "zoom"),
    ("calendar", "google"),
    ("billing", "stripe"),
    ("crm", "hubspot"),
];

fn world(accounts: &[Account], page_rows: usize) -> World {
    let world = World::with_accounts(accounts.to_vec(), page_rows);
    let row =
        |(category, name): &(&str, &str)| json!({ "category": category, "name": name, "account_id": name });
    world.sandbox.change_providers(Tenant::A, |rows| *rows = NAMES.iter().map(row).collect());
    world
}

/// A few runs of accounts of one toolkit each, some long and some with equal times.
fn accounts() -> impl Strategy<Value = Vec<Account>> {
    let run = (0..TOOLKITS.len(), 1..25usize, 0..2i64);
    prop::collection::vec(run, 0..8).prop_map(|runs| {
        let mut at: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
        let mut accounts = Vec::new();
        for (toolkit, length, seconds) in runs {
            for _ in 0..length {
                let id = format!("ca_{}", accounts.len());
                accounts.push(Account::new(&id, TOOLKITS[toolkit], "user_1", at));
                at -= seconds.seconds();
            }
        }
        accounts
    })
}

const PART: &str = "nodes { connectedAccountId } edges { cursor } totalCount";

fn batched_is_single(accounts: &[Account], page_rows: usize, first: usize, is_next_asked: bool) {
    static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
    });
    let part = if is_next_asked {
        format!("{PART} pageInfo {{ hasNextPage hasPreviousPage }}")
    } else {
        PART.to_owned()
    };
    let connection = format!("connectedAccounts(first: {first}) {{ {part} }}");
    RUNTIME.block_on(async {
        let together = world(accounts, page_rows);
        let data = together.data(&format!("{{ providers {{ nodes {{ id {connection} }} }} }}")).await;
        for provider in data["providers"]["nodes"].as_array().unwrap() {
            let alone = world(accounts, page_rows);
            let query = format!("query ($id: ID!) {{ provider(id: $id) {{ id {connection} }} }}");
            let mut single = alone.data_with(&query, json!({ "id": provider["id"] })).await;
            let (mut single, mut batched) = (single["provider"].take(), provider.clone());
            // A cursor names the upstream page on which it was made, so cursors are compared by what follows
            // them.
            let cursors = [&mut single, &mut batched].map(|one| one["connectedAccounts"]["edges"].take());
            assert_eq!(single, batched);
            let query = format!("query ($id: ID!, $after: String) {{ provider(id: $id) {{ connectedAccounts(first: 100, after: $after) {{ {PART} }} }} }}");
            let mut rests = Vec::new();
            for cursor in cursors.iter().filter_map(|edges| edges.as_array().unwrap().last()) {
                let variables = json!({ "id": provider["id"], "after": cursor["cursor"] });
                rests.push(strings_at(&alone.data_with(&query, variables).await, "provider.connectedAccounts.nodes.*.connectedAccountId"));
            }
            assert!(rests.iter().all(|rest| *rest == rests[0]));
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn batched_parents_equal_single_parents(
        accounts in accounts(), page_rows in 4..12usize, first in 1..9usize, is_next_asked: bool,
    ) {
        batched_is_single(&accounts, page_rows, first, is_next_asked);
    }
}

#[test]
fn page_as_long_as_the_upstreams_is_correct() {
    let at: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
    let accounts: Vec<_> = (0..450)
        .map(|n| {
            Account::new(
                &format!("ca_{n}"),
                TOOLKITS[if n < 300 { 0 } else { n % 7 }],
                "user_1",
                at - (n as i64).minutes(),
            )
        })
        .collect();
    batched_is_single(&accounts, PAGE_ROWS, 20, true);
}
