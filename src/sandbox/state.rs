//! `state.val` of an account: which fields it has, by scheme and status, and their values.
//!
//! The table is that of docs/upstreams.md#composio-connection-state. Every field that is not listed as harmless in
//! [`value`] gets a canary, including fields that are added to the table later.

use serde_json::{Map, Value, json};

use super::CANARY;
use super::accounts::Account;
use super::rng::{pick, scatter};

/// Statuses with the same fields: before, during and after the sign-in. Schemes without a sign-in have the same fields
/// in all of [`PLAIN`].
const OPEN: &[&str] = &["INITIALIZING", "INITIATED"];
const STARTED: &[&str] = &["INITIATED"];
const NEW: &[&str] = &["INITIALIZING"];
const LIVE: &[&str] = &["ACTIVE", "INACTIVE"];
const PLAIN: &[&str] = &["INITIALIZING", "INITIATED", "ACTIVE", "INACTIVE"];
const FAILED: &[&str] = &["FAILED"];
const EXPIRED: &[&str] = &["EXPIRED"];

/// Groups of fields that several variants have.
const ERROR: &[&str] = &["error?", "error_description?"];
const REDIRECT: &[&str] = &["state_prefix?", "long_redirect_url?"];

/// Scheme, statuses, and groups of the fields that a `val` has besides `status` and the common ones; `?` = optional.
type Variant = (&'static str, &'static [&'static str], &'static [&'static [&'static str]]);

const VARIANTS: &[Variant] = &[
    ("OAUTH1", NEW, &[]),
    ("OAUTH1", STARTED, &[&["oauth_token", "authUri", "oauth_token_secret", "redirectUrl", "callbackUrl?"]]),
    (
        "OAUTH1",
        LIVE,
        &[&[
            "oauth_token",
            "oauth_token_secret",
            "oauth_verifier?",
            "consumer_key?",
            "redirectUrl?",
            "callback_url?",
        ]],
    ),
    ("OAUTH1", FAILED, &[ERROR]),
    ("OAUTH1", EXPIRED, &[&["expired_at?"]]),
    ("OAUTH2", NEW, &[REDIRECT]),
    (
        "OAUTH2",
        STARTED,
        &[
            REDIRECT,
            &["code_verifier?", "redirectUrl", "callback_url?", "finalRedirectUri?", "webhook_signature?"],
        ],
    ),
    (
        "OAUTH2",
        LIVE,
        &[
            REDIRECT,
            &["access_token", "id_token?", "token_type?", "refresh_token?", "expires_in?", "scope?"],
            &["webhook_signature?", "authed_user?", "extra_token_data?"],
        ],
    ),
    ("OAUTH2", FAILED, &[REDIRECT, ERROR]),
    ("OAUTH2", EXPIRED, &[REDIRECT, &["expired_at?"]]),
    ("OAUTH2", &["REVOKED"], &[REDIRECT, &["revoked_at?"]]),
    ("API_KEY", OPEN, &[]),
    ("API_KEY", LIVE, &[&["generic_api_key?", "api_key?", "bearer_token?", "basic_encoded?"]]),
    ("BASIC", OPEN, &[]),
    ("BASIC", LIVE, &[&["username", "password?"]]),
    ("BEARER_TOKEN", OPEN, &[]),
    ("BEARER_TOKEN", LIVE, &[&["token"]]),
    ("GOOGLE_SERVICE_ACCOUNT", NEW, &[]),
    ("GOOGLE_SERVICE_ACCOUNT", STARTED, &[&["redirectUrl", "composio_link_redirect_url?"]]),
    ("GOOGLE_SERVICE_ACCOUNT", LIVE, &[&["credentials_json"]]),
    ("NO_AUTH", PLAIN, &[]),
    ("NO_AUTH", FAILED, &[ERROR]),
    ("NO_AUTH", EXPIRED, &[&["expired_at?"]]),
    ("CALCOM_AUTH", PLAIN, &[]),
    ("CALCOM_AUTH", FAILED, &[ERROR]),
    ("CALCOM_AUTH", EXPIRED, &[&["expired_at?"]]),
    ("BILLCOM_AUTH", NEW, &[]),
    ("BILLCOM_AUTH", STARTED, &[&["redirectUrl"]]),
    ("BILLCOM_AUTH", LIVE, &[&["sessionId", "devKey"]]),
    ("BILLCOM_AUTH", FAILED, &[ERROR]),
    ("BILLCOM_AUTH", EXPIRED, &[&["expired_at?"]]),
    ("BASIC_WITH_JWT", OPEN, &[]),
    ("BASIC_WITH_JWT", LIVE, &[&["username", "password"]]),
    ("BASIC_WITH_JWT", FAILED, &[&["username", "password"], ERROR]),
    ("BASIC_WITH_JWT", EXPIRED, &[&["username", "password", "expired_at?"]]),
    ("SERVICE_ACCOUNT", OPEN, &[]),
    ("SERVICE_ACCOUNT", LIVE, &[&["application_id", "installation_id", "private_key"]]),
    ("SAML", PLAIN, &[]),
    ("SAML", FAILED, &[ERROR]),
    ("SAML", EXPIRED, &[&["expired_at?"]]),
    ("DCR_OAUTH", NEW, &[REDIRECT]),
    (
        "DCR_OAUTH",
        STARTED,
        &[
            REDIRECT,
            &["client_id", "client_secret?", "redirectUrl", "callback_url?", "finalRedirectUri?"],
            &["client_id_issued_at?", "client_secret_expires_at?", "code_verifier?"],
        ],
    ),
    (
        "DCR_OAUTH",
        LIVE,
        &[
            REDIRECT,
            &["client_id", "client_secret?", "access_token", "id_token?", "token_type?", "refresh_token?"],
            &["expires_in?", "scope?", "client_id_issued_at?", "client_secret_expires_at?"],
        ],
    ),
    ("DCR_OAUTH", FAILED, &[REDIRECT, ERROR]),
    ("DCR_OAUTH", EXPIRED, &[REDIRECT, &["expired_at?"]]),
    ("S2S_OAUTH2", OPEN, &[]),
    (
        "S2S_OAUTH2",
        LIVE,
        &[&[
            "access_token",
            "token_type?",
            "client_id?",
            "client_secret?",
            "expires_in?",
            "expires_at?",
            "scope?",
        ]],
    ),
    ("S2S_OAUTH2", FAILED, &[ERROR]),
    ("S2S_OAUTH2", EXPIRED, &[&["expired_at?"]]),
];

/// The fields that any `val` can have: the 22 common ones; then `displayName` and others, which only other published
/// schemas have; and last one that no schema has, because `val` is open.
const COMMON: &[&str] = &[
    "subdomain",
    "your-domain",
    "region",
    "shop",
    "account_url",
    "COMPANYDOMAIN",
    "extension",
    "form_api_base_url",
    "instanceEndpoint",
    "api_url",
    "borneo_dashboard_url",
    "proxy_username",
    "proxy_password",
    "domain",
    "version",
    "dc",
    "site_name",
    "instanceName",
    "account_id",
    "your_server",
    "server_location",
    "base_url",
    "displayName",
    "registration_access_token",
    "registration_client_uri",
    "composio_link_redirect_url",
    "vendor_session",
];

/// Returns the account's `state`.
pub(super) fn state(account: &Account) -> Value {
    // No document describes the fields of CIMD_OAUTH; dynamic registration is the most similar scheme.
    let scheme = if account.auth_scheme == "CIMD_OAUTH" { "DCR_OAUTH" } else { account.auth_scheme };
    let variant_of = |status: &str| {
        VARIANTS.iter().find(|(known, statuses, _)| *known == scheme && statuses.contains(&status))
    };
    // If the table has no fields for the account's status, `val` has those of an active one: both statuses then differ,
    // as they can in the real API.
    let (status, variant) = match variant_of(account.status) {
        Some(variant) => (account.status, Some(variant)),
        None => ("ACTIVE", variant_of("ACTIVE")),
    };
    let mut val = Map::new();
    val.insert("status".into(), status.into());
    let seed = scatter(account.serial.wrapping_add(0x5EED));
    for (index, field) in COMMON.iter().enumerate() {
        if (seed >> index).is_multiple_of(4) {
            val.insert((*field).into(), value(field, account));
        }
    }
    let fields = variant.map_or(&[][..], |(_, _, groups)| groups).iter().copied().flatten();
    for (index, field) in fields.enumerate() {
        match field.strip_suffix('?') {
            Some(optional) if (seed >> (32 + index)).is_multiple_of(4) => val.remove(optional),
            Some(optional) => val.insert(optional.into(), value(optional, account)),
            None => val.insert((*field).into(), value(field, account)),
        };
    }
    json!({ "authScheme": account.auth_scheme, "val": val })
}

/// Returns a value that must not reach clients. It contains the field's name, so that a leak shows its source.
pub(super) fn canary(field: &str, account: &Account) -> String {
    format!("{CANARY}{field}-{}", account.serial)
}

fn value(field: &str, account: &Account) -> Value {
    let serial = account.serial;
    let toolkit = account.toolkit;
    match field {
        // Harmless.
        "token_type" => pick(&["Bearer", "bearer", "user"], serial).into(),
        "scope" => match serial / 20 % 4 {
            0 => json!(["read", "write"]),
            1 => Value::Null,
            2 => "read,write".into(),
            _ => "read write offline_access".into(),
        },
        "expires_in" => match serial / 20 % 3 {
            0 => json!(3599),
            1 => "3600".into(),
            _ => Value::Null,
        },
        "expires_at" | "expired_at" | "revoked_at" => format!("{:.3}", account.updated_at).into(),
        "client_id_issued_at" => json!(account.created_at.as_second()),
        "client_secret_expires_at" => json!(0),
        "long_redirect_url" => serial.is_multiple_of(2).into(),
        "error" => pick(&["access_denied", "invalid_grant", "server_error"], serial).into(),
        // Tenant data.
        "error_description" => "The user closed the window before consenting.".into(),
        "subdomain" | "your-domain" | "domain" | "site_name" | "shop" | "COMPANYDOMAIN" | "instanceName" => {
            format!("{toolkit}-{}", serial % 9).into()
        }
        "region" | "server_location" | "dc" => pick(&["eu", "us", "us6"], serial).into(),
        "version" => "v2".into(),
        "extension" => "101".into(),
        "your_server" => format!("srv{}.{toolkit}.example", serial % 4).into(),
        "account_url"
        | "form_api_base_url"
        | "instanceEndpoint"
        | "api_url"
        | "borneo_dashboard_url"
        | "base_url" => format!("https://{toolkit}.example/{field}").into(),
        "account_id" => format!("acct-{serial}").into(),
        "displayName" => format!("{toolkit} of {}", account.user_id).into(),
        // Objects, and links that complete a sign-in.
        "authed_user" => json!({ "access_token": canary("access_token", account), "scope": "identify" }),
        "extra_token_data" => json!({ "team": { "secret": canary("extra_token_data", account) } }),
        "refresh_token" if serial / 20 % 5 == 4 => Value::Null,
        "redirectUrl"
        | "authUri"
        | "callbackUrl"
        | "callback_url"
        | "finalRedirectUri"
        | "composio_link_redirect_url"
        | "registration_client_uri" => {
            format!("https://backend.composio.dev/api/v3/s/{}", canary(field, account)).into()
        }
        _ => canary(field, account).into(),
    }
}
