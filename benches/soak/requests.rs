//! The requests of clients, and what a response to each may contain.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use serde_json::{Value, json};
use switchboard::sandbox::{Sandbox, Tenant};
use tokio::time::Instant;

use super::upstreams::Upstreams;

/// Texts that no response may contain.
const SECRETS: [&str; 6] = ["CANARY-", "wbk_", "ak_sandbox", "127.0.0.1", "Emulated", "DOCTYPE"];

/// One caller.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) name: &'static str,
    pub(crate) token: String,
    tenant: Tenant,
    /// The end user of a member.
    user: Option<&'static str>,
}

impl Caller {
    pub(crate) fn all() -> [Self; 4] {
        let caller = |name: &'static str, tenant, user| {
            let token = format!("swb_{name}_of_a_soak_test_only");
            Self { name, token, tenant, user }
        };
        [
            caller("admin-a", Tenant::A, None),
            caller("admin-b", Tenant::B, None),
            caller("member-a", Tenant::A, Some("user_3")),
            caller("member-b", Tenant::B, Some("member_1")),
        ]
    }

    pub(crate) fn entry(&self) -> String {
        use sha2::Digest as _;
        let sha256: String =
            sha2::Sha256::digest(&self.token).iter().map(|byte| format!("{byte:02x}")).collect();
        let tenant = if self.tenant == Tenant::A { "default" } else { "b" };
        let role = match self.user {
            Some(user) => format!("role = \"member\"\nuser_id = \"{user}\""),
            None => "role = \"admin\"".to_owned(),
        };
        format!(
            "[[auth.tokens]]\nname = \"{}\"\nsha256 = \"{sha256}\"\ntenant = \"{tenant}\"\n{role}\n",
            self.name
        )
    }

    /// A random request that this caller may send.
    pub(crate) fn random_request(&self, rng: &mut Rng, known: &TenantData) -> Value {
        let own = known.of(self.tenant);
        let account = |rng: &mut Rng| own.accounts[rng.usize(..own.accounts.len())].clone();
        let first = rng.usize(1..=100);
        let query = match rng.usize(..40) {
            0..4 => "{ providers { totalCount nodes { id name status accountId displayName } } }".to_owned(),
            4..9 => format!("{{ connectedAccounts(first: {first}) {{ isComplete nodes {{ id connectedAccountId userId status state {{ status withheld }} }} }} }}"),
            9..14 => {
                let first = first.min(10);
                format!("{{ providers(first: 20) {{ nodes {{ name accountId connectedAccounts(first: {first}) {{ nodes {{ connectedAccountId userId }} }} }} }} }}")
            }
            14..18 => format!("{{ connectedAccount(id: \"{}\") {{ connectedAccountId userId providers {{ name accountId }} }} }}", account(rng)),
            18..21 => format!("{{ connectedAccountsByIds(ids: [\"{}\", \"{}\", \"ca_nobody\"]) {{ connectedAccountId userId }} }}", account(rng), account(rng)),
            21..23 => "{ connectedAccounts(first: 1) { totalCount statusCounts { status count } } }".to_owned(),
            23..25 => format!("{{ user(id: \"{}\") {{ connectedAccounts(first: 5) {{ nodes {{ connectedAccountId userId }} }} }} }}", self.user.unwrap_or("user_1")),
            25 if self.user.is_none() => "{ upstreams { name state } }".to_owned(),
            26 if self.user.is_none() => "mutation { refresh { __typename } }".to_owned(),
            // These are new, so nothing of them is cached.
            27..34 => format!("{{ connectedAccounts(first: 20, filter: {{ userIds: [\"user_{}\", \"member_{}\"] }}) {{ nodes {{ connectedAccountId userId }} }} }}", rng.u64(..1_000_000), rng.u64(..40)),
            34..36 => format!("{{ unique{}: connectedAccounts(last: {first}) {{ nodes {{ connectedAccountId userId }} }} }}", rng.u64(..)),
            // Larger than a socket buffer.
            _ => "{ connectedAccounts(first: 100) { nodes { id connectedAccountId userId wordId alias status rawStatus createdAt updatedAt toolkit { slug } authConfig { id authScheme } state { status scopes withheld settings { name value } } providers { name accountId } } } }".to_owned(),
        };
        json!({ "query": query })
    }
}

/// The data of each tenant.
pub(crate) struct TenantData {
    a: OwnData,
    b: OwnData,
}

struct OwnData {
    accounts: Vec<String>,
    ids: BTreeSet<String>,
    provider_accounts: BTreeSet<String>,
    users: &'static str,
}

impl TenantData {
    pub(crate) fn of_sandbox(sandbox: &Sandbox) -> Self {
        let own = |tenant, users| {
            let accounts: Vec<_> = sandbox.accounts(tenant).into_iter().map(|account| account.id).collect();
            let rows = sandbox.providers(tenant);
            let provider_accounts =
                rows.iter().filter_map(|row| row["account_id"].as_str().map(str::to_owned));
            let ids = accounts.iter().cloned().collect();
            OwnData { ids, accounts, provider_accounts: provider_accounts.collect(), users }
        };
        Self { a: own(Tenant::A, "user_"), b: own(Tenant::B, "member_") }
    }

    fn of(&self, tenant: Tenant) -> &OwnData {
        if tenant == Tenant::A { &self.a } else { &self.b }
    }
}

/// The observations over all responses.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) answers: u64,
    pub(crate) without_errors: u64,
    pub(crate) codes: BTreeMap<String, u64>,
    pub(crate) aborted: u64,
    pub(crate) slow: u64,
    pub(crate) unexplained: Vec<String>,
}

impl Tally {
    pub(crate) fn report_violation(&mut self, what: impl Into<String>) {
        if self.unexplained.len() < 50 {
            self.unexplained.push(what.into());
        }
    }

    /// Checks a response.
    pub(crate) fn check(
        &mut self,
        caller: &Caller,
        known: &TenantData,
        upstreams: &Upstreams,
        sent_at: Instant,
        (status, text): (u16, &str),
    ) {
        self.answers += 1;
        let start: String = text.chars().take(300).collect();
        for secret in SECRETS.iter().filter(|secret| text.contains(**secret)) {
            self.report_violation(format!("{secret} in an answer to {}", caller.name));
        }
        let Ok(answer) = serde_json::from_str::<Value>(text) else {
            return self.report_violation(format!("{status}, no JSON, to {}: {start}", caller.name));
        };
        if status != 200 {
            self.report_violation(format!("{status} to {}: {start}", caller.name));
        }
        let mut problems = Vec::new();
        check_ownership(&answer["data"], caller, known.of(caller.tenant), &mut problems);
        for problem in problems {
            self.report_violation(format!("{problem}, returned to {}", caller.name));
        }
        let errors = answer["errors"].as_array().map_or(&[][..], Vec::as_slice);
        self.without_errors += u64::from(errors.is_empty());
        for error in errors {
            let code = error["extensions"]["code"].as_str().unwrap_or_default();
            *self.codes.entry(code.to_owned()).or_default() += 1;
            let upstream = match error["extensions"]["upstream"].as_str() {
                Some("LEADLEX") => 0,
                Some("COMPOSIO") => 1,
                _ => {
                    self.report_violation(format!("{code} to {}: {start}", caller.name));
                    continue;
                }
            };
            let retry_after_ms = error["extensions"]["retryAfterMs"].as_u64();
            if !upstreams.explains(upstream, code, retry_after_ms, sent_at) {
                let (name, last) = (upstreams.both[upstream].name, upstreams.last(upstream));
                let waited = sent_at.elapsed();
                self.report_violation(format!(
                    "{code} of {name} to {} after {waited:.1?}; it had {last}",
                    caller.name
                ));
            }
        }
    }
}

/// Whether everything in a response belongs to the tenant, and to the member if the caller is one.
fn check_ownership(value: &Value, caller: &Caller, own: &OwnData, problems: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| check_ownership(value, caller, own, problems)),
        Value::Object(fields) => {
            for (name, value) in fields {
                let is_right = match (name.as_str(), value.as_str()) {
                    ("connectedAccountId", Some(id)) => own.ids.contains(id),
                    ("userId", Some(user)) => {
                        user.starts_with(own.users) && caller.user.is_none_or(|member| member == user)
                    }
                    ("accountId", Some(id)) => caller.user.is_none() && own.provider_accounts.contains(id),
                    _ => true,
                };
                if !is_right {
                    problems.push(format!("{name} {value} is another's"));
                }
                check_ownership(value, caller, own, problems);
            }
        }
        _ => {}
    }
}
