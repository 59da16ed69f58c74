//! Two tenants that share nothing but toolkit slugs, so that what leaks from one to the other is seen at once; and the
//! two whose answers are documents, word for word.

use std::sync::RwLock;

use serde_json::Value;

use super::accounts::Accounts;
use super::deal::deal;
use super::settings::Settings;

/// A tenant whose data tests can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tenant {
    /// `wbk_sandbox_a` and `ak_sandbox_a`: 25 integrations, the configured number of accounts, users `user_0…`.
    A,
    /// `wbk_sandbox_b` and `ak_sandbox_b`: 6 integrations, a quarter of the accounts, users `member_0…`.
    B,
}

impl Tenant {
    /// The tenant's key for LeadLex, without `Bearer`.
    #[must_use]
    pub fn leadlex_key(self) -> &'static str {
        match self {
            Self::A => "wbk_sandbox_a",
            Self::B => "wbk_sandbox_b",
        }
    }

    /// The tenant's key for Composio.
    #[must_use]
    pub fn composio_key(self) -> &'static str {
        match self {
            Self::A => "ak_sandbox_a",
            Self::B => "ak_sandbox_b",
        }
    }
}

/// One tenant's data.
pub(super) struct Holdings {
    /// LeadLex's rows, as they are answered.
    pub(super) providers: RwLock<Vec<Value>>,
    pub(super) accounts: RwLock<Accounts>,
    /// What the ids of the tenant's auth configs begin with.
    pub(super) auth_configs: &'static str,
}

/// What both tenants have.
pub(super) struct Tenants {
    a: Holdings,
    b: Holdings,
}

impl Tenants {
    pub(super) fn new(settings: &Settings) -> Self {
        let smaller = Settings { accounts: settings.accounts / 4, skew: false, ..settings.clone() };
        let holdings = |providers: &str, accounts, auth_configs| Holdings {
            providers: RwLock::new(serde_json::from_str(providers).unwrap_or_default()),
            accounts: RwLock::new(accounts),
            auth_configs,
        };
        Self {
            a: holdings(include_str!("data/leadlex-a.json"), deal(settings, 0xA, "user_"), "ac_"),
            b: holdings(include_str!("data/leadlex-b.json"), deal(&smaller, 0xB, "member_"), "ac_b_"),
        }
    }

    pub(super) fn of(&self, tenant: Tenant) -> &Holdings {
        match tenant {
            Tenant::A => &self.a,
            Tenant::B => &self.b,
        }
    }
}

/// What a key opens.
pub(super) enum Access {
    /// A tenant's data.
    Data(Tenant),
    /// Answers that are documents, byte for byte: the list, and for Composio what any single account answers.
    Document(&'static str),
    /// A tenant's data, which the key may only read.
    ReadOnly(Tenant),
    /// Nothing: the key is valid and lacks the permission.
    Forbidden,
}

/// What a LeadLex key opens; none where nobody knows it.
pub(super) fn leadlex_access(key: &str) -> Option<Access> {
    match key {
        "wbk_sandbox_a" => Some(Access::Data(Tenant::A)),
        "wbk_sandbox_b" => Some(Access::Data(Tenant::B)),
        "wbk_sandbox_seed" => Some(Access::Document(include_str!("seeds/leadlex-example.json"))),
        "wbk_sandbox_stub" => Some(Access::Document(include_str!("seeds/leadlex-stub.json"))),
        "wbk_sandbox_forbidden" => Some(Access::Forbidden),
        _ => None,
    }
}

/// What a Composio key opens; none where nobody knows it.
pub(super) fn composio_access(key: &str) -> Option<Access> {
    match key {
        "ak_sandbox_a" => Some(Access::Data(Tenant::A)),
        "ak_sandbox_b" => Some(Access::Data(Tenant::B)),
        "ak_sandbox_readonly" => Some(Access::ReadOnly(Tenant::A)),
        "ak_sandbox_seed" | "ak_sandbox_stub" => {
            Some(Access::Document(include_str!("seeds/composio-list.json")))
        }
        "ak_sandbox_forbidden" => Some(Access::Forbidden),
        _ => None,
    }
}
