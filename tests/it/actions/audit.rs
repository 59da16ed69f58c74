//! The audit log and the metric of actions.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use switchboard::sandbox::{CANARY, EmulatedUpstream, Fault};
use switchboard::telemetry::json_lines::JsonLines;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{account, member, mutation, payload, refused_as, setup};
use crate::world::{World, tenant_a};

#[derive(Clone, Default)]
struct LogBuffer(Arc<Mutex<Vec<u8>>>);

impl Write for LogBuffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl LogBuffer {
    /// The audit lines since the last look.
    fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        assert!(
            !text.contains(CANARY) && !text.contains("__sign-in") && !text.contains("Secret alias"),
            "{text}"
        );
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let audit = lines.filter(|line| line["target"] == "switchboard::audit");
        audit.map(|mut line| line["fields"].take()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn each_action_is_one_line_and_one_count() {
    let written = LogBuffer::default();
    let writer = written.clone();
    let json =
        tracing_subscriber::registry().with(LevelFilter::INFO).with(JsonLines::new(move || writer.clone()));
    let _capturing = tracing::subscriber::set_default(json);
    tracing::callsite::rebuild_interest_cache();
    let world = World::new_with(setup());
    let id = account(&world, "ACTIVE", "user_1", "");
    let line = |caller: &str, role: &str, action: &str, rest: Value| {
        let mut line = json!({ "message": "action", "caller": caller, "role": role, "action": action });
        for (key, value) in rest.as_object().unwrap() {
            line[key] = value.clone();
        }
        line
    };

    let input = json!({ "authConfigId": "ac_gmail", "userId": "user_9", "alias": "Secret alias" });
    let selected = "redirectUrl connectedAccount { connectedAccountId }";
    let made = payload(&world, "createConnectLink", selected, input).await;
    let new = &made["connectedAccount"]["connectedAccountId"];
    assert_eq!(
        written.lines(),
        [line("test", "ADMIN", "connect", json!({ "new_account": new, "outcome": "ok" }))]
    );

    payload(&world, "renameAccount", "clientMutationId", json!({ "id": id, "alias": "Secret alias" })).await;
    assert_eq!(written.lines(), [line("test", "ADMIN", "rename", json!({ "account": id, "outcome": "ok" }))]);

    refused_as(&world, member("user_2"), "removeAccount", json!({ "id": id })).await;
    let refusal = json!({ "account": id, "outcome": "refused", "code": "NOT_FOUND" });
    assert_eq!(written.lines(), [line("Ann", "MEMBER", "remove", refusal)]);

    let query = mutation("revokeAccount", "clientMutationId");
    world.query_as(member("user_1"), &query, json!({ "input": { "id": id } })).await;
    let refusal = json!({ "account": id, "outcome": "refused", "code": "FORBIDDEN" });
    assert_eq!(written.lines(), [line("Ann", "MEMBER", "revoke", refusal)]);

    world.query_as(tenant_a(), &query, json!({ "input": { "id": "not an id\n" } })).await;
    let refusal = json!({ "outcome": "refused", "code": "INVALID_ID" });
    assert_eq!(written.lines(), [line("test", "ADMIN", "revoke", refusal)]);

    for (fault, outcome, code) in [
        ("status=503; writes=1", "unknown", "ACTION_OUTCOME_UNKNOWN"),
        ("status=429; writes=1; retry-after=30", "failed", "UPSTREAM_RATE_LIMITED"),
    ] {
        world.sandbox.emulate(EmulatedUpstream::Composio, Some(Fault::parse(fault).unwrap()));
        world.query_as(tenant_a(), &query, json!({ "input": { "id": id } })).await;
        let ended = json!({ "account": id, "outcome": outcome, "code": code });
        assert_eq!(written.lines(), [line("test", "ADMIN", "revoke", ended)]);
    }

    let page = world.operations.metrics().page();
    let count = |action: &str, outcome: &str, count: u32| {
        let series =
            format!("switchboard_actions_total{{action=\"{action}\",outcome=\"{outcome}\"}} {count}\n");
        assert!(page.contains(&series), "{series}{page}");
    };
    count("connect", "ok", 1);
    count("rename", "ok", 1);
    count("remove", "refused", 1);
    count("revoke", "refused", 2);
    count("revoke", "unknown", 1);
    count("revoke", "failed", 1);
    count("reconnect", "ok", 0);
}
