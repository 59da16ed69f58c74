//! The upstreams of both graphs: the sandbox on a separate thread, so that its CPU time does not count.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use switchboard::sandbox::{Clock, ComposioPlan, LeadlexPlan, Sandbox, Settings, Tenant};
use tower::ServiceExt;

pub(crate) const LEADLEX_KEY: &str = "wbk_sandbox_a";
pub(crate) const COMPOSIO_KEY: &str = "ak_sandbox_a";

/// The prefix of user ids in unique requests. Each of these users has the same 20 accounts.
pub(crate) const UNIQUE: &str = "nobody_asked_yet_";

pub(crate) struct Upstream {
    pub(crate) base_url: String,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let settings = Settings {
                    accounts: 10_000,
                    leadlex_plan: LeadlexPlan::Unmetered,
                    composio_plan: ComposioPlan::Enterprise,
                    ..Settings::default()
                };
                let sandbox = Sandbox::new(settings, Clock::system());
                // Scopes have three forms. Reading them is not part of this measurement.
                sandbox.change_providers(Tenant::A, |rows| {
                    rows.iter_mut().for_each(|row| row["scopes"] = json!(["read", "write"]));
                });
                let sandbox = sandbox.router();
                let unique = twenty(&sandbox).await;
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let address: SocketAddr = listener.local_addr().expect("its address");
                sender.send(format!("http://{address}")).expect("the other thread waits");
                let router = sandbox.layer(middleware::from_fn(move |request, next| {
                    answer(Arc::clone(&unique), request, next)
                }));
                axum::serve(listener, router).await.expect("a server that never ends");
            });
        });
        Self { base_url: receiver.recv().expect("the upstream starts") }
    }
}

/// A list of one user that ends after 20 accounts.
async fn twenty(sandbox: &Router) -> Arc<str> {
    let request = Request::get("/api/v3/connected_accounts?limit=20").header("x-api-key", COMPOSIO_KEY);
    let request = request.body(Body::empty()).expect("a request");
    let answer = sandbox.clone().oneshot(request).await.expect("an answer").into_body();
    let body = axum::body::to_bytes(answer, usize::MAX).await.expect("a body");
    let mut items: Value = serde_json::from_slice::<Value>(&body).expect("JSON")["items"].take();
    items.as_array_mut().expect("a list").iter_mut().for_each(|item| item["user_id"] = UNIQUE.into());
    let list = json!({ "items": items, "next_cursor": null, "total_pages": 1, "current_page": 1, "total_items": 20 });
    list.to_string().into()
}

async fn answer(unique: Arc<str>, request: Request, next: Next) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let Some((_, user)) = query.split_once("user_ids=") else { return next.run(request).await };
    let user = user.split('&').next().unwrap_or_default();
    let answer = Response::builder().header(CONTENT_TYPE, "application/json");
    answer.body(unique.replace(UNIQUE, user).into()).expect("an answer")
}
