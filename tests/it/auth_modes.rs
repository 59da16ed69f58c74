//! `switchboard serve` as a process in each authentication mode, with real sockets to it, to the upstreams
//! and to the token issuer.
//!
//! The `edge` tests check each refusal in detail. These tests check that the configuration selects the mode,
//! and that no key or token is returned or logged.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use switchboard::http::caller::tokens::NewToken;
use switchboard::sandbox::{self, EmulatedUpstream, LEADLEX_PATH, Sandbox};
use tokio::net::TcpListener;

use crate::config::{ConfigFile, Running, switchboard};
use crate::edge::issuer::{Key, forged_token};
use crate::world::only_error;

/// Serves a router on a free port.
pub(crate) async fn serve_router(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
    address
}

/// The process and both upstreams.
struct ServerProcess {
    process: Running,
    graph: String,
    sandbox: Sandbox,
    client: reqwest::Client,
}

/// A response.
struct TestResponse {
    status: StatusCode,
    authenticate: String,
    text: String,
}

impl TestResponse {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

impl ServerProcess {
    /// A process with the sandbox's tenants: `default` is the first, `b` the second.
    async fn start(auth: &str) -> Self {
        let sandbox = Sandbox::new(
            sandbox::Settings { accounts: 60, ..sandbox::Settings::default() },
            sandbox::Clock::system(),
        );
        let upstreams = serve_router(sandbox.router()).await;
        let file = ConfigFile::new(&format!(
            "[http]\nlisten = \"127.0.0.1:0\"\n[ops]\nlisten = \"127.0.0.1:0\"\n[log]\nlevel = \"trace\"\n{auth}\n\
             [[tenants]]\nname = \"b\"\nleadlex_api_key = \"wbk_sandbox_b\"\ncomposio_api_key = \"ak_sandbox_b\"\n\
             [upstream.leadlex]\nbase_url = \"http://{upstreams}{LEADLEX_PATH}\"\napi_key = \"wbk_sandbox_a\"\n\
             [upstream.composio]\nbase_url = \"http://{upstreams}\"\napi_key = \"ak_sandbox_a\"\n"
        ));
        let mut command = switchboard(&["serve", "--config", file.path()]);
        command.env_clear();
        let (process, printed) = Running::start_until(command, "listening on ");
        let graph = printed.trim_end().strip_prefix("listening on ").unwrap().to_owned();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { process, graph, sandbox, client }
    }

    async fn send(&self, headers: &[(&str, &str)]) -> TestResponse {
        const QUERY: &str = "{ viewer { name role } providers { totalCount } connectedAccounts(first: 100) { totalCount nodes { userId } } }";
        let mut request = self.client.post(&self.graph).header("content-type", "application/json");
        request = request.header("accept", "application/graphql-response+json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.body(json!({ "query": QUERY }).to_string()).send().await.unwrap();
        let authenticate = response.headers().get("www-authenticate");
        let authenticate = authenticate.map_or("", |value| value.to_str().unwrap()).to_owned();
        TestResponse { status: response.status(), authenticate, text: response.text().await.unwrap() }
    }

    async fn send_token(&self, token: &str) -> TestResponse {
        self.send(&[("authorization", &format!("Bearer {token}"))]).await
    }

    /// The data of a response without errors.
    async fn data(&self, token: &str) -> Value {
        let response = self.send_token(token).await;
        assert_eq!(response.status, StatusCode::OK, "{}", response.text);
        let mut answer = response.json();
        assert_eq!(answer.get("errors"), None, "{answer}");
        answer["data"].take()
    }

    /// Stops the process and checks that its log has none of these words.
    fn stop(mut self, secrets: &[&str]) {
        self.process.terminate();
        let log = self.process.errors();
        for secret in secrets {
            assert!(!log.contains(secret), "{secret}: {log}");
        }
    }
}

/// Asserts the refusal of a token: 401 with the reason, and no part of the token.
#[track_caller]
fn assert_refused(response: &TestResponse, sentence: &str, secrets: &[&str]) {
    assert_eq!(response.status, StatusCode::UNAUTHORIZED, "{sentence}: {}", response.text);
    let answer = response.json();
    let error = only_error(&answer);
    assert_eq!(
        (&error["extensions"]["code"], answer.get("data")),
        (&json!("UNAUTHENTICATED"), None),
        "{answer}"
    );
    assert!(error["message"].as_str().unwrap().contains(sentence), "{sentence}: {answer}");
    let expected = match sentence.contains("missing") {
        true => "Bearer realm=\"switchboard\"",
        false => "Bearer realm=\"switchboard\", error=\"invalid_token\"",
    };
    assert_eq!(response.authenticate, expected);
    for secret in secrets {
        assert!(!response.text.contains(secret), "{secret}: {}", response.text);
    }
}

/// The users whose accounts a response shows.
fn users(data: &Value) -> Vec<&str> {
    let nodes = data["connectedAccounts"]["nodes"].as_array().unwrap();
    nodes.iter().map(|node| node["userId"].as_str().unwrap_or_default()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_identify_callers_and_others_are_refused() {
    let [admin, member, other, stranger] = [0; 4].map(|_| NewToken::random().unwrap());
    let entry = |name: &str, token: &NewToken, more: &str| {
        format!("[[auth.tokens]]\nname = \"{name}\"\nsha256 = \"{}\"\n{more}\n", token.sha256)
    };
    let auth = [
        "[auth]\nmode = \"tokens\"\n".to_owned(),
        entry("office", &admin, "role = \"admin\""),
        entry("ann", &member, "user_id = \"user_1\""),
        entry("other", &other, "role = \"admin\"\ntenant = \"b\""),
    ];
    let server = ServerProcess::start(&auth.concat()).await;

    let data = server.data(&admin.text).await;
    assert_eq!(data["viewer"], json!({ "name": "office", "role": "ADMIN" }));
    assert_eq!(data["providers"]["totalCount"], 25);
    assert!(users(&data).iter().any(|user| *user != "user_1"), "{data}");
    let data = server.data(&member.text).await;
    assert_eq!(data["viewer"], json!({ "name": "ann", "role": "MEMBER" }));
    assert!(!users(&data).is_empty() && users(&data).iter().all(|user| *user == "user_1"), "{data}");
    let data = server.data(&other.text).await;
    assert_eq!(data["providers"]["totalCount"], 6);
    assert!(users(&data).iter().all(|user| user.starts_with("member_")), "{data}");

    let secrets = [&*admin.text, &admin.sha256, &stranger.text];
    assert_refused(&server.send(&[]).await, "The token is missing", &secrets);
    for wrong in [&*stranger.text, &admin.sha256, "wbk_sandbox_a", &format!("{}x", admin.text)] {
        assert_refused(&server.send_token(wrong).await, "is not valid", &secrets);
    }
    server.stop(&[&admin.text, &member.text, &other.text, &stranger.text, "_sandbox_"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_of_a_caller_is_sent_only_to_its_upstream() {
    let server = ServerProcess::start("[auth]\nmode = \"passthrough\"\n").await;
    let leadlex = ("authorization", "Bearer wbk_sandbox_b");
    let composio = ("x-api-key", "ak_sandbox_b");
    let data = server.send(&[leadlex, composio]).await.json()["data"].take();
    assert_eq!((&data["viewer"]["role"], &data["providers"]["totalCount"]), (&json!("ADMIN"), &json!(6)));
    assert!(users(&data).iter().all(|user| user.starts_with("member_")), "{data}");
    for call in server.sandbox.requests() {
        let sent: Vec<_> = call.headers.iter().map(|(_, value)| value.as_str()).collect();
        let (own, foreign) = match call.upstream {
            EmulatedUpstream::Leadlex => ("Bearer wbk_sandbox_b", "ak_sandbox_b"),
            EmulatedUpstream::Composio => ("ak_sandbox_b", "Bearer wbk_sandbox_b"),
        };
        assert!(sent.contains(&own) && !sent.contains(&foreign), "{call:?}");
        assert!(!sent.iter().any(|value| value.contains("_sandbox_a")), "the configured keys are not sent");
    }

    for (headers, upstream, code) in [
        ([leadlex, ("x-none", "")], "COMPOSIO", "UNAUTHENTICATED"),
        ([composio, ("x-none", "")], "LEADLEX", "UNAUTHENTICATED"),
        ([leadlex, ("x-api-key", "ak_wrong")], "COMPOSIO", "UPSTREAM_UNAUTHORIZED"),
    ] {
        let answer = server.send(&headers).await.json();
        let error = only_error(&answer);
        assert_eq!(
            (&error["extensions"]["upstream"], &error["extensions"]["code"]),
            (&json!(upstream), &json!(code))
        );
        let (down, up) = if upstream == "COMPOSIO" {
            ("connectedAccounts", "providers")
        } else {
            ("providers", "connectedAccounts")
        };
        assert!(answer["data"][down].is_null() && answer["data"][up].is_object(), "{answer}");
        assert!(!answer.to_string().contains("ak_wrong"), "{answer}");
    }
    let response = server.send(&[]).await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    let response = server.send(&[("authorization", "Bearer ak_wrong")]).await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    assert!(!response.text.contains("ak_wrong"), "{}", response.text);
    server.stop(&["_sandbox_", "ak_wrong"]);
}

/// The keys that an issuer publishes over a real socket. `None` makes it unreachable.
#[derive(Clone, Default)]
struct Published {
    keys: Arc<Mutex<Option<String>>>,
    reads: Arc<AtomicUsize>,
}

impl Published {
    async fn serve_router(&self) -> SocketAddr {
        let published = self.clone();
        let answer = move || {
            let published = published.clone();
            async move {
                published.reads.fetch_add(1, Ordering::SeqCst);
                let keys = published.keys.lock().unwrap().clone();
                keys.ok_or(StatusCode::SERVICE_UNAVAILABLE)
            }
        };
        serve_router(Router::new().route("/keys", get(answer))).await
    }

    fn set(&self, keys: Option<&[&Key]>) {
        let set = keys.map(|keys| {
            let keys: Vec<_> = keys.iter().map(|key| key.public()).collect();
            json!({ "keys": keys }).to_string()
        });
        *self.keys.lock().unwrap() = set;
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

/// Claims of an ADMIN with a long validity. `change` overrides them.
fn claims(change: &Value) -> Value {
    let mut claims = json!({
        "iss": "https://issuer.example/", "aud": "graph", "sub": "user_1", "exp": 4_102_444_800_u64,
        "role": "ADMIN", "tenant": "default",
    });
    claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    claims
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_tokens_are_checked_with_the_current_key_set() {
    let issuer = Published::default();
    let address = issuer.serve_router().await;
    let (first, second) = (Key::ed("first"), Key::ec("second"));
    let stranger = Key::ed("first");
    issuer.set(Some(&[&first]));
    let server = ServerProcess::start(&format!(
        "[auth]\nmode = \"jwt\"\n[auth.jwt]\njwks_url = \"http://{address}/keys\"\njwks_pause_ms = 1\n\
         issuer = \"https://issuer.example/\"\naudience = \"graph\"\nalgorithms = \"EdDSA, ES256\"\nleeway_ms = 0\n"
    ))
    .await;

    let admin = first.sign(&claims(&json!({})));
    assert_eq!(server.data(&admin).await["viewer"], json!({ "name": "user_1", "role": "ADMIN" }));
    let member = first.sign(&claims(&json!({ "role": "MEMBER" })));
    let data = server.data(&member).await;
    assert_eq!(data["viewer"]["role"], "MEMBER");
    assert!(!users(&data).is_empty() && users(&data).iter().all(|user| *user == "user_1"), "{data}");
    let data = server.data(&first.sign(&claims(&json!({ "tenant": "b" })))).await;
    assert_eq!(data["providers"]["totalCount"], 6);

    let public = serde_json::to_value(first.public()).unwrap();
    let public = public["x"].as_str().unwrap().to_owned();
    let address = address.to_string();
    let secrets = [public.as_str(), "eyJ", "first", &address, "issuer.example"];
    assert_refused(&server.send(&[]).await, "The token is missing", &secrets);
    let hs256 = json!({ "alg": "HS256", "kid": "first" });
    let none = json!({ "alg": "none", "kid": "first" });
    let rs256 = Key { algorithm: Algorithm::RS256, ..Key::rsa("first") };
    for (token, sentence) in [
        (first.sign(&claims(&json!({ "exp": 1 }))), "has expired"),
        (first.sign(&claims(&json!({ "nbf": 4_102_444_000_u64 }))), "not valid yet"),
        (first.sign(&claims(&json!({ "aud": "another" }))), "another audience"),
        (first.sign(&claims(&json!({ "iss": "https://else.example/" }))), "another issuer"),
        (rs256.sign(&claims(&json!({}))), "is not a JWT with an accepted signature algorithm"),
        (
            forged_token(hs256, &claims(&json!({})), public.as_bytes()),
            "is not a JWT with an accepted signature algorithm",
        ),
        (forged_token(none, &claims(&json!({})), b""), "is not a JWT with an accepted signature algorithm"),
        (stranger.sign(&claims(&json!({}))), "signature is invalid"),
        (second.sign(&claims(&json!({}))), "is not published by its issuer"),
        ("eyJ.eyJ.x".to_owned(), "is not a JWT with an accepted signature algorithm"),
    ] {
        assert_refused(&server.send_token(&token).await, sentence, &secrets);
    }

    // A new key is read when a token first names it.
    issuer.set(Some(&[&first, &second]));
    let rotated = second.sign(&claims(&json!({})));
    while server.send_token(&rotated).await.status == StatusCode::UNAUTHORIZED {}
    assert_eq!(server.data(&rotated).await["viewer"]["role"], "ADMIN");
    server.data(&admin).await;

    // An unreachable issuer is called again, and its known keys stay valid.
    issuer.set(None);
    let (reads, unknown) = (issuer.reads(), Key::ed("third").sign(&claims(&json!({}))));
    while issuer.reads() == reads {
        let response = server.send_token(&unknown).await;
        assert!(
            [StatusCode::UNAUTHORIZED, StatusCode::SERVICE_UNAVAILABLE].contains(&response.status),
            "{}",
            response.text
        );
    }
    let response = server.send_token(&unknown).await;
    assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE, "it cannot be verified: {}", response.text);
    for secret in secrets {
        assert!(!response.text.contains(secret), "{secret}: {}", response.text);
    }
    for token in [&admin, &rotated] {
        assert_eq!(server.data(token).await["viewer"]["role"], "ADMIN");
    }
    let signature = admin.rsplit('.').next().unwrap().to_owned();
    server.stop(&["eyJ", &signature, &public, "_sandbox_"]);
}
