//! The law of isolation: whatever callers of several keys ask, in any interleaving and at once, while data changes,
//! time passes, upstreams fail and everything is dropped, no answer holds a byte of what only other keys open.
//!
//! Callers share documents, variables and one of two keys, so whatever is kept or under way for one of them is one wrong
//! comparison away from another.

use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use proptest::prelude::*;
use serde_json::{Value, json};
use switchboard::operation::OperationResponse;
use switchboard::sandbox::{EmulatedUpstream, Fault, Tenant};

use super::{a_tenth, cases, on_a_paused_clock, settle};
use crate::world::{Setup, World, caller, global_id, strings_at};

/// The tenants whose LeadLex and whose Composio a caller has the keys to.
type Keys = (Option<Tenant>, Option<Tenant>);

const CALLERS: [Keys; 8] = [
    (Some(Tenant::A), Some(Tenant::A)),
    (Some(Tenant::B), Some(Tenant::B)),
    (Some(Tenant::A), Some(Tenant::B)),
    (Some(Tenant::B), Some(Tenant::A)),
    (Some(Tenant::A), None),
    (Some(Tenant::B), None),
    (None, Some(Tenant::A)),
    (None, Some(Tenant::B)),
];

#[derive(Debug, Clone)]
enum Step {
    /// Callers and questions, all at once.
    Ask(Vec<(usize, usize)>),
    Pass(u64),
    /// What a tenant's rows say is something new.
    Change(bool),
    Fail(EmulatedUpstream, &'static str),
    Recover(EmulatedUpstream),
    Expire(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let upstream = || prop_oneof![Just(EmulatedUpstream::Leadlex), Just(EmulatedUpstream::Composio)];
    let fault = prop_oneof![Just("status=503"), Just("latency-ms=700"), Just("status=429; retry-after=3")];
    let asked = || prop::collection::vec((0..CALLERS.len(), 0..QUESTIONS), 1..5);
    let step = prop_oneof![
        12 => asked().prop_map(Step::Ask),
        3 => prop_oneof![1..2_000_u64, 2_000..90_000_u64].prop_map(Step::Pass),
        2 => any::<bool>().prop_map(Step::Change),
        1 => (upstream(), fault).prop_map(|(upstream, fault)| Step::Fail(upstream, fault)),
        2 => upstream().prop_map(Step::Recover),
        2 => (0..CALLERS.len()).prop_map(Step::Expire),
    ];
    prop::collection::vec(step, 1..25)
}

const QUESTIONS: usize = 20;

/// Every root field, by ids of both tenants where it takes ids; no answer repeats an id that was only asked for.
fn questions(world: &World, providers: &[String]) -> [Value; QUESTIONS] {
    let ids: Vec<String> = [Tenant::A, Tenant::B]
        .into_iter()
        .flat_map(|tenant| world.sandbox.accounts(tenant).into_iter().take(2))
        .map(|account| account.id)
        .collect();
    let global: Vec<String> = ids.iter().map(|id| global_id("ConnectedAccount", id)).collect();
    let users = [Tenant::A, Tenant::B].map(|tenant| world.sandbox.accounts(tenant)[0].user_id.clone());
    let account = "id connectedAccountId wordId userId alias authConfig { id } toolkit { slug }";
    let accounts = format!("totalCount pageInfo {{ endCursor }} edges {{ cursor }} nodes {{ {account} }}");
    let one = |query: String| json!({ "query": query });
    let with = |query: String, variables: Value| json!({ "query": query, "variables": variables });
    [
        one(format!("{{ connectedAccounts(first: 5) {{ {accounts} }} }}")),
        one("{ providers { nodes { id name displayName accountId } edges { cursor } } }".to_owned()),
        one(format!(
            "{{ providers(first: 9) {{ nodes {{ id displayName connectedAccounts(first: 2) {{ {accounts} }} }} }} }}"
        )),
        one(format!("{{ connectedAccounts(last: 3) {{ statusCounts {{ status count }} {accounts} }} }}")),
        one(format!(
            "{{ toolkit(slug: \"gmail\") {{ providers {{ displayName }} connectedAccounts {{ {accounts} }} }} }}"
        )),
        one(format!(
            "{{ toolkitsBySlugs(slugs: [\"slack\", \"github\"]) {{ connectedAccounts(first: 3) {{ {accounts} }} }} }}"
        )),
        with(
            format!(
                "query ($id: ID!) {{ node(id: $id) {{ ... on ConnectedAccount {{ {account} providers {{ displayName }} }} }} }}"
            ),
            json!({ "id": global[0] }),
        ),
        with(
            format!(
                "query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on ConnectedAccount {{ {account} }} }} }}"
            ),
            json!({ "ids": global }),
        ),
        with(
            format!("query ($id: ID!) {{ connectedAccount(id: $id) {{ {account} }} }}"),
            json!({ "id": ids[2] }),
        ),
        with(
            format!(
                "query ($ids: [ID!]!) {{ connectedAccountsByIds(ids: $ids) {{ {account} authConfig {{ connectedAccounts(first: 1) {{ {accounts} }} }} }} }}"
            ),
            json!({ "ids": ids }),
        ),
        with(
            format!(
                "query ($of: [_Any!]!) {{ _entities(representations: $of) {{ ... on ConnectedAccount {{ {account} }} }} }}"
            ),
            json!({ "of": ids.iter().map(|id| json!({ "__typename": "ConnectedAccount", "connectedAccountId": id })).collect::<Value>() }),
        ),
        with(
            format!("query ($id: ID!) {{ user(id: $id) {{ connectedAccounts {{ {accounts} }} }} }}"),
            json!({ "id": users[0] }),
        ),
        with(
            format!(
                "query ($ids: [ID!]!) {{ usersByIds(ids: $ids) {{ connectedAccounts(first: 2) {{ {accounts} }} }} }}"
            ),
            json!({ "ids": users }),
        ),
        with(
            "query ($id: ID!) { provider(id: $id) { id displayName accountId connectedAccounts(first: 2) { nodes { id userId } } } }".to_owned(),
            json!({ "id": providers[0] }),
        ),
        with(
            "query ($ids: [ID!]!) { providersByIds(ids: $ids) { id displayName accountId errorMessage } }".to_owned(),
            json!({ "ids": providers }),
        ),
        one(format!(
            "{{ integrationHealth {{ accountCounts {{ status count }} providersNeedingAttention {{ id displayName accountId }} \
             accountsNeedingAttention(first: 3) {{ {accounts} }} }} providers(first: 3) {{ nodes {{ id disagreement {{ code }} }} }} }}"
        )),
        one("{ viewer { name role user { id } } connectedAccounts(first: 1) { totalCount nodes { userId } } }".to_owned()),
        one("{ upstreams { name state cache { entries hits misses staleServed } lastError { code requestId } } }".to_owned()),
        one("mutation { refresh { retryAt upstreams { name state cache { entries } } } }".to_owned()),
        one("mutation { refresh(upstream: COMPOSIO) { retryAt } }".to_owned()),
    ]
}

/// The global ids of some providers of both tenants, as they are marked at first; the same in every world.
async fn providers() -> &'static [String] {
    static IDS: OnceLock<Vec<String>> = OnceLock::new();
    if let Some(ids) = IDS.get() {
        return ids;
    }
    let world = World::new();
    let mut ids = Vec::new();
    for tenant in [Tenant::A, Tenant::B] {
        mark(&world, tenant, 0);
        let caller = caller(Some(tenant.leadlex_key()), None);
        let answer = world.query_as(caller, "{ providers(first: 2) { nodes { id } } }", json!({})).await;
        ids.extend(strings_at(&answer["data"], "providers.nodes.*.id"));
    }
    IDS.get_or_init(|| ids)
}

/// The words that only a key to this opens.
fn word(upstream: EmulatedUpstream, tenant: Tenant) -> String {
    format!("Canary{upstream:?}Of{tenant:?}x")
}

/// Gives each row of a tenant words that tell whose it is.
fn mark(world: &World, tenant: Tenant, round: usize) {
    world.sandbox.change_accounts(tenant, |rows| {
        for (nth, row) in rows.iter_mut().enumerate() {
            // The first two are asked for by name.
            let round = if nth < 2 { 0 } else { round };
            row.user_id = format!("{}{round}x{}", word(EmulatedUpstream::Composio, tenant), nth % 4);
        }
    });
    world.sandbox.change_providers(tenant, |rows| {
        for row in rows.iter_mut().filter(|row| row.is_object()) {
            let word = word(EmulatedUpstream::Leadlex, tenant);
            row["display_name"] = json!(format!("{word}{round}"));
            row["account_id"] = json!(format!("{word}{round}@example.com"));
        }
    });
}

/// Everything that stands in an answer, and behind it its ids and cursors once more, decoded.
fn told(answer: &OperationResponse) -> String {
    let text = str::from_utf8(&answer.body).unwrap();
    let decoded = text.split('"').filter_map(|word| URL_SAFE_NO_PAD.decode(word).ok());
    let decoded = decoded.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    decoded.fold(text.to_owned(), |told, word| told + "\n" + &word)
}

/// What a caller must not see: the words and the accounts' ids of whatever its keys do not open.
fn withheld(world: &World, (leadlex, composio): Keys) -> Vec<String> {
    let others =
        |own: Option<Tenant>| [Tenant::A, Tenant::B].into_iter().filter(move |&other| own != Some(other));
    let rows = others(leadlex).map(|other| word(EmulatedUpstream::Leadlex, other));
    let accounts = others(composio).flat_map(|other| {
        let ids = world.sandbox.accounts(other).into_iter().map(|account| account.id);
        ids.chain([word(EmulatedUpstream::Composio, other)])
    });
    rows.chain(accounts).collect()
}

async fn nobody_sees_what_is_anothers(steps: Vec<Step>) {
    let mut setup = Setup::as_shipped();
    setup.sandbox.accounts = 24;
    setup.config.lists.page_rows = 10;
    setup.config.cache.stale_while_revalidate_ms = 20_000;
    setup.config.cache.stale_if_error_ms = 120_000;
    let world = World::new_with(setup);
    mark(&world, Tenant::A, 0);
    mark(&world, Tenant::B, 0);
    let (questions, withheld) =
        (questions(&world, providers().await), CALLERS.map(|keys| withheld(&world, keys)));
    let key = |tenant: Option<Tenant>, of: fn(Tenant) -> &'static str| tenant.map(of);
    let callers = CALLERS.map(|(leadlex, composio)| {
        caller(key(leadlex, Tenant::leadlex_key), key(composio, Tenant::composio_key))
    });
    for (round, step) in steps.into_iter().enumerate() {
        match step {
            Step::Ask(asked) => {
                let answers =
                    asked.iter().map(|&(who, what)| world.run(callers[who].clone(), &questions[what]));
                for ((who, what), answer) in asked.iter().zip(join_all(answers).await) {
                    let told = told(&answer);
                    for foreign in &withheld[*who] {
                        assert!(
                            !told.contains(foreign),
                            "{:?} sees {foreign} by {}",
                            CALLERS[*who],
                            questions[*what]
                        );
                    }
                }
            }
            Step::Pass(milliseconds) => world.advance(Duration::from_millis(milliseconds)).await,
            Step::Change(of_a) => mark(&world, if of_a { Tenant::A } else { Tenant::B }, round),
            Step::Fail(upstream, fault) => {
                world.sandbox.emulate(upstream, Some(Fault::parse(fault).unwrap()))
            }
            Step::Recover(upstream) => world.sandbox.emulate(upstream, None),
            Step::Expire(who) => world.expire(&callers[who]),
        }
        settle().await;
    }
}

proptest! {
    #![proptest_config(a_tenth(cases()))]

    #[test]
    fn no_answer_holds_what_only_other_keys_open(steps in steps()) {
        on_a_paused_clock(nobody_sees_what_is_anothers(steps));
    }
}

/// That the law can fail: the callers whom the keys are open to do see the words.
#[test]
fn the_words_are_seen_by_those_who_may() {
    on_a_paused_clock(async {
        let world = World::new();
        mark(&world, Tenant::A, 7);
        let query = json!({ "query": "{ providers { nodes { displayName } } connectedAccounts { nodes { userId } edges { cursor } } }" });
        let answer =
            world.run(caller(Some(Tenant::A.leadlex_key()), Some(Tenant::A.composio_key())), &query).await;
        let told = told(&answer);
        let id = world.sandbox.accounts(Tenant::A)[0].id.clone();
        for word in
            [word(EmulatedUpstream::Leadlex, Tenant::A), word(EmulatedUpstream::Composio, Tenant::A), id]
        {
            assert!(told.contains(&word), "{word}");
        }
    });
}
