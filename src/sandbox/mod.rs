//! The sandbox: an emulation of both upstream REST APIs for the demo and for tests.
//!
//! [`Sandbox::router`] is the entry point: an axum [`Router`] that tests call without a socket, with their own clock
//! and under Tokio's paused time. It follows docs/upstreams.md and imports nothing from Switchboard, because a shared
//! type would hide the same mistake on both sides. Rejected: recorded responses. They cannot filter, page, run out of
//! quota or fail on demand.
//!
//! A request passes `middleware` (logging, delay, faults), then `leadlex` or `composio` (key, quota, parameters), then
//! `pages`, `item` and `state`. The data come from `tenants`, `seed_data`, `accounts` and `data/`. Two keys return the
//! documents of `seeds/` unchanged.

mod accounts;
mod clock;
mod composio;
mod composio_writes;
mod errors;
mod fault_injection;
mod faults;
mod item;
mod leadlex;
mod middleware;
mod pages;
mod query;
mod quota;
mod recent_data;
mod request_log;
mod rng;
mod scenario;
mod schema_drift;
mod seed_data;
mod settings;
mod sign_in;
mod standing_faults;
mod state;
mod tenants;
mod test_accounts;
mod toolkits;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, patch, post, put};
use axum::{Json, Router};
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use accounts::Account;
pub use clock::Clock;
pub use faults::{BadFault, Fault, FaultBody};
pub use request_log::RecordedRequest;
pub use scenario::Scenario;
pub use settings::{ComposioPlan, CursorKind, LeadlexPlan, Settings, Ties};
pub use tenants::Tenant;
pub use toolkits::TOOLKITS;

/// The path prefix of LeadLex's API on the sandbox; Composio's API is at its root.
pub const LEADLEX_PATH: &str = "/functions/v1/api-gateway";

/// The prefix of every value that must not reach clients; the name of its field follows.
pub const CANARY: &str = "CANARY-";

/// One of the two emulated upstreams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmulatedUpstream {
    /// `GET /v1/settings/providers` under [`LEADLEX_PATH`].
    Leadlex,
    /// `/api/v3/connected_accounts`, read and written, and the same under `/api/v3.1`.
    Composio,
}

/// Both emulated upstreams with their data; clones share everything.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<SandboxState>,
}

struct SandboxState {
    settings: Settings,
    clock: Clock,
    tenants: tenants::Tenants,
    leadlex_quota: quota::Quota,
    composio_quota: quota::Quota,
    request_log: request_log::RequestLog,
    faults: faults::Faults,
    links: sign_in::Links,
    drift: AtomicBool,
    responses: AtomicU64,
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
            links: sign_in::Links::default(),
            drift: AtomicBool::new(false),
            responses: AtomicU64::new(0),
            settings,
            clock,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Returns the routes: LeadLex under [`LEADLEX_PATH`], Composio under `/api/v3` and `/api/v3.1`, `/__requests`,
    /// `/__accounts/{id}`, `/__faults/{upstream}`, and a description at `/`.
    pub fn router(&self) -> Router {
        let middleware = |upstream| {
            from_fn_with_state(
                middleware::UpstreamMiddleware { sandbox: self.clone(), upstream },
                middleware::handle,
            )
        };
        let leadlex = Router::new()
            .route(&format!("{LEADLEX_PATH}/v1/settings/providers"), get(leadlex::list))
            .route_layer(middleware(EmulatedUpstream::Leadlex));
        // Both versions are written out: nesting would remove the prefix from the logged target.
        let composio = ["/api/v3", "/api/v3.1"].into_iter().fold(Router::new(), |router, version| {
            let path = |rest: &str| format!("{version}/connected_accounts{rest}");
            let single_account =
                get(composio::single).patch(composio_writes::update).delete(composio_writes::delete);
            router
                .route(&path(""), get(composio::list))
                .route(&path("/link"), post(composio_writes::link))
                .route(&path("/{id}"), single_account)
                .route(&path("/{id}/status"), patch(composio_writes::status))
                .route(&path("/{id}/revoke"), post(composio_writes::revoke))
        });
        let composio = composio.route_layer(middleware(EmulatedUpstream::Composio));
        Router::new()
            .merge(leadlex)
            .merge(composio)
            .route("/", get(index))
            .route("/__requests", get(list_requests).delete(clear_requests))
            .route("/__sign-in/{token}", get(sign_in::ask).post(sign_in::decide))
            .route("/__accounts/{id}", put(test_accounts::put).delete(test_accounts::delete))
            .route("/__faults/{upstream}", put(standing_faults::put).delete(standing_faults::delete))
            .with_state(self.clone())
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

    /// Enables schema drift: new fields and enum values, missing optional fields, one unusable row per page.
    pub fn drift(&self, on: bool) {
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

    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    fn is_drifting(&self) -> bool {
        self.inner.drift.load(Ordering::Relaxed)
    }

    /// Returns the id of the next response; the sequence is the same in every sandbox.
    fn next_id(&self) -> String {
        rng::uuid(self.inner.responses.fetch_add(1, Ordering::Relaxed))
    }
}

/// Returns a description for people who open the sandbox in a browser.
async fn index() -> String {
    format!(
        "The Switchboard sandbox: both upstream APIs, emulated.\n\n\
         LeadLex    GET {LEADLEX_PATH}/v1/settings/providers    Authorization: Bearer wbk_sandbox_a or wbk_sandbox_b\n\
         Composio   GET /api/v3/connected_accounts    x-api-key: ak_sandbox_a or ak_sandbox_b\n\
         Composio   POST /api/v3/connected_accounts/link, and PATCH, DELETE, /status and /revoke of one account\n\n\
         GET /__requests lists the received requests, DELETE clears the list.\n\
         PUT /__accounts/ca_new?toolkit=gmail&user_id=user_1 adds an account, DELETE removes it (with the x-api-key).\n\
         PUT /__faults/composio with X-Emulate: status=503 makes all its requests fail, DELETE ends it.\n"
    )
}

async fn list_requests(State(sandbox): State<Sandbox>) -> Json<Vec<RecordedRequest>> {
    Json(sandbox.requests())
}

async fn clear_requests(State(sandbox): State<Sandbox>) -> StatusCode {
    sandbox.clear_requests();
    StatusCode::NO_CONTENT
}
