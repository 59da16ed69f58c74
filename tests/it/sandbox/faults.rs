//! Faults on demand, drift, scenarios, latency, and recorded requests.

use http::StatusCode;
use serde_json::{Value, json};
use switchboard::sandbox::{EmulatedUpstream, Fault, LEADLEX_PATH, Scenario, Settings};

use super::{SandboxClient, TestResponse};

async fn list_with_fault(sandbox_client: &SandboxClient, fault: &str) -> TestResponse {
    let headers = [("x-api-key", "ak_sandbox_a"), ("x-emulate", fault)];
    sandbox_client.get("/api/v3/connected_accounts?limit=3", &headers).await
}

#[tokio::test]
async fn fault_applies_as_often_as_configured() {
    let sandbox_client = SandboxClient::new(Settings::default());
    for (fault, statuses) in [
        ("status=500", [500, 200, 200]),
        ("status=503; times=2; key=K", [503, 503, 200]),
        ("status=502; times=-1; key=L", [502, 502, 502]),
        ("status=503; times=3; key=K", [503, 200, 200]),
    ] {
        for status in statuses {
            assert_eq!(list_with_fault(&sandbox_client, fault).await.status, status, "{fault}");
        }
    }
}

#[tokio::test]
async fn failure_has_the_body_of_the_real_upstream() {
    let sandbox_client = SandboxClient::new(Settings::default());
    for status in [400, 401, 404, 422, 500] {
        let answer = list_with_fault(&sandbox_client, &format!("status={status}")).await;
        let error = &answer.json()["error"];
        assert_eq!((answer.status.as_u16(), &error["status"]), (status, &json!(status)));
        assert!(error["slug"].is_string() && error["request_id"].is_string());
        assert_eq!(answer.header("x-ratelimit-window-size"), Some("60s"));
    }
    let bare = list_with_fault(&sandbox_client, "status=429; retry-after=7; shape=documented").await;
    assert_eq!((bare.status.as_u16(), bare.header("retry-after")), (429, Some("7")));
    assert_eq!(bare.json(), json!({ "message": "Rate limit exceeded. Limit: 2000 requests per 60 seconds" }));

    let headers = [("authorization", "Bearer wbk_sandbox_a"), ("x-emulate", "status=429")];
    let answer = sandbox_client.get(&format!("{LEADLEX_PATH}/v1/settings/providers"), &headers).await;
    assert_eq!(answer.json()["error"]["code"], "rate_limited");
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("10000"), "a failure does not use quota");
}

#[tokio::test]
async fn body_faults_are_applied() {
    let sandbox_client = SandboxClient::new(Settings::default());
    assert!(list_with_fault(&sandbox_client, "cut=1").await.body.is_none());

    let garbage = list_with_fault(&sandbox_client, "garbage=1").await;
    assert_eq!(
        (garbage.status, garbage.header("content-type")),
        (StatusCode::OK, Some("text/html; charset=utf-8"))
    );
    assert!(garbage.text().starts_with("<!DOCTYPE html>"));

    let empty = list_with_fault(&sandbox_client, "empty=1; status=200").await;
    assert_eq!((empty.status, empty.text()), (StatusCode::OK, String::new()));

    let padded = list_with_fault(&sandbox_client, "size=10485760").await;
    assert_eq!(padded.body.as_ref().unwrap().len(), 10_485_760);
    assert_eq!(padded.json()["total_items"], 384);

    assert_eq!(list_with_fault(&sandbox_client, "shape=list").await.json()[0]["total_items"], 384);
    let wrong = list_with_fault(&sandbox_client, "shape=wrong-types").await.json();
    assert_eq!(wrong["total_items"], json!("384"));
    assert!(wrong["items"].is_number());

    let redirect = list_with_fault(&sandbox_client, "status=302").await;
    assert_eq!(redirect.header("location"), Some("http://elsewhere.invalid/"));
}

#[tokio::test]
async fn malformed_fault_is_refused_with_the_reason() {
    let answer = list_with_fault(&SandboxClient::new(Settings::default()), "status=loud").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.text(), "X-Emulate: status=\"loud\" is not a number that fits");
}

#[tokio::test]
async fn permanent_fault_affects_one_upstream_until_removed() {
    let sandbox_client = SandboxClient::new(Settings::default());
    sandbox_client.sandbox.emulate(EmulatedUpstream::Leadlex, Some(Fault::parse("status=503").unwrap()));
    for _ in 0..3 {
        assert_eq!(sandbox_client.leadlex("wbk_sandbox_a", "").await.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(sandbox_client.list("").await.status, StatusCode::OK);
    }
    sandbox_client.sandbox.emulate(EmulatedUpstream::Leadlex, None);
    assert_eq!(sandbox_client.leadlex("wbk_sandbox_a", "").await.status, StatusCode::OK);

    sandbox_client
        .sandbox
        .emulate(EmulatedUpstream::Composio, Some(Fault::parse("status=500; times=1").unwrap()));
    assert_eq!(sandbox_client.list("").await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(sandbox_client.list("").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn delays_use_the_tokio_clock() {
    let sandbox_client = SandboxClient::new(Settings { latency_ms: 3_600_000, ..Settings::default() });
    let start = tokio::time::Instant::now();
    assert_eq!(sandbox_client.list("limit=1").await.status, StatusCode::OK);
    assert_eq!(start.elapsed().as_secs(), 3_600);
    list_with_fault(&sandbox_client, "latency-ms=1000").await;
    assert_eq!(start.elapsed().as_secs(), 7_201);
}

#[tokio::test]
async fn drift_adds_fields_statuses_and_one_unusable_row() {
    let sandbox_client = SandboxClient::new(Settings::default());
    let before = sandbox_client.items("limit=8").await;
    Scenario::Drift.arrange(&sandbox_client.sandbox);
    let after = sandbox_client.items("limit=8").await;
    assert_eq!(after[1], json!({ "id": [42], "toolkit": "gmail", "state": "none" }));
    assert_eq!(after[5]["status"], "HIBERNATING");
    assert_eq!(after[2]["state"]["authScheme"], "PASSKEY");
    assert!(before[3].get("word_id").is_some() && after[3].get("word_id").is_none());
    assert!(after[0]["risk"].is_object());
    let rows = sandbox_client.leadlex("wbk_sandbox_a", "").await.json();
    assert_eq!(rows["data"]["providers"][2]["status"], "hibernating");
    assert_eq!(rows["data"]["providers"][1]["category"], json!([7]));
    sandbox_client.sandbox.set_drift(false);
    assert_eq!(sandbox_client.items("limit=8").await, before);
}

#[tokio::test]
async fn scenarios_have_their_documented_data() {
    for (scenario, leadlex, composio) in [
        (Scenario::Healthy, 200, 200),
        (Scenario::LeadlexDown, 503, 200),
        (Scenario::Leadlex429, 429, 200),
        (Scenario::ComposioDown, 200, 503),
        (Scenario::Composio429, 200, 429),
        (Scenario::Skewed, 200, 200),
    ] {
        let sandbox_client = SandboxClient::new(scenario.settings(Settings::default()));
        scenario.arrange(&sandbox_client.sandbox);
        assert_eq!(sandbox_client.leadlex("wbk_sandbox_a", "").await.status, leadlex, "{scenario:?}");
        assert_eq!(sandbox_client.list("limit=1").await.status, composio, "{scenario:?}");
    }
    assert_eq!(Scenario::Slow.settings(Settings::default()).latency_ms, 1_500);
    assert!(Scenario::Skewed.settings(Settings::default()).skew);
}

#[tokio::test]
async fn requests_are_recorded_until_cleared() {
    let sandbox_client = SandboxClient::new(Settings::default());
    sandbox_client.list("limit=2&user_ids=a%2Cb").await;
    sandbox_client.leadlex("wrong", "").await;
    let asked = sandbox_client.get("/__requests", &[]).await.json();
    assert_eq!(
        asked[0],
        json!({
            "upstream": "composio",
            "method": "GET",
            "target": "/api/v3/connected_accounts?limit=2&user_ids=a%2Cb",
            "headers": [["x-api-key", "ak_sandbox_a"]],
            "body": "",
            "time": "2026-04-17T10:30:00Z",
        })
    );
    assert_eq!(asked[1]["target"], format!("{LEADLEX_PATH}/v1/settings/providers"));
    let kept = sandbox_client.sandbox.requests();
    assert_eq!(kept[0].query("user_ids").as_deref(), Some("a,b"));
    assert_eq!(kept[1].header("authorization"), Some("Bearer wrong"));

    assert_eq!(sandbox_client.send("DELETE", "/__requests", &[]).await.status, StatusCode::NO_CONTENT);
    assert_eq!(sandbox_client.get("/__requests", &[]).await.json(), Value::Array(Vec::new()));
}

#[tokio::test]
async fn an_unknown_key_gets_a_hint_beside_the_real_body() {
    let sandbox_client = SandboxClient::new(Settings::default());
    let target = "/api/v3/connected_accounts?limit=1";
    let unknown = sandbox_client.get(target, &[("x-api-key", "ak_unknown")]).await;
    assert_eq!(
        (unknown.status.as_u16(), &unknown.json()["error"]["message"]),
        (401, &json!("Invalid API key"))
    );
    assert!(unknown.header("x-sandbox-hint").unwrap().contains("ak_sandbox_a"));
    let emulated = [("x-api-key", "ak_sandbox_a"), ("x-emulate", "status=401")];
    assert_eq!(sandbox_client.get(target, &emulated).await.header("x-sandbox-hint"), None);
}

#[tokio::test]
async fn a_standing_fault_is_set_and_ended_on_request() {
    let sandbox_client = SandboxClient::new(Settings::default());
    let set = [("x-emulate", "status=503")];
    assert_eq!(sandbox_client.send("PUT", "/__faults/composio", &set).await.status, StatusCode::NO_CONTENT);
    for _ in 0..2 {
        assert_eq!(sandbox_client.list("limit=1").await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(sandbox_client.leadlex("wbk_sandbox_a", "").await.status, StatusCode::OK);
    assert_eq!(sandbox_client.send("DELETE", "/__faults/composio", &[]).await.status, StatusCode::NO_CONTENT);
    assert_eq!(sandbox_client.list("limit=1").await.status, StatusCode::OK);

    for (path, headers) in [
        ("/__faults/composio", &[] as &[_]),
        ("/__faults/composio", &[("x-emulate", "status=9")]),
        ("/__faults/stripe", &set),
    ] {
        let refused = sandbox_client.send("PUT", path, headers).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path} {headers:?}");
    }
    assert_eq!(sandbox_client.list("limit=1").await.status, StatusCode::OK);
}

#[tokio::test]
async fn accounts_are_added_and_removed_on_request() {
    let sandbox_client = SandboxClient::new(Settings::default());
    let key = [("x-api-key", "ak_sandbox_a")];
    let newest = async || {
        let page = sandbox_client.list("limit=1&toolkit_slugs=gmail").await.json();
        (page["items"][0]["id"].as_str().unwrap().to_owned(), page["total_items"].as_u64().unwrap())
    };
    let (first, all) = newest().await;
    let made = sandbox_client.send("PUT", "/__accounts/ca_new?toolkit=gmail&user_id=user_1", &key).await;
    assert_eq!((made.status, newest().await), (StatusCode::NO_CONTENT, ("ca_new".to_owned(), all + 1)));
    assert_eq!(
        sandbox_client.send("DELETE", "/__accounts/ca_new", &key).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(newest().await, (first, all));

    assert_eq!(sandbox_client.send("DELETE", "/__accounts/ca_new", &key).await.status, StatusCode::NOT_FOUND);
    let unknown = sandbox_client.send("PUT", "/__accounts/ca_new?toolkit=abacus&user_id=user_1", &key).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        sandbox_client.send("DELETE", "/__accounts/ca_new", &[]).await.status,
        StatusCode::UNAUTHORIZED
    );
}
