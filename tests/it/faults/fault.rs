//! The faults of an upstream, and how they are produced: in place of the network, or by the sandbox.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};
use switchboard::domain::upstream_name::UpstreamName;
use switchboard::upstream::transport::NetworkBody;
use tower::BoxError;

/// A status that neither API has.
pub(super) const UNKNOWN_WORD: &str = "HIBERNATING";

/// One fault. The table has a row for each upstream and for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Refused,
    Reset,
    DnsGone,
    TlsWrong,
    TimeoutBefore,
    TimeoutWithin,
    SlowTrickle,
    Status(u16),
    RateLimitedFor7s,
    RateLimited,
    Html,
    Empty,
    Cut,
    CutJson,
    TenMegabytes,
    WrongTypes,
    UnknownWords,
    RepeatedCursor,
    EndlessCursor,
    Flapping,
    ClockAhead,
    ClockBehind,
}

use Fault::{
    ClockAhead, ClockBehind, Cut, CutJson, DnsGone, Empty, EndlessCursor, Flapping, Html, RateLimited,
    RateLimitedFor7s, Refused, RepeatedCursor, Reset, SlowTrickle, Status, TenMegabytes, TimeoutBefore,
    TimeoutWithin, TlsWrong, UnknownWords, WrongTypes,
};

impl Fault {
    pub(super) const ALL: [Self; 30] = [
        Refused,
        Reset,
        DnsGone,
        TlsWrong,
        TimeoutBefore,
        TimeoutWithin,
        SlowTrickle,
        Status(500),
        Status(502),
        Status(503),
        Status(504),
        Status(546),
        RateLimitedFor7s,
        RateLimited,
        Status(401),
        Status(403),
        Status(404),
        Status(422),
        Html,
        Empty,
        Cut,
        CutJson,
        TenMegabytes,
        WrongTypes,
        UnknownWords,
        RepeatedCursor,
        EndlessCursor,
        Flapping,
        ClockAhead,
        ClockBehind,
    ];

    /// The fault's name in the table.
    pub(super) fn name(self) -> String {
        match self {
            Refused => "connection refused",
            Reset => "connection reset",
            DnsGone => "name not found (DNS)",
            TlsWrong => "invalid certificate (TLS)",
            TimeoutBefore => "no response",
            TimeoutWithin => "body stops, connection stays open",
            SlowTrickle => "body arrives byte by byte",
            Status(status) => return status.to_string(),
            RateLimitedFor7s => "429, `Retry-After: 7`",
            RateLimited => "429",
            Html => "HTML with 200",
            Empty => "empty body with 200",
            Cut => "connection breaks in the body",
            CutJson => "truncated JSON in a complete body",
            TenMegabytes => "10 MB",
            WrongTypes => "every value of another type",
            UnknownWords => "unknown status values",
            RepeatedCursor => "the same cursor repeatedly",
            EndlessCursor => "a new cursor without end",
            Flapping => "every other call 500",
            ClockAhead => "clock 10 minutes ahead",
            ClockBehind => "clock 10 minutes behind",
        }
        .to_owned()
    }

    /// Whether an upstream can have this fault. LeadLex has no pages.
    pub(super) fn applies_to(self, upstream: UpstreamName) -> bool {
        upstream == UpstreamName::Composio || !matches!(self, RepeatedCursor | EndlessCursor)
    }

    /// The fault in the sandbox's syntax, if the sandbox can produce it.
    pub(super) fn emulated(self) -> Option<String> {
        Some(match self {
            Status(status) => format!("status={status}"),
            RateLimitedFor7s => "status=429; retry-after=7".to_owned(),
            RateLimited => "status=429".to_owned(),
            Html => "garbage=1".to_owned(),
            Empty => "empty=1".to_owned(),
            Cut => "cut=1".to_owned(),
            WrongTypes => "shape=wrong-types".to_owned(),
            TimeoutBefore => "latency-ms=3600000".to_owned(),
            _ => return None,
        })
    }

    /// The connection error in place of a call. Its text must not reach clients.
    pub(super) fn connection_error(self) -> Option<BoxError> {
        let (kind, words) = match self {
            Refused => (std::io::ErrorKind::ConnectionRefused, "connection refused"),
            Reset => (std::io::ErrorKind::ConnectionReset, "connection reset by peer"),
            DnsGone => (std::io::ErrorKind::NotFound, "failed to look up address: sandbox.invalid"),
            TlsWrong => (std::io::ErrorKind::InvalidData, "invalid peer certificate: UnknownIssuer"),
            _ => return None,
        };
        Some(std::io::Error::new(kind, format!("http://sandbox.invalid/ with wbk_: {words}")).into())
    }

    /// Whether this call fails. `call` counts from 0.
    pub(super) fn affects_call(self, call: usize) -> bool {
        self != Flapping || call.is_multiple_of(2)
    }

    /// Applies the fault to a response of the sandbox.
    pub(super) async fn apply(self, answer: Response<NetworkBody>, call: usize) -> Response<NetworkBody> {
        match self {
            TimeoutWithin => {
                let (head, body) = collected(answer).await;
                let half = stream::iter([Ok(Frame::data(body.slice(..body.len() / 2)))]);
                Response::from_parts(head, streamed(half.chain(stream::pending())))
            }
            CutJson => {
                let (mut head, body) = collected(answer).await;
                let half = body.slice(..body.len() / 2);
                head.headers.insert(http::header::CONTENT_LENGTH, half.len().into());
                Response::from_parts(head, streamed(stream::iter([Ok(Frame::data(half))])))
            }
            SlowTrickle => {
                let (head, body) = collected(answer).await;
                let bytes = stream::iter(0..body.len()).then(move |place| {
                    let byte = body.slice(place..=place);
                    async move {
                        tokio::time::sleep(Duration::from_millis(500)).await;
                        Ok(Frame::data(byte))
                    }
                });
                Response::from_parts(head, streamed(bytes))
            }
            TenMegabytes => {
                let (head, _) = answer.into_parts();
                let blanks = Bytes::from_static(&[b' '; 64 << 10]);
                let frames = (0..160).map(move |_| Ok(Frame::data(blanks.clone())));
                Response::from_parts(head, streamed(stream::iter(frames)))
            }
            UnknownWords => with_changed_json(answer, |body| rename(body, "status")).await,
            RepeatedCursor => with_changed_json(answer, |body| body["next_cursor"] = json!("again")).await,
            EndlessCursor => {
                with_changed_json(answer, |body| body["next_cursor"] = json!(format!("endless-{call}"))).await
            }
            _ => answer,
        }
    }

    /// The upstream's clock error in seconds.
    pub(super) fn clock_offset(self) -> Option<i64> {
        match self {
            ClockAhead => Some(600),
            ClockBehind => Some(-600),
            _ => None,
        }
    }
}

fn streamed(
    frames: impl futures_util::Stream<Item = Result<Frame<Bytes>, BoxError>> + Send + 'static,
) -> NetworkBody {
    StreamBody::new(frames).boxed_unsync()
}

async fn collected(answer: Response<NetworkBody>) -> (http::response::Parts, Bytes) {
    let (head, body) = answer.into_parts();
    (head, body.collect().await.unwrap().to_bytes())
}

async fn with_changed_json(
    answer: Response<NetworkBody>,
    change: impl FnOnce(&mut Value),
) -> Response<NetworkBody> {
    let (head, body) = collected(answer).await;
    let mut json: Value = serde_json::from_slice(&body).unwrap();
    change(&mut json);
    let text = Bytes::from(json.to_string());
    Response::from_parts(head, streamed(stream::iter([Ok(Frame::data(text))])))
}

fn rename(value: &mut Value, field: &str) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| rename(value, field)),
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == field && value.is_string() {
                    *value = json!(UNKNOWN_WORD);
                } else {
                    rename(value, field);
                }
            }
        }
        _ => {}
    }
}
