//! The messages of graphql-transport-ws, as they come and as they go.
//!
//! A payload is passed on as the text that it is: requests have a reader of their own, and answers are written already.

use std::sync::Arc;

use axum::http::HeaderValue;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// What a client says.
#[derive(Debug)]
pub(super) enum ClientMessage<'a> {
    /// Who it is.
    Init(Payload<'a>),
    /// Whether somebody is there.
    Ping(Payload<'a>),
    /// That it is there itself.
    Pong,
    /// What it wants, under an id of its own making.
    Subscribe(Arc<str>, &'a str),
    /// What it does not want any more.
    Complete(Arc<str>),
}

/// A JSON object, or nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Payload<'a>(Option<&'a str>);

#[derive(Deserialize)]
struct Members<'a> {
    #[serde(rename = "type")]
    kind: String,
    id: Option<Arc<str>>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

impl<'a> ClientMessage<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// With a sentence, where it is none that a client may send. It repeats nothing of it.
    pub(super) fn read(text: &'a str) -> Result<Self, &'static str> {
        let Members { kind, id, payload } =
            serde_json::from_str(text).map_err(|_| "Invalid message: it is no JSON object with a `type`")?;
        let payload = payload.map(RawValue::get).filter(|payload| *payload != "null");
        let is_object = payload.is_none_or(|payload| payload.starts_with('{'));
        let id = id.filter(|id| !id.is_empty()).ok_or("Invalid message: its `id` is missing");
        match kind.as_str() {
            _ if !is_object => Err("Invalid message: its `payload` is no object"),
            "connection_init" => Ok(Self::Init(Payload(payload))),
            "ping" => Ok(Self::Ping(Payload(payload))),
            "pong" => Ok(Self::Pong),
            "subscribe" => {
                let payload = payload.ok_or("Invalid message: its `payload` is missing")?;
                id.map(|id| Self::Subscribe(id, payload))
            }
            "complete" => id.map(Self::Complete),
            _ => Err("Invalid message: its `type` is none that a client sends"),
        }
    }
}

impl Payload<'_> {
    /// The values that a name stands for, whatever its case, as they would be in a header. What no header can hold stands
    /// for an empty one, which nobody takes for a key.
    pub(super) fn headers(self, name: &str) -> Vec<HeaderValue> {
        let members: serde_json::Map<String, Value> =
            self.0.and_then(|payload| serde_json::from_str(payload).ok()).unwrap_or_default();
        let values =
            members.iter().filter(|(given, value)| given.eq_ignore_ascii_case(name) && !value.is_null());
        let header = |value: &Value| value.as_str().and_then(|text| HeaderValue::from_str(text).ok());
        values.map(|(_, value)| header(value).unwrap_or(HeaderValue::from_static(""))).collect()
    }
}

/// Errors alone, as an answer holds them.
#[derive(Deserialize)]
struct Failed<'a> {
    #[serde(borrow)]
    errors: &'a RawValue,
}

pub(super) const ACKNOWLEDGED: &str = r#"{"type":"connection_ack"}"#;

pub(super) const PING: &str = r#"{"type":"ping"}"#;

/// The answer to a ping, with whatever it brought.
pub(super) fn pong(payload: Payload<'_>) -> String {
    match payload.0 {
        Some(payload) => format!(r#"{{"type":"pong","payload":{payload}}}"#),
        None => r#"{"type":"pong"}"#.to_owned(),
    }
}

/// An answer.
pub(super) fn next(id: &str, answer: &[u8]) -> String {
    of_operation(id, "next", Some(&String::from_utf8_lossy(answer)))
}

/// Why an operation did not begin, or why it does not go on: the errors of an answer that has nothing else.
pub(super) fn error(id: &str, answer: &[u8]) -> String {
    let errors = serde_json::from_slice(answer).map_or("[]", |Failed { errors }| errors.get());
    of_operation(id, "error", Some(errors))
}

/// That nothing follows.
pub(super) fn complete(id: &str) -> String {
    of_operation(id, "complete", None)
}

fn of_operation(id: &str, kind: &str, payload: Option<&str>) -> String {
    // As JSON spells it.
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
    fn what_no_client_may_send_is_told_apart() {
        for (text, part) in [
            ("", "no JSON object"),
            ("[]", "no JSON object"),
            ("{}", "with a `type`"),
            (r#"{"type":1}"#, "with a `type`"),
            (r#"{"type":"ping","payload":7}"#, "`payload` is no object"),
            (r#"{"type":"connection_init","payload":"Bearer x"}"#, "`payload` is no object"),
            (r#"{"type":"subscribe","payload":{"query":"{ a }"}}"#, "`id` is missing"),
            (r#"{"type":"subscribe","id":"","payload":{"query":"{ a }"}}"#, "`id` is missing"),
            (r#"{"type":"subscribe","id":7,"payload":{}}"#, "no JSON object"),
            (r#"{"type":"subscribe","id":"1"}"#, "`payload` is missing"),
            (r#"{"type":"subscribe","id":"1","payload":null}"#, "`payload` is missing"),
            (r#"{"type":"complete"}"#, "`id` is missing"),
            (r#"{"type":"connection_ack"}"#, "none that a client sends"),
            (r#"{"type":"next","id":"1","payload":{}}"#, "none that a client sends"),
            (r#"{"type":"start","id":"1","payload":{}}"#, "none that a client sends"),
        ] {
            let refused = ClientMessage::read(text).unwrap_err();
            assert!(refused.contains(part), "{text}: {refused}");
        }
    }

    #[test]
    fn credentials_are_found_whatever_their_case() {
        let text = r#"{"type":"connection_init","payload":{"AUTHORIZATION":"Bearer a","authorization":null,
                       "X-Api-Key":"ak_1","x-api-key":["ak_2"]}}"#;
        let Ok(ClientMessage::Init(payload)) = ClientMessage::read(text) else { panic!("it is one") };
        assert_eq!(payload.headers("authorization"), ["Bearer a"]);
        assert_eq!(payload.headers("x-api-key"), ["ak_1", ""]);
        assert!(payload.headers("cookie").is_empty());
        assert!(Payload(None).headers("authorization").is_empty());
    }

    #[test]
    fn messages_are_json_whatever_the_id_is() {
        let id = "a\"\\\n\u{1F600}";
        for text in [next(id, b"{}"), error(id, br#"{"errors":[{"message":"no"}]}"#), complete(id)] {
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["id"], id);
        }
        assert_eq!(error("1", br#"{"errors":[1]}"#), r#"{"id":"1","type":"error","payload":[1]}"#);
        assert_eq!(pong(Payload(Some("{}"))), r#"{"type":"pong","payload":{}}"#);
    }
}
