//! What a member is told hangs on its own accounts alone: not on anybody else's, and not on what anybody else asked.
//!
//! Random data of two tenants, a random member between other random callers, random questions over every root field. The
//! member's questions are asked once more in a world in which there is nobody else. Its answers there must be the same to
//! the byte, cursors and errors included, and, before anybody else has asked, so must the calls that they cost. And an
//! ADMIN of that world must see just what the member sees: hiding too much is wrong as well.
//!
//! Where upstreams fail and values grow old, what others asked does change what a member gets: an older value, or an error.
//! There the law is that nothing which it is told is of anybody else's accounts.

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

use super::truth::{self, Accounts, accounts};
use super::{a_tenth, cases, on_a_paused_clock, settle};
use crate::world::{Setup, World, global_id, tenant_a, tenant_b};

/// Who asks: tenant and user; an ADMIN where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Who {
    of_b: bool,
    user: Option<u8>,
}

impl Who {
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
fn who() -> impl Strategy<Value = Who> {
    (any::<bool>(), option::weighted(0.8, 0..8_u8)).prop_map(|(of_b, user)| Who { of_b, user })
}

/// A root field, and the users that it asks for by id, in order; none where it asks for something else there.
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
    id connectedAccountId wordId alias userId status statusReason accountType createdAt
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

/// Everything that a member must not learn of a provider, and what of an answer is no data.
const HIDDEN: [&str; 3] = ["accountId", "displayName", "errorMessage"];
const CURSORS: [&str; 3] = ["cursor", "startCursor", "endCursor"];

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn list(values: &[String]) -> String {
    format!("[{}]", values.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(", "))
}

/// Users, and what would widen an upstream's filter if it got there.
fn user() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => (0..8_u8).prop_map(|user| format!("user_{user}")),
        1 => select(vec!["", " ", ",", "user_1,user_2", "USER_1", "user_1 ", "*", "user_"]).prop_map(str::to_owned),
    ]
}

/// Upstream ids: of anybody's accounts, and of none.
fn account_id() -> impl Strategy<Value = String> {
    (0..130_u8).prop_map(|number| format!("ca_{number}"))
}

fn ids() -> impl Strategy<Value = Vec<String>> {
    let own = account_id().prop_map(|id| global_id("ConnectedAccount", &id));
    vec(prop_oneof![account_id(), own], 0..20)
}

/// What a router sends for an account or a user, and the user that it asks for.
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
        option::weighted(0.3, vec(select(truth::slugs()), 0..4)),
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
        2 => (vec(select(truth::slugs()), 1..4), connection()).prop_map(|(slugs, connection)| {
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

/// One operation: some root fields, each under a name of its own.
#[derive(Debug, Clone)]
struct Question {
    roots: Vec<Root>,
    traced: bool,
}

impl Question {
    /// Fragments that nothing spreads are an error of their own.
    fn document(&self) -> String {
        let fields: Vec<_> =
            self.roots.iter().enumerate().map(|(place, root)| format!("r{place}: {}", root.text)).collect();
        let all = "spread: node(id: \"x\") @include(if: false) { ...A }";
        format!("query {{ {} {all} }} {FRAGMENTS}", fields.join("\n"))
    }
}

fn question() -> impl Strategy<Value = Question> {
    (vec(roots(), 1..3), prop::bool::weighted(0.1)).prop_map(|(roots, traced)| Question { roots, traced })
}

/// Whether it is the member's turn, who asks if not, and what.
fn questions() -> impl Strategy<Value = Vec<(bool, Who, Question)>> {
    vec((any::<bool>(), who(), question()), 0..6)
}

/// Both tenants' accounts.
#[derive(Debug, Clone)]
struct Data([Accounts; 2]);

fn world(data: &Data, page_rows: usize, keep: impl Fn(Tenant, &Account) -> bool) -> World {
    let settings = sandbox::Settings { accounts: 0, ..sandbox::Settings::default() };
    let world = World::with_network(settings, page_rows, |network| network);
    for (tenant, accounts) in [Tenant::A, Tenant::B].into_iter().zip(&data.0) {
        let kept = accounts.iter().filter(|account| keep(tenant, account)).cloned().collect();
        world.sandbox.change_accounts(tenant, |rows| *rows = kept);
    }
    world
}

/// A world in which there is nobody but one member.
fn alone(data: &Data, page_rows: usize, who: Who) -> World {
    world(data, page_rows, |tenant, account| {
        tenant == who.tenant() && Some(&account.user_id) == who.user().as_ref()
    })
}

async fn ask(world: &World, caller: Caller, question: &Question) -> Value {
    world.query_traced(caller, &question.document(), question.traced).await
}

/// The calls to Composio since the last look: what each asked for, and for whom.
fn calls(world: &World) -> Vec<(String, Option<String>)> {
    let requests = world.sandbox.requests().into_iter();
    let accounts = requests.filter(|request| request.upstream == EmulatedUpstream::Composio);
    let mut calls: Vec<_> = accounts.map(|call| (call.target.clone(), call.query("user_ids"))).collect();
    calls.sort_unstable();
    world.sandbox.forget_requests();
    calls
}

/// Blanks what two callers are never told alike: cursors, and what of a provider a member does not see.
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

/// What an ADMIN is told of a world without anybody else, as the member must be told it.
fn as_member(mut answer: Value, question: &Question, who: Who) -> Value {
    for (place, root) in question.roots.iter().enumerate() {
        let Some(users) = &root.users else { continue };
        let value = &mut answer["data"][format!("r{place}")];
        let hide = |value: &mut Value, user: &Option<String>| {
            if value.is_object() && user.is_some() && *user != who.user() {
                *value = Value::Null;
            }
        };
        match value {
            Value::Array(all) => all.iter_mut().zip(users).for_each(|(value, user)| hide(value, user)),
            value => hide(value, &users[0]),
        }
    }
    answer.as_object_mut().unwrap().remove("extensions");
    blank(&mut answer);
    answer
}

async fn a_member_is_told_of_itself(
    data: &Data,
    page_rows: usize,
    who: Who,
    first: &Question,
    then: &[(Who, Question)],
) {
    let (everybody, nobody_else) = (world(data, page_rows, |_, _| true), alone(data, page_rows, who));
    let user = who.user();
    // What it costs is told by the time that it takes: before anybody else has asked, it costs the same.
    let mut answer = ask(&everybody, who.caller(), first).await;
    assert_eq!(answer, ask(&nobody_else, who.caller(), first).await, "{who:?} {}", first.document());
    let calls_made = calls(&everybody);
    assert_eq!(calls_made, calls(&nobody_else), "{}", first.document());
    assert!(calls_made.iter().all(|(_, users)| *users == user), "{calls_made:?}");

    for (asking, question) in then {
        let answer = ask(&everybody, asking.caller(), question).await;
        if let Some(user) = asking.user() {
            for (call, users) in calls(&everybody) {
                assert_eq!(users.as_ref(), Some(&user), "{call}");
            }
            assert_eq!(answer.get("extensions"), None, "a member is shown no trace");
        }
        everybody.sandbox.forget_requests();
        if *asking == who {
            let there = ask(&nobody_else, who.caller(), question).await;
            assert_eq!(answer, there, "{who:?} {}", question.document());
        }
    }

    // Nothing of its own is hidden from it. `search` looks into names that are there: they are taken away.
    let own = alone(data, page_rows, who);
    own.sandbox.change_providers(who.tenant(), |rows| {
        for row in rows {
            (row["display_name"], row["error_message"]) = (Value::Null, Value::Null);
        }
    });
    let expected = as_member(ask(&own, who.admin(), first).await, first, who);
    blank(&mut answer);
    assert_eq!(answer, expected, "{who:?} {}", first.document());
}

/// What befalls a tenant's world between its callers' questions.
#[derive(Debug, Clone)]
enum Step {
    /// Some ask at once: the member where it is its turn, else somebody.
    Ask(Vec<(bool, Who, Question)>),
    Pass(u64),
    Fail(EmulatedUpstream, &'static str),
    Recover(EmulatedUpstream),
    /// An ADMIN has everything read again.
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
        6 => vec((any::<bool>(), who(), question()), 1..4).prop_map(Step::Ask),
        3 => prop_oneof![1..2_000_u64, 2_000..90_000_u64].prop_map(Step::Pass),
        2 => (upstream(), select(faults)).prop_map(|(upstream, fault)| Step::Fail(upstream, fault)),
        2 => upstream().prop_map(Step::Recover),
        1 => any::<bool>().prop_map(Step::Refresh),
    ];
    vec(step, 2..9)
}

/// How long the signature is that a cursor ends with.
const CURSOR_MAC_BYTES: usize = 12;

/// Everything that stands in an answer's data, and behind it its ids and cursors once more, decoded: word by word.
fn words_of(value: &Value, told: &mut Vec<String>) {
    match value {
        Value::Array(all) => all.iter().for_each(|value| words_of(value, told)),
        Value::Object(fields) => fields.values().for_each(|value| words_of(value, told)),
        Value::String(text) => {
            let mut decoded = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
            if std::str::from_utf8(&decoded).is_err() {
                // A cursor. Its signature follows on the item's id, and can begin with a digit, which makes another id of it.
                decoded.truncate(decoded.len().saturating_sub(CURSOR_MAC_BYTES));
            }
            for text in [text.clone(), String::from_utf8_lossy(&decoded).into_owned()] {
                let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
                told.extend(words.map(str::to_owned));
            }
        }
        _ => {}
    }
}

/// The greatest count that an answer tells of accounts.
fn counts_of(value: &Value) -> u64 {
    match value {
        Value::Array(all) => all.iter().map(counts_of).max().unwrap_or(0),
        Value::Object(fields) => {
            // The total of providers is nobody's secret.
            let is_of_accounts = fields.contains_key("isComplete");
            let own =
                fields.get("totalCount").and_then(Value::as_u64).filter(|_| is_of_accounts).unwrap_or(0);
            fields.values().map(counts_of).max().unwrap_or(0).max(own)
        }
        _ => 0,
    }
}

/// Holds an answer to a member against the true accounts.
fn is_of_itself_alone(answer: &Value, accounts: &Accounts, user: &str, question: &Question) {
    let mut told = Vec::new();
    words_of(&answer["data"], &mut told);
    words_of(&answer["errors"], &mut told);
    let own = accounts.iter().filter(|account| account.user_id == user).count();
    for account in accounts.iter().filter(|account| account.user_id != user) {
        for word in [&account.id, &account.user_id] {
            assert!(!told.contains(word), "{user} is told of {word} by {}: {answer}", question.document());
        }
    }
    assert!(
        counts_of(answer) <= own as u64,
        "{user} has {own} accounts: {answer} to {}",
        question.document()
    );
}

async fn nothing_shows_a_member_more(data: &Data, who: Who, steps: &[Step]) {
    let mut setup = Setup::as_shipped();
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
                    .map(|(is_own, other, question)| (if *is_own { who } else { *other }, question))
                    .collect();
                let answers = asked.iter().map(|(who, question)| ask(&world, who.caller(), question));
                for ((who, question), answer) in asked.iter().zip(join_all(answers).await) {
                    if let Some(user) = who.user() {
                        is_of_itself_alone(&answer, &data.0[usize::from(who.of_b)], &user, question);
                    }
                }
            }
            Step::Pass(milliseconds) => world.advance(Duration::from_millis(*milliseconds)).await,
            Step::Fail(upstream, fault) => {
                world.sandbox.emulate(*upstream, Some(Fault::parse(fault).unwrap()))
            }
            Step::Recover(upstream) => world.sandbox.emulate(*upstream, None),
            Step::Refresh(of_b) => {
                let admin = Who { of_b: *of_b, user: None };
                world.query_as(admin.caller(), "mutation { refresh { retryAt } }", json!({})).await;
            }
        }
        settle().await;
    }
}

/// A tenth of the cases, which shrink less: each builds up to three graphs, and asks a dozen questions.
fn some(config: ProptestConfig) -> ProptestConfig {
    ProptestConfig { max_shrink_iters: 100, ..a_tenth(config) }
}

/// Fewer accounts than other laws have: what counts here is whose they are, and not how many pages they take.
fn few() -> impl Strategy<Value = Accounts> {
    accounts().prop_map(|Accounts(rows)| Accounts(rows.into_iter().take(40).collect()))
}

proptest! {
    #![proptest_config(some(cases()))]

    #[test]
    fn a_member_is_told_of_itself_alone(
        a in few(), b in few(), page_rows in prop_oneof![2..=9_usize, Just(100)], of_b in any::<bool>(),
        user in 0..8_u8, first in question(), then in questions(),
    ) {
        let who = Who { of_b, user: Some(user) };
        // Half of the others' turns are its own.
        let then: Vec<_> = then.into_iter().map(|(is_own, asking, question)| (if is_own { who } else { asking }, question)).collect();
        on_a_paused_clock(a_member_is_told_of_itself(&Data([a, b]), page_rows, who, &first, &then));
    }

    #[test]
    fn no_fault_and_no_age_shows_a_member_what_is_not_its_own(
        a in few(), b in few(), of_b in any::<bool>(), user in 0..8_u8, steps in steps(),
    ) {
        on_a_paused_clock(nothing_shows_a_member_more(&Data([a, b]), Who { of_b, user: Some(user) }, &steps));
    }
}

#[tokio::test(start_paused = true)]
async fn the_law_would_see_a_leak() {
    let data = Data([one_each(), one_each()]);
    let who = Who { of_b: false, user: Some(1) };
    let question = Question {
        roots: vec![root("connectedAccounts(first: 5) { ...C nodes { ...A } }".to_owned())],
        traced: true,
    };
    let (full, own) = (world(&data, 100, |_, _| true), alone(&data, 100, who));
    let everything = ask(&full, who.admin(), &question).await;
    assert!(everything["extensions"].is_object());
    assert_eq!(everything["data"]["r0"]["totalCount"], json!(3));
    assert_ne!(everything["data"], ask(&own, who.caller(), &question).await["data"]);
    assert_eq!(ask(&full, who.caller(), &question).await["data"]["r0"]["totalCount"], json!(1));
    let leaks = |answer: &Value| {
        std::panic::catch_unwind(|| is_of_itself_alone(answer, &data.0[0], "user_1", &question)).is_err()
    };
    assert!(leaks(&everything) && !leaks(&ask(&full, who.caller(), &question).await));
}

fn one_each() -> Accounts {
    let of =
        |user: u8| Account::new(&format!("ca_{user}"), "gmail", &format!("user_{user}"), truth::moment(0));
    Accounts((0..3).map(of).collect())
}
