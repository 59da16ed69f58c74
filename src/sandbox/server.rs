//! The state of a sandbox, and its control by tests.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use jiff::Timestamp;
use serde_json::Value;

use super::accounts::Account;
use super::clock::Clock;
use super::faults::Fault;
use super::request_log::RecordedRequest;
use super::settings::Settings;
use super::tenants::Tenant;
use super::upstreams::EmulatedUpstream;
use super::{faults, links, quota, request_log, rng, tenants};

/// Both emulated upstreams with their data; clones share everything.
#[derive(Clone)]
pub struct Sandbox {
    pub(super) inner: Arc<SandboxState>,
}

pub(super) struct SandboxState {
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    pub(super) tenants: tenants::Tenants,
    pub(super) leadlex_quota: quota::Quota,
    pub(super) composio_quota: quota::Quota,
    pub(super) request_log: request_log::RequestLog,
    pub(super) faults: faults::Faults,
    pub(super) links: links::Links,
    pub(super) drift: AtomicBool,
    pub(super) responses: AtomicU64,
}

impl Sandbox {
    /// Creates a sandbox. Equal settings give equal data.
    #[must_use]
    pub fn new(settings: Settings, clock: Clock) -> Self {
        let inner = SandboxState {
            tenants: tenants::Tenants::new(&settings),
            leadlex_quota: quota::Quota::leadlex(settings.leadlex_plan),
            composio_quota: quota::Quota::composio(settings.composio_plan),
            request_log: request_log::RequestLog::default(),
            faults: faults::Faults::default(),
            links: links::Links::default(),
            drift: AtomicBool::new(false),
            responses: AtomicU64::new(0),
            settings,
            clock,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Returns the last 10,000 requests, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.inner.request_log.all()
    }

    /// Clears [`Sandbox::requests`].
    pub fn clear_requests(&self) {
        self.inner.request_log.clear();
    }

    /// Applies `fault` to every further request to `upstream`, except those with an `X-Emulate` header that applies;
    /// `None` ends it.
    pub fn emulate(&self, upstream: EmulatedUpstream, fault: Option<Fault>) {
        self.inner.faults.set_standing(upstream, fault);
    }

    /// Enables or disables schema drift: new fields and enum values, missing optional fields, one unusable row per
    /// page.
    pub fn set_drift(&self, on: bool) {
        self.inner.drift.store(on, Ordering::Relaxed);
    }

    /// Returns the tenant's connected accounts, initially newest first.
    #[must_use]
    pub fn accounts(&self, tenant: Tenant) -> Vec<Account> {
        let accounts = &self.inner.tenants.of(tenant).accounts;
        accounts.read().unwrap_or_else(PoisonError::into_inner).rows().to_vec()
    }

    /// Changes the tenant's connected accounts.
    pub fn change_accounts(&self, tenant: Tenant, change: impl FnOnce(&mut Vec<Account>)) {
        let accounts = &self.inner.tenants.of(tenant).accounts;
        accounts.write().unwrap_or_else(PoisonError::into_inner).change(change);
    }

    /// Returns the tenant's LeadLex rows.
    #[must_use]
    pub fn providers(&self, tenant: Tenant) -> Vec<Value> {
        let providers = &self.inner.tenants.of(tenant).providers;
        providers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the tenant's LeadLex rows; a row can be any JSON.
    pub fn change_providers(&self, tenant: Tenant, change: impl FnOnce(&mut Vec<Value>)) {
        let providers = &self.inner.tenants.of(tenant).providers;
        change(&mut providers.write().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    pub(super) fn is_drifting(&self) -> bool {
        self.inner.drift.load(Ordering::Relaxed)
    }

    /// Returns the id of the next response; the sequence is the same in every sandbox.
    pub(super) fn next_id(&self) -> String {
        rng::uuid(self.inner.responses.fetch_add(1, Ordering::Relaxed))
    }
}
