//! Messages of graphql-transport-ws, in both directions.
//!
//! Payloads are passed on as text: requests have their own parser, and responses are already serialized.

use std::sync::Arc;

use axum::http::HeaderValue;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// A message from the client.
#[derive(Debug)]
pub(super) enum ClientMessage<'a> {
    /// Credentials.
    Init(Payload<'a>),
    /// A ping, which requires a pong.
    Ping(Payload<'a>),
    /// The response to a ping.
    Pong,
    /// An operation, with an id that the client chose.
    Subscribe(Arc<str>, &'a str),
    /// The end of an operation, by its id.
    Complete(Arc<str>),
}

/// A JSON object, or nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Payload<'a>(Option<&'a str>);

#[derive(Deserialize)]
struct RawMessage<'a> {
    #[serde(rename = "type")]
    kind: String,
    id: Option<Arc<str>>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

impl<'a> ClientMessage<'a> {
    /// Parses a message.
    ///
    /// # Errors
    /// If a client may not send it. The error does not repeat it.
    pub(super) fn read(text: &'a str) -> Result<Self, &'static str> {
        let RawMessage { kind, id, payload } =
            serde_json::from_str(text).map_err(|_| "Invalid message: not a JSON object with a `type`")?;
        let payload = payload.map(RawValue::get).filter(|payload| *payload != "null");
        let is_object = payload.is_none_or(|payload| payload.starts_with('{'));
        let id = id.filter(|id| !id.is_empty()).ok_or("Invalid message: its `id` is missing");
        match kind.as_str() {
            _ if !is_object => Err("Invalid message: its `payload` is not an object"),
            "connection_init" => Ok(Self::Init(Payload(payload))),
            "ping" => Ok(Self::Ping(Payload(payload))),
            "pong" => Ok(Self::Pong),
            "subscribe" => {
                let payload = payload.ok_or("Invalid message: its `payload` is missing")?;
                id.map(|id| Self::Subscribe(id, payload))
            }
            "complete" => id.map(Self::Complete),
            _ => Err("Invalid message: clients cannot send its `type`"),
        }
    }
}

impl Payload<'_> {
    /// Returns the values of a name, compared without regard to case, as header values. A value that cannot be a header
    /// becomes empty, which is not a valid credential.
    pub(super) fn headers(self, name: &str) -> Vec<HeaderValue> {
        let members: serde_json::Map<String, Value> =
            self.0.and_then(|payload| serde_json::from_str(payload).ok()).unwrap_or_default();
        let values = members.iter().filter(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_null());
        let header = |value: &Value| value.as_str().and_then(|text| HeaderValue::from_str(text).ok());
        values.map(|(_, value)| header(value).unwrap_or(HeaderValue::from_static(""))).collect()
    }
}

/// A response with errors only.
#[derive(Deserialize)]
struct Failed<'a> {
    #[serde(borrow)]
    errors: &'a RawValue,
}

pub(super) const ACKNOWLEDGED: &str = r#"{"type":"connection_ack"}"#;

pub(super) const PING: &str = r#"{"type":"ping"}"#;

/// Returns the response to a ping, with its payload.
pub(super) fn pong(payload: Payload<'_>) -> String {
    match payload.0 {
        Some(payload) => format!(r#"{{"type":"pong","payload":{payload}}}"#),
        None => r#"{"type":"pong"}"#.to_owned(),
    }
}

/// Returns the message with a response of an operation.
pub(super) fn next(id: &str, response: &[u8]) -> String {
    operation_message(id, "next", Some(&String::from_utf8_lossy(response)))
}

/// Returns the errors of an operation that did not start or cannot continue.
pub(super) fn error(id: &str, response: &[u8]) -> String {
    let errors = serde_json::from_slice(response).map_or("[]", |Failed { errors }| errors.get());
    operation_message(id, "error", Some(errors))
}

/// Returns the end of an operation.
pub(super) fn complete(id: &str) -> String {
    operation_message(id, "complete", None)
}

fn operation_message(id: &str, kind: &str, payload: Option<&str>) -> String {
    // Escaped as JSON.
    let id = Value::from(id);
    match payload {
        Some(payload) => format!(r#"{{"id":{id},"type":"{kind}","payload":{payload}}}"#),
        None => format!(r#"{{"id":{id},"type":"{kind}"}}"#),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_messages_are_refused() {
        for (text, part) in [
            ("", "not a JSON object"),
            ("[]", "not a JSON object"),
            ("{}", "with a `type`"),
            (r#"{"type":1}"#, "with a `type`"),
            (r#"{"type":"ping","payload":7}"#, "`payload` is not an object"),
            (r#"{"type":"connection_init","payload":"Bearer x"}"#, "`payload` is not an object"),
            (r#"{"type":"subscribe","payload":{"query":"{ a }"}}"#, "`id` is missing"),
            (r#"{"type":"subscribe","id":"","payload":{"query":"{ a }"}}"#, "`id` is missing"),
            (r#"{"type":"subscribe","id":7,"payload":{}}"#, "not a JSON object"),
            (r#"{"type":"subscribe","id":"1"}"#, "`payload` is missing"),
            (r#"{"type":"subscribe","id":"1","payload":null}"#, "`payload` is missing"),
            (r#"{"type":"complete"}"#, "`id` is missing"),
            (r#"{"type":"connection_ack"}"#, "clients cannot send"),
            (r#"{"type":"next","id":"1","payload":{}}"#, "clients cannot send"),
            (r#"{"type":"start","id":"1","payload":{}}"#, "clients cannot send"),
        ] {
            let refused = ClientMessage::read(text).unwrap_err();
            assert!(refused.contains(part), "{text}: {refused}");
        }
    }

    #[test]
    fn credentials_are_found_in_any_case() {
        let text = r#"{"type":"connection_init","payload":{"AUTHORIZATION":"Bearer a","authorization":null,
                       "X-Api-Key":"ak_1","x-api-key":["ak_2"]}}"#;
        let Ok(ClientMessage::Init(payload)) = ClientMessage::read(text) else {
            panic!("not an init message")
        };
        assert_eq!(payload.headers("authorization"), ["Bearer a"]);
        assert_eq!(payload.headers("x-api-key"), ["ak_1", ""]);
        assert!(payload.headers("cookie").is_empty());
        assert!(Payload(None).headers("authorization").is_empty());
    }

    #[test]
    fn messages_are_json_for_any_id() {
        let id = "a\"\\\n\u{1F600}";
        for text in [next(id, b"{}"), error(id, br#"{"errors":[{"message":"no"}]}"#), complete(id)] {
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["id"], id);
        }
        assert_eq!(error("1", br#"{"errors":[1]}"#), r#"{"id":"1","type":"error","payload":[1]}"#);
        assert_eq!(pong(Payload(Some("{}"))), r#"{"type":"pong","payload":{}}"#);
    }
}
