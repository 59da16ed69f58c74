//! No operation makes more upstream calls than its cost estimate, even from an empty cache. An operation with
//! an estimate of zero calls makes none.
//!
//! Random selections over every field that calls an upstream, with random pages, over uniform or skewed data,
//! in a workspace with the maximum number of integrations per toolkit, whose accounts name their users or do not.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value, json};
use switchboard::config::{ApiKeys, Config, ConfigSources};
use switchboard::operation::settings::LimitSettings;
use switchboard::sandbox::{self, Tenant};

use super::expected_lists::{Accounts, accounts};
use super::{cases, one_tenth, with_paused_clock};
use crate::world::{World, at, global_id, only_error, tenant_a};

/// More expensive operations are refused anyway and would only take long.
const CALLS_MOST: u32 = 400;

/// The maximum number of integrations of one toolkit: `connections.toolkit_providers_max`.
const TOOLKIT_PROVIDERS_MAX: usize = 25;

fn limits() -> LimitSettings {
    let shipped =
        Config::load(ConfigSources { keys: ApiKeys::Optional, ..ConfigSources::default() }).unwrap();
    assert_eq!(shipped.connections.toolkit_providers_max, TOOLKIT_PROVIDERS_MAX);
    LimitSettings {
        upstream_calls: CALLS_MOST.into(),
        complexity: 200_000,
        aliases: 10_000,
        ..shipped.limits
    }
}

/// Writes a random selection. Each choice uses the next number, and 0 after the last.
struct Writer {
    choices: std::vec::IntoIter<u8>,
    names: usize,
}

impl Writer {
    fn choose(&mut self, ways: usize) -> usize {
        usize::from(self.choices.next().unwrap_or(0)) % ways
    }

    fn some(&mut self, mut item: impl FnMut(&mut Self) -> String) -> String {
        let mut text = String::from("__typename");
        for _ in 0..self.choose(3) {
            self.names += 1;
            let name = self.names;
            let _ = write!(text, " f{name}: {}", item(self));
        }
        text
    }

    /// Accounts of an object that is no user.
    fn accounts(&mut self, levels: usize) -> String {
        let filter = match self.choose(8) {
            1 | 2 => ", filter: { statuses: [ACTIVE, EXPIRED] }",
            3 => ", filter: { statuses: [FAILED], accountType: ALL }",
            4 => ", filter: { userIds: [\"user_1\", \"user_2\"] }",
            5 => ", filter: { userIds: [\"user_1\", \"user_3\", \"user_4\", \"unknown\"], accountType: ALL }",
            _ => "",
        };
        self.filtered_accounts(levels, filter)
    }

    fn accounts_of_user(&mut self, levels: usize) -> String {
        let filter = match self.choose(6) {
            1 => ", filter: { statuses: [ACTIVE, EXPIRED] }",
            2 => ", filter: { statuses: [FAILED], accountType: ALL }",
            _ => "",
        };
        self.filtered_accounts(levels, filter)
    }

    fn filtered_accounts(&mut self, levels: usize, filter: &str) -> String {
        const PAGES: [&str; 9] = [
            "first: 1",
            "first: 3",
            "last: 2",
            "first: 10",
            "first: 33",
            "last: 50",
            "first: 100",
            "first: 0",
            "first: 20",
        ];
        let page = PAGES[self.choose(PAGES.len())];
        let order = if self.choose(4) == 1 { ", orderBy: { field: UPDATED_AT, direction: ASC }" } else { "" };
        let counts =
            ["", "totalCount", "statusCounts { count }", "totalCount statusCounts { count }"][self.choose(4)];
        let more = ["", "pageInfo { hasNextPage hasPreviousPage }"][self.choose(2)];
        let nodes = self.some(|writer| writer.of_account(levels));
        format!("connectedAccounts({page}{filter}{order}) {{ {counts} {more} nodes {{ {nodes} }} }}")
    }

    fn of_account(&mut self, levels: usize) -> String {
        match (levels, self.choose(4)) {
            (0, _) => "userId".to_owned(),
            (_, 0) => format!("providers {{ {} }}", self.some(|writer| writer.of_provider(levels - 1))),
            (_, 1) => format!("toolkit {{ {} }}", self.some(|writer| writer.of_toolkit(levels - 1))),
            (_, 2) => format!("user {{ {} }}", self.some(|writer| writer.accounts_of_user(levels - 1))),
            _ => format!("authConfig {{ {} }}", self.some(|writer| writer.accounts(levels - 1))),
        }
    }

    fn of_provider(&mut self, levels: usize) -> String {
        match (levels, self.choose(3)) {
            (0, _) => "name".to_owned(),
            (_, 0) => format!("toolkits {{ {} }}", self.some(|writer| writer.of_toolkit(levels - 1))),
            _ => self.accounts(levels - 1),
        }
    }

    fn of_toolkit(&mut self, levels: usize) -> String {
        match (levels, self.choose(4)) {
            (0, _) => "slug".to_owned(),
            (_, 0) => format!("providers {{ {} }}", self.some(|writer| writer.of_provider(levels - 1))),
            (_, 3) => "name".to_owned(),
            _ => self.accounts(levels - 1),
        }
    }

    fn root(&mut self) -> String {
        const LEVELS: usize = 3;
        let id = format!("ca_{}", self.choose(120));
        match self.choose(9) {
            0 => self.accounts(LEVELS),
            1 | 2 => {
                let first = [1, 3, 10, 100][self.choose(4)];
                let nodes = self.some(|writer| writer.of_provider(LEVELS));
                format!("providers(first: {first}) {{ totalCount nodes {{ {nodes} }} }}")
            }
            3 => format!("toolkit(slug: \"gmail\") {{ {} }}", self.some(|writer| writer.of_toolkit(LEVELS))),
            4 => {
                let all = self.some(|writer| writer.of_toolkit(LEVELS));
                format!("toolkitsBySlugs(slugs: [\"gmail\", \"slack\", \"notion\"]) {{ {all} }}")
            }
            5 => format!(
                "connectedAccount(id: \"{id}\") {{ {} }}",
                self.some(|writer| writer.of_account(LEVELS))
            ),
            6 => {
                let all = self.some(|writer| writer.of_account(LEVELS));
                format!("connectedAccountsByIds(ids: [\"{id}\", \"ca_1\", \"ca_2\"]) {{ {all} }}")
            }
            7 => {
                let all = self.some(|writer| writer.accounts_of_user(LEVELS));
                format!("usersByIds(ids: [\"user_1\", \"user_2\", \"unknown\"]) {{ {all} }}")
            }
            _ => {
                let all = self.some(|writer| writer.of_account(LEVELS));
                let id = global_id("ConnectedAccount", &id);
                format!("node(id: \"{id}\") {{ __typename ... on ConnectedAccount {{ {all} }} }}")
            }
        }
    }
}

/// A workspace in which `gmail` has this many integrations.
fn with_mailboxes(world: &World, mailboxes: usize) {
    world.sandbox.change_providers(Tenant::A, |rows| {
        let mailbox = rows.iter().find(|row| row["name"] == "gmail").unwrap().clone();
        rows.retain(|row| row["name"] != "gmail" && row["category"] != "channels");
        rows.extend((0..mailboxes).map(|number| {
            let mut row = mailbox.clone();
            row["account_id"] = json!(format!("{number}@example.com"));
            row
        }));
    });
}

async fn check_cost(accounts: Accounts, choices: Vec<u8>, mailboxes: usize, without_user_id: bool) {
    let settings = sandbox::Settings { accounts: 0, without_user_id, ..sandbox::Settings::default() };
    let world = World::with_sandbox(settings).with_limits(limits());
    world.sandbox.change_accounts(Tenant::A, |rows| *rows = accounts.to_vec());
    with_mailboxes(&world, mailboxes);
    let mut writer = Writer { choices: choices.into_iter(), names: 0 };
    let query = format!("{{ {} }}", writer.some(Writer::root));
    let answer = world.query_traced(tenant_a(), &query, true).await;
    let mut made = world.calls();
    // The probe of the filter by user is hourly, and in no operation's cost.
    made.retain(|call| !call.contains("switchboard-probe"));
    if answer.get("data").is_none() {
        assert_eq!(answer["errors"][0]["extensions"]["code"], "LIMIT_EXCEEDED", "{query}: {answer}");
        assert_eq!(made, [] as [&str; 0], "{query}");
        return;
    }
    assert_eq!(answer.get("errors"), None, "{query}: {answer}");
    let cost = at(&answer, "extensions.cost.upstreamCalls").as_u64().unwrap();
    assert!(
        made.len() as u64 <= cost,
        "{cost} was its computed cost, {} calls made by {query}: {made:#?}",
        made.len()
    );
}

proptest! {
    #![proptest_config(one_tenth(cases()))]

    #[test]
    fn no_selection_makes_more_calls_than_its_cost(
        accounts in accounts(), choices in proptest::collection::vec(any::<u8>(), 0..150),
        mailboxes in 0..=TOOLKIT_PROVIDERS_MAX, without_user_id: bool,
    ) {
        with_paused_clock(check_cost(accounts, choices, mailboxes, without_user_id));
    }
}

#[tokio::test(start_paused = true)]
async fn toolkit_with_too_many_integrations_is_refused_at_its_path() {
    let world = World::new().with_limits(limits());
    let query = "{ toolkit(slug: \"gmail\") { slug providers { name } } }";
    with_mailboxes(&world, TOOLKIT_PROVIDERS_MAX);
    let answer = world.query(query).await;
    assert_eq!(
        at(&answer["data"], "toolkit.providers").as_array().map(Vec::len),
        Some(TOOLKIT_PROVIDERS_MAX)
    );
    let world = World::new().with_limits(limits());
    with_mailboxes(&world, TOOLKIT_PROVIDERS_MAX + 1);
    let answer = world.query(query).await;
    assert_eq!(answer["data"]["toolkit"], json!({ "slug": "gmail", "providers": Value::Null }));
    let error = only_error(&answer);
    assert_eq!(error["extensions"], json!({ "code": "LIMIT_EXCEEDED", "reason": "TOOLKIT_PROVIDERS" }));
    assert_eq!(
        error["message"],
        format!(
            "The toolkit has {} integrations of the workspace, but at most {TOOLKIT_PROVIDERS_MAX} are listed here. Query the \
             root field `providers`, which has pages.",
            TOOLKIT_PROVIDERS_MAX + 1
        )
    );
}
