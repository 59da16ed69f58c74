//! Connection faults over real sockets, to verify that the matrix simulates them correctly.

use std::future::Future;
use std::net::SocketAddr;

use serde_json::{Value, json};
use switchboard::app::wiring::{Networks, graph_over, operations_of};
use switchboard::config::{ApiKeys, Config, ConfigSources};
use switchboard::domain::clock::Clock;
use switchboard::sandbox::{self, LEADLEX_PATH, Sandbox};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::cell::Log;
use crate::world::{only_error, run, strings_at, tenant_a};

const BOTH: &str = "{ providers { nodes { name } } connectedAccounts(first: 2) { nodes { userId } } }";

/// A fatal alert, `handshake_failure` (RFC 8446 section 6).
const ALERT: [u8; 7] = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x28];

async fn listening() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Handles every connection in the same way.
fn each<F: Future<Output = ()> + Send>(
    listener: TcpListener,
    does: impl Fn(TcpStream) -> F + Send + 'static,
) {
    tokio::spawn(async move {
        loop {
            let (connection, _) = listener.accept().await.unwrap();
            does(connection).await;
        }
    });
}

/// Queries both upstreams, with Composio at this URL, and returns the error.
async fn with_composio_at(base_url: String) -> Value {
    let log = Log::default();
    let _listening = log.capture();
    let (listener, address) = listening().await;
    let sandbox = Sandbox::new(sandbox::Settings::default(), sandbox::Clock::system());
    tokio::spawn(async move { axum::serve(listener, sandbox.router()).await });
    let mut config =
        Config::load(ConfigSources { keys: ApiKeys::Optional, ..ConfigSources::default() }).unwrap();
    config.upstream.leadlex.base_url = format!("http://{address}{LEADLEX_PATH}").parse().unwrap();
    config.upstream.composio.base_url = base_url.parse().unwrap();
    config.upstream.composio.retry.retries_max = 0;
    let graph = graph_over(&config, Clock::system(), &Networks::real(&config).unwrap());
    let operations = operations_of(graph, &config, Clock::system()).unwrap();
    let answer = run(&operations, tenant_a(), &json!({ "query": BOTH })).await;
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(strings_at(&answer["data"], "providers.nodes.*.name").len(), 25);
    assert_eq!(answer["data"]["connectedAccounts"], Value::Null);
    // Other crates log only warnings and errors (`telemetry`).
    let is_written =
        |line: &&str| [" switchboard::", " WARN ", "ERROR "].into_iter().any(|mark| line.contains(mark));
    let logged: String = log.text().lines().filter(is_written).collect();
    assert!(
        logged.contains("upstream call failed upstream=COMPOSIO code=\"UPSTREAM_UNAVAILABLE\""),
        "{logged}"
    );
    let base_url = &config.upstream.composio.base_url;
    let authority = base_url.authority();
    for text in [answer.to_string(), logged] {
        for secret in [base_url.host_str().unwrap(), authority, "ak_sandbox", "wbk_sandbox"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    only_error(&answer).clone()
}

#[track_caller]
fn assert_unavailable(error: &Value) {
    assert_eq!(error["message"], "The connected-accounts API (Composio) is unavailable.");
    let extensions = json!({ "code": "UPSTREAM_UNAVAILABLE", "upstream": "COMPOSIO", "retryable": true });
    assert_eq!(error["extensions"], extensions);
}

#[tokio::test]
async fn refused_connection_is_unavailable() {
    let (listener, address) = listening().await;
    drop(listener);
    assert_unavailable(&with_composio_at(format!("http://{address}")).await);
}

#[tokio::test]
async fn reset_connection_is_unavailable() {
    let (listener, address) = listening().await;
    // Closing a connection with unread data resets it.
    each(listener, async |connection| connection.readable().await.unwrap());
    assert_unavailable(&with_composio_at(format!("http://{address}")).await);
}

#[tokio::test]
async fn aborted_tls_handshake_is_unavailable() {
    let (listener, address) = listening().await;
    each(listener, async |mut connection| {
        connection.write_all(&ALERT).await.unwrap();
        // Until the client disconnects.
        drop(connection.read_to_end(&mut Vec::new()).await);
    });
    assert_unavailable(&with_composio_at(format!("https://{address}")).await);
}

#[tokio::test]
async fn unknown_host_name_is_unavailable() {
    // Every resolver refuses a label of more than 63 characters without a query (RFC 1035 section 2.3.4).
    let name = "a".repeat(64);
    assert_unavailable(&with_composio_at(format!("http://{name}.invalid")).await);
}
