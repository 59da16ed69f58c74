//! The settings of actions: a reload applies them, and `check` says if the key may write.

use serde_json::json;
use switchboard::app::wiring::Networks;
use switchboard::cli::check;
use switchboard::config::{ApiKeys, Config, ConfigSources};
use switchboard::sandbox::{self, LEADLEX_PATH, Sandbox};

use super::{account, payload, setup, world, writes};
use crate::world::{network, only_error, tenant_a};

/// The lines of `check` with this Composio key, and the number of problems.
async fn check(key: &str, enabled: bool) -> (Vec<String>, usize, Sandbox) {
    let flag = |name, value: String| (name, "test", value);
    let config = Config::load(ConfigSources {
        flags: vec![
            flag("upstream.leadlex.base_url", format!("http://sandbox.invalid{LEADLEX_PATH}")),
            flag("upstream.composio.base_url", "http://sandbox.invalid".to_owned()),
            flag("upstream.leadlex.api_key", "wbk_sandbox_a".to_owned()),
            flag("upstream.composio.api_key", key.to_owned()),
            flag("actions.enabled", enabled.to_string()),
        ],
        keys: ApiKeys::Required,
        ..ConfigSources::default()
    })
    .unwrap();
    let sandbox = Sandbox::new(sandbox::Settings::default(), sandbox::Clock::system());
    let network = network(&sandbox);
    let networks = Networks { leadlex: network.clone(), composio: network, store: None };
    let mut lines = Vec::new();
    let mut print = |line: &str| {
        lines.push(line.to_owned());
        Ok(())
    };
    let problems = check::report(&config, &networks, false, &mut print).await.unwrap();
    // The settings and warnings about them follow.
    lines.pop();
    lines.retain(|line: &String| !line.starts_with("Warning: "));
    (lines, problems, sandbox)
}

#[tokio::test]
async fn check_reports_whether_the_key_may_write() {
    let (lines, _, sandbox) = check("ak_sandbox_a", true).await;
    assert_eq!(lines.last().unwrap(), "Actions   ok");
    // The write changes nothing: it is empty, and of an account that does not exist.
    let write = sandbox.requests().into_iter().find(|call| call.method != "GET").unwrap();
    assert_eq!(
        (write.method.as_str(), write.target.as_str(), write.body.as_str()),
        ("PATCH", "/api/v3/connected_accounts/ca_switchboard_check", "{}")
    );
    let (lines, problems, _) = check("ak_sandbox_readonly", true).await;
    assert!(problems >= 1);
    assert_eq!(
        lines.last().unwrap(),
        "Actions   WRONG  the Composio key may only read (403): grant it writing of connected accounts, or set \
         actions.enabled = false"
    );
    let (lines, _, sandbox) = check("ak_sandbox_readonly", false).await;
    assert!(lines.last().unwrap().starts_with("Composio  "), "{lines:?}");
    assert!(sandbox.requests().iter().all(|call| call.method == "GET"), "no write without `actions.enabled`");
}

#[tokio::test(start_paused = true)]
async fn a_reload_switches_actions_off() {
    let world = world();
    let id = account(&world, "ACTIVE", "", "gmail");
    payload(&world, "renameAccount", "clientMutationId", json!({ "id": id, "alias": "a" })).await;
    let mut config = setup().config;
    config.actions.enabled = false;
    let reloaded = world.reloaded(&config);
    writes(&world);
    let query = super::mutation("renameAccount", "clientMutationId");
    let variables = json!({ "id": id, "alias": "b" });
    let answer = reloaded.query_as(tenant_a(), &query, json!({ "input": variables })).await;
    assert_eq!(only_error(&answer)["extensions"]["code"], "ACTIONS_DISABLED");
    assert_eq!(writes(&world), [""; 0]);
}
