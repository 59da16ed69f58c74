//! The requests of the benchmark, and the comparison of responses.

use serde_json::{Value, json};

/// Accounts in the sandbox.
pub(crate) const ACCOUNTS: usize = 10_000;
/// One in eight of them: the sandbox's users.
const USERS: usize = ACCOUNTS / 8;

/// Accounts in the response to a unique request.
pub(crate) const UNIQUE_ROWS: usize = 20;

/// 20 providers with 10 accounts each.
pub(crate) fn hot() -> String {
    let query = "{ providers(first: 20) { nodes { category name status scopes connectedAccounts(first: 10) { \
                 nodes { connectedAccountId status userId toolkit { slug } authConfig { id authScheme } createdAt } } } } }";
    json!({ "query": query }).to_string()
}

/// 20 accounts with a new filter: three users that no other `number` below 500,000 has. Each has seven or
/// eight accounts.
pub(crate) fn unique(number: usize) -> String {
    let query = "query Unique($users: [String!]) { connectedAccounts(first: 20, filter: { userIds: $users }) { \
                 nodes { connectedAccountId status userId toolkit { slug } authConfig { id authScheme } createdAt } } }";
    let one = number % USERS;
    let step = 1 + (number / USERS) % 400;
    let users = [one, one + step, one + USERS / 2].map(|user| format!("user_{}", user % USERS));
    json!({ "query": query, "variables": { "users": users } }).to_string()
}

/// The request that shows that a server is up.
pub(crate) fn probe() -> String {
    json!({ "query": "{ __typename }" }).to_string()
}

/// The data of a response.
///
/// # Errors
///
/// The response is not JSON, or it has errors.
pub(crate) fn data(body: &[u8]) -> Result<Value, String> {
    let mut answer: Value = serde_json::from_slice(body).map_err(|error| format!("no JSON: {error}"))?;
    match answer.get("errors") {
        Some(errors) => Err(format!("errors: {errors}")),
        None => Ok(answer["data"].take()),
    }
}

/// The first difference between two responses, if there is one. A timestamp may omit zero milliseconds.
pub(crate) fn difference(ours: &Value, theirs: &Value) -> Option<String> {
    fn moment(text: &str) -> &str {
        text.strip_suffix(".000Z").or(text.strip_suffix('Z')).unwrap_or(text)
    }
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let names = ours.keys().chain(theirs.keys().filter(|name| !ours.contains_key(*name)));
            names.into_iter().find_map(|name| {
                let value = |of: &serde_json::Map<String, Value>| of.get(name).cloned().unwrap_or_default();
                difference(&value(ours), &value(theirs)).map(|inside| format!(".{name}{inside}"))
            })
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            let pairs = ours.iter().zip(theirs).enumerate();
            pairs.into_iter().find_map(|(at, (ours, theirs))| {
                difference(ours, theirs).map(|inside| format!("[{at}]{inside}"))
            })
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            Some(format!(": {} items instead of {}", theirs.len(), ours.len()))
        }
        (Value::String(ours), Value::String(theirs)) if moment(ours) == moment(theirs) => None,
        _ if ours == theirs => None,
        _ => Some(format!(": {theirs} instead of {ours}")),
    }
}

/// The ids of each provider's accounts in a response to [`hot`].
pub(crate) fn account_ids(data: &Value) -> Vec<Vec<String>> {
    let nodes = |of: &Value| of["nodes"].as_array().cloned().unwrap_or_default();
    let ids = |provider: &Value| {
        let accounts = nodes(&provider["connectedAccounts"]);
        accounts
            .iter()
            .filter_map(|account| account["connectedAccountId"].as_str().map(str::to_owned))
            .collect()
    };
    nodes(&data["providers"]).iter().map(ids).collect()
}
