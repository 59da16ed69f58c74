//! One WebSocket, from its first message to its close.
//!
//! One task owns the socket and sends one message at a time. A peer that does not take it is waited for as long as for any
//! answer, and then cut; what it misses meanwhile is told by the feed below, which remembers a number of changes and says
//! where that was not enough.

use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HeaderName};
use axum::http::request::Parts;
use tokio::time::{Instant, timeout};

use super::close::End;
use super::message::{self, Incoming, Payload};
use super::underway::{Said, Underway};
use crate::domain::caller::Caller;
use crate::http::Edge;
use crate::http::caller::Shown;
use crate::http::error::HttpError;
use crate::http::streamed::past;
use crate::http::telling::Told;
use crate::http::tenure::Tenure;
use crate::operation::request::OperationRequest;
use crate::telemetry::requests::Transport;
use crate::telemetry::traces::Origin;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// How long the peer's own close is waited for.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves a WebSocket to its end.
pub(super) async fn run(socket: WebSocket, edge: Edge, head: Parts, tenure: Tenure, origin: Origin) {
    let mut cut = tenure.clone();
    let until = Instant::now() + edge.settings.ws_init_timeout();
    let session = Session {
        socket,
        edge,
        headers: head.headers,
        tenure,
        phase: Phase::Greeting { until },
        underway: Underway::of(origin, cut.clone()),
        is_leaving: false,
    };
    tokio::select! {
        () = session.converse() => {}
        () = cut.is_cut() => {}
    }
}

struct Session {
    socket: WebSocket,
    edge: Edge,
    headers: HeaderMap,
    tenure: Tenure,
    phase: Phase,
    underway: Underway,
    /// Whether the server ends, and only what will be answered is waited for.
    is_leaving: bool,
}

enum Phase {
    /// It is not known who it is.
    Greeting { until: Instant },
    /// It is.
    Acknowledged { caller: Box<Caller>, shown: Box<Shown>, ping_at: Instant, is_answer_due: bool },
}

impl Session {
    async fn converse(mut self) {
        let end = loop {
            if let Err(end) = self.step().await {
                break end;
            }
        };
        self.underway.clear();
        let Some(frame) = end.frame() else { return };
        let farewell = async {
            // What is still on its way here is taken too: hanging up on it would take the frame back with it (RFC 1122, 4.2.2.13).
            if self.socket.send(Message::Close(Some(frame))).await.is_ok() {
                while let Some(Ok(_)) = self.socket.recv().await {}
            }
        };
        let _ = timeout(FAREWELL, farewell).await;
    }

    async fn step(&mut self) -> Result<(), End> {
        let (over_at, ping_at) = match &self.phase {
            Phase::Greeting { until } => (Some(*until), None),
            Phase::Acknowledged { caller, ping_at, .. } => (caller.expires_at, Some(*ping_at)),
        };
        tokio::select! {
            // What has come while a message was being sent must not count as silence.
            biased;
            () = self.tenure.ends(), if !self.is_leaving => self.is_leaving = true,
            () = past(over_at) => return Err(self.over()),
            next = self.edge.succeeded() => self.go_over(next).await?,
            received = self.socket.recv() => self.receive(received).await?,
            Some((id, said)) = self.underway.next() => self.say(&id, said).await?,
            () = past(ping_at) => self.ping().await?,
        }
        if self.is_leaving && !self.underway.are_awaited() {
            return Err(End::going_away());
        }
        Ok(())
    }

    /// Goes on by another configuration, as far as its peer is let in by that: what is under way ends as it began.
    async fn go_over(&mut self, next: Edge) -> Result<(), End> {
        if let Phase::Acknowledged { caller, shown, .. } = &mut self.phase {
            let again = next.callers.let_in_again(shown, caller).await;
            **caller = again.map_err(|error| refused(&next, &error))?;
        }
        self.edge = next;
        Ok(())
    }

    fn over(&self) -> End {
        match self.phase {
            Phase::Greeting { .. } => End::too_late(),
            Phase::Acknowledged { .. } => refused(&self.edge, &HttpError::expired()),
        }
    }

    async fn receive(&mut self, received: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        let message = received.ok_or(End::Gone)?.map_err(|error| End::of(&error))?;
        if let Phase::Acknowledged { is_answer_due, .. } = &mut self.phase {
            *is_answer_due = false;
        }
        match message {
            Message::Text(text) => self.hear(text.as_str()).await,
            Message::Binary(_) => Err(End::invalid("Invalid message: it is no text")),
            Message::Ping(_) | Message::Pong(_) => Ok(()),
            Message::Close(_) => {
                // Reading on sends the answer that it is owed.
                let _ = timeout(FAREWELL, self.socket.recv()).await;
                Err(End::Gone)
            }
        }
    }

    async fn hear(&mut self, text: &str) -> Result<(), End> {
        match Incoming::read(text).map_err(End::invalid)? {
            Incoming::Init(payload) => self.greet(payload).await,
            Incoming::Ping(payload) => self.send(message::pong(payload)).await,
            Incoming::Pong => Ok(()),
            Incoming::Subscribe(id, payload) => {
                let Phase::Acknowledged { caller, .. } = &self.phase else {
                    record(&self.edge, &HttpError::unacknowledged());
                    return Err(End::unacknowledged());
                };
                if self.underway.has(&id) {
                    return Err(End::taken(&id));
                }
                let request = OperationRequest::from_json(payload.as_bytes());
                let request = request.map_err(|error| End::invalid(error.to_string()))?;
                let limit = self.edge.settings.subscriptions_per_connection_max;
                let place = if self.underway.count() < limit {
                    self.edge.bodies.place(text.len())
                } else {
                    Err(HttpError::too_many_operations(limit))
                };
                match place {
                    Ok(place) => {
                        let (operations, caller) = (self.edge.operations.clone(), (**caller).clone());
                        self.underway.begin(id, operations, request, caller, place);
                        Ok(())
                    }
                    Err(refused) => {
                        record(&self.edge, &refused);
                        self.send(message::error(&id, &refused.text())).await
                    }
                }
            }
            Incoming::Complete(id) => {
                self.underway.end(&id);
                Ok(())
            }
        }
    }

    /// Finds out who it is: by the headers that the WebSocket began with, and by what its first message brings of those that
    /// were not among them, as a browser's page can set none.
    async fn greet(&mut self, payload: Payload<'_>) -> Result<(), End> {
        if let Phase::Acknowledged { .. } = self.phase {
            return Err(End::twice());
        }
        for name in [AUTHORIZATION, X_API_KEY] {
            if !self.headers.contains_key(&name) {
                for value in payload.headers(name.as_str()) {
                    self.headers.append(&name, value);
                }
            }
        }
        let caller = self.edge.callers.caller(&self.headers).await;
        let caller = Box::new(caller.map_err(|error| refused(&self.edge, &error))?);
        let shown = Box::new(Shown::of(&std::mem::take(&mut self.headers)));
        self.send(message::ACKNOWLEDGED).await?;
        let ping_at = Instant::now() + self.edge.settings.stream_ping();
        self.phase = Phase::Acknowledged { caller, shown, ping_at, is_answer_due: false };
        Ok(())
    }

    /// Asks whether somebody is there; who has not answered since the last time is not.
    async fn ping(&mut self) -> Result<(), End> {
        let every = self.edge.settings.stream_ping();
        if let Phase::Acknowledged { ping_at, is_answer_due, .. } = &mut self.phase {
            if std::mem::replace(is_answer_due, true) {
                return Err(End::Gone);
            }
            *ping_at = Instant::now() + every;
        }
        self.send(message::PING).await
    }

    async fn say(&mut self, id: &str, said: Said) -> Result<(), End> {
        match said {
            Said::Listens => {
                self.underway.listens(id);
                Ok(())
            }
            Said::Told(Told::Next(answer, _)) => self.send(message::next(id, &answer.body)).await,
            Said::Told(Told::Failed(answer)) => {
                self.underway.end(id);
                self.send(message::error(id, &answer.body)).await
            }
            Said::Done => {
                self.underway.end(id);
                self.send(message::complete(id)).await
            }
        }
    }

    async fn send(&mut self, text: impl Into<String>) -> Result<(), End> {
        let message = Message::Text(text.into().into());
        match timeout(self.tenure.write(), self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }
}

/// Counts and logs what is refused here, as no request tells of it: the WebSocket's own was answered with 101.
fn record(edge: &Edge, refused: &HttpError) {
    let record = refused.record(Transport::WebSocket);
    edge.operations.metrics().requests().operation_ended(&record, Duration::ZERO);
}

/// Whoever asks is not let in.
fn refused(edge: &Edge, error: &HttpError) -> End {
    record(edge, error);
    End::refused(error)
}
