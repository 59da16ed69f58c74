//! Two tenants that have nothing but toolkit slugs in common, so that a leak between them is visible; and keys whose
//! responses are fixed documents.

use std::sync::RwLock;

use serde_json::Value;

use super::accounts::Accounts;
use super::seed_data::generate;
use super::settings::Settings;

/// A tenant with data that tests can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tenant {
    /// `wbk_sandbox_a` and `ak_sandbox_a`: 25 integrations, the configured number of accounts, users `user_0…`.
    A,
    /// `wbk_sandbox_b` and `ak_sandbox_b`: 6 integrations, a quarter of the accounts, users `member_0…`.
    B,
}

impl Tenant {
    /// Returns the tenant's LeadLex key, without `Bearer`.
    #[must_use]
    pub fn leadlex_key(self) -> &'static str {
        match self {
            Self::A => "wbk_sandbox_a",
            Self::B => "wbk_sandbox_b",
        }
    }

    /// Returns the tenant's Composio key.
    #[must_use]
    pub fn composio_key(self) -> &'static str {
        match self {
            Self::A => "ak_sandbox_a",
            Self::B => "ak_sandbox_b",
        }
    }
}

/// One tenant's data.
pub(super) struct TenantData {
    /// LeadLex's rows.
    pub(super) providers: RwLock<Vec<Value>>,
    pub(super) accounts: RwLock<Accounts>,
    /// The prefix of the tenant's auth config ids.
    pub(super) auth_configs: &'static str,
}

/// Both tenants.
pub(super) struct Tenants {
    a: TenantData,
    b: TenantData,
}

impl Tenants {
    pub(super) fn new(settings: &Settings) -> Self {
        let smaller = Settings { accounts: settings.accounts / 4, skew: false, ..settings.clone() };
        let tenant_data = |providers: &str, accounts, auth_configs| TenantData {
            providers: RwLock::new(serde_json::from_str(providers).unwrap_or_default()),
            accounts: RwLock::new(accounts),
            auth_configs,
        };
        Self {
            a: tenant_data(include_str!("data/leadlex-a.json"), generate(settings, 0xA, "user_"), "ac_"),
            b: tenant_data(include_str!("data/leadlex-b.json"), generate(&smaller, 0xB, "member_"), "ac_b_"),
        }
    }

    pub(super) fn of(&self, tenant: Tenant) -> &TenantData {
        match tenant {
            Tenant::A => &self.a,
            Tenant::B => &self.b,
        }
    }
}

/// The access of a key.
pub(super) enum Access {
    /// Access to read and change a tenant's data.
    ReadWrite(Tenant),
    /// A fixed body for every list, regardless of its parameters. For Composio, every single account is then a fixed 404.
    FixedResponse(&'static str),
    /// Read access to a tenant's data.
    ReadOnly(Tenant),
    /// No access: the key is valid but lacks the permission.
    Forbidden,
}

/// Returns the access of a LeadLex key; `None` if it is unknown.
pub(super) fn leadlex_access(key: &str) -> Option<Access> {
    match key {
        "wbk_sandbox_a" => Some(Access::ReadWrite(Tenant::A)),
        "wbk_sandbox_b" => Some(Access::ReadWrite(Tenant::B)),
        "wbk_sandbox_seed" => Some(Access::FixedResponse(include_str!("seeds/leadlex-example.json"))),
        "wbk_sandbox_stub" => Some(Access::FixedResponse(include_str!("seeds/leadlex-stub.json"))),
        "wbk_sandbox_forbidden" => Some(Access::Forbidden),
        _ => None,
    }
}

/// Returns the access of a Composio key; `None` if it is unknown.
pub(super) fn composio_access(key: &str) -> Option<Access> {
    match key {
        "ak_sandbox_a" => Some(Access::ReadWrite(Tenant::A)),
        "ak_sandbox_b" => Some(Access::ReadWrite(Tenant::B)),
        "ak_sandbox_readonly" => Some(Access::ReadOnly(Tenant::A)),
        "ak_sandbox_seed" | "ak_sandbox_stub" => {
            Some(Access::FixedResponse(include_str!("seeds/composio-list.json")))
        }
        "ak_sandbox_forbidden" => Some(Access::Forbidden),
        _ => None,
    }
}
