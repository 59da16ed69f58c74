//! Switchboard inside another program: the public API of the library.
//!
//! [`Builder`] collects settings, which are validated like those of a file, and builds a [`Switchboard`]: it executes
//! requests, and has the public routes of `switchboard serve` as an axum [`Router`]. [`wiring`](super::wiring)
//! constructs the parts below.

use std::path::PathBuf;
use std::sync::Arc;

use apollo_compiler::response::JsonValue;
use axum::Router;
use axum::body::Body;
use axum::http::Request as HttpRequest;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt as _, service_fn};

use super::access::{callers, default_tenant, webhooks};
use super::wiring::{Networks, graph_over, operations_of};
use crate::config::{ApiKeys, Config, ConfigErrors, ConfigSources};
use crate::domain::caller::{Caller, Tenant};
use crate::domain::clock::Clock;
use crate::graphql::schema;
use crate::http::caller::Authenticator;
use crate::http::{self, EdgeParts};
use crate::operation::request::{OperationRequest, RequestError};
use crate::operation::{OperationEngine, OperationResponse, Outcome, TransportRules};
use crate::sandbox::{self, LEADLEX_PATH, Sandbox};
use crate::upstream::transport::Network;

/// The graph over both upstreams. It executes GraphQL requests by [`Self::execute`], or over HTTP by [`Self::router`].
///
/// Cheap to clone; clones share caches, rate limits and circuit breakers. Build one per process.
#[derive(Clone)]
pub struct Switchboard {
    operations: OperationEngine,
    callers: Authenticator,
    config: Arc<Config>,
}

impl Switchboard {
    /// Returns a builder with the defaults of `switchboard.default.toml`. The environment is not read.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Executes one query or mutation on behalf of a caller.
    ///
    /// It cannot fail: an invalid request and an unreachable upstream are `errors` in the response.
    pub async fn execute(&self, request: impl Into<Request>, caller: &Caller) -> Response {
        Clock::follow_system();
        let rules = TransportRules { mutations: true };
        Response(self.operations.run(request.into().0, rules, caller.clone()).await)
    }

    /// Returns the public routes of `switchboard serve`: `/graphql` over HTTP, WebSocket and event streams, GraphiQL at
    /// `/`, Composio's `/webhooks/composio`, and `/example` if the setting `http.example` is true.
    ///
    /// Probes and metrics are not among them. Limits and timeouts of connections, and the checks of malformed request
    /// heads, are those of your server.
    ///
    /// Callers are authenticated by the setting `auth.mode`. With `"none"`, the default, every request whose `Host` is
    /// a name of this machine may read everything that the API keys can read: set another mode before others can reach
    /// the routes.
    pub fn router(&self) -> Router {
        http::router(EdgeParts {
            operations: self.operations.clone(),
            callers: self.callers.clone(),
            webhooks: webhooks(&self.config),
            settings: self.config.http.clone(),
        })
    }

    /// Returns the tenant of the API keys that the builder was given.
    #[must_use]
    pub fn tenant(&self) -> Tenant {
        default_tenant(&self.config)
    }

    /// Returns the schema in the schema definition language.
    #[must_use]
    pub fn schema() -> String {
        schema::sdl()
    }
}

/// Builder of a [`Switchboard`].
///
/// Every setting of `switchboard.default.toml` can be set by its name; the methods below are short forms of the most
/// common ones. A later call overrides an earlier one, and calls override the file.
#[derive(Default)]
#[must_use]
pub struct Builder {
    file: Option<PathBuf>,
    settings: Vec<(&'static str, &'static str, String)>,
    clock: Option<Clock>,
    uses_sandbox: bool,
}

impl Builder {
    /// Sets the API key for LeadLex (`wbk_…`).
    pub fn leadlex_api_key(self, key: impl Into<String>) -> Self {
        self.set("upstream.leadlex.api_key", key.into())
    }

    /// Sets the API key for Composio (`ak_…`).
    pub fn composio_api_key(self, key: impl Into<String>) -> Self {
        self.set("upstream.composio.api_key", key.into())
    }

    /// Sets the base URL of LeadLex's API, if it is not the public one.
    pub fn leadlex_base_url(self, url: impl Into<String>) -> Self {
        self.set("upstream.leadlex.base_url", url.into())
    }

    /// Sets the base URL of Composio's API, if it is not the public one.
    pub fn composio_base_url(self, url: impl Into<String>) -> Self {
        self.set("upstream.composio.base_url", url.into())
    }

    /// Sets any setting by its name: `set("limits.depth", 10)`, `set("cache.limit_bytes", 16 << 20)`.
    pub fn set(mut self, name: &'static str, value: impl ToString) -> Self {
        self.settings.push((name, "Builder::set", value.to_string()));
        self
    }

    /// Reads settings from a TOML file in the form of `switchboard.default.toml`. Values that were set by other calls
    /// take precedence.
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Sets the clock for ages and expiries, for tests that pause Tokio's clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Replaces both upstreams by an emulation in this process, with generated data and no network; for tests and
    /// examples. It also sets the API keys.
    pub fn sandbox(mut self) -> Self {
        self.uses_sandbox = true;
        self.leadlex_base_url(format!("http://sandbox.invalid{LEADLEX_PATH}"))
            .composio_base_url("http://sandbox.invalid")
            .leadlex_api_key("wbk_sandbox_a")
            .composio_api_key("ak_sandbox_a")
    }

    /// Validates the settings and builds the graph. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// If settings are invalid, with all their problems as `switchboard check` prints them; or if TLS cannot be set up.
    pub fn build(self) -> Result<Switchboard, BuildError> {
        let Self { file, settings: flags, clock, uses_sandbox } = self;
        let config =
            Config::load(ConfigSources { file, flags, keys: ApiKeys::Optional, ..ConfigSources::default() })
                .map_err(Failure::Config)?;
        let clock = clock.unwrap_or_else(Clock::system);
        let mut networks = Networks::real(&config).map_err(Failure::Start)?;
        if uses_sandbox {
            let network = sandbox_network(clock);
            networks = Networks { leadlex: network.clone(), composio: network, ..networks };
        }
        let graph = graph_over(&config, clock, &networks);
        let operations = operations_of(graph, &config, clock).map_err(Failure::Start)?;
        let callers = callers(&config).map_err(Failure::Start)?;
        Ok(Switchboard { operations, callers, config: Arc::new(config) })
    }
}

fn sandbox_network(clock: Clock) -> Network {
    let sandbox = Sandbox::new(sandbox::Settings::default(), sandbox::Clock::new(move || clock.now()));
    let router = sandbox.router();
    BoxCloneSyncService::new(service_fn(move |request: HttpRequest<Bytes>| {
        let router = router.clone();
        async move {
            let response = router.oneshot(request.map(Body::from)).await?;
            Ok(response.map(|body| body.map_err(BoxError::from).boxed_unsync()))
        }
    }))
}

/// Reason why a [`Switchboard`] could not be built.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct BuildError(#[from] Failure);

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Config(ConfigErrors),
    #[error("{0:#}")]
    Start(anyhow::Error),
}

/// A GraphQL request: a document, and the values of its variables.
#[derive(Debug, Clone, Default)]
pub struct Request(OperationRequest);

impl Request {
    /// Creates a request with this document and no variables.
    #[must_use]
    pub fn new(query: impl Into<String>) -> Self {
        Self(OperationRequest { query: Some(query.into()), ..OperationRequest::default() })
    }

    /// Parses a request from the JSON body of a GraphQL POST.
    ///
    /// # Errors
    /// If the body is not a JSON object, or a member has a wrong type.
    pub fn from_json(body: &[u8]) -> Result<Self, RequestError> {
        OperationRequest::from_json(body).map(Self)
    }

    /// Sets a variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        let value = serde_json::from_value(value.into()).unwrap_or(JsonValue::Null);
        self.0.variables.insert(name, value);
        self
    }

    /// Names the operation to execute, if the document has several.
    #[must_use]
    pub fn operation_name(mut self, name: impl Into<String>) -> Self {
        self.0.operation_name = Some(name.into());
        self
    }
}

impl From<&str> for Request {
    fn from(query: &str) -> Self {
        Self::new(query)
    }
}

impl From<String> for Request {
    fn from(query: String) -> Self {
        Self::new(query)
    }
}

/// A GraphQL response.
#[derive(Debug, Clone)]
pub struct Response(OperationResponse);

impl Response {
    /// Returns the response as JSON text, with `data`, `errors` and `extensions` as GraphQL defines them.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// Whether the operation was executed without errors.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.0.outcome == Outcome::Executed { whole: true }
    }

    /// Deserializes the whole response; `serde_json::Value` fits every response.
    ///
    /// # Errors
    /// If the response does not have the form of `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.0.body)
    }
}
