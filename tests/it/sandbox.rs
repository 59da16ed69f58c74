//! The emulated upstreams, called through their router without a socket.

mod composio;
mod faults;
mod leadlex;
mod ports;
mod writes;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, Request, StatusCode};
use jiff::Timestamp;
use serde_json::Value;
use switchboard::sandbox::{Clock, LEADLEX_PATH, Sandbox, Settings};
use tower::ServiceExt;

/// 2026-04-17T10:30:00Z.
const NOW: i64 = 1_776_421_800;

/// A complete response.
struct TestResponse {
    status: StatusCode,
    headers: HeaderMap,
    /// `None` if the body was cut off.
    body: Option<Vec<u8>>,
}

impl TestResponse {
    fn json(&self) -> Value {
        serde_json::from_slice(self.body.as_deref().expect("the whole body")).expect("JSON")
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone().expect("the whole body")).expect("UTF-8")
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("ASCII"))
    }
}

/// A sandbox with a manual clock.
struct SandboxClient {
    sandbox: Sandbox,
    router: Router,
    now: Arc<AtomicI64>,
}

impl SandboxClient {
    fn new(settings: Settings) -> Self {
        let now = Arc::new(AtomicI64::new(NOW));
        let hand = now.clone();
        let clock = Clock::new(move || Timestamp::from_second(hand.load(Ordering::Relaxed)).unwrap());
        let sandbox = Sandbox::new(settings, clock);
        Self { router: sandbox.router(), sandbox, now }
    }

    fn advance(&self, seconds: i64) {
        self.now.fetch_add(seconds, Ordering::Relaxed);
    }

    async fn get(&self, target: &str, headers: &[(&str, &str)]) -> TestResponse {
        self.send("GET", target, headers).await
    }

    async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> TestResponse {
        self.send_body(method, target, headers, "").await
    }

    async fn send_body(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> TestResponse {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer =
            self.router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = to_bytes(body, usize::MAX).await.ok().map(|bytes| bytes.to_vec());
        TestResponse { status: parts.status, headers: parts.headers, body }
    }

    /// Calls LeadLex with a key.
    async fn leadlex(&self, key: &str, query: &str) -> TestResponse {
        let key = format!("Bearer {key}");
        self.get(&format!("{LEADLEX_PATH}/v1/settings/providers{query}"), &[("authorization", &key)]).await
    }

    /// Calls Composio's list as tenant A.
    async fn list(&self, query: &str) -> TestResponse {
        self.get(&format!("/api/v3/connected_accounts?{query}"), &[("x-api-key", "ak_sandbox_a")]).await
    }

    /// The items of the list, which must succeed.
    async fn items(&self, query: &str) -> Vec<Value> {
        let answer = self.list(query).await;
        assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text());
        answer.json()["items"].as_array().expect("items").clone()
    }
}

fn document(name: &str) -> Value {
    let path = format!("{}/src/sandbox/seeds/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The strings at a path such as `toolkit.slug`, in order.
fn strings_at(items: &[Value], path: &str) -> Vec<String> {
    let pointer = format!("/{}", path.replace('.', "/"));
    items
        .iter()
        .map(|item| item.pointer(&pointer).and_then(Value::as_str).unwrap_or("?").to_owned())
        .collect()
}
