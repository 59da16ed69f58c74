//! Composio's catalogue of toolkits: names, logos, categories and descriptions (docs/upstreams.md#composio-toolkits).

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::composio::{admit, refuse};
use super::server::Sandbox;
use super::tenants::Access;
use super::toolkits::TOOLKITS;
use super::upstreams::CANARY;

/// The catalogue of toolkits: slug, name and category. It has the toolkits of accounts, and two to which LeadLex's rows map too.
const CATALOGUE: [(&str, &str, &str); 22] = [
    ("gmail", "Gmail", "email"),
    ("googlecalendar", "Google Calendar", "scheduling & booking"),
    ("slack", "Slack", "team chat"),
    ("slackbot", "Slackbot", "team chat"),
    ("outlook", "Outlook", "email"),
    ("microsoft_teams", "Microsoft Teams", "team chat"),
    ("whatsapp", "WhatsApp", "phone & sms"),
    ("telegram", "Telegram", "team chat"),
    ("discord", "Discord", "team chat"),
    ("discordbot", "Discord Bot", "team chat"),
    ("zoom", "Zoom", "video conferencing"),
    ("googlesuper", "Google Super", "file management & storage"),
    ("linkedin", "LinkedIn", "social media accounts"),
    ("jumpcloud", "JumpCloud", "security & identity tools"),
    ("googledrive", "Google Drive", "file management & storage"),
    ("one_drive", "OneDrive", "file management & storage"),
    ("dropbox", "Dropbox", "file management & storage"),
    ("stripe", "Stripe", "payment processing"),
    ("paypal", "PayPal", "payment processing"),
    ("quickbooks", "QuickBooks", "accounting"),
    ("calendly", "Calendly", "scheduling & booking"),
    ("mailchimp", "Mailchimp", "email newsletters"),
];

/// The largest `limit` of the catalogue.
const LIMIT_MAX: usize = 1_000;

#[derive(Deserialize)]
struct Query {
    toolkits: Option<Vec<String>>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// `POST /toolkits/multi`: the toolkits of some slugs, or all (docs/upstreams.md#composio-toolkits).
pub(super) async fn multi(State(sandbox): State<Sandbox>, headers: HeaderMap, body: Bytes) -> Response {
    match admit(&sandbox, &headers) {
        Ok(Access::ReadWrite(_) | Access::ReadOnly(_) | Access::FixedResponse(_)) => {}
        Ok(Access::Forbidden) => return refuse(&sandbox, StatusCode::FORBIDDEN, "Forbidden", &[]),
        Err(refusal) => return *refusal,
    }
    let query = serde_json::from_slice::<Query>(&body).ok();
    let query = query.filter(|query| query.limit.is_none_or(|limit| (1..=LIMIT_MAX).contains(&limit)));
    let start = query.as_ref().map(|query| query.cursor.as_deref().map_or(Ok(0), str::parse::<usize>));
    let (Some(query), Some(Ok(start))) = (query, start) else {
        return refuse(&sandbox, StatusCode::BAD_REQUEST, "The request body is invalid", &[]);
    };
    let is_requested = |slug: &str| {
        query.toolkits.as_ref().is_none_or(|slugs| slugs.iter().any(|other| other.eq_ignore_ascii_case(slug)))
    };
    let found: Vec<_> = CATALOGUE.iter().filter(|(slug, ..)| is_requested(slug)).collect();
    let limit = query.limit.unwrap_or(LIMIT_MAX);
    let items: Vec<_> = found.iter().skip(start).take(limit).map(|toolkit| item(toolkit)).collect();
    let end = start.saturating_add(items.len());
    Json(json!({
        "items": items,
        "next_cursor": (end < found.len()).then(|| end.to_string()),
        "total_pages": found.len().div_ceil(limit),
        "current_page": start / limit + 1,
        "total_items": found.len(),
    }))
    .into_response()
}

fn item((slug, name, category): &(&str, &str, &str)) -> Value {
    let scheme = TOOLKITS.iter().find(|(other, _)| other == slug).map(|(_, scheme)| scheme);
    json!({
        "slug": slug,
        "name": name,
        "type": "native",
        "auth_schemes": scheme.into_iter().collect::<Vec<_>>(),
        "composio_managed_auth_schemes": [],
        "is_local_toolkit": false,
        "no_auth": scheme == Some(&"NO_AUTH"),
        "auth_guide_url": format!("https://composio.dev/auth/{slug}?{CANARY}auth_guide_url"),
        "deprecated": { "toolkitId": format!("{CANARY}toolkitId") },
        "meta": {
            "created_at": "2024-05-03T11:44:32.061Z",
            "updated_at": "2026-10-01T08:00:00.000Z",
            "description": format!("{name} is a service for {category}."),
            "logo": format!("https://logos.composio.dev/api/{slug}"),
            "app_url": format!("https://{slug}.example/?{CANARY}app_url"),
            "categories": [{ "id": category.replace(' ', "-"), "name": category }],
            "triggers_count": 2,
            "tools_count": 24,
            "version": "20261001_00",
        },
    })
}
