//! The graph over an in-process sandbox: no sockets, so a paused clock stands still while it works.

use std::sync::Arc;

use http_body_util::BodyExt;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use switchboard::domain::caller::{Caller, Role, Tenant};
use switchboard::domain::clock::Clock;
use switchboard::domain::credential::Credential;
use switchboard::domain::settings::ExpectedProviders;
use switchboard::domain::toolkits::ToolkitMapping;
use switchboard::domain::upstream_name::UpstreamName;
use switchboard::graphql::schema::{Graph, GraphParts};
use switchboard::loaders::batch::Sources;
use switchboard::loaders::by_id::AccountsById;
use switchboard::loaders::lists::Lists;
use switchboard::loaders::providers::Providers;
use switchboard::loaders::settings::{CacheSettings, ConnectionSettings, ListSettings};
use switchboard::operation::request::OperationRequest;
use switchboard::operation::{Operations, TransportRules};
use switchboard::sandbox::{self, LEADLEX_PATH, Sandbox};
use switchboard::upstream::accounts::AccountsClient;
use switchboard::upstream::providers::ProvidersClient;
use switchboard::upstream::settings::UpstreamSettings;
use switchboard::upstream::transport::{Network, Transport};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt, service_fn};

/// A graph and the sandbox below it.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) operations: Operations,
}

pub(crate) const NOW: &str = "2026-11-21T12:00:00Z";

/// A network that is the sandbox's router.
pub(crate) fn network(sandbox: &Sandbox) -> Network {
    let router = sandbox.router();
    BoxCloneSyncService::new(service_fn(move |request: http::Request<()>| {
        let router = router.clone();
        async move {
            let response = router.oneshot(request.map(|()| axum::body::Body::empty())).await?;
            Ok(response.map(|body| body.map_err(BoxError::from).boxed_unsync()))
        }
    }))
}

pub(crate) fn caller(leadlex: Option<&str>, composio: Option<&str>) -> Caller {
    Caller {
        role: Role::Admin,
        tenant: Tenant {
            leadlex: leadlex.map(|key| Credential::new(key).unwrap()),
            composio: composio.map(|key| Credential::new(key).unwrap()),
        },
    }
}

pub(crate) fn tenant_a() -> Caller {
    caller(Some("wbk_sandbox_a"), Some("ak_sandbox_a"))
}

pub(crate) fn tenant_b() -> Caller {
    caller(Some("wbk_sandbox_b"), Some("ak_sandbox_b"))
}

impl World {
    pub(crate) fn new() -> Self {
        Self::over(sandbox::Settings::default())
    }

    pub(crate) fn over(settings: sandbox::Settings) -> Self {
        let clock = Clock::starting_at(NOW.parse::<Timestamp>().unwrap());
        let sandbox = Sandbox::new(settings, sandbox::Clock::new(move || clock.now()));
        let settings = |base: &str| UpstreamSettings {
            base_url: format!("http://sandbox.invalid{base}").parse().unwrap(),
            api_key: SecretString::from(""),
            timeout_ms: 5_000,
            body_limit_bytes: 8 << 20,
        };
        let network = network(&sandbox);
        let leadlex = Transport::new(UpstreamName::Leadlex, settings(LEADLEX_PATH), network.clone(), clock);
        let composio = Transport::new(UpstreamName::Composio, settings("/"), network, clock);
        let cache =
            CacheSettings { limit_bytes: 64 << 20, providers_ttl_ms: 60_000, accounts_ttl_ms: 30_000 };
        let lists = ListSettings { page_rows: 100, pages_max: 50, count_calls_max: 40 };
        let lists = Arc::new(Lists::new(AccountsClient::new(composio), lists, &cache, None));
        let sources = Sources {
            providers: Providers::new(
                ProvidersClient::new(leadlex),
                &cache,
                None,
                &ExpectedProviders::default(),
            ),
            accounts_by_id: AccountsById::new(Arc::clone(&lists), &cache),
            lists,
        };
        let connections = ConnectionSettings {
            providers_default: 100,
            accounts_default: 20,
            page_max: 100,
            ids_max: 1_000,
        };
        let mapping = ToolkitMapping::built_in().unwrap();
        let graph = Graph::new(GraphParts { sources: Arc::new(sources), mapping, connections });
        Self { sandbox, operations: Operations::new(graph).unwrap() }
    }

    /// The answer to a query of tenant A.
    pub(crate) async fn ask(&self, query: &str) -> Value {
        self.ask_as(tenant_a(), query, json!({})).await
    }

    pub(crate) async fn ask_as(&self, caller: Caller, query: &str, variables: Value) -> Value {
        let request = json!({ "query": query, "variables": variables }).to_string();
        let request = OperationRequest::from_json(request.as_bytes()).unwrap();
        let answer = self.operations.run(request, TransportRules { mutations: true }, caller).await;
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// The calls that the sandbox saw since the last look, as `GET path?query`.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls =
            self.sandbox.requests().iter().map(|call| format!("{} {}", call.method, call.target)).collect();
        self.sandbox.forget_requests();
        calls
    }
}
