//! Redis in `switchboard check`, and a start without Redis.

use std::process::Output;

use super::server::RedisServer;
use crate::config::{ConfigFile, Running, switchboard};

const PASSWORD: &str = "canary_never_to_be_shown";

/// Runs `check` over the emulated upstreams with these Redis settings. Returns exit code, Redis's line and
/// complete output.
fn check(sandbox: &str, redis: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = switchboard(&["check"]);
    command
        .env("SWITCHBOARD__UPSTREAM__LEADLEX__BASE_URL", format!("{sandbox}/functions/v1/api-gateway"))
        .env("SWITCHBOARD__UPSTREAM__COMPOSIO__BASE_URL", sandbox)
        .env("SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY", "wbk_sandbox_a")
        .env("SWITCHBOARD__UPSTREAM__COMPOSIO__API_KEY", "ak_sandbox_a");
    for (name, value) in redis {
        command.env(format!("SWITCHBOARD__REDIS__{name}"), value);
    }
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (printed, errors) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    // A wrong configuration has no such line.
    let result = printed.lines().find(|line| line.starts_with("Redis")).unwrap_or_default().to_owned();
    (status.code(), result, printed + &errors)
}

#[tokio::test]
async fn check_reports_redis() {
    let (_sandbox, printed) = Running::start_until(
        switchboard(&["sandbox", "--fixed-clock", "--listen", "127.0.0.1:0"]),
        "sandbox listening on ",
    );
    let sandbox = printed.trim_end().strip_prefix("sandbox listening on ").unwrap();
    let mut server = RedisServer::start_with_password(PASSWORD).await;
    let url = server.settings().url;
    let (url, patient) = (("URL", url.as_str()), ("TIMEOUT_MS", "10000"));

    let (code, line, printed) = check(sandbox, &[url, patient, ("PASSWORD", PASSWORD)]);
    assert!(line.starts_with("Redis     ok     it responds in "), "{line}");
    assert!(code == Some(0) && !printed.contains(PASSWORD), "{printed}");

    let (code, line, _) = check(sandbox, &[url, ("PASSWORD", "wrong")]);
    assert_eq!(line, "Redis     WRONG  user or password were refused: set redis.username and redis.password");
    assert_eq!(code, Some(1));
    let (_, line, _) = check(sandbox, &[url]);
    assert_eq!(line, "Redis     WRONG  it requires a password: set redis.password");
    server.kill();
    let (code, line, printed) = check(sandbox, &[url, ("PASSWORD", PASSWORD)]);
    assert_eq!(line, "Redis     WRONG  cannot connect: check redis.url and the network");
    assert!(code == Some(1) && !printed.contains(PASSWORD), "{printed}");
    let (_, line, printed) = check(sandbox, &[]);
    assert!(
        line.is_empty() && printed.contains("Composio  ok "),
        "an unconfigured Redis is not mentioned: {printed}"
    );
}

#[test]
fn unreachable_redis_does_not_prevent_a_start() {
    let away = RedisServer::stopped(&[]);
    let listen = "listen = \"127.0.0.1:0\"";
    let text =
        format!("[http]\n{listen}\n[ops]\n{listen}\n[redis]\nurl = \"redis://127.0.0.1:{}\"\n", away.port());
    let file = ConfigFile::new(&text);
    Running::start_until(switchboard(&["serve", "--config", file.path()]), "Probes: ");
}
