//! The graph over an in-process sandbox: no sockets, so a paused clock stands still while it works.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::BodyExt;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use switchboard::domain::caller::{self, Caller, Role};
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
use switchboard::operation::settings::LimitSettings;
use switchboard::operation::{Operations, Outcome, TransportRules};
use switchboard::sandbox::{self, LEADLEX_PATH, Sandbox, Tenant};
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

/// How many rows an upstream page has unless a test says otherwise: the default of `lists.page_rows`.
pub(crate) const PAGE_ROWS: usize = 100;

/// How long everything is kept, at most.
pub(crate) const LONGEST_TTL: Duration = Duration::from_secs(60);

/// The only question that LeadLex is asked.
pub(crate) const PROVIDERS: &str = "GET /functions/v1/api-gateway/v1/settings/providers";

const NEWEST_FIRST: &str = "order_by=created_at&order_direction=desc";

/// A list call to Composio, newest first, behind some filters (`toolkit_slugs=gmail`).
pub(crate) fn list(filters: &[&str]) -> String {
    let filters: String = filters.iter().map(|filter| format!("{filter}&")).collect();
    format!("GET /api/v3/connected_accounts?{filters}{NEWEST_FIRST}&limit={PAGE_ROWS}")
}

/// The call that counts a list.
pub(crate) fn count(filters: &[&str]) -> String {
    list(filters).replace("limit=100", "limit=1")
}

/// The call that gets accounts by their `ca_…` ids.
pub(crate) fn by_ids<'a>(ids: impl IntoIterator<Item = &'a str>) -> String {
    let mut ids: Vec<_> = ids.into_iter().collect();
    ids.sort_unstable();
    list(&[&format!("connected_account_ids={}", ids.join("%2C")), "account_type=ALL"])
}

/// The global id of an account, a toolkit, or anything that calls itself one.
pub(crate) fn global_id(kind: &str, own: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{kind}:{own}"))
}

/// What stands at a path like `providers.nodes.0.name`; of a list, `*` makes a list of what each holds.
#[track_caller]
pub(crate) fn at(value: &Value, path: &str) -> Value {
    let (step, rest) = path.split_once('.').map_or((path, None), |(step, rest)| (step, Some(rest)));
    let follow = |value: &Value| rest.map_or_else(|| value.clone(), |rest| at(value, rest));
    match value {
        Value::Array(all) if step == "*" => Some(all.iter().map(follow).collect()),
        Value::Array(all) => step.parse().ok().and_then(|place: usize| all.get(place)).map(follow),
        Value::Object(fields) => fields.get(step).map(follow),
        _ => None,
    }
    .unwrap_or_else(|| panic!("nothing at `{path}` of {value}"))
}

/// The texts at such a path.
#[track_caller]
pub(crate) fn texts(value: &Value, path: &str) -> Vec<String> {
    let list = at(value, path);
    let list = list.as_array().unwrap_or_else(|| panic!("no list at `{path}`: {list}"));
    list.iter().map(|text| text.as_str().unwrap_or_else(|| panic!("no text: {text}")).to_owned()).collect()
}

/// The only error of an answer.
#[track_caller]
pub(crate) fn only_error(answer: &Value) -> &Value {
    match answer["errors"].as_array().map(Vec::as_slice) {
        Some([error]) => error,
        _ => panic!("not one error: {answer}"),
    }
}

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
        tenant: caller::Tenant {
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

fn lists(page_rows: usize) -> ListSettings {
    ListSettings { page_rows, pages_max: 50, count_calls_max: 40 }
}

fn connections() -> ConnectionSettings {
    ConnectionSettings { providers_default: 100, accounts_default: 20, page_max: 100, ids_max: 1_000 }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::over(sandbox::Settings::default())
    }

    pub(crate) fn over(settings: sandbox::Settings) -> Self {
        Self::wired(settings, PAGE_ROWS, |network| network)
    }

    /// A world whose sandbox has no accounts but these, and whose upstream pages are this long.
    pub(crate) fn holding(accounts: Vec<sandbox::Account>, page_rows: usize) -> Self {
        let settings = sandbox::Settings { accounts: 0, ..sandbox::Settings::default() };
        let world = Self::wired(settings, page_rows, |network| network);
        world.sandbox.change_accounts(Tenant::A, |rows| *rows = accounts);
        world
    }

    /// A world with something between the graph and its sandbox.
    pub(crate) fn wired(
        settings: sandbox::Settings,
        page_rows: usize,
        rewire: impl FnOnce(Network) -> Network,
    ) -> Self {
        let clock = Clock::starting_at(NOW.parse::<Timestamp>().unwrap());
        let sandbox = Sandbox::new(settings, sandbox::Clock::new(move || clock.now()));
        let settings = |base: &str| UpstreamSettings {
            base_url: format!("http://sandbox.invalid{base}").parse().unwrap(),
            api_key: SecretString::from(""),
            timeout_ms: 5_000,
            body_limit_bytes: 8 << 20,
        };
        let network = rewire(network(&sandbox));
        let leadlex = Transport::new(UpstreamName::Leadlex, settings(LEADLEX_PATH), network.clone(), clock);
        let composio = Transport::new(UpstreamName::Composio, settings("/"), network, clock);
        let cache =
            CacheSettings { limit_bytes: 64 << 20, providers_ttl_ms: 60_000, accounts_ttl_ms: 30_000 };
        let lists = Arc::new(Lists::new(AccountsClient::new(composio), lists(page_rows), &cache, None));
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
        let connections = connections();
        let mapping = ToolkitMapping::built_in().unwrap();
        let graph = Graph::new(GraphParts { sources: Arc::new(sources), mapping, connections });
        Self { sandbox, operations: Operations::new(graph).unwrap() }
    }

    /// The same world, its operations held to limits.
    pub(crate) fn within(self, limits: LimitSettings) -> Self {
        let (connections, lists) = (connections(), lists(PAGE_ROWS));
        Self { operations: self.operations.within(limits, connections, lists).unwrap(), ..self }
    }

    /// What runs its operations, for an edge in front of it.
    pub(crate) fn operations(&self) -> Operations {
        self.operations.clone()
    }

    /// The answer to a whole request of tenant A.
    pub(crate) async fn run(&self, request: Value) -> (Value, Outcome) {
        let request = OperationRequest::from_json(request.to_string().as_bytes()).unwrap();
        let answer = self.operations.run(request, TransportRules { mutations: true }, tenant_a()).await;
        (serde_json::from_slice(&answer.body).unwrap(), answer.outcome)
    }

    /// The answer to a query of tenant A.
    pub(crate) async fn ask(&self, query: &str) -> Value {
        self.ask_as(tenant_a(), query, json!({})).await
    }

    /// The data of an answer without errors to a query of tenant A.
    pub(crate) async fn data(&self, query: &str) -> Value {
        self.data_with(query, json!({})).await
    }

    pub(crate) async fn data_with(&self, query: &str, variables: Value) -> Value {
        let mut answer = self.ask_as(tenant_a(), query, variables).await;
        assert_eq!(answer.get("errors"), None, "{query}");
        answer["data"].take()
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

    /// The same calls in an order of their own, as those that are under way at once come in any.
    pub(crate) fn calls_sorted(&self) -> Vec<String> {
        let mut calls = self.calls();
        calls.sort_unstable();
        calls
    }

    /// Lets so much time pass.
    pub(crate) async fn pass(&self, time: Duration) {
        tokio::time::advance(time).await;
    }
}
