//! Isolation: callers with several keys send random requests, interleaved and concurrent, while data changes,
//! time passes, upstreams fail and caches are dropped. No response has a byte that only other keys can read.
//!
//! Callers share documents, variables and one of two keys, so one wrong comparison in a cache or an in-flight
//! request would be a leak.

use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use proptest::prelude::*;
use serde_json::{Value, json};
use switchboard::operation::OperationResponse;
use switchboard::sandbox::{EmulatedUpstream, Fault, Tenant};

use super::{cases, one_tenth, settle, with_paused_clock};
use crate::world::{Setup, World, caller, global_id, strings_at};

/// The tenants whose LeadLex key and Composio key a caller has.
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
    /// Concurrent requests of several callers.
    Ask(Vec<(usize, usize)>),
    Pass(u64),
    /// Marks a tenant's rows with new words.
    Change(bool),
    Fail(EmulatedUpstream, &'static str),
    Recover(EmulatedUpstream),
    Expire(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let upstream = || prop_oneof![Just(EmulatedUpstream::Leadlex), Just(EmulatedUpstream::Composio)];
    let fault = prop_oneof![Just("status=503"), Just("latency-ms=700"), Just("status=429; retry-after=3")];
    let asked = || prop::collection::vec((0..CALLERS.len(), 0..REQUESTS), 1..5);
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

const REQUESTS: usize = 20;

/// Every root field, with ids of both tenants. No response repeats an id that only occurs in the request.
fn requests(world: &World, providers: &[String]) -> [Value; REQUESTS] {
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

/// The global ids of some providers of both tenants in the initial data, which is the same in every world.
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

/// The marker that only this key can read.
fn secret_word(upstream: EmulatedUpstream, tenant: Tenant) -> String {
    format!("Canary{upstream:?}Of{tenant:?}x")
}

/// Marks each row of a tenant with that tenant's words.
fn mark(world: &World, tenant: Tenant, round: usize) {
    world.sandbox.change_accounts(tenant, |rows| {
        for (nth, row) in rows.iter_mut().enumerate() {
            // The first two are requested by name.
            let round = if nth < 2 { 0 } else { round };
            row.user_id = format!("{}{round}x{}", secret_word(EmulatedUpstream::Composio, tenant), nth % 4);
        }
    });
    world.sandbox.change_providers(tenant, |rows| {
        for row in rows.iter_mut().filter(|row| row.is_object()) {
            let secret_word = secret_word(EmulatedUpstream::Leadlex, tenant);
            row["display_name"] = json!(format!("{secret_word}{round}"));
            row["account_id"] = json!(format!("{secret_word}{round}@example.com"));
        }
    });
}

/// A response's text, followed by its decoded ids and cursors.
fn decoded_text(answer: &OperationResponse) -> String {
    let text = str::from_utf8(&answer.body).unwrap();
    let decoded = text.split('"').filter_map(|secret_word| URL_SAFE_NO_PAD.decode(secret_word).ok());
    let decoded = decoded.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    decoded.fold(text.to_owned(), |decoded_text, secret_word| decoded_text + "\n" + &secret_word)
}

/// The texts that a caller must not see: markers and account ids that its keys cannot read.
fn forbidden_texts(world: &World, (leadlex, composio): Keys) -> Vec<String> {
    let others =
        |own: Option<Tenant>| [Tenant::A, Tenant::B].into_iter().filter(move |&other| own != Some(other));
    let rows = others(leadlex).map(|other| secret_word(EmulatedUpstream::Leadlex, other));
    let accounts = others(composio).flat_map(|other| {
        let ids = world.sandbox.accounts(other).into_iter().map(|account| account.id);
        ids.chain([secret_word(EmulatedUpstream::Composio, other)])
    });
    rows.chain(accounts).collect()
}

async fn check_isolation(steps: Vec<Step>, without_user_id: bool) {
    let mut setup = Setup::as_shipped();
    setup.sandbox.without_user_id = without_user_id;
    setup.sandbox.accounts = 24;
    setup.config.lists.page_rows = 10;
    setup.config.cache.stale_while_revalidate_ms = 20_000;
    setup.config.cache.stale_if_error_ms = 120_000;
    let world = World::new_with(setup);
    mark(&world, Tenant::A, 0);
    mark(&world, Tenant::B, 0);
    let (requests, forbidden_texts) =
        (requests(&world, providers().await), CALLERS.map(|keys| forbidden_texts(&world, keys)));
    let key = |tenant: Option<Tenant>, of: fn(Tenant) -> &'static str| tenant.map(of);
    let callers = CALLERS.map(|(leadlex, composio)| {
        caller(key(leadlex, Tenant::leadlex_key), key(composio, Tenant::composio_key))
    });
    for (round, step) in steps.into_iter().enumerate() {
        match step {
            Step::Ask(asked) => {
                let answers =
                    asked.iter().map(|&(who, what)| world.run(callers[who].clone(), &requests[what]));
                for ((who, what), answer) in asked.iter().zip(join_all(answers).await) {
                    let decoded_text = decoded_text(&answer);
                    for foreign in &forbidden_texts[*who] {
                        assert!(
                            !decoded_text.contains(foreign),
                            "{:?} sees {foreign} by {}",
                            CALLERS[*who],
                            requests[*what]
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
    #![proptest_config(one_tenth(cases()))]

    #[test]
    fn responses_contain_no_data_of_other_keys(steps in steps(), without_user_id in any::<bool>()) {
        with_paused_clock(check_isolation(steps, without_user_id));
    }
}

/// Proves that the property can fail: callers with the right keys do see the words.
#[test]
fn authorized_callers_see_the_markers_that_the_check_looks_for() {
    with_paused_clock(async {
        let world = World::new();
        mark(&world, Tenant::A, 7);
        let query = json!({ "query": "{ providers { nodes { displayName } } connectedAccounts { nodes { userId } edges { cursor } } }" });
        let answer =
            world.run(caller(Some(Tenant::A.leadlex_key()), Some(Tenant::A.composio_key())), &query).await;
        let decoded_text = decoded_text(&answer);
        let id = world.sandbox.accounts(Tenant::A)[0].id.clone();
        for secret_word in [
            secret_word(EmulatedUpstream::Leadlex, Tenant::A),
            secret_word(EmulatedUpstream::Composio, Tenant::A),
            id,
        ] {
            assert!(decoded_text.contains(&secret_word), "{secret_word}");
        }
    });
}
