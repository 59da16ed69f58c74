//! Composio's JSON of an account: the list item, and the longer response for a single account
//! (docs/upstreams.md#composio-account).

use serde_json::{Value, json};

use super::accounts::{Account, status_reason};
use super::rng::{pick, scatter, uuid};
use super::state::{canary, state};

const ADJECTIVES: [&str; 12] =
    ["red", "quiet", "amber", "brave", "swift", "green", "lunar", "mild", "noble", "pale", "royal", "sunny"];
const NOUNS: [&str; 12] = [
    "castle", "river", "falcon", "meadow", "harbor", "lantern", "comet", "orchard", "summit", "willow",
    "anchor", "bridge",
];

/// The toolkit of the disabled auth config.
pub(super) const DISABLED_CONFIG: &str = "mailchimp";

/// Returns the list item. `auth_configs` is the prefix of the tenant's auth config ids.
pub(super) fn item(account: &Account, auth_configs: &str) -> Value {
    let serial = account.serial;
    let old = serial % 10 == 4;
    let mut item = json!({
        "id": account.id,
        "toolkit": { "slug": account.toolkit },
        "auth_config": {
            "id": format!("{auth_configs}{}", account.toolkit),
            "auth_scheme": account.auth_scheme,
            "is_composio_managed": account.auth_scheme == "OAUTH2",
            "is_disabled": account.toolkit == DISABLED_CONFIG,
        },
        "word_id": (serial % 40 != 13).then(|| word_id(account)),
        "alias": account.alias(),
        "user_id": account.user_id,
        "status": account.status,
        "status_reason": status_reason(account),
        "is_disabled": account.is_disabled,
        "created_at": format!("{:.3}", account.created_at),
        "updated_at": format!("{:.3}", account.updated_at),
        "state": state(account),
        "data": data(account),
    });
    let mut set = |field: &str, value: Value| {
        if let Some(item) = item.as_object_mut() {
            item.insert(field.to_owned(), value);
        }
    };
    if account.shared {
        let acl = json!({
            "allow_all_users": serial % 50 == 24,
            "allowed_user_ids": [canary("allowed_user_ids", account)],
            "not_allowed_user_ids": [canary("not_allowed_user_ids", account)],
        });
        set("experimental", json!({ "account_type": "SHARED", "acl_config_for_shared": acl }));
    } else if serial.is_multiple_of(4) {
        set("experimental", json!({ "account_type": "PRIVATE" }));
    }
    if serial.is_multiple_of(3) {
        set("authScheme", account.auth_scheme.into());
    }
    if serial % 9 == 2 {
        set("test_request_endpoint", format!("https://api.{}.example/v1/me", account.toolkit).into());
    }
    if old {
        let uuid_of_config = uuid(account.toolkit.bytes().map(u64::from).sum());
        set("deprecated", json!({ "labels": ["imported"], "uuid": uuid(serial) }));
        if let Some(config) = item.get_mut("auth_config").and_then(Value::as_object_mut) {
            config.insert("deprecated".to_owned(), json!({ "uuid": uuid_of_config }));
        }
    }
    item
}

/// Returns the response for a single account: the item, its parameters, and the requested scopes.
pub(super) fn single(account: &Account, auth_configs: &str) -> Value {
    let mut item = item(account, auth_configs);
    if let Some(fields) = item.as_object_mut() {
        let params =
            json!({ "client_secret": canary("params", account), "nested": [canary("params", account)] });
        fields.insert("params".to_owned(), params);
        if account.auth_scheme.contains("OAUTH") && !account.serial.is_multiple_of(5) {
            fields.insert("requested_scopes".to_owned(), json!(["read", "write"]));
            fields.insert("requested_user_scopes".to_owned(), json!(["identify"]));
        }
    }
    item
}

/// Returns a name like `gmail_red-castle`, unique because serial numbers are.
fn word_id(account: &Account) -> String {
    let serial = account.serial;
    let words = format!("{}_{}-{}", account.toolkit, pick(&ADJECTIVES, serial), pick(&NOUNS, serial / 12));
    match serial / 144 {
        0 => words,
        round => format!("{words}-{round}"),
    }
}

/// Returns `data`, the deprecated object with any fields: headers and query values of the connection, all secret
/// (docs/upstreams.md#composio-account).
fn data(account: &Account) -> Value {
    let secret = canary("data", account);
    match scatter(account.serial) % 4 {
        0 => json!({}),
        1 => json!({ "headers": { "Authorization": format!("Bearer {secret}") } }),
        2 => json!({ "access_token": secret, "queryParams": { "key": secret } }),
        _ => {
            json!({ "headers": { "Authorization": secret }, "base_url": secret, "nested": [[{ "deep": secret }]] })
        }
    }
}
