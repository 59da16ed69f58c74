//! A server whose connections are pipes in memory, over a graph whose sandbox changes: so that time can stand still.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use switchboard::http::caller::Authenticator;
use switchboard::http::caller::tokens::Tenants;
use switchboard::http::serve::{Listener, serve};
use switchboard::http::settings::{HttpSettings, ServerSettings};
use switchboard::http::webhook::Webhooks;
use switchboard::http::{EdgeParts, router};
use switchboard::operation::OperationEngine;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{http_settings, server_settings};
use crate::world::{World, tenant_a};

pub(super) const PROVIDER_CHANGED: &str =
    "subscription { providerChanged { kind provider { name status } } }";

/// How much a pipe holds, in bytes.
const PIPE: usize = 4 << 10;

/// Larger than that is any message worth refusing.
pub(super) const MESSAGE_MAX: usize = 64 << 10;

struct Pipes(mpsc::UnboundedReceiver<DuplexStream>);

impl Listener for Pipes {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> io::Result<DuplexStream> {
        match self.0.recv().await {
            Some(pipe) => Ok(pipe),
            None => std::future::pending().await,
        }
    }
}

/// A server.
pub(super) struct Server {
    pipes: mpsc::UnboundedSender<DuplexStream>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<io::Result<()>>,
}

pub(super) fn settings() -> HttpSettings {
    HttpSettings { body_limit_bytes: MESSAGE_MAX, ..http_settings() }
}

/// Whoever asks is tenant A.
pub(super) fn anybody() -> Authenticator {
    Authenticator::Open(tenant_a().tenant)
}

/// Tenant A under the name `default`.
pub(super) fn tenants() -> Tenants {
    [("default".to_owned(), tenant_a().tenant)].into()
}

/// The routes over a world.
pub(super) fn routes(world: &World, callers: Authenticator) -> Router {
    router(EdgeParts {
        operations: world.operations(),
        callers,
        webhooks: Webhooks::none(),
        settings: settings(),
    })
}

impl Server {
    pub(super) fn over(world: &World) -> Self {
        Self::with(world.operations(), anybody(), settings())
    }

    pub(super) fn with(operations: OperationEngine, callers: Authenticator, settings: HttpSettings) -> Self {
        let (pipes, accepted) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let router = router(EdgeParts { operations, callers, webhooks: Webhooks::none(), settings });
        let settings = ServerSettings { shutdown_ms: 20_000, ..server_settings() };
        let serving = tokio::spawn(async move {
            serve(Pipes(accepted), router, settings, async { drop(stopped.await) }).await
        });
        Self { pipes, stop: Some(stop), serving }
    }

    pub(super) fn connect(&self) -> DuplexStream {
        let (client, server) = duplex(PIPE);
        self.pipes.send(server).unwrap();
        client
    }

    /// A WebSocket that begins with these headers beside its own, or what was answered instead.
    pub(super) async fn websocket(
        &self,
        headers: &[(&'static str, &str)],
    ) -> Result<Client, (StatusCode, Value)> {
        let mut request = "ws://localhost:8080/graphql".into_client_request().unwrap();
        let own = [("sec-websocket-protocol", "graphql-transport-ws")];
        for (name, value) in own.iter().chain(headers) {
            let name = HeaderName::from_static(name);
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        match client_async(request, self.connect()).await {
            Ok((socket, answered)) => {
                assert_eq!(answered.headers()["sec-websocket-protocol"], "graphql-transport-ws");
                Ok(Client { socket })
            }
            Err(Error::Http(answered)) => {
                let status = answered.status();
                let body = answered.into_body().unwrap_or_default();
                Err((status, serde_json::from_slice(&body).unwrap_or_default()))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// A WebSocket that has said who it is.
    pub(super) async fn acknowledged(&self) -> Client {
        let mut client = self.websocket(&[]).await.unwrap();
        client.greet(json!({})).await;
        client
    }

    /// A request that is written by hand, as far as it is one.
    pub(super) async fn ask(&self, head: &str, body: &str) -> Raw {
        let mut raw = Raw(self.connect());
        let length = body.len();
        let head = format!(
            "POST /graphql HTTP/1.1\r\nhost: localhost:8080\r\ncontent-type: application/json\r\n{head}content-length: {length}\r\n\r\n"
        );
        raw.0.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        raw
    }

    pub(super) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// How long it took until nothing is served any more.
    pub(super) async fn ended(self) -> Duration {
        let since = tokio::time::Instant::now();
        self.serving.await.unwrap().unwrap();
        since.elapsed()
    }
}

/// A connection, by its bytes.
pub(super) struct Raw(DuplexStream);

impl Raw {
    /// What comes until `end` does.
    pub(super) async fn until(&mut self, end: &str) -> String {
        let mut seen = Vec::new();
        while !seen.ends_with(end.as_bytes()) {
            let mut byte = [0];
            if self.0.read(&mut byte).await.unwrap() == 0 {
                panic!("it ended: {}", String::from_utf8_lossy(&seen));
            }
            seen.extend(byte);
        }
        String::from_utf8(seen).unwrap()
    }

    /// All that comes until it ends.
    pub(super) async fn rest(&mut self) -> String {
        let mut seen = Vec::new();
        let _ = self.0.read_to_end(&mut seen).await;
        String::from_utf8_lossy(&seen).into_owned()
    }
}

/// A client of graphql-transport-ws that does nothing by itself.
#[derive(Debug)]
pub(super) struct Client {
    socket: WebSocketStream<DuplexStream>,
}

/// How a WebSocket ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    With(u16, String),
    WithoutAWord,
}

impl Client {
    pub(super) async fn greet(&mut self, payload: Value) {
        self.send(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(self.heard().await, json!({ "type": "connection_ack" }));
    }

    pub(super) async fn send(&mut self, message: Value) {
        self.send_text(&message.to_string()).await;
    }

    pub(super) async fn send_text(&mut self, text: &str) {
        self.send_message(Message::text(text)).await;
    }

    pub(super) async fn send_message(&mut self, message: Message) {
        // Whether it was taken is told by what comes back.
        let _ = self.socket.send(message).await;
    }

    pub(super) async fn subscribe(&mut self, id: &str, query: &str) {
        self.send(json!({ "id": id, "type": "subscribe", "payload": { "query": query } })).await;
    }

    /// The next message; pings are passed over, and answered.
    pub(super) async fn next(&mut self) -> Value {
        loop {
            let message = self.heard().await;
            if message["type"] != "ping" {
                return message;
            }
            self.send(json!({ "type": "pong" })).await;
        }
    }

    /// The next message, whatever it is.
    pub(super) async fn heard(&mut self) -> Value {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
            other => panic!("no message: {other:?}"),
        }
    }

    /// How it ends, if nothing but pings comes before.
    pub(super) async fn ended_answering_pings(&mut self) -> Ended {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) if text.contains("ping") => {
                    self.send(json!({ "type": "pong" })).await;
                }
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Ended::With(u16::from(frame.code), frame.reason.to_string());
                }
                other => panic!("neither a ping nor an end: {other:?}"),
            }
        }
    }

    /// How it ends. What comes before is passed over.
    pub(super) async fn ended(&mut self) -> Ended {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Ended::With(u16::from(frame.code), frame.reason.to_string());
                }
                Some(Ok(Message::Text(_))) => {}
                _ => return Ended::WithoutAWord,
            }
        }
    }

    /// The code that it ends with, which nothing comes before.
    pub(super) async fn code(&mut self) -> (u16, String) {
        match self.socket.next().await {
            Some(Ok(Message::Close(Some(frame)))) => (u16::from(frame.code), frame.reason.to_string()),
            other => panic!("no end: {other:?}"),
        }
    }
}
