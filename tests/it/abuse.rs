//! Attacks over real sockets on the shipped limits: each is refused with its own error, before any upstream
//! call and before more input than allowed is read. Attacks that take time to refuse, such as slow bodies and
//! slow readers, are tested with a paused clock in `edge::request_bodies` and `http::connection`.

pub(crate) mod bombs;
mod floods;
mod http2;
#[cfg(target_os = "linux")]
mod open_files;
#[cfg(unix)]
mod stalled_output;

use std::net::SocketAddr;

use axum::Router;
use serde_json::Value;
use switchboard::config::{ApiKeys, Config, ConfigSources};
use switchboard::http::caller::Authenticator;
use switchboard::http::serve::serve;
use switchboard::http::settings::ServerSettings;
use switchboard::http::webhook::Webhooks;
use switchboard::http::{EdgeParts, router};
use switchboard::operation::OperationEngine;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::world::{World, tenant_a};

/// The shipped settings.
fn shipped() -> Config {
    Config::load(ConfigSources { keys: ApiKeys::Optional, ..ConfigSources::default() }).unwrap()
}

/// The real graph over the sandbox, behind a real socket.
struct Server {
    world: World,
    address: SocketAddr,
    /// Dropping it stops the server.
    _stop: oneshot::Sender<()>,
}

impl Server {
    async fn start() -> Self {
        Self::with_settings(shipped().server).await
    }

    async fn with_settings(settings: ServerSettings) -> Self {
        let world = World::new().with_limits(shipped().limits);
        let operations = world.operations();
        let (address, stop, _) = listening(graph(operations), settings).await;
        Self { world, address, _stop: stop }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends raw bytes, ends the request side and returns the complete response.
    async fn send_raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut connection = self.connect().await;
        connection.write_all(bytes.as_ref()).await.unwrap();
        let mut answer = Vec::new();
        // Bytes read before a reset count.
        let _ = connection.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The status and body of the response to a JSON POST.
    async fn post(&self, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let answer = self
            .send_raw(format!(
                "POST /graphql HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
                 accept: application/graphql-response+json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ))
            .await;
        (status(&answer), serde_json::from_str(body_of(&answer)).unwrap_or_else(|_| panic!("{answer}")))
    }
}

async fn listening(
    router: Router,
    settings: ServerSettings,
) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<std::io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, router, settings, async {
        let _ = stopped.await;
    }));
    (address, stop, serving)
}

fn graph(operations: OperationEngine) -> Router {
    let callers = Authenticator::Open(tenant_a().tenant);
    router(EdgeParts { operations, callers, webhooks: Webhooks::none(), settings: shipped().http })
}

fn status(answer: &str) -> u16 {
    answer
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

fn body_of(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}
