//! A server over in-memory pipes instead of sockets, so that tests can pause the clock.

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

/// The capacity of a pipe in bytes.
const PIPE: usize = 4 << 10;

/// The limit for client messages in bytes.
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

/// A server and its client side.
pub(super) struct Server {
    pipes: mpsc::UnboundedSender<DuplexStream>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<io::Result<()>>,
}

pub(super) fn settings() -> HttpSettings {
    HttpSettings { body_limit_bytes: MESSAGE_MAX, ..http_settings() }
}

/// All callers are tenant A.
pub(super) fn tenant_a_callers() -> Authenticator {
    Authenticator::Open(tenant_a().tenant)
}

/// Tenant A under the name `default`.
pub(super) fn tenants() -> Tenants {
    [("default".to_owned(), tenant_a().tenant)].into()
}

/// The routes of a world.
pub(super) fn routes(world: &World, callers: Authenticator) -> Router {
    router(edge_parts(world, callers))
}

/// The parts of an edge over a world.
pub(super) fn edge_parts(world: &World, callers: Authenticator) -> EdgeParts {
    EdgeParts { operations: world.operations(), callers, webhooks: Webhooks::none(), settings: settings() }
}

impl Server {
    pub(super) fn for_world(world: &World) -> Self {
        Self::with(world.operations(), tenant_a_callers(), settings())
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

    /// Opens a WebSocket with additional request headers, or returns the HTTP response that refused it.
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

    /// Opens a WebSocket and waits for `connection_ack`.
    pub(super) async fn acknowledged(&self) -> Client {
        let mut client = self.websocket(&[]).await.unwrap();
        client.init(json!({})).await;
        client
    }

    /// Sends a request with a raw header block.
    pub(super) async fn send(&self, head: &str, body: &str) -> RawConnection {
        let mut raw = RawConnection(self.connect());
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

    /// Waits for the end of the server and returns the time that this took.
    pub(super) async fn ended(self) -> Duration {
        let since = tokio::time::Instant::now();
        self.serving.await.unwrap().unwrap();
        since.elapsed()
    }
}

/// A raw connection.
pub(super) struct RawConnection(DuplexStream);

impl RawConnection {
    /// Reads until `end` arrives.
    pub(super) async fn read_until(&mut self, end: &str) -> String {
        let mut response = Vec::new();
        while !response.ends_with(end.as_bytes()) {
            let mut byte = [0];
            if self.0.read(&mut byte).await.unwrap() == 0 {
                panic!("it ended: {}", String::from_utf8_lossy(&response));
            }
            response.extend(byte);
        }
        String::from_utf8(response).unwrap()
    }

    /// Reads until the connection closes.
    pub(super) async fn read_to_end(&mut self) -> String {
        let mut response = Vec::new();
        let _ = self.0.read_to_end(&mut response).await;
        String::from_utf8_lossy(&response).into_owned()
    }
}

/// A client of graphql-transport-ws without any automatic behaviour.
#[derive(Debug)]
pub(super) struct Client {
    socket: WebSocketStream<DuplexStream>,
}

/// The end of a WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    With(u16, String),
    WithoutAWord,
}

impl Client {
    pub(super) async fn init(&mut self, payload: Value) {
        self.send(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(self.next_message().await, json!({ "type": "connection_ack" }));
    }

    pub(super) async fn send(&mut self, message: Value) {
        self.send_text(&message.to_string()).await;
    }

    pub(super) async fn send_text(&mut self, text: &str) {
        self.send_message(Message::text(text)).await;
    }

    pub(super) async fn send_message(&mut self, message: Message) {
        // A failed send shows in what the test reads next.
        let _ = self.socket.send(message).await;
    }

    pub(super) async fn subscribe(&mut self, id: &str, query: &str) {
        self.send(json!({ "id": id, "type": "subscribe", "payload": { "query": query } })).await;
    }

    /// The next message. Pings are answered and skipped.
    pub(super) async fn next(&mut self) -> Value {
        loop {
            let message = self.next_message().await;
            if message["type"] != "ping" {
                return message;
            }
            self.send(json!({ "type": "pong" })).await;
        }
    }

    /// The next message of any type.
    pub(super) async fn next_message(&mut self) -> Value {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
            other => panic!("no message: {other:?}"),
        }
    }

    /// The end of the connection, if only pings come before it.
    pub(super) async fn ended_answering_pings(&mut self) -> Ended {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) if text.contains("ping") => {
                    self.send(json!({ "type": "pong" })).await;
                }
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Ended::With(u16::from(frame.code), frame.reason.to_string());
                }
                other => panic!("expected a ping or the end of the connection: {other:?}"),
            }
        }
    }

    /// The end of the connection. Earlier messages are skipped.
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

    /// The close code. No message may come before it.
    pub(super) async fn code(&mut self) -> (u16, String) {
        match self.socket.next().await {
            Some(Ok(Message::Close(Some(frame)))) => (u16::from(frame.code), frame.reason.to_string()),
            other => panic!("no end: {other:?}"),
        }
    }
}
