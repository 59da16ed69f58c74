//! Emulated LeadLex: example documents, keys, categories, quotas, and the peculiarities of its rows.

use std::collections::BTreeSet;

use http::StatusCode;
use serde_json::{Value, json};
use switchboard::sandbox::{LeadlexPlan, Settings, TOOLKITS, Tenant};

use super::{SandboxClient, document};

fn rows(answer: &super::TestResponse) -> Vec<Value> {
    answer.json()["data"]["providers"].as_array().unwrap().clone()
}

#[tokio::test]
async fn document_keys_return_the_example_documents() {
    let sandbox_client = SandboxClient::new(Settings::default());
    assert_eq!(sandbox_client.leadlex("wbk_sandbox_seed", "").await.json(), document("leadlex-example"));
    assert_eq!(sandbox_client.leadlex("wbk_sandbox_stub", "").await.json(), document("leadlex-stub"));
}

#[tokio::test]
async fn rows_of_the_document_come_first() {
    let answer = SandboxClient::new(Settings::default()).leadlex("wbk_sandbox_a", "").await;
    let example = document("leadlex-example");
    let seeds = example["data"]["providers"].as_array().unwrap();
    assert_eq!(&rows(&answer)[..3], &seeds[..]);
}

#[tokio::test]
async fn unknown_key_is_refused() {
    let sandbox_client = SandboxClient::new(Settings::default());
    for key in ["wbk_sandbox_c", "ak_sandbox_a", ""] {
        let answer = sandbox_client.leadlex(key, "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        let expected = json!({ "error": { "code": "invalid_key", "message": "Invalid or expired API key" } });
        assert_eq!(answer.json(), expected);
        assert!(answer.header("x-request-id").is_some());
        assert_eq!(answer.header("x-ratelimit-limit"), None);
    }
    let answer = sandbox_client.leadlex("wbk_sandbox_forbidden", "").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.json()["error"]["code"], "insufficient_permissions");
}

#[tokio::test]
async fn category_filters_and_unknown_category_is_refused() {
    let sandbox_client = SandboxClient::new(Settings::default());
    let calendars = rows(&sandbox_client.leadlex("wbk_sandbox_a", "?category=calendar").await);
    let names: Vec<_> = calendars.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["google", "calendly", "microsoft"]);
    assert_eq!(rows(&sandbox_client.leadlex("wbk_sandbox_a", "?category=").await).len(), 25);

    let answer = sandbox_client.leadlex("wbk_sandbox_a", "?category=crm").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.json()["error"]["code"], "validation_error");
}

#[tokio::test]
async fn rows_have_every_documented_peculiarity() {
    let rows = rows(&SandboxClient::new(Settings::default()).leadlex("wbk_sandbox_a", "").await);
    assert_eq!(rows.len(), 25);
    let words =
        |field: &str| -> BTreeSet<_> { rows.iter().map(|row| row[field].as_str().unwrap()).collect() };
    let categories = ["billing", "calendar", "channels", "crm", "email", "identity", "storage"];
    assert_eq!(words("category"), BTreeSet::from(categories));
    assert_eq!(
        words("status"),
        BTreeSet::from(["degraded", "disconnected", "healthy", "needs_reauth", "paused"])
    );
    let microsoft: Vec<_> =
        rows.iter().filter(|row| row["name"] == "microsoft").map(|row| &row["category"]).collect();
    assert_eq!(microsoft, ["email", "calendar"]);
    assert!(rows.contains(&json!({
        "category": "storage", "name": "onedrive", "connected": false, "account_id": null, "display_name": null,
        "scopes": null, "connected_at": null, "last_sync_at": null, "status": "disconnected", "error_message": null
    })));
    let scopes = |shape: fn(&Value) -> bool| rows.iter().any(|row| row.get("scopes").is_some_and(shape));
    assert!(scopes(|scopes| scopes[0].is_string()));
    assert!(scopes(|scopes| scopes[0].get("scope").is_some()));
    assert!(scopes(|scopes| scopes[0].get("name").is_some()));
    assert!(scopes(|scopes| scopes.is_null()));
    assert!(rows.iter().any(|row| row.get("scopes").is_none()));
}

#[tokio::test]
async fn first_twenty_rows_match_twenty_toolkits() {
    // The toolkits that these names stand for according to docs/upstreams.md#providers-and-toolkits.
    let toolkit = |category: &str, name: &str| match (category, name) {
        ("calendar", "google") => "googlecalendar",
        ("identity", "google") => "googlesuper",
        ("email" | "calendar", "microsoft") => "outlook",
        ("channels", "teams") => "microsoft_teams",
        ("storage", "google_drive") => "googledrive",
        ("storage", "onedrive") => "one_drive",
        (_, name) => TOOLKITS.iter().map(|(slug, _)| *slug).find(|slug| *slug == name).unwrap_or("none"),
    };
    let rows = rows(&SandboxClient::new(Settings::default()).leadlex("wbk_sandbox_a", "").await);
    let toolkits: BTreeSet<_> = rows[..20]
        .iter()
        .map(|row| toolkit(row["category"].as_str().unwrap(), row["name"].as_str().unwrap()))
        .collect();
    assert_eq!(toolkits, TOOLKITS.iter().map(|(slug, _)| *slug).collect());
}

#[tokio::test]
async fn tenants_share_no_row() {
    let sandbox_client = SandboxClient::new(Settings::default());
    let (a, b) = (
        sandbox_client.leadlex("wbk_sandbox_a", "").await,
        sandbox_client.leadlex("wbk_sandbox_b", "").await,
    );
    assert_eq!(rows(&b).len(), 6);
    assert!(rows(&b).iter().all(|row| !rows(&a).contains(row)));
}

#[tokio::test]
async fn day_quota_is_in_headers_until_midnight() {
    let sandbox_client =
        SandboxClient::new(Settings { leadlex_plan: LeadlexPlan::Starter, ..Settings::default() });
    for spent in 1..=100_u32 {
        let answer = sandbox_client.leadlex("wbk_sandbox_a", "").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("x-ratelimit-limit"), Some("100"));
        assert_eq!(answer.header("x-ratelimit-remaining"), Some((100 - spent).to_string().as_str()));
        // 2026-04-18T00:00:00Z.
        assert_eq!(answer.header("x-ratelimit-reset"), Some("1776470400"));
        sandbox_client.advance(7);
    }
    let refused = sandbox_client.leadlex("wbk_sandbox_a", "").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.json()["error"]["code"], "rate_limited");
    assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
    assert_eq!(
        sandbox_client.leadlex("wbk_sandbox_b", "").await.status,
        StatusCode::OK,
        "each key has its own day quota"
    );

    sandbox_client.advance(1_776_470_400 - super::NOW);
    let answer = sandbox_client.leadlex("wbk_sandbox_a", "").await;
    assert_eq!((answer.status, answer.header("x-ratelimit-remaining")), (StatusCode::OK, Some("99")));
}

#[tokio::test]
async fn minute_limit_has_no_headers() {
    let sandbox_client =
        SandboxClient::new(Settings { leadlex_plan: LeadlexPlan::Starter, ..Settings::default() });
    for _ in 0..10 {
        assert_eq!(sandbox_client.leadlex("wbk_sandbox_a", "").await.status, StatusCode::OK);
    }
    let refused = sandbox_client.leadlex("wbk_sandbox_a", "").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.header("x-ratelimit-remaining"), Some("90"));
    sandbox_client.advance(60);
    assert_eq!(sandbox_client.leadlex("wbk_sandbox_a", "").await.status, StatusCode::OK);
}

#[tokio::test]
async fn unmetered_key_has_no_limit_headers() {
    let sandbox_client =
        SandboxClient::new(Settings { leadlex_plan: LeadlexPlan::Unmetered, ..Settings::default() });
    for _ in 0..300 {
        let answer = sandbox_client.leadlex("wbk_sandbox_a", "").await;
        assert_eq!((answer.status, answer.header("x-ratelimit-limit")), (StatusCode::OK, None));
    }
}

#[tokio::test]
async fn rows_can_be_changed() {
    let sandbox_client = SandboxClient::new(Settings::default());
    sandbox_client.sandbox.change_providers(Tenant::A, |rows| {
        rows.truncate(1);
        rows.push(json!("not even an object"));
    });
    assert_eq!(rows(&sandbox_client.leadlex("wbk_sandbox_a", "").await)[1], json!("not even an object"));
}
