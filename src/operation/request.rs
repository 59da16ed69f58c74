//! GraphQL requests as clients send them, decoded with a specific error for each mistake (GraphQL over HTTP, 5.1
//! "Request Parameters").
//!
//! Entry points: [`OperationRequest::from_json`] for the body of a POST and [`OperationRequest::from_url`] for a GET.
//!
//! async-graphql's decoder is not used. It accepts too much, its errors quote serde, and it always accepts arrays of
//! requests, by which one HTTP request could multiply every limit.

mod members;

use self::members::{Member, Members};
use apollo_compiler::response::{JsonMap, JsonValue};

use super::errors::{VALUE_CHARS_MAX, shortened_to};
use crate::domain::error_behavior::ErrorBehavior;

/// One operation to run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OperationRequest {
    /// The document's text; `None` if the request names a document by its id.
    pub query: Option<String>,
    /// Id of a persisted document.
    pub document_id: Option<String>,
    /// Name of the operation to run, if the document has several.
    pub operation_name: Option<String>,
    /// Values of the variables, not coerced yet.
    pub variables: JsonMap,
    /// Protocol extensions.
    pub extensions: JsonMap,
    /// The effect of field errors on the response.
    pub on_error: ErrorBehavior,
}

/// Reason why a request is not a GraphQL request, as a message for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RequestError(String);

impl OperationRequest {
    /// Whether the client requests the list of upstream calls: `{"switchboard": {"trace": true}}` in the extensions.
    #[must_use]
    pub fn requests_call_trace(&self) -> bool {
        let switchboard = self.extensions.get("switchboard").and_then(JsonValue::as_object);
        switchboard.and_then(|ours| ours.get("trace")).and_then(JsonValue::as_bool) == Some(true)
    }

    /// Returns the position from which a subscription resumes: `{"switchboard": {"after": "…"}}` in the extensions.
    #[must_use]
    pub fn resumes_after(&self) -> Option<&str> {
        let switchboard = self.extensions.get("switchboard").and_then(JsonValue::as_object);
        switchboard.and_then(|ours| ours.get("after")).and_then(JsonValue::as_str)
    }

    /// Parses the body of a POST.
    ///
    /// # Errors
    /// If the body is not a JSON object, or one of its members has the wrong type.
    pub fn from_json(body: &[u8]) -> Result<Self, RequestError> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return refuse("The request has no body. Send a JSON object with a `query`.");
        }
        refuse_too_many_values(body)?;
        // Reports only the position of the mistake, because serde's own message can repeat input.
        let not_json = |error: serde_json::Error| {
            RequestError(format!(
                "The body is not JSON: line {}, column {}. Send an object, as in {{\"query\": \"{{ viewer {{ role }} }}\"}}.",
                error.line(),
                error.column()
            ))
        };
        if body.trim_ascii_start().starts_with(b"{") {
            let members: Members = serde_json::from_slice(body).map_err(not_json)?;
            return match members.repeated {
                Some(member) => refuse(format!("The body has the member `{}` twice.", member.name())),
                None => Self::from_members(members),
            };
        }
        match serde_json::from_slice(body).map_err(not_json)? {
            JsonValue::Array(_) => refuse(
                "The body is an array of requests. Batches are not accepted: select several root fields in one \
                 operation, or send one request each.",
            ),
            other => refuse(format!("The body must be a JSON object, but it is {}.", kind(&other))),
        }
    }

    /// Parses the parameters of a GET, which follow the `?`.
    ///
    /// # Errors
    /// If `query` is missing and no document is named, a parameter is repeated, or `variables` or `extensions` is
    /// not a JSON object.
    pub fn from_url(query: &str) -> Result<Self, RequestError> {
        if !is_utf8(query) {
            return refuse("The URL's parameters are not UTF-8.");
        }
        let mut members = Members::default();
        for (name, text) in url::form_urlencoded::parse(query.as_bytes()) {
            let Some(member) = Member::from_name(&name) else { continue };
            let value = match member {
                Member::Query | Member::DocumentId => JsonValue::from(text.into_owned()),
                // An HTML form sends an omitted value as an empty parameter.
                _ if text.is_empty() => JsonValue::Null,
                Member::OperationName | Member::OnError => JsonValue::from(text.into_owned()),
                Member::Variables | Member::Extensions => {
                    refuse_too_many_values(text.as_bytes())?;
                    serde_json::from_str(&text).map_err(|_| {
                        RequestError(format!("The URL's parameter `{name}` must be a JSON object."))
                    })?
                }
            };
            members.add(member, value);
            if members.repeated.is_some() {
                return refuse(format!("The URL has the parameter `{name}` twice."));
            }
        }
        Self::from_members(members)
    }

    fn from_members(mut members: Members) -> Result<Self, RequestError> {
        let query = text(&mut members, Member::Query, "a string")?;
        let document_id = text(&mut members, Member::DocumentId, "a string or null")?;
        let operation_name = text(&mut members, Member::OperationName, "a string or null")?;
        let variables = object(&mut members, Member::Variables)?;
        let extensions = object(&mut members, Member::Extensions)?;
        let on_error = error_behavior(&mut members)?;
        let is_named =
            document_id.is_some() || extensions.get("persistedQuery").is_some_and(|it| !it.is_null());
        if query.is_none() && !is_named {
            return refuse("`query` is missing: the text of a GraphQL document.");
        }
        Ok(Self { query, document_id, operation_name, variables, extensions, on_error })
    }
}

/// Maximum number of values in the JSON of a request. This is ten times as many as a list of IDs accepts by default,
/// and five times as many as it can be configured to accept.
const VALUES_MAX: usize = 10_000;

/// Refuses JSON with too many values before it is decoded. A decoded one-digit number takes about 70 bytes, so a body
/// of numbers would exceed the memory that was reserved for it. The separators of the values are counted.
fn refuse_too_many_values(json: &[u8]) -> Result<(), RequestError> {
    if json.len() <= VALUES_MAX {
        // Every value has at least one byte.
        return Ok(());
    }
    let (mut values, mut is_text, mut is_escaped) = (0, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b',' | b'[' | b'{' if !is_text => values += 1,
            _ => {}
        }
    }
    if values > VALUES_MAX {
        return refuse(format!("The request's JSON holds more than {VALUES_MAX} values."));
    }
    Ok(())
}

/// Whether a URL's query is UTF-8. The library replaces invalid bytes by U+FFFD, which would change the request.
fn is_utf8(query: &str) -> bool {
    let mut pieces = query.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let digits = piece.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        // An incomplete escape stands for itself (URL standard, "percent-decode").
        let (byte, escaped) =
            digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).map_or((b'%', 0), |byte| (byte, 2));
        bytes.push(byte);
        bytes.extend(piece.bytes().skip(escaped));
    }
    std::str::from_utf8(&bytes).is_ok()
}

fn text(members: &mut Members, member: Member, what: &str) -> Result<Option<String>, RequestError> {
    match members.take(member) {
        Some(JsonValue::String(text)) => Ok(Some(text.as_str().to_owned())),
        None | Some(JsonValue::Null) => Ok(None),
        Some(other) => refuse(format!("`{}` must be {what}, but it is {}.", member.name(), kind(&other))),
    }
}

fn object(members: &mut Members, member: Member) -> Result<JsonMap, RequestError> {
    match members.take(member) {
        Some(JsonValue::Object(map)) => Ok(map),
        None | Some(JsonValue::Null) => Ok(JsonMap::new()),
        Some(other) => {
            refuse(format!("`{}` must be a JSON object or null, but it is {}.", member.name(), kind(&other)))
        }
    }
}

/// Reads the value of `onError`. A client that sends another value would take the response for something that it is
/// not.
fn error_behavior(members: &mut Members) -> Result<ErrorBehavior, RequestError> {
    let expected = "`onError` must be \"NULL\", \"PROPAGATE\" or \"HALT\"";
    match members.take(Member::OnError) {
        None | Some(JsonValue::Null) => Ok(ErrorBehavior::default()),
        Some(JsonValue::String(name)) => ErrorBehavior::from_name(name.as_str()).ok_or_else(|| {
            RequestError(format!("{expected}, but it is {:?}.", shortened_to(VALUE_CHARS_MAX, name.as_str())))
        }),
        Some(other) => refuse(format!("{expected}, but it is {}.", kind(&other))),
    }
}

fn kind(value: &JsonValue) -> &'static str {
    match value {
        JsonValue::Null => "null",
        JsonValue::Bool(_) => "a boolean",
        JsonValue::Number(_) => "a number",
        JsonValue::String(_) => "a string",
        JsonValue::Array(_) => "an array",
        JsonValue::Object(_) => "an object",
    }
}

fn refuse<T>(sentence: impl Into<String>) -> Result<T, RequestError> {
    Err(RequestError(sentence.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: &str) -> String {
        OperationRequest::from_json(body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn all_members_of_a_body_are_parsed() {
        let body =
            br#"{"query":"{ a }","operationName":null,"variables":{"n":1},"extensions":{"e":[]},"other":1}"#;
        let request = OperationRequest::from_json(body).unwrap();
        assert_eq!(request.query.as_deref(), Some("{ a }"));
        assert_eq!(request.operation_name, None);
        assert_eq!(request.variables.get("n"), Some(&JsonValue::from(1)));
        assert!(request.extensions.contains_key("e"));
    }

    #[test]
    fn each_mistake_in_a_body_has_its_own_message() {
        for (body, sentence) in [
            ("", "The request has no body. Send a JSON object with a `query`."),
            (
                "{ \"secret\": hunter2",
                "The body is not JSON: line 1, column 13. Send an object, as in {\"query\": \"{ viewer { role } }\"}.",
            ),
            ("7", "The body must be a JSON object, but it is a number."),
            ("{}", "`query` is missing: the text of a GraphQL document."),
            (r#"{"query":null}"#, "`query` is missing: the text of a GraphQL document."),
            (r#"{"query":["a"]}"#, "`query` must be a string, but it is an array."),
            (
                r#"{"query":"","operationName":0}"#,
                "`operationName` must be a string or null, but it is a number.",
            ),
            (
                r#"{"query":"","variables":"x"}"#,
                "`variables` must be a JSON object or null, but it is a string.",
            ),
            (
                r#"{"query":"","extensions":false}"#,
                "`extensions` must be a JSON object or null, but it is a boolean.",
            ),
        ] {
            assert_eq!(refusal(body), sentence);
        }
        assert!(refusal("[]").contains("Batches are not accepted"), "{}", refusal("[]"));
    }

    #[test]
    fn on_error_takes_the_names_of_the_specification() {
        let parsed = |value: &str| {
            OperationRequest::from_json(format!(r#"{{"query":"","onError":{value}}}"#).as_bytes())
        };
        for (name, behavior) in ErrorBehavior::BY_NAME {
            assert_eq!(parsed(&format!("{name:?}")).unwrap().on_error, behavior);
            let by_url = OperationRequest::from_url(&format!("query=a&onError={name}")).unwrap();
            assert_eq!(by_url.on_error, behavior);
        }
        for absent in ["query=a", "query=a&onError="] {
            assert_eq!(OperationRequest::from_url(absent).unwrap().on_error, ErrorBehavior::Propagate);
        }
        assert_eq!(parsed("null").unwrap().on_error, ErrorBehavior::Propagate);
        let expected = "`onError` must be \"NULL\", \"PROPAGATE\" or \"HALT\"";
        for (value, found) in [("1", "a number"), (r#""null""#, "\"null\""), (r#""""#, "\"\"")] {
            assert_eq!(parsed(value).unwrap_err().to_string(), format!("{expected}, but it is {found}."));
        }
        let long = parsed(&format!("{:?}", "x".repeat(41))).unwrap_err().to_string();
        assert!(long.ends_with("xx…\"."), "{long}");
    }

    #[test]
    fn a_repeated_member_is_rejected() {
        for name in ["query", "documentId", "operationName", "variables", "extensions", "onError"] {
            for (first, second) in [("null", "null"), (r#""a""#, "{}")] {
                let body = format!(r#" {{"query2":1,"{name}":{first},"other":1,"{name}":{second}}}"#);
                assert_eq!(refusal(&body), format!("The body has the member `{name}` twice."));
            }
        }
        assert_eq!(
            refusal(r#"{"query":"{ a }","qu\u0065ry":"{ b }"}"#),
            "The body has the member `query` twice."
        );
        assert!(OperationRequest::from_json(br#"{"query":"{ a }","other":1,"other":2}"#).is_ok());
    }

    #[test]
    fn values_outside_strings_are_counted_before_decoding() {
        let body = |values: &str| format!(r#"{{"query":"{{ a }}","variables":{{"x":[{values}]}}}}"#);
        let sentence = "The request's JSON holds more than 10000 values.";
        assert_eq!(refusal(&body(&["0"; 10_000].join(","))), sentence);
        assert_eq!(refusal(&body(&"[".repeat(10_000))), sentence);
        assert!(OperationRequest::from_json(body(&["0"; 9_000].join(",")).as_bytes()).is_ok());
        let text = format!(r#""\\\"{}""#, ",".repeat(20_000));
        assert!(OperationRequest::from_json(body(&text).as_bytes()).is_ok());
    }

    #[test]
    fn a_url_is_parsed_and_each_mistake_has_its_own_message() {
        let request = OperationRequest::from_url(
            "query=%7B+a+%7D&operationName=&variables=%7B%22n%22%3A1%7D&extensions=&unknown=1",
        );
        let request = request.unwrap();
        assert_eq!((request.query.as_deref(), request.operation_name), (Some("{ a }"), None));
        assert_eq!(request.variables.get("n"), Some(&JsonValue::from(1)));
        for (url, text) in [
            ("query=%C3%a9", "é"),
            ("query=%EF%BF%BD", "\u{fffd}"),
            ("query=100%", "100%"),
            ("query=%+f", "% f"),
        ] {
            assert_eq!(OperationRequest::from_url(url).unwrap().query.as_deref(), Some(text), "{url}");
        }

        for (url, sentence) in [
            ("", "`query` is missing: the text of a GraphQL document."),
            ("query=%ff", "The URL's parameters are not UTF-8."),
            ("query=a&other=%C3", "The URL's parameters are not UTF-8."),
            ("query=a&query=b", "The URL has the parameter `query` twice."),
            ("query=a&variables=%7B", "The URL's parameter `variables` must be a JSON object."),
            ("query=a&extensions=1", "`extensions` must be a JSON object or null, but it is a number."),
        ] {
            assert_eq!(OperationRequest::from_url(url).unwrap_err().to_string(), sentence);
        }
    }
}
