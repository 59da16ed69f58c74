//! One WebSocket session, from its first message to its close.
//!
//! One task owns the socket and sends one message at a time. A client that does not read within the write timeout is
//! disconnected. Meanwhile the change feed buffers a limited number of changes, and reports when it has dropped some.

use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HeaderName};
use axum::http::request::Parts;
use tokio::time::{Instant, timeout};

use super::close::SessionEnd;
use super::messages::{self, ClientMessage, Payload};
use super::operations::{ActiveOperations, OperationEvent};
use crate::domain::caller::Caller;
use crate::http::caller::PresentedCredentials;
use crate::http::edge::Edge;
use crate::http::error::HttpError;
use crate::http::response_stream::ResponseEvent;
use crate::http::shutdown::ShutdownToken;
use crate::http::streaming::wait_until;
use crate::operation::request::OperationRequest;
use crate::telemetry::requests::Transport;
use crate::telemetry::traces::SpanOrigin;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Time to wait for the client's close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs a session until it ends.
pub(super) async fn run(
    socket: WebSocket,
    edge: Edge,
    head: Parts,
    shutdown: ShutdownToken,
    origin: SpanOrigin,
) {
    let mut token = shutdown.clone();
    let deadline = Instant::now() + edge.settings.ws_init_timeout();
    let session = Session {
        socket,
        edge,
        headers: head.headers,
        shutdown,
        phase: Phase::AwaitingInit { deadline },
        operations: ActiveOperations::new(origin, token.clone()),
        is_draining: false,
    };
    tokio::select! {
        () = session.serve() => {}
        () = token.aborted() => {}
    }
}

struct Session {
    socket: WebSocket,
    edge: Edge,
    headers: HeaderMap,
    shutdown: ShutdownToken,
    phase: Phase,
    operations: ActiveOperations,
    /// Whether the server shuts down, and only pending responses are waited for.
    is_draining: bool,
}

enum Phase {
    /// The client is not authenticated.
    AwaitingInit { deadline: Instant },
    /// The client is authenticated.
    Acknowledged {
        caller: Box<Caller>,
        credentials: Box<PresentedCredentials>,
        ping_at: Instant,
        is_pong_due: bool,
    },
}

impl Session {
    async fn serve(mut self) {
        let end = loop {
            if let Err(end) = self.step().await {
                break end;
            }
        };
        self.operations.clear();
        let Some(frame) = end.frame() else { return };
        let close = async {
            // Reads until the client closes too: closing a socket with unread data would discard the close frame (RFC
            // 1122, 4.2.2.13).
            if self.socket.send(Message::Close(Some(frame))).await.is_ok() {
                while let Some(Ok(_)) = self.socket.recv().await {}
            }
        };
        let _ = timeout(CLOSE_TIMEOUT, close).await;
    }

    async fn step(&mut self) -> Result<(), SessionEnd> {
        let (ends_at, ping_at) = match &self.phase {
            Phase::AwaitingInit { deadline } => (Some(*deadline), None),
            Phase::Acknowledged { caller, ping_at, .. } => (caller.expires_at, Some(*ping_at)),
        };
        tokio::select! {
            // In this order, so that messages which arrived while another was being sent do not count as silence.
            biased;
            () = self.shutdown.draining(), if !self.is_draining => self.is_draining = true,
            () = wait_until(ends_at) => return Err(self.timeout_end()),
            next = self.edge.wait_for_replacement() => self.switch_configuration(next).await?,
            received = self.socket.recv() => self.receive(received).await?,
            Some((id, event)) = self.operations.next() => self.send_event(&id, event).await?,
            () = wait_until(ping_at) => self.ping().await?,
        }
        if self.is_draining && !self.operations.has_pending_responses() {
            return Err(SessionEnd::going_away());
        }
        Ok(())
    }

    /// Switches to a new configuration if the caller is still authorized there. Running operations keep the old one.
    async fn switch_configuration(&mut self, next: Edge) -> Result<(), SessionEnd> {
        if let Phase::Acknowledged { caller, credentials, .. } = &mut self.phase {
            let reauthenticated = next.callers.reauthenticate(credentials, caller).await;
            **caller = reauthenticated.map_err(|error| refused(&next, &error))?;
        }
        self.edge = next;
        Ok(())
    }

    fn timeout_end(&self) -> SessionEnd {
        match self.phase {
            Phase::AwaitingInit { .. } => SessionEnd::init_timeout(),
            Phase::Acknowledged { .. } => refused(&self.edge, &HttpError::expired()),
        }
    }

    async fn receive(&mut self, received: Option<Result<Message, axum::Error>>) -> Result<(), SessionEnd> {
        let message = received.ok_or(SessionEnd::Disconnected)?.map_err(|error| SessionEnd::of(&error))?;
        if let Phase::Acknowledged { is_pong_due, .. } = &mut self.phase {
            *is_pong_due = false;
        }
        match message {
            Message::Text(text) => self.handle_text(text.as_str()).await,
            Message::Binary(_) => {
                Err(SessionEnd::invalid("Invalid message: binary messages are not supported"))
            }
            Message::Ping(_) | Message::Pong(_) => Ok(()),
            Message::Close(_) => {
                // Further reads flush the reply to the close frame.
                let _ = timeout(CLOSE_TIMEOUT, self.socket.recv()).await;
                Err(SessionEnd::Disconnected)
            }
        }
    }

    async fn handle_text(&mut self, text: &str) -> Result<(), SessionEnd> {
        match ClientMessage::read(text).map_err(SessionEnd::invalid)? {
            ClientMessage::Init(payload) => self.handle_init(payload).await,
            ClientMessage::Ping(payload) => self.send(messages::pong(payload)).await,
            ClientMessage::Pong => Ok(()),
            ClientMessage::Subscribe(id, payload) => {
                let Phase::Acknowledged { caller, .. } = &self.phase else {
                    record(&self.edge, &HttpError::unacknowledged());
                    return Err(SessionEnd::unacknowledged());
                };
                if self.operations.has(&id) {
                    return Err(SessionEnd::duplicate_id(&id));
                }
                let request = OperationRequest::from_json(payload.as_bytes());
                let request = request.map_err(|error| SessionEnd::invalid(error.to_string()))?;
                let limit = self.edge.settings.subscriptions_per_connection_max;
                let permit = if self.operations.count() < limit {
                    self.edge.bodies.reserve_bytes(text.len())
                } else {
                    Err(HttpError::too_many_operations(limit))
                };
                match permit {
                    Ok(permit) => {
                        let (engine, caller) = (self.edge.operations.clone(), (**caller).clone());
                        let name = self.edge.callers.name_in_log(&caller);
                        self.operations.begin(id, engine, request, (caller, name), permit);
                        Ok(())
                    }
                    Err(refused) => {
                        record(&self.edge, &refused);
                        self.send(messages::error(&id, &refused.body())).await
                    }
                }
            }
            ClientMessage::Complete(id) => {
                self.operations.end(&id);
                Ok(())
            }
        }
    }

    /// Authenticates the client by the headers of the upgrade. Headers that it lacks are taken from the payload of
    /// `connection_init`, because a browser's page cannot set headers.
    async fn handle_init(&mut self, payload: Payload<'_>) -> Result<(), SessionEnd> {
        if let Phase::Acknowledged { .. } = self.phase {
            return Err(SessionEnd::duplicate_init());
        }
        for name in [AUTHORIZATION, X_API_KEY] {
            if !self.headers.contains_key(&name) {
                for value in payload.headers(name.as_str()) {
                    self.headers.append(&name, value);
                }
            }
        }
        let caller = self.edge.callers.authenticate(&self.headers).await;
        let caller = Box::new(caller.map_err(|error| refused(&self.edge, &error))?);
        let credentials = Box::new(PresentedCredentials::of(&std::mem::take(&mut self.headers)));
        self.send(messages::ACKNOWLEDGED).await?;
        let ping_at = Instant::now() + self.edge.settings.stream_ping();
        self.phase = Phase::Acknowledged { caller, credentials, ping_at, is_pong_due: false };
        Ok(())
    }

    /// Pings the client. Fails if the previous ping was not answered.
    async fn ping(&mut self) -> Result<(), SessionEnd> {
        let interval = self.edge.settings.stream_ping();
        if let Phase::Acknowledged { ping_at, is_pong_due, .. } = &mut self.phase {
            if std::mem::replace(is_pong_due, true) {
                return Err(SessionEnd::Disconnected);
            }
            *ping_at = Instant::now() + interval;
        }
        self.send(messages::PING).await
    }

    async fn send_event(&mut self, id: &str, event: OperationEvent) -> Result<(), SessionEnd> {
        match event {
            OperationEvent::Subscribed => {
                self.operations.mark_subscription(id);
                Ok(())
            }
            OperationEvent::Response(ResponseEvent::Next(response, _)) => {
                self.send(messages::next(id, &response.body)).await
            }
            OperationEvent::Response(ResponseEvent::Failed(response)) => {
                self.operations.end(id);
                self.send(messages::error(id, &response.body)).await
            }
            OperationEvent::Complete => {
                self.operations.end(id);
                self.send(messages::complete(id)).await
            }
        }
    }

    async fn send(&mut self, text: impl Into<String>) -> Result<(), SessionEnd> {
        let message = Message::Text(text.into().into());
        match timeout(self.shutdown.write_timeout(), self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(SessionEnd::Disconnected),
        }
    }
}

/// Records a refusal of an operation. It is not in the log line of the upgrade request, whose status is 101.
fn record(edge: &Edge, refused: &HttpError) {
    let record = refused.record(Transport::WebSocket);
    edge.operations.metrics().requests().operation_ended(&record, Duration::ZERO);
}

/// Ends the session because its credentials are refused.
fn refused(edge: &Edge, error: &HttpError) -> SessionEnd {
    record(edge, error);
    SessionEnd::refused(error)
}
