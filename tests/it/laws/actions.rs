//! Actions: callers of two tenants, ADMINs and MEMBERs, act, read and refresh in random interleavings, while writes are
//! slow or lose their answers.
//!
//! No write reaches an account that its caller does not see; no mutation writes twice; an account has one write at a
//! time; and what a caller reads after its own write is what the upstream has.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use proptest::prelude::*;
use serde_json::{Value, json};
use switchboard::domain::caller::Caller;
use switchboard::domain::role::MemberId;
use switchboard::operation::OperationEngine;
use switchboard::sandbox::{Account, EmulatedUpstream, Fault, Sandbox, Tenant};
use switchboard::upstream::transport::Network;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt as _, service_fn};

use super::{cases, one_tenth, with_paused_clock};
use crate::actions::input_type;
use crate::world::{NOW, Setup, World, run, tenant_a, tenant_b};

/// Accounts of each tenant, in turn of its two users.
const ACCOUNTS: usize = 4;

const USERS: [&str; 2] = ["user_0", "user_1"];

/// An ADMIN and two MEMBERs of each tenant.
const CALLERS: usize = 6;

fn tenant_of(caller: usize) -> Tenant {
    if caller < CALLERS / 2 { Tenant::A } else { Tenant::B }
}

/// The user of a MEMBER.
fn user_of(caller: usize) -> Option<&'static str> {
    (caller % 3).checked_sub(1).map(|user| USERS[user])
}

fn caller(caller: usize) -> Caller {
    let admin = if tenant_of(caller) == Tenant::A { tenant_a() } else { tenant_b() };
    match user_of(caller) {
        None => admin,
        Some(user) => Caller::member(user, MemberId::new(user).unwrap(), admin.tenant),
    }
}

fn account_id(tenant: Tenant, account: usize) -> String {
    format!("ca_{tenant:?}{account}")
}

#[derive(Debug, Clone)]
enum Step {
    /// An action on an account of one of the tenants.
    Act(usize, Tenant, usize, &'static str, u8),
    Connect(usize),
    Read(usize),
    Refresh(usize),
}

#[derive(Debug, Clone)]
struct Round {
    /// Steps at the same time, each after a delay in milliseconds.
    steps: Vec<(u64, Step)>,
    fault: &'static str,
}

fn rounds() -> impl Strategy<Value = Vec<Round>> {
    let tenant = || prop_oneof![Just(Tenant::A), Just(Tenant::B)];
    let kind = prop_oneof![
        3 => Just("renameAccount"),
        4 => Just("setAccountEnabled"),
        1 => Just("revokeAccount"),
        1 => Just("removeAccount"),
        1 => Just("reconnectAccount"),
    ];
    let step = prop_oneof![
        8 => (0..CALLERS, tenant(), 0..ACCOUNTS, kind, any::<u8>())
            .prop_map(|(caller, tenant, account, kind, value)| Step::Act(caller, tenant, account, kind, value)),
        1 => (0..CALLERS).prop_map(Step::Connect),
        4 => (0..CALLERS).prop_map(Step::Read),
        1 => prop_oneof![Just(0_usize), Just(3)].prop_map(Step::Refresh),
    ];
    // Slow before or after the effect, an answer that is lost, an error without an effect.
    let fault = prop_oneof![
        3 => Just("latency-ms=40; writes=1"),
        2 => Just("late-ms=40; writes=1"),
        1 => Just("cut=1; writes=1"),
        1 => Just("late-ms=11000; writes=1"),
        1 => Just("status=503; writes=1"),
        1 => Just("status=409; writes=1"),
    ];
    let steps = prop::collection::vec((0..60_u64, step), 1..7);
    prop::collection::vec((steps, fault).prop_map(|(steps, fault)| Round { steps, fault }), 4..16)
}

/// Writes in flight by their path, as the network sees them.
#[derive(Clone, Default)]
struct WritesInFlight(Arc<Mutex<BTreeMap<String, usize>>>);

impl WritesInFlight {
    fn over(&self, network: Network) -> Network {
        let writes = self.clone();
        BoxCloneSyncService::new(service_fn(move |request: http::Request<Bytes>| {
            let (network, writes) = (network.clone(), writes.clone());
            async move {
                // A call to LeadLex has none.
                let key = request.headers().get("x-api-key").map(|key| key.to_str().unwrap().to_owned());
                let subject = format!("{key:?} {}", subject(request.uri().path()));
                let is_write = request.method() != http::Method::GET && !subject.ends_with(" link");
                if is_write {
                    let count = {
                        *writes.0.lock().unwrap().entry(subject.clone()).and_modify(|n| *n += 1).or_insert(1)
                    };
                    assert_eq!(count, 1, "two writes at the same time: {subject}");
                }
                // Dropped with the call, if that is given up.
                let _ended = Ended(is_write.then_some((writes, subject)));
                network.oneshot(request).await
            }
        }))
    }
}

struct Ended(Option<(WritesInFlight, String)>);

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some((writes, subject)) = &self.0 {
            writes.0.lock().unwrap().remove(subject);
        }
    }
}

/// The account of a path, or `link`.
fn subject(path: &str) -> String {
    path.trim_start_matches("/api/v3/connected_accounts/").split(['/', '?']).next().unwrap().to_owned()
}

/// Id, status and alias of a tenant's accounts, by id.
fn truth(sandbox: &Sandbox, tenant: Tenant) -> BTreeMap<String, Value> {
    let accounts = sandbox.accounts(tenant).into_iter();
    accounts
        .map(|row| {
            (
                row.id.clone(),
                json!({ "connectedAccountId": row.id, "status": row.status, "alias": row.alias() }),
            )
        })
        .collect()
}

async fn execute(
    operations: &OperationEngine,
    caller_index: usize,
    query: String,
    variables: Value,
) -> Value {
    let request = json!({ "query": query, "variables": variables });
    serde_json::from_slice(&run(operations, caller(caller_index), &request).await.body).unwrap()
}

/// The accounts that a caller reads by their ids, as [`truth`] has them.
async fn read(operations: &OperationEngine, caller_index: usize, ids: &[String]) -> Vec<Value> {
    let query =
        "query ($ids: [ID!]!) { connectedAccountsByIds(ids: $ids) { connectedAccountId status alias } }";
    let answer = execute(operations, caller_index, query.to_owned(), json!({ "ids": ids })).await;
    assert_eq!(answer.get("errors"), None, "{answer}");
    answer["data"]["connectedAccountsByIds"].as_array().unwrap().clone()
}

/// Result of a mutation: OK, or the code of its user error or GraphQL error.
fn code(answer: &Value, name: &str) -> String {
    match answer["data"][name]["userErrors"].as_array().map(Vec::as_slice) {
        Some([]) => "OK".to_owned(),
        Some([error]) => error["code"].as_str().unwrap().to_owned(),
        _ => answer["errors"][0]["extensions"]["code"].as_str().unwrap().to_owned(),
    }
}

/// Runs a step. Returns the subject of an action, if its caller sees that, and what the mutation says.
async fn take(world: &World, delay: u64, step: Step) -> Option<(String, String)> {
    tokio::time::sleep(Duration::from_millis(delay)).await;
    let operations = world.operations();
    match step {
        Step::Read(index) => {
            let ids: Vec<_> = (0..ACCOUNTS).map(|account| account_id(tenant_of(index), account)).collect();
            read(&operations, index, &ids).await;
            None
        }
        Step::Refresh(index) => {
            execute(&operations, index, "mutation { refresh { retryAt } }".to_owned(), json!({})).await;
            None
        }
        Step::Connect(index) => {
            let mut input = json!({ "authConfigId": if tenant_of(index) == Tenant::A { "ac_gmail" } else { "ac_b_gmail" } });
            if user_of(index).is_none() {
                input["userId"] = json!("user_0");
            }
            let query = "mutation ($input: CreateConnectLinkInput!) { createConnectLink(input: $input) { redirectUrl userErrors { code } } }";
            let answer = execute(&operations, index, query.to_owned(), json!({ "input": input })).await;
            Some((format!("{:?} link", tenant_of(index)), code(&answer, "createConnectLink")))
        }
        Step::Act(index, tenant, account, name, value) => {
            let id = account_id(tenant, account);
            let mut input = json!({ "id": id });
            match name {
                "renameAccount" => input["alias"] = json!(format!("alias {}", value % 3)),
                "setAccountEnabled" => input["enabled"] = json!(value % 2 == 0),
                _ => {}
            }
            let type_name = input_type(name);
            let query = format!(
                "mutation ($input: {type_name}!) {{ {name}(input: $input) {{ userErrors {{ code message }} }} }}"
            );
            let answer = execute(&operations, index, query, json!({ "input": input })).await;
            let code = code(&answer, name);
            let is_visible = tenant_of(index) == tenant
                && user_of(index).is_none_or(|user| USERS[account % USERS.len()] == user);
            if !is_visible {
                assert_eq!(code, "NOT_FOUND", "{name} of a foreign account: {answer}");
                return None;
            }
            if code == "OK" && name != "reconnectAccount" {
                let before = truth(&world.sandbox, tenant).remove(&id).unwrap_or_default();
                let seen = read(&operations, index, std::slice::from_ref(&id)).await.remove(0);
                let after = truth(&world.sandbox, tenant).remove(&id).unwrap_or_default();
                assert!(seen == before || seen == after, "after {name}: {seen}, not {before} or {after}");
            }
            let subject = if name == "reconnectAccount" { format!("{tenant:?} link") } else { id };
            Some((subject, code))
        }
    }
}

/// Whether a mutation with this code has sent its write; `None` if that depends.
fn has_written(code: &str) -> Option<bool> {
    match code {
        "ALREADY_IN_STATE" | "ACTION_IN_PROGRESS" => Some(false),
        "OK" | "STATE_CONFLICT" | "ALIAS_TAKEN" | "ACTION_OUTCOME_UNKNOWN" => Some(true),
        // By the read before the write, or by the upstream.
        "NOT_FOUND" => None,
        other => panic!("unexpected {other}"),
    }
}

async fn check(rounds: Vec<Round>) {
    let mut setup = Setup::as_shipped();
    setup.sandbox.accounts = 0;
    setup.config.actions.enabled = true;
    setup.config.actions.per_minute = 1_000;
    setup.config.actions.member =
        "connect, reconnect, enable, rename, revoke, remove".to_owned().try_into().unwrap();
    setup.config.actions.member_auth_configs = "ac_gmail, ac_b_gmail".to_owned().try_into().unwrap();
    // Lost answers must not open the breaker, whose refusals are not the subject here.
    setup.config.upstream.composio.breaker.failures = 0;
    let in_flight = WritesInFlight::default();
    setup.wrap_network = Box::new(move |network| in_flight.over(network));
    let world = World::new_with(setup);
    for tenant in [Tenant::A, Tenant::B] {
        world.sandbox.change_accounts(tenant, |rows| {
            *rows = (0..ACCOUNTS)
                .map(|account| {
                    let (id, user) = (account_id(tenant, account), USERS[account % USERS.len()]);
                    Account::new(&id, "gmail", user, NOW.parse().unwrap())
                })
                .collect();
        });
    }
    for Round { steps, fault } in rounds {
        world.sandbox.emulate(EmulatedUpstream::Composio, Some(Fault::parse(fault).unwrap()));
        world.sandbox.clear_requests();
        let results = join_all(steps.into_iter().map(|(delay, step)| take(&world, delay, step))).await;
        // Each action has sent exactly one write, or none.
        let mut bounds: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for (subject, code) in results.into_iter().flatten() {
            let (least, most) = bounds.entry(subject).or_default();
            *least += usize::from(has_written(&code) == Some(true));
            *most += usize::from(has_written(&code) != Some(false));
        }
        let mut written: BTreeMap<String, usize> = BTreeMap::new();
        for call in world.sandbox.requests().iter().filter(|call| call.method != "GET") {
            let key = call.headers.iter().find(|(name, _)| name == "x-api-key").unwrap().1.clone();
            let tenant = if key == Tenant::A.composio_key() { Tenant::A } else { Tenant::B };
            let subject = subject(&call.target);
            let subject = if subject == "link" { format!("{tenant:?} link") } else { subject };
            assert!(subject.contains(&format!("{tenant:?}")), "a write to another tenant: {}", call.target);
            *written.entry(subject).or_default() += 1;
        }
        for (subject, count) in &written {
            let (least, most) = bounds.get(subject).copied().unwrap_or_default();
            assert!((least..=most).contains(count), "{subject}: {count} writes, not {least} to {most}");
        }
        for (subject, (least, _)) in &bounds {
            assert!(*least == 0 || written.contains_key(subject), "{subject}: no write");
        }
        // No read returns the earlier state.
        for index in 0..CALLERS {
            let tenant = tenant_of(index);
            let ids: Vec<_> = (0..ACCOUNTS).map(|account| account_id(tenant, account)).collect();
            let accounts = truth(&world.sandbox, tenant);
            let expected: Vec<_> = (0..ACCOUNTS)
                .map(|account| {
                    let is_visible = user_of(index).is_none_or(|user| USERS[account % USERS.len()] == user);
                    accounts.get(&ids[account]).filter(|_| is_visible).cloned().unwrap_or_default()
                })
                .collect();
            assert_eq!(
                read(&world.operations(), index, &ids).await,
                expected,
                "caller {index} after {fault}"
            );
        }
    }
}

proptest! {
    #![proptest_config(one_tenth(one_tenth(cases())))]

    #[test]
    fn no_foreign_write_no_double_write_and_no_stale_read(rounds in rounds()) {
        with_paused_clock(check(rounds));
    }
}
