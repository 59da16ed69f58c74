//! Attacks over real sockets, on the limits that ship: each is refused with its own error, before anything is asked upstream
//! and before more of it is read than may be. What takes time to refuse (drips, slow readers) is held on the paused clock, in
//! `edge::bodies` and `http::connection`.

pub(crate) mod bombs;
mod floods;
mod http2;

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

/// The settings in force where nobody sets any.
fn shipped() -> Config {
    Config::load(ConfigSources { keys: ApiKeys::Optional, ..ConfigSources::default() }).unwrap()
}

/// The real graph over the sandbox, behind a real socket.
struct Server {
    world: World,
    address: SocketAddr,
    /// It ends when this is dropped.
    _stop: oneshot::Sender<()>,
}

impl Server {
    async fn start() -> Self {
        Self::with(shipped().server).await
    }

    async fn with(settings: ServerSettings) -> Self {
        let world = World::new().with_limits(shipped().limits);
        let operations = world.operations();
        let (address, stop, _) = listening(graph(operations), settings).await;
        Self { world, address, _stop: stop }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The whole answer to some bytes, after which nothing more is asked.
    async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut connection = self.connect().await;
        connection.write_all(bytes.as_ref()).await.unwrap();
        let mut answer = Vec::new();
        // What has been read before a reset counts.
        let _ = connection.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The status and the body of the answer to a POST of JSON.
    async fn post(&self, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let answer = self
            .raw(format!(
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
