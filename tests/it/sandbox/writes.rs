//! Writes of emulated Composio: links and their sign-in page, status, alias, revoke, delete, and faults of
//! writes only.

use http::StatusCode;
use serde_json::{Value, json};
use switchboard::sandbox::{CANARY, Settings, Tenant};

use super::{SandboxClient, TestResponse};

const ACCOUNTS: &str = "/api/v3/connected_accounts";

async fn write(sandbox_client: &SandboxClient, method: &str, path: &str, body: &Value) -> TestResponse {
    let headers = [("x-api-key", "ak_sandbox_a"), ("host", "127.0.0.1:7000")];
    sandbox_client.send_body(method, &format!("{ACCOUNTS}{path}"), &headers, &body.to_string()).await
}

async fn item(sandbox_client: &SandboxClient, id: &str) -> Value {
    sandbox_client.items(&format!("connected_account_ids={id}")).await.first().cloned().unwrap_or_default()
}

/// The id of an account with this status.
fn with_status(sandbox_client: &SandboxClient, status: &str) -> String {
    let accounts = sandbox_client.sandbox.accounts(Tenant::A);
    accounts.iter().find(|account| account.status == status && !account.shared).unwrap().id.clone()
}

async fn press(sandbox_client: &SandboxClient, page: &str, decision: &str) -> TestResponse {
    let form = [("content-type", "application/x-www-form-urlencoded")];
    sandbox_client.send_body("POST", page, &form, &format!("decision={decision}")).await
}

/// Starts a sign-in. Returns the new account's id and the path of the page.
async fn link(sandbox_client: &SandboxClient, callback_url: Option<&str>) -> (String, String) {
    let body = json!({ "auth_config_id": "ac_gmail", "user_id": "user_1", "callback_url": callback_url });
    let answer = write(sandbox_client, "POST", "/link", &body).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let answer = answer.json();
    let url = answer["redirect_url"].as_str().unwrap();
    assert!(url.contains(CANARY) && answer["link_token"].as_str().unwrap().contains(CANARY));
    assert_eq!(answer["expires_at"], "2026-04-17T10:40:00.000Z");
    let page = url.strip_prefix("http://127.0.0.1:7000").unwrap().to_owned();
    (answer["connected_account_id"].as_str().unwrap().to_owned(), page)
}

#[tokio::test]
async fn link_is_completed_on_its_sign_in_page() {
    let sandbox_client = SandboxClient::new(Settings::default());
    let (id, page) = link(&sandbox_client, Some("https://app.example/done?tab=2")).await;
    assert_eq!(item(&sandbox_client, &id).await["status"], "INITIATED");
    let form = sandbox_client.get(&page, &[]).await.text();
    assert!(form.contains("Sign in to gmail") && form.contains("Allow") && form.contains("Deny"), "{form}");
    let answer = press(&sandbox_client, &page, "allow").await;
    let callback = format!("https://app.example/done?tab=2&status=success&connected_account_id={id}");
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, Some(&*callback)));
    assert_eq!(item(&sandbox_client, &id).await["status"], "ACTIVE");
    assert_eq!(press(&sandbox_client, &page, "allow").await.status, StatusCode::GONE, "a link works once");
}

#[tokio::test]
async fn denied_sign_in_fails_and_late_sign_in_is_expired() {
    let sandbox_client = SandboxClient::new(Settings::default());
    let (denied, page) = link(&sandbox_client, None).await;
    assert!(press(&sandbox_client, &page, "deny").await.text().contains("Denied"));
    assert_eq!(item(&sandbox_client, &denied).await["status"], "FAILED");
    let (late, page) = link(&sandbox_client, None).await;
    sandbox_client.advance(601);
    assert_eq!(sandbox_client.get(&page, &[]).await.status, StatusCode::GONE);
    assert_eq!(press(&sandbox_client, &page, "allow").await.status, StatusCode::GONE);
    assert_eq!(item(&sandbox_client, &late).await["status"], "INITIATED");
}

#[tokio::test]
async fn writes_are_visible_in_reads() {
    let sandbox_client = SandboxClient::new(Settings::default());
    let active = with_status(&sandbox_client, "ACTIVE");
    let path = format!("/{active}");
    let paused =
        write(&sandbox_client, "PATCH", &format!("{path}/status"), &json!({ "enabled": false })).await;
    assert_eq!(paused.json(), json!({ "success": true }));
    let item_paused = item(&sandbox_client, &active).await;
    assert_eq!((&item_paused["status"], &item_paused["is_disabled"]), (&json!("INACTIVE"), &json!(true)));
    assert_eq!(item_paused["status_reason"], "Connection status updated by user");
    write(&sandbox_client, "PATCH", &format!("{path}/status"), &json!({ "enabled": true })).await;
    assert_eq!(item(&sandbox_client, &active).await["status"], "ACTIVE");

    let renamed = write(&sandbox_client, "PATCH", &path, &json!({ "alias": "Sales" })).await;
    assert_eq!(renamed.json(), json!({ "id": active, "status": "ACTIVE", "success": true }));
    assert_eq!(item(&sandbox_client, &active).await["alias"], "Sales");
    write(&sandbox_client, "PATCH", &path, &json!({ "alias": "" })).await;
    assert_eq!(item(&sandbox_client, &active).await["alias"], Value::Null);

    let revoked = write(&sandbox_client, "POST", &format!("{path}/revoke"), &Value::Null).await.json();
    assert_eq!(revoked["connected_account"], json!({ "id": active, "status": "REVOKED" }));
    assert_ne!(revoked["revoked_tokens"], json!([]));
    let again = write(&sandbox_client, "POST", &format!("{path}/revoke"), &Value::Null).await.json();
    assert_eq!(again["revoked_tokens"], json!([]), "the account was revoked before");

    let removed =
        write(&sandbox_client, "DELETE", &format!("{path}?revoke_on_delete=true"), &Value::Null).await.json();
    assert!(removed["success"] == true && removed["revoke_job_id"].is_string());
    assert_eq!(item(&sandbox_client, &active).await, Value::Null);
    assert_eq!(write(&sandbox_client, "DELETE", &path, &Value::Null).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn refused_writes_have_the_error_envelope() {
    let sandbox_client = SandboxClient::new(Settings::default());
    let expired = with_status(&sandbox_client, "EXPIRED");
    let enable =
        write(&sandbox_client, "PATCH", &format!("/{expired}/status"), &json!({ "enabled": true })).await;
    assert_eq!(enable.json()["error"]["status"], 400);
    for (config, status) in [("ac_nothing", 404), ("ac_b_gmail", 404), ("ac_mailchimp", 400)] {
        let body = json!({ "auth_config_id": config, "user_id": "user_1" });
        assert_eq!(write(&sandbox_client, "POST", "/link", &body).await.status.as_u16(), status, "{config}");
    }
    let named = json!({ "auth_config_id": "ac_gmail", "user_id": "user_1", "alias": "Mine" });
    assert_eq!(write(&sandbox_client, "POST", "/link", &named).await.status, StatusCode::CREATED);
    assert_eq!(write(&sandbox_client, "POST", "/link", &named).await.status, StatusCode::CONFLICT);
    let (other, _) = link(&sandbox_client, None).await;
    let taken = write(&sandbox_client, "PATCH", &format!("/{other}"), &json!({ "alias": "Mine" })).await;
    assert_eq!(taken.status, StatusCode::CONFLICT);
    let read_only = [("x-api-key", "ak_sandbox_readonly")];
    assert_eq!(sandbox_client.get(ACCOUNTS, &read_only).await.status, StatusCode::OK);
    let refused = sandbox_client.send("DELETE", &format!("{ACCOUNTS}/{other}"), &read_only).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let foreign = [("x-api-key", "ak_sandbox_b")];
    let refused = sandbox_client.send("DELETE", &format!("{ACCOUNTS}/{other}"), &foreign).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn write_faults_do_not_affect_reads_and_can_come_after_the_effect() {
    let sandbox_client = SandboxClient::new(Settings::default());
    let id = with_status(&sandbox_client, "ACTIVE");
    let headers = [("x-api-key", "ak_sandbox_a"), ("x-emulate", "cut=1; writes=1; times=-1")];
    assert_eq!(sandbox_client.get(ACCOUNTS, &headers).await.status, StatusCode::OK);
    let path = format!("{ACCOUNTS}/{id}");
    let cut =
        sandbox_client.send_body("PATCH", &path, &headers, &json!({ "alias": "Cut" }).to_string()).await;
    assert!(cut.body.is_none());
    assert_eq!(item(&sandbox_client, &id).await["alias"], "Cut");
}
