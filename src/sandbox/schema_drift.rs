//! Schema drift: responses as the upstreams might return them in a year, to test tolerant decoders.
//!
//! It adds fields and enum values, removes optional fields, makes one row per page unusable and changes types of
//! values.

use serde_json::{Map, Value, json};

use super::{CANARY, EmulatedUpstream};

/// Changes a response body.
pub(super) fn apply(upstream: EmulatedUpstream, body: &mut Value) {
    match upstream {
        EmulatedUpstream::Leadlex => leadlex(body),
        EmulatedUpstream::Composio => composio(body),
    }
}

fn leadlex(body: &mut Value) {
    add(body, "meta", json!({ "page": 1, "per_page": 100 }));
    let rows = body.pointer_mut("/data/providers").and_then(Value::as_array_mut);
    for (index, row) in rows.into_iter().flatten().enumerate() {
        add(row, "health_score", json!({ "value": 0.98, "history": [1, 2, [3]] }));
        match index {
            1 => *row = json!({ "category": [7], "name": ["not", "a", "name"] }),
            2 => add(row, "status", json!("hibernating")),
            3 => add(row, "category", json!("telephony")),
            6 => {
                add(row, "scopes", json!(["mail.read", { "grant": format!("{CANARY}grant") }, {}]));
                add(row, "last_sync_at", json!(format!("{CANARY}yesterday")));
            }
            _ if index % 3 == 1 => drop_all(row, &["account_id", "display_name", "scopes", "error_message"]),
            _ if index % 3 == 2 => drop_all(row, &["connected", "connected_at", "last_sync_at", "status"]),
            _ => {}
        }
    }
}

fn composio(body: &mut Value) {
    let Some(items) = body.get_mut("items").and_then(Value::as_array_mut) else {
        return item(body, 0);
    };
    for (index, row) in items.iter_mut().enumerate() {
        item(row, index);
        if index == 1 {
            *row = json!({ "id": [42], "toolkit": "gmail", "state": "none" });
        }
        if index == 4 {
            add(row, "updated_at", json!({ "raw": format!("{CANARY}updated") }));
        }
    }
    add(body, "has_more", json!(true));
    if body.get("next_cursor").is_some_and(Value::is_null) {
        drop_all(body, &["next_cursor"]);
    }
}

fn item(row: &mut Value, index: usize) {
    add(row, "risk", json!({ "score": [0.1, { "by": "model" }], "secret": format!("{CANARY}risk") }));
    if let Some(val) = row.pointer_mut("/state/val") {
        add(val, "passkey", json!({ "raw": format!("{CANARY}passkey") }));
    }
    if let Some(config) = row.get_mut("auth_config") {
        add(config, "credentials", json!({ "client_secret": format!("{CANARY}credentials") }));
    }
    match index % 4 {
        1 => add(row, "status", json!("HIBERNATING")),
        2 => {
            if let Some(state) = row.get_mut("state") {
                add(state, "authScheme", json!("PASSKEY"));
            }
            add(row, "experimental", json!({ "account_type": "FEDERATED" }));
        }
        3 => drop_all(row, &["word_id", "alias", "status_reason", "user_id", "data", "experimental"]),
        _ => {}
    }
}

fn add(object: &mut Value, field: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
}

fn drop_all(object: &mut Value, fields: &[&str]) {
    let mut none = Map::new();
    let object = object.as_object_mut().unwrap_or(&mut none);
    for field in fields {
        object.remove(*field);
    }
}
