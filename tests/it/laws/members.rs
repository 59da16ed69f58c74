//! A member's responses depend only on its own accounts: not on other users' accounts, and not on other
//! callers' requests.
//!
//! Random data of two tenants, a random member among random callers, random queries over every root field.
//! The member's queries are repeated in a world without any other user. The responses must be equal byte for
//! byte, with cursors and errors. Before any other caller's request, the upstream calls must be equal too. An
//! ADMIN of that world must see exactly what the member sees, because hiding too much is also wrong.
//!
//! Both in a world whose upstream names the users of accounts, and in one that does not.
//!
//! If upstreams fail and values age, other callers' requests do change what a member gets: an older value, or
//! an error. Then the property is that no response has data of another user's accounts.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use switchboard::domain::caller::Caller;
use switchboard::domain::role::{MemberId, Role};
use switchboard::sandbox::{self, Account, EmulatedUpstream, Fault, Tenant};

use super::expected_lists::{self, Accounts, accounts};
use super::{cases, one_tenth, settle, with_paused_clock};
use crate::world::{Setup, World, global_id, tenant_a, tenant_b};

/// A caller: tenant and user, or an ADMIN if there is no user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CallerKind {
    of_b: bool,
    user: Option<u8>,
}

impl CallerKind {
    fn tenant(self) -> Tenant {
        if self.of_b { Tenant::B } else { Tenant::A }
    }

    fn user(self) -> Option<String> {
        self.user.map(|user| format!("user_{user}"))
    }

    fn caller(self) -> Caller {
        let mut caller = if self.of_b { tenant_b() } else { tenant_a() };
        if let Some(user) = self.user() {
            caller.role = Role::Member(MemberId::new(&user).unwrap());
        }
        caller
    }

    /// An ADMIN of the same tenant.
    fn admin(self) -> Caller {
        Self { user: None, ..self }.caller()
    }
}

/// Seven users, and one without accounts.
fn caller_kind() -> impl Strategy<Value = CallerKind> {
    (any::<bool>(), option::weighted(0.8, 0..8_u8)).prop_map(|(of_b, user)| CallerKind { of_b, user })
}

/// A root field, and the users that it requests by id, in order. `None` where an element is not a user.
#[derive(Debug, Clone)]
struct Root {
    text: String,
    users: Option<Vec<Option<String>>>,
}

fn root(text: String) -> Root {
    Root { text, users: None }
}

const FRAGMENTS: &str = "
fragment A on ConnectedAccount {
    id connectedAccountId wordId alias accountName: displayName userId status statusReason accountType createdAt
    state { withheld settings { name value } }
    user { id connectedAccounts(first: 2) { totalCount nodes { id userId } } }
    toolkit { slug providers { ...P } connectedAccounts(last: 2) { ...C } }
    authConfig { id connectedAccounts(first: 3) { ...C } }
    providers { ...P }
}
fragment P on Provider { id name status connected scopes accountId displayName errorMessage }
fragment C on ConnectedAccountConnection {
    totalCount isComplete pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    edges { cursor node { id userId status toolkit { slug } } }
}";

/// Fields of a provider that a member must not see, and fields that are not data.
const HIDDEN: [&str; 3] = ["accountId", "displayName", "errorMessage"];
const CURSORS: [&str; 3] = ["cursor", "startCursor", "endCursor"];

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn list(values: &[String]) -> String {
    format!("[{}]", values.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(", "))
}

/// User ids, and values that would widen an upstream's filter.
fn user() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => (0..8_u8).prop_map(|user| format!("user_{user}")),
        1 => select(vec!["", " ", ",", "user_1,user_2", "USER_1", "user_1 ", "*", "user_"]).prop_map(str::to_owned),
    ]
}

/// Upstream ids, of any user's accounts and of no account.
fn account_id() -> impl Strategy<Value = String> {
    (0..130_u8).prop_map(|number| format!("ca_{number}"))
}

fn ids() -> impl Strategy<Value = Vec<String>> {
    let own = account_id().prop_map(|id| global_id("ConnectedAccount", &id));
    vec(prop_oneof![account_id(), own], 0..20)
}

/// An account or user representation as a router sends it, and the user that it requests.
fn representation() -> impl Strategy<Value = (String, Option<String>)> {
    let of = |ty: &str, key: &str, value: &str| {
        format!("{{ __typename: {}, {key}: {} }}", quoted(ty), quoted(value))
    };
    prop_oneof![
        account_id().prop_map(move |id| (of("ConnectedAccount", "connectedAccountId", &id), None)),
        account_id().prop_map(move |id| {
            (of("ConnectedAccount", "id", &global_id("ConnectedAccount", &id)), None)
        }),
        user().prop_map(move |id| (of("User", "id", &id), Some(id))),
        Just(("{ __typename: \"Viewer\" }".to_owned(), None)),
    ]
}

fn page() -> impl Strategy<Value = String> {
    (any::<bool>(), 0..8_usize)
        .prop_map(|(first, size)| format!("{}: {size}", if first { "first" } else { "last" }))
}

fn order() -> impl Strategy<Value = &'static str> {
    select(vec!["", ", orderBy: { field: UPDATED_AT, direction: ASC }", ", orderBy: { field: CREATED_AT }"])
}

fn connection() -> impl Strategy<Value = String> {
    (page(), order(), option::weighted(0.5, vec(user(), 0..3)), any::<bool>()).prop_map(
        |(page, order, users, all)| {
            let users = users.map(|users| format!("userIds: {}", list(&users))).unwrap_or_default();
            let kind = if all { "accountType: ALL" } else { "" };
            format!(
                "connectedAccounts({page}{order}, filter: {{ {users} {kind} }}) {{ ...C nodes {{ ...A }} }}"
            )
        },
    )
}

fn accounts_root() -> impl Strategy<Value = Root> {
    let filter = (
        option::weighted(0.4, vec(user(), 0..3)),
        option::weighted(0.3, vec(select(expected_lists::slugs()), 0..4)),
        option::weighted(0.3, vec(account_id(), 0..9)),
        select(vec!["", "accountType: ALL", "accountType: SHARED", "statuses: [ACTIVE, EXPIRED]"]),
    );
    (page(), order(), filter).prop_map(|(page, order, (users, toolkits, ids, more))| {
        let of = |name: &str, values: Option<Vec<String>>| {
            values.map(|values| format!("{name}: {} ", list(&values))).unwrap_or_default()
        };
        let filter = of("userIds", users) + &of("toolkits", toolkits) + &of("ids", ids) + more;
        root(format!(
            "connectedAccounts({page}{order}, filter: {{ {filter} }}) {{
                ...C statusCounts {{ status count }} nodes {{ ...A }}
            }}"
        ))
    })
}

fn roots() -> impl Strategy<Value = Root> {
    let search = select(vec![
        "",
        "filter: { search: \"team\" }, ",
        "filter: { search: \"@\" }, ",
        "filter: { search: \"g\" }, ",
    ]);
    prop_oneof![
        4 => accounts_root(),
        1 => ids().prop_map(|ids| root(format!("connectedAccountsByIds(ids: {}) {{ ...A }}", list(&ids)))),
        1 => account_id().prop_map(|id| root(format!("connectedAccount(id: {}) {{ ...A }}", quoted(&id)))),
        1 => vec(account_id(), 0..9).prop_map(|ids| {
            let ids: Vec<_> = ids.iter().map(|id| global_id("ConnectedAccount", id)).collect();
            root(format!("nodes(ids: {}) {{ id ...A }}", list(&ids)))
        }),
        1 => account_id().prop_map(|id| {
            root(format!("node(id: {}) {{ id ...A }}", quoted(&global_id("ConnectedAccount", &id))))
        }),
        2 => (search, option::of(connection())).prop_map(|(search, connection)| {
            let connection = connection.unwrap_or_default();
            root(format!("providers({search}first: 6) {{ totalCount edges {{ cursor }} nodes {{ ...P {connection} }} }}"))
        }),
        2 => (vec(select(expected_lists::slugs()), 1..4), connection()).prop_map(|(slugs, connection)| {
            root(format!("toolkitsBySlugs(slugs: {}) {{ slug {connection} }}", list(&slugs)))
        }),
        1 => user().prop_map(|user| Root {
            text: format!("user(id: {}) {{ id connectedAccounts(first: 4) {{ ...C nodes {{ ...A }} }} }}", quoted(&user)),
            users: Some(vec![Some(user)]),
        }),
        1 => vec(user(), 0..5).prop_map(|users| Root {
            text: format!("usersByIds(ids: {}) {{ id connectedAccounts(last: 2) {{ ...C }} }}", list(&users)),
            users: Some(users.into_iter().map(Some).collect()),
        }),
        2 => vec(representation(), 0..9).prop_map(|of| {
            let (texts, users): (Vec<_>, Vec<_>) = of.into_iter().unzip();
            let user = "... on User { id connectedAccounts(first: 3) { ...C } }";
            Root {
                text: format!("_entities(representations: [{}]) {{ __typename ...A {user} }}", texts.join(", ")),
                users: Some(users),
            }
        }),
    ]
}

/// One operation: some root fields under distinct aliases.
#[derive(Debug, Clone)]
struct RandomQuery {
    roots: Vec<Root>,
    traced: bool,
}

impl RandomQuery {
    /// Fragments without a spread are a validation error.
    fn document(&self) -> String {
        let fields: Vec<_> =
            self.roots.iter().enumerate().map(|(place, root)| format!("r{place}: {}", root.text)).collect();
        let all = "spread: node(id: \"x\") @include(if: false) { ...A }";
        format!("query {{ {} {all} }} {FRAGMENTS}", fields.join("\n"))
    }
}

fn random_query() -> impl Strategy<Value = RandomQuery> {
    (vec(roots(), 1..3), prop::bool::weighted(0.1)).prop_map(|(roots, traced)| RandomQuery { roots, traced })
}

/// Whether the member sends the request, the other caller if not, and the request.
fn request_sequence() -> impl Strategy<Value = Vec<(bool, CallerKind, RandomQuery)>> {
    vec((any::<bool>(), caller_kind(), random_query()), 0..6)
}

/// The accounts of both tenants.
#[derive(Debug, Clone)]
struct Data([Accounts; 2]);

/// Whether the upstream's responses name the users of accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UserIds {
    Named,
    Hidden,
}

fn user_ids() -> impl Strategy<Value = UserIds> {
    select(vec![UserIds::Named, UserIds::Hidden])
}

fn world(data: &Data, user_ids: UserIds, page_rows: usize, keep: impl Fn(Tenant, &Account) -> bool) -> World {
    let without_user_id = user_ids == UserIds::Hidden;
    let settings = sandbox::Settings { accounts: 0, without_user_id, ..sandbox::Settings::default() };
    let world = World::with_network(settings, page_rows, |network| network);
    for (tenant, accounts) in [Tenant::A, Tenant::B].into_iter().zip(&data.0) {
        let kept = accounts.iter().filter(|account| keep(tenant, account)).cloned().collect();
        world.sandbox.change_accounts(tenant, |rows| *rows = kept);
    }
    world
}

/// A world without any user but this member.
fn alone(data: &Data, user_ids: UserIds, page_rows: usize, caller_kind: CallerKind) -> World {
    world(data, user_ids, page_rows, |tenant, account| {
        tenant == caller_kind.tenant() && Some(&account.user_id) == caller_kind.user().as_ref()
    })
}

async fn run_query(world: &World, caller: Caller, random_query: &RandomQuery) -> Value {
    world.query_traced(caller, &random_query.document(), random_query.traced).await
}

/// The calls to Composio since the last look: the path, and the `user_ids` filter. Apart from the calls that probe that
/// filter, which are returned as a number.
fn calls(world: &World) -> (Vec<(String, Option<String>)>, usize) {
    let requests = world.sandbox.requests().into_iter();
    let accounts = requests.filter(|request| request.upstream == EmulatedUpstream::Composio);
    let calls: Vec<_> = accounts.map(|call| (call.target.clone(), call.query("user_ids"))).collect();
    let is_probe =
        |users: &Option<String>| users.as_ref().is_some_and(|users| users.starts_with("switchboard-probe-"));
    let (probes, mut calls): (Vec<_>, Vec<_>) = calls.into_iter().partition(|(_, users)| is_probe(users));
    calls.sort_unstable();
    world.sandbox.clear_requests();
    (calls, probes.len())
}

/// Blanks values that legitimately differ between callers: cursors, and hidden fields of a provider.
fn blank(value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(blank),
        Value::Object(fields) => {
            for (name, value) in fields {
                let is_hidden = HIDDEN.contains(&name.as_str());
                if is_hidden || (CURSORS.contains(&name.as_str()) && value.is_string()) {
                    *value = Value::Null;
                }
                blank(value);
            }
        }
        _ => {}
    }
}

/// An ADMIN's response in a world without other users, as the member must receive it.
fn as_member(mut answer: Value, random_query: &RandomQuery, caller_kind: CallerKind) -> Value {
    for (place, root) in random_query.roots.iter().enumerate() {
        let Some(users) = &root.users else { continue };
        let value = &mut answer["data"][format!("r{place}")];
        let hide = |value: &mut Value, user: &Option<String>| {
            if value.is_object() && user.is_some() && *user != caller_kind.user() {
                *value = Value::Null;
            }
        };
        match value {
            Value::Array(all) => all.iter_mut().zip(users).for_each(|(value, user)| hide(value, user)),
            value => hide(value, &users[0]),
        }
    }
    // An ADMIN's error names the users whose accounts cannot be requested; for a member these users do not exist.
    let is_of_hidden_user = |error: &Value| {
        let path = error["path"].as_array().and_then(|path| path.last()).and_then(Value::as_str);
        path == Some("connectedAccounts") && error["extensions"]["reason"] == "BAD_ID"
    };
    if let Some(errors) = answer.get_mut("errors").and_then(Value::as_array_mut) {
        errors.retain(|error| !is_of_hidden_user(error));
        if errors.is_empty() {
            answer.as_object_mut().unwrap().remove("errors");
        }
    }
    answer.as_object_mut().unwrap().remove("extensions");
    blank(&mut answer);
    answer
}

async fn check_member_responses(
    data: &Data,
    user_ids: UserIds,
    page_rows: usize,
    caller_kind: CallerKind,
    first: &RandomQuery,
    then: &[(CallerKind, RandomQuery)],
) {
    let all_users = world(data, user_ids, page_rows, |_, _| true);
    let single_user = alone(data, user_ids, page_rows, caller_kind);
    let user = caller_kind.user();
    // Response times would reveal a different cost. Before any other caller's request, the cost is the same.
    let mut answer = run_query(&all_users, caller_kind.caller(), first).await;
    assert_eq!(
        answer,
        run_query(&single_user, caller_kind.caller(), first).await,
        "{caller_kind:?} {}",
        first.document()
    );
    let calls_made = calls(&all_users);
    assert_eq!(calls_made, calls(&single_user), "{}", first.document());
    let (calls_made, probes) = calls_made;
    assert!(calls_made.iter().all(|(_, users)| *users == user), "{calls_made:?}");
    assert!(probes == 0 || (user_ids == UserIds::Hidden && probes == 2), "{probes} probes");

    for (asking, random_query) in then {
        let answer = run_query(&all_users, asking.caller(), random_query).await;
        if let Some(user) = asking.user() {
            for (call, users) in calls(&all_users).0 {
                assert_eq!(users.as_ref(), Some(&user), "{call}");
            }
            assert_eq!(answer.get("extensions"), None, "a member receives no trace");
        }
        all_users.sandbox.clear_requests();
        if *asking == caller_kind {
            let there = run_query(&single_user, caller_kind.caller(), random_query).await;
            assert_eq!(answer, there, "{caller_kind:?} {}", random_query.document());
        }
    }

    // Nothing of its own is hidden. `search` matches hidden names, so those are removed.
    let own = alone(data, UserIds::Named, page_rows, caller_kind);
    own.sandbox.change_providers(caller_kind.tenant(), |rows| {
        for row in rows {
            (row["display_name"], row["error_message"]) = (Value::Null, Value::Null);
        }
    });
    let expected = as_member(run_query(&own, caller_kind.admin(), first).await, first, caller_kind);
    blank(&mut answer);
    assert_eq!(answer, expected, "{caller_kind:?} {}", first.document());
}

/// An event between requests.
#[derive(Debug, Clone)]
enum Step {
    /// Concurrent requests: of the member where it is marked, else of another caller.
    Ask(Vec<(bool, CallerKind, RandomQuery)>),
    Pass(u64),
    Fail(EmulatedUpstream, &'static str),
    Recover(EmulatedUpstream),
    /// An ADMIN refreshes everything.
    Refresh(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let upstream = || select(vec![EmulatedUpstream::Leadlex, EmulatedUpstream::Composio]);
    let faults = vec![
        "status=503",
        "status=429; retry-after=3",
        "status=401",
        "cut=1",
        "shape=wrong-types",
        "garbage=1",
        "latency-ms=700",
        "status=400",
    ];
    let step = prop_oneof![
        6 => vec((any::<bool>(), caller_kind(), random_query()), 1..4).prop_map(Step::Ask),
        3 => prop_oneof![1..2_000_u64, 2_000..90_000_u64].prop_map(Step::Pass),
        2 => (upstream(), select(faults)).prop_map(|(upstream, fault)| Step::Fail(upstream, fault)),
        2 => upstream().prop_map(Step::Recover),
        1 => any::<bool>().prop_map(Step::Refresh),
    ];
    vec(step, 2..9)
}

/// The length of the signature at the end of a cursor.
const CURSOR_MAC_BYTES: usize = 12;

/// Collects all words in a response's data, followed by its decoded ids and cursors.
fn words_of(value: &Value, collected: &mut Vec<String>) {
    match value {
        Value::Array(all) => all.iter().for_each(|value| words_of(value, collected)),
        Value::Object(fields) => fields.values().for_each(|value| words_of(value, collected)),
        Value::String(text) => {
            let mut decoded = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
            if std::str::from_utf8(&decoded).is_err() {
                // A cursor. Its signature follows the item's id and can begin with a digit, which would make
                // a different id.
                decoded.truncate(decoded.len().saturating_sub(CURSOR_MAC_BYTES));
            }
            for text in [text.clone(), String::from_utf8_lossy(&decoded).into_owned()] {
                let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
                collected.extend(words.map(str::to_owned));
            }
        }
        _ => {}
    }
}

/// The largest account count in a response.
fn counts_of(value: &Value) -> u64 {
    match value {
        Value::Array(all) => all.iter().map(counts_of).max().unwrap_or(0),
        Value::Object(fields) => {
            // The total of providers is no secret.
            let is_of_accounts = fields.contains_key("isComplete");
            let own =
                fields.get("totalCount").and_then(Value::as_u64).filter(|_| is_of_accounts).unwrap_or(0);
            fields.values().map(counts_of).max().unwrap_or(0).max(own)
        }
        _ => 0,
    }
}

/// Checks a member's response against the true accounts.
fn assert_only_own_accounts(answer: &Value, accounts: &Accounts, user: &str, random_query: &RandomQuery) {
    let mut collected = Vec::new();
    words_of(&answer["data"], &mut collected);
    words_of(&answer["errors"], &mut collected);
    let own = accounts.iter().filter(|account| account.user_id == user).count();
    for account in accounts.iter().filter(|account| account.user_id != user) {
        for word in [&account.id, &account.user_id] {
            assert!(
                !collected.contains(word),
                "{user} receives {word} from {}: {answer}",
                random_query.document()
            );
        }
    }
    assert!(
        counts_of(answer) <= own as u64,
        "{user} has {own} accounts: {answer} to {}",
        random_query.document()
    );
}

async fn check_under_faults(data: &Data, user_ids: UserIds, caller_kind: CallerKind, steps: &[Step]) {
    let mut setup = Setup::as_shipped();
    setup.sandbox.without_user_id = user_ids == UserIds::Hidden;
    setup.sandbox.accounts = 0;
    setup.config.lists.page_rows = 9;
    setup.config.cache.stale_while_revalidate_ms = 20_000;
    setup.config.cache.stale_if_error_ms = 120_000;
    let world = World::new_with(setup);
    for (tenant, accounts) in [Tenant::A, Tenant::B].into_iter().zip(&data.0) {
        world.sandbox.change_accounts(tenant, |rows| *rows = accounts.to_vec());
    }
    for step in steps {
        match step {
            Step::Ask(asked) => {
                let asked: Vec<_> = asked
                    .iter()
                    .map(|(is_own, other, random_query)| {
                        (if *is_own { caller_kind } else { *other }, random_query)
                    })
                    .collect();
                let answers = asked
                    .iter()
                    .map(|(caller_kind, random_query)| run_query(&world, caller_kind.caller(), random_query));
                for ((caller_kind, random_query), answer) in asked.iter().zip(join_all(answers).await) {
                    if let Some(user) = caller_kind.user() {
                        assert_only_own_accounts(
                            &answer,
                            &data.0[usize::from(caller_kind.of_b)],
                            &user,
                            random_query,
                        );
                    }
                }
            }
            Step::Pass(milliseconds) => world.advance(Duration::from_millis(*milliseconds)).await,
            Step::Fail(upstream, fault) => {
                world.sandbox.emulate(*upstream, Some(Fault::parse(fault).unwrap()))
            }
            Step::Recover(upstream) => world.sandbox.emulate(*upstream, None),
            Step::Refresh(of_b) => {
                let admin = CallerKind { of_b: *of_b, user: None };
                world.query_as(admin.caller(), "mutation { refresh { retryAt } }", json!({})).await;
            }
        }
        settle().await;
    }
}

/// A tenth of the cases with less shrinking: each case builds up to three graphs and sends a dozen requests.
fn fewer_cases(config: ProptestConfig) -> ProptestConfig {
    ProptestConfig { max_shrink_iters: 100, ..one_tenth(config) }
}

/// Fewer accounts than in other tests: ownership matters here, not the number of pages.
fn few_accounts() -> impl Strategy<Value = Accounts> {
    accounts().prop_map(|Accounts(rows)| Accounts(rows.into_iter().take(40).collect()))
}

proptest! {
    #![proptest_config(fewer_cases(cases()))]

    #[test]
    fn member_responses_depend_only_on_its_own_accounts(
        a in few_accounts(), b in few_accounts(), page_rows in prop_oneof![2..=9_usize, Just(100)], of_b in any::<bool>(),
        user in 0..8_u8, first in random_query(), then in request_sequence(), user_ids in user_ids(),
    ) {
        let caller_kind = CallerKind { of_b, user: Some(user) };
        // Half of the others' requests are the member's own.
        let then: Vec<_> = then.into_iter().map(|(is_own, asking, random_query)| (if is_own { caller_kind } else { asking }, random_query)).collect();
        with_paused_clock(check_member_responses(&Data([a, b]), user_ids, page_rows, caller_kind, &first, &then));
    }

    #[test]
    fn faults_and_stale_values_reveal_nothing_of_other_users_to_a_member(
        a in few_accounts(), b in few_accounts(), of_b in any::<bool>(), user in 0..8_u8, steps in steps(),
        user_ids in user_ids(),
    ) {
        with_paused_clock(check_under_faults(&Data([a, b]), user_ids, CallerKind { of_b, user: Some(user) }, &steps));
    }
}

#[tokio::test(start_paused = true)]
async fn leak_check_detects_a_leak() {
    let data = Data([one_each(), one_each()]);
    let caller_kind = CallerKind { of_b: false, user: Some(1) };
    let random_query = RandomQuery {
        roots: vec![root("connectedAccounts(first: 5) { ...C nodes { ...A } }".to_owned())],
        traced: true,
    };
    let full = world(&data, UserIds::Named, 100, |_, _| true);
    let own = alone(&data, UserIds::Named, 100, caller_kind);
    let everything = run_query(&full, caller_kind.admin(), &random_query).await;
    assert!(everything["extensions"].is_object());
    assert_eq!(everything["data"]["r0"]["totalCount"], json!(3));
    assert_ne!(everything["data"], run_query(&own, caller_kind.caller(), &random_query).await["data"]);
    assert_eq!(
        run_query(&full, caller_kind.caller(), &random_query).await["data"]["r0"]["totalCount"],
        json!(1)
    );
    let leaks = |answer: &Value| {
        std::panic::catch_unwind(|| assert_only_own_accounts(answer, &data.0[0], "user_1", &random_query))
            .is_err()
    };
    assert!(leaks(&everything) && !leaks(&run_query(&full, caller_kind.caller(), &random_query).await));
}

fn one_each() -> Accounts {
    let of = |user: u8| {
        Account::new(&format!("ca_{user}"), "gmail", &format!("user_{user}"), expected_lists::moment(0))
    };
    Accounts((0..3).map(of).collect())
}
