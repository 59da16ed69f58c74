//! The sandbox: both upstream REST APIs, emulated, for the demo and for tests.
//!
//! True to UPSTREAMS.md, and imports nothing of the crate it tests: a type shared with the client would let one mistake
//! pass on both sides. It is an axum [`Router`] that takes its clock as a parameter, so tests call it without a socket,
//! under Tokio's paused time; the alternative, recorded answers, could not filter, page, run out of quota or fail on
//! demand.
//!
//! A request's way: `door` (recorded, delayed, made to fail) → `leadlex` or `composio` (key, quota, question) →
//! `pages` → `item` → `state`. The data: `tenants`, `deal`, `accounts`, `data/`. The documents that the project started from are
//! in `seeds/`, and two keys answer them word for word.

mod accounts;
mod chance;
mod changes;
mod clock;
mod composio;
mod composio_writes;
mod deal;
mod door;
mod drift;
mod errors;
mod faults;
mod item;
mod leadlex;
mod pages;
mod query;
mod quota;
mod recent;
mod recording;
mod scenario;
mod settings;
mod sign_in;
mod spoil;
mod state;
mod tenants;
mod toolkits;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, patch, post, put};
use axum::{Json, Router};
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

pub use accounts::Account;
pub use clock::Clock;
pub use faults::{BadFault, Fault, FaultBody};
pub use recording::RecordedRequest;
pub use scenario::Scenario;
pub use settings::{ComposioPlan, CursorKind, LeadlexPlan, Settings, Ties};
pub use tenants::Tenant;
pub use toolkits::TOOLKITS;

/// Where LeadLex's API begins under the sandbox's address; Composio's begins at its root.
pub const LEADLEX_PATH: &str = "/functions/v1/api-gateway";

/// What every value bears that must not be seen outside: this, then the name of its field.
pub const CANARY: &str = "CANARY-";

/// One of the two emulated upstreams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EmulatedUpstream {
    /// `GET /v1/settings/providers` under [`LEADLEX_PATH`].
    Leadlex,
    /// `/api/v3/connected_accounts`, read and written, and the same under `/api/v3.1`.
    Composio,
}

/// Both upstreams with their data; clones share everything.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    clock: Clock,
    tenants: tenants::Tenants,
    leadlex_quota: quota::Quota,
    composio_quota: quota::Quota,
    recording: recording::Recording,
    faults: faults::Faults,
    links: sign_in::Links,
    drifts: AtomicBool,
    answers: AtomicU64,
}

impl Sandbox {
    /// A sandbox with the same data as any other of the same settings.
    #[must_use]
    pub fn new(settings: Settings, clock: Clock) -> Self {
        let inner = Inner {
            tenants: tenants::Tenants::new(&settings),
            leadlex_quota: quota::Quota::leadlex(settings.leadlex_plan),
            composio_quota: quota::Quota::composio(settings.composio_plan),
            recording: recording::Recording::default(),
            faults: faults::Faults::default(),
            links: sign_in::Links::default(),
            drifts: AtomicBool::new(false),
            answers: AtomicU64::new(0),
            settings,
            clock,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Everything the sandbox answers: LeadLex under [`LEADLEX_PATH`], Composio under `/api/v3` and `/api/v3.1`,
    /// `/__requests` and `/__accounts/{id}`, and at `/` what there is.
    pub fn router(&self) -> Router {
        let door = |upstream| from_fn_with_state(door::Door { sandbox: self.clone(), upstream }, door::pass);
        let leadlex = Router::new()
            .route(&format!("{LEADLEX_PATH}/v1/settings/providers"), get(leadlex::list))
            .route_layer(door(EmulatedUpstream::Leadlex));
        // Both versions by name and no nesting, which would cut the prefix off the recorded target.
        let composio = ["/api/v3", "/api/v3.1"].into_iter().fold(Router::new(), |router, version| {
            let path = |rest: &str| format!("{version}/connected_accounts{rest}");
            let one = get(composio::one).patch(composio_writes::update).delete(composio_writes::delete);
            router
                .route(&path(""), get(composio::list))
                .route(&path("/link"), post(composio_writes::link))
                .route(&path("/{id}"), one)
                .route(&path("/{id}/status"), patch(composio_writes::status))
                .route(&path("/{id}/revoke"), post(composio_writes::revoke))
        });
        let composio = composio.route_layer(door(EmulatedUpstream::Composio));
        Router::new()
            .merge(leadlex)
            .merge(composio)
            .route("/", get(signpost))
            .route("/__requests", get(asked).delete(forget))
            .route("/__sign-in/{token}", get(sign_in::ask).post(sign_in::decide))
            .route("/__accounts/{id}", put(changes::put).delete(changes::delete))
            .with_state(self.clone())
    }

    /// What was asked, oldest first; the last 10,000.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.inner.recording.all()
    }

    /// Empties [`Sandbox::requests`].
    pub fn forget_requests(&self) {
        self.inner.recording.forget();
    }

    /// From now on every request to `upstream` meets `fault`, unless its own `X-Emulate` strikes; none ends that.
    pub fn emulate(&self, upstream: EmulatedUpstream, fault: Option<Fault>) {
        self.inner.faults.stand(upstream, fault);
    }

    /// Whether answers drift: new fields and words, optional fields gone, one useless row per page.
    pub fn drift(&self, on: bool) {
        self.inner.drifts.store(on, Ordering::Relaxed);
    }

    /// The tenant's connected accounts, newest first as dealt.
    #[must_use]
    pub fn accounts(&self, tenant: Tenant) -> Vec<Account> {
        let accounts = &self.inner.tenants.of(tenant).accounts;
        accounts.read().unwrap_or_else(PoisonError::into_inner).rows().to_vec()
    }

    /// Adds, removes and alters the tenant's connected accounts.
    pub fn change_accounts(&self, tenant: Tenant, change: impl FnOnce(&mut Vec<Account>)) {
        let accounts = &self.inner.tenants.of(tenant).accounts;
        accounts.write().unwrap_or_else(PoisonError::into_inner).change(change);
    }

    /// The tenant's LeadLex rows, as they are answered.
    #[must_use]
    pub fn providers(&self, tenant: Tenant) -> Vec<Value> {
        let providers = &self.inner.tenants.of(tenant).providers;
        providers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds, removes and alters the tenant's LeadLex rows; a row can be any JSON.
    pub fn change_providers(&self, tenant: Tenant, change: impl FnOnce(&mut Vec<Value>)) {
        let providers = &self.inner.tenants.of(tenant).providers;
        change(&mut providers.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    fn drifts(&self) -> bool {
        self.inner.drifts.load(Ordering::Relaxed)
    }

    /// The id of the next answer: the same at every start.
    fn next_id(&self) -> String {
        chance::uuid(self.inner.answers.fetch_add(1, Ordering::Relaxed))
    }
}

/// For whoever opens the sandbox's address in a browser.
async fn signpost() -> String {
    format!(
        "The Switchboard sandbox: both upstream APIs, emulated.\n\n\
         LeadLex    GET {LEADLEX_PATH}/v1/settings/providers    Authorization: Bearer wbk_sandbox_a or wbk_sandbox_b\n\
         Composio   GET /api/v3/connected_accounts    x-api-key: ak_sandbox_a or ak_sandbox_b\n\
         Composio   POST /api/v3/connected_accounts/link, and PATCH, DELETE, /status and /revoke of one account\n\n\
         GET /__requests lists what was asked, DELETE empties it.\n\
         PUT /__accounts/ca_new?toolkit=gmail&user_id=user_1 connects an account, DELETE ends it (with the x-api-key).\n"
    )
}

async fn asked(State(sandbox): State<Sandbox>) -> Json<Vec<RecordedRequest>> {
    Json(sandbox.requests())
}

async fn forget(State(sandbox): State<Sandbox>) -> StatusCode {
    sandbox.forget_requests();
    StatusCode::NO_CONTENT
}
