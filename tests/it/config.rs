//! The binary with wrong and right configurations: error lines, exit codes, start and stop.
//!
//! The unit tests of `config` cover each message. These tests cover that messages reach the user: one `switchboard: …`
//! line each on standard error, with exit code 2, or 1 for a failure of the machine.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

const CANARY: &str = "canary_never_to_be_shown";

/// The binary in an environment with two keys and nothing else.
pub(crate) fn switchboard(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    command
        .args(arguments)
        .env_clear()
        .env("SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY", format!("wbk_{CANARY}"))
        .env("SWITCHBOARD__UPSTREAM__COMPOSIO__API_KEY", format!("ak_{CANARY}"));
    command
}

/// A temporary configuration file, removed at the end of the test.
pub(crate) struct ConfigFile(PathBuf);

impl ConfigFile {
    pub(crate) fn new(text: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("switchboard-it-{}-{count}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        Self(path)
    }

    pub(crate) fn rewrite(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

/// A process that is killed at the end of the test.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Starts a process and waits for a line of its standard output with this beginning.
    pub(crate) fn start_until(mut command: Command, line: &str) -> (Self, String) {
        let mut process = Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        let mut out = BufReader::new(process.0.stdout.take().unwrap());
        let mut printed = String::new();
        while !printed.lines().last().is_some_and(|last| last.starts_with(line)) {
            let read = out.read_line(&mut printed).unwrap();
            assert!(read > 0, "it ended without `{line}`: {printed}{}", process.errors());
        }
        process.0.stdout = Some(out.into_inner());
        (process, printed)
    }

    /// Asks the process to stop.
    pub(crate) fn terminate(&self) {
        let status = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.0.id())]).status();
        assert!(status.unwrap().success());
    }

    pub(crate) fn errors(&mut self) -> String {
        let mut text = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have exited already, which some tests wait for.
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }
}

fn error_lines(output: &Output) -> Vec<&str> {
    let lines: Vec<&str> = std::str::from_utf8(&output.stderr).unwrap().lines().collect();
    assert!(lines.iter().all(|line| line.starts_with("switchboard: ")), "{lines:#?}");
    assert!(lines.iter().all(|line| !line.contains(CANARY)), "{lines:#?}");
    lines
}

/// The only error line of a `serve` with this file; exit code 2.
fn refusal(text: &str) -> String {
    let file = ConfigFile::new(text);
    let output = switchboard(&["serve", "--config", file.path()]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let lines = error_lines(&output);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines[0].replace(file.path(), "x.toml")
}

#[test]
fn an_unknown_key_is_rejected_with_the_most_similar_one() {
    assert_eq!(
        refusal(&format!("[upstream.leadlex]\napi_kye = \"{CANARY}\"\n")),
        "switchboard: upstream.leadlex.api_kye: unknown setting; did you mean upstream.leadlex.api_key? (x.toml, line 2)"
    );
    let output = switchboard(&["serve"]).env("SWITCHBOARD__HTTP__LISTNE", "x").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        error_lines(&output),
        [
            "switchboard: http.listne: unknown setting; did you mean SWITCHBOARD__HTTP__LISTEN? (variable SWITCHBOARD__HTTP__LISTNE)"
        ]
    );
}

#[test]
fn a_value_of_a_wrong_type_is_rejected_with_the_expected_type() {
    assert_eq!(
        refusal("[lists]\npage_rows = \"many\"\n"),
        "switchboard: lists.page_rows: must be a whole number, like 100, not the string \"many\" (x.toml, line 2)"
    );
}

#[test]
fn an_upstream_url_without_a_scheme_is_rejected() {
    assert_eq!(
        refusal("[upstream.composio]\nbase_url = \"backend.composio.dev\"\n"),
        "switchboard: upstream.composio.base_url: \"backend.composio.dev\" has no scheme: begin it with https:// (or http://) (x.toml, line 2)"
    );
}

#[test]
fn all_missing_keys_are_reported_with_the_variables_that_set_them() {
    let output = switchboard(&["serve"]).env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        error_lines(&output),
        [
            "switchboard: upstream.leadlex.api_key: missing: set SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY, or name a file in upstream.leadlex.api_key_file",
            "switchboard: upstream.composio.api_key: missing: set SWITCHBOARD__UPSTREAM__COMPOSIO__API_KEY, or name a file in upstream.composio.api_key_file",
        ]
    );
}

#[test]
fn an_unreadable_or_invalid_file_is_reported_with_its_position() {
    let output = switchboard(&["serve", "--config", "no/such/file.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        error_lines(&output),
        [
            "switchboard: no/such/file.toml: cannot read the configuration: No such file or directory (os error 2); check the path, which is relative to the working directory"
        ]
    );
    // Whether an address or a missing key is a problem depends on the file, which is unknown.
    let public = [("SWITCHBOARD__HTTP__LISTEN", "0.0.0.0:0"), ("SWITCHBOARD__OPS__LISTEN", "0.0.0.0:0")];
    let output = switchboard(&["check", "--config", "no/such/file.toml"]).envs(public).output().unwrap();
    assert_eq!(error_lines(&output).len(), 1, "{output:?}");
    let line = refusal(&format!("[upstream.composio]\napi_key = \"{CANARY}\n"));
    assert!(line.starts_with("switchboard: x.toml: line 2, column "), "{line}");
}

#[test]
fn mode_none_listens_on_loopback_only() {
    let output = switchboard(&["serve", "--listen", "0.0.0.0:0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let lines = error_lines(&output);
    assert!(
        lines[0].contains("http.listen: auth.mode = \"none\" gives every client that reaches"),
        "{lines:?}"
    );
    assert!(lines[0].ends_with("(--listen)"), "{lines:?}");
}

#[test]
fn a_port_in_use_is_reported_with_its_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (arguments, setting, flag) in [
        (&["serve", "--ops-listen", "127.0.0.1:0", "--listen", &address][..], "http.listen", "--listen"),
        (&["serve", "--listen", "127.0.0.1:0", "--ops-listen", &address], "ops.listen", "--ops-listen"),
        (&["demo", "--listen", &address], "http.listen", "--listen"),
        (&["sandbox", "--listen", &address], "--listen", "--listen"),
    ] {
        let output = switchboard(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            error_lines(&output),
            [format!(
                "switchboard: {setting}: {address} is already in use. Stop the other process, or choose another address with {flag} (port 0 picks a free one)."
            )]
        );
    }
}

#[test]
fn an_unknown_flag_is_wrong_usage() {
    assert_eq!(switchboard(&["serve", "--prot", "1"]).output().unwrap().status.code(), Some(2));
    for command in ["demo", "serve", "sandbox"] {
        let output = switchboard(&[command, "--port", "8081"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("unexpected argument '--port"), "{said}");
        assert!(said.contains("a similar argument exists: '--listen'"), "{said}");
        assert!(said.contains("it takes an address with a port, as in 127.0.0.1:8080"), "{said}");
    }
}

#[cfg(unix)]
#[test]
fn serve_prints_its_address_and_stops_on_sigterm() {
    let command = switchboard(&["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
    let (mut process, printed) = Running::start_until(command, "listening on ");
    let address = printed.trim_end().strip_prefix("listening on http://127.0.0.1:").unwrap();
    let port: u16 = address.strip_suffix("/graphql").unwrap().parse().unwrap();
    assert_ne!(port, 0);
    process.terminate();
    assert!(process.0.wait().unwrap().success());
    let log = process.errors();
    assert!(!log.contains(CANARY));
    assert!(log.contains("serving") && log.contains("shutdown requested: accepting no requests"), "{log}");
}

#[cfg(unix)]
#[test]
fn a_json_log_has_no_plain_lines() {
    let mut command = switchboard(&["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
    command.env("SWITCHBOARD__LOG__FORMAT", "json").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Running(command.spawn().unwrap());
    let mut errors = BufReader::new(process.0.stderr.take().unwrap());
    let mut lines = String::new();
    while !lines.contains("\"serving\"") {
        assert!(errors.read_line(&mut lines).unwrap() > 0, "{lines}");
    }
    let killed = Command::new("sh").args(["-c", &format!("kill -TERM {}", process.0.id())]).status().unwrap();
    assert!(killed.success() && process.0.wait().unwrap().success());
    errors.read_to_string(&mut lines).unwrap();
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let serving = lines.iter().find(|line| line["fields"]["message"] == "serving").unwrap();
    assert_eq!(serving["fields"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(serving["fields"]["graph"].as_str().unwrap().starts_with("127.0.0.1:"));
    let mut printed = String::new();
    process.0.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!(printed, "");
}

#[test]
fn demo_needs_no_keys_and_prints_its_addresses() {
    let mut command = switchboard(&["demo", "--listen", "127.0.0.1:0"]);
    // Settings for `serve` in the environment are ignored.
    command.env("SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY_FILE", "no/such/file");
    let (_process, printed) = Running::start_until(command, "Try: ");
    let place = |name: &str| {
        let line = printed.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no `{name}` in {printed}")).to_owned()
    };
    let graphiql = place("GraphiQL: ");
    assert_eq!(place("GraphQL: "), format!("{graphiql}graphql"));
    assert!(place("Sandbox: ").starts_with("http://127.0.0.1:"));
    let curl = place("Try: ");
    assert!(curl.starts_with(&format!("curl -s {graphiql}graphql ")));
    let (_, query) = curl.trim_end_matches('\'').split_once("-d '").unwrap();
    let answer = post(&place("GraphQL: "), query);
    assert_eq!(answer.matches("\"name\"").count(), 3, "{answer}");
    assert!(!answer.contains("\"errors\""), "{answer}");
}

#[test]
fn a_demo_that_other_machines_reach_requires_the_token_that_it_prints() {
    // As in the container, whose image sets the variable.
    let mut command = switchboard(&["demo"]);
    command.env("SWITCHBOARD__HTTP__LISTEN", "0.0.0.0:0");
    let (_process, printed) = Running::start_until(command, "Try: ");
    let place = |name: &str| printed.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    let graph = place("GraphQL: ");
    assert!(graph.starts_with("http://127.0.0.1:"), "{graph}");
    let query = r#"{"query":"{ viewer { role } }"}"#;
    let refused = post(&graph, query);
    assert!(refused.starts_with("HTTP/1.1 401") && refused.contains("Authorization: Bearer"), "{refused}");
    let token = place("Token: ");
    let token = token.split(' ').next().unwrap();
    let header = format!("authorization: Bearer {token}\r\n");
    let answer = post_with(&graph, &header, query);
    assert!(answer.contains(r#"{"data":{"viewer":{"role":"ADMIN"}}}"#), "{answer}");
    let curl = place("Try: ");
    assert!(curl.contains(&format!(" -H 'authorization: Bearer {token}' ")), "{curl}");
}

#[test]
fn a_demo_allows_the_origins_of_its_flag_and_of_the_environment() {
    let origin = "http://localhost:5173";
    let query = r#"{"query":"{ viewer { role } }"}"#;
    let answered = |command: Command| {
        let (_process, printed) = Running::start_until(command, "Try: ");
        let graph = printed.lines().find_map(|line| line.strip_prefix("GraphQL: ")).unwrap();
        post_with(graph, &format!("origin: {origin}\r\n"), query)
    };
    let demo = |more: &[&str]| switchboard(&[&["demo", "--listen", "127.0.0.1:0"], more].concat());
    let refused = answered(demo(&[]));
    assert!(refused.starts_with("HTTP/1.1 403") && refused.contains("`http.cors_origins`"), "{refused}");
    let mut by_variable = demo(&[]);
    by_variable.env("SWITCHBOARD__HTTP__CORS_ORIGINS", origin);
    for command in [demo(&["--cors-origin", origin]), by_variable] {
        let allowed = answered(command);
        assert!(allowed.contains(&format!("access-control-allow-origin: {origin}")), "{allowed}");
        assert!(allowed.contains(r#""role":"ADMIN""#), "{allowed}");
    }
}

#[test]
fn serve_reads_a_sandbox_in_another_process_and_survives_its_end() {
    let (sandbox, printed) = Running::start_until(
        switchboard(&["sandbox", "--fixed-clock", "--listen", "127.0.0.1:0"]),
        "sandbox listening on ",
    );
    let at = printed.trim_end().strip_prefix("sandbox listening on ").unwrap();
    let mut command = switchboard(&["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
    command
        .env("SWITCHBOARD__UPSTREAM__LEADLEX__BASE_URL", format!("{at}/functions/v1/api-gateway"))
        .env("SWITCHBOARD__UPSTREAM__COMPOSIO__BASE_URL", at)
        .env("SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY", "wbk_sandbox_b")
        .env("SWITCHBOARD__UPSTREAM__COMPOSIO__API_KEY", "ak_sandbox_b")
        .env("SWITCHBOARD__CACHE__ACCOUNTS_TTL_MS", "0");
    let (mut serve, printed) = Running::start_until(command, "listening on ");
    let graph = printed.trim_end().strip_prefix("listening on ").unwrap();
    let query = r#"{"query":"{ providers { totalCount } connectedAccounts(first: 1) { nodes { userId state { withheld } } } }"}"#;
    let answer = post(graph, query);
    assert!(
        answer.contains(
            r#"{"data":{"providers":{"totalCount":6},"connectedAccounts":{"nodes":[{"userId":"member_0","#
        ),
        "{answer}"
    );

    drop(sandbox);
    let answer = post(graph, query);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(r#""code":"UPSTREAM_UNAVAILABLE","upstream":"COMPOSIO""#), "{answer}");
    assert!(answer.contains(r#""data":{"providers":{"totalCount":6},"connectedAccounts":null}"#), "{answer}");
    assert!(!answer.contains(at.trim_start_matches("http://")), "{answer}");
    // Not killed, which would lose the last lines of the log.
    serve.terminate();
    let log = serve.errors();
    assert!(log.contains("UPSTREAM_UNAVAILABLE"), "{log}");
    for secret in ["_sandbox_", switchboard::sandbox::CANARY, at] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

/// The response to a JSON body.
fn post(url: &str, body: &str) -> String {
    post_with(url, "", body)
}

/// The response to a JSON body with further header lines.
fn post_with(url: &str, headers: &str, body: &str) -> String {
    let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    write!(
        connection,
        "POST /{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn check_reports_whether_each_upstream_is_usable() {
    let command = switchboard(&["sandbox", "--fixed-clock", "--listen", "127.0.0.1:0"]);
    let (_sandbox, printed) = Running::start_until(command, "sandbox listening on ");
    let sandbox = printed.trim_end().strip_prefix("sandbox listening on ").unwrap();
    let check = |leadlex: &str, composio: &str| {
        let output = switchboard(&["check"])
            .env("SWITCHBOARD__UPSTREAM__LEADLEX__BASE_URL", format!("{sandbox}/functions/v1/api-gateway"))
            .env("SWITCHBOARD__UPSTREAM__COMPOSIO__BASE_URL", sandbox)
            .env("SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY", leadlex)
            .env("SWITCHBOARD__UPSTREAM__COMPOSIO__API_KEY", composio)
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout.clone()).unwrap();
        // Neither the keys, nor the canary values that the sandbox returns for secrets.
        for secret in ["_sandbox_", CANARY, switchboard::sandbox::CANARY] {
            assert!(!printed.contains(secret), "{secret}: {printed}");
        }
        // The first line is about the listeners.
        let said: Vec<String> = printed.lines().skip(1).take(2).map(str::to_owned).collect();
        (output.status.code(), said[0].clone(), said[1].clone(), error_lines(&output).join("\n"))
    };
    let (code, leadlex, composio, errors) = check("wbk_sandbox_a", "ak_sandbox_a");
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(leadlex.starts_with("LeadLex   ok     quota 9,999 of 10,000 left until "), "{leadlex}");
    assert!(composio.starts_with("Composio  ok     quota 9,999 of 10,000 left"), "{composio}");

    let (code, leadlex, composio, errors) = check("wbk_sandbox_a", &format!("ak_{CANARY}"));
    assert_eq!(code, Some(1));
    assert!(leadlex.starts_with("LeadLex   ok "), "{leadlex}");
    assert!(
        composio.starts_with("Composio  WRONG  the key was refused (401): set upstream.composio.api_key"),
        "{composio}"
    );
    assert_eq!(errors, "switchboard: 1 of these checks failed: see the line marked WRONG");
}

#[test]
fn check_prints_the_configuration_without_secrets_and_the_problems() {
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = switchboard(&["check"]);
    command
        .env_remove("SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY")
        .env("SWITCHBOARD__UPSTREAM__COMPOSIO__BASE_URL", format!("http://{nowhere}"));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    error_lines(&output);
    let printed = std::str::from_utf8(&output.stdout).unwrap();
    assert!(!printed.contains(CANARY), "{printed}");
    assert!(printed.contains("api_key = \"[redacted]\" # variable SWITCHBOARD__UPSTREAM__COMPOSIO__API_KEY"));
    let said: Vec<&str> = printed.lines().skip(1).collect();
    assert_eq!(said[0], "LeadLex   WRONG  no key is configured: set upstream.leadlex.api_key");
    assert_eq!(
        said[1],
        "Composio  WRONG  cannot connect with upstream.composio.base_url: the connection was refused: nothing listens at that host and port"
    );
    assert_eq!(
        said[2..5],
        ["", "# Settings that differ from the defaults; --all prints all.", "[upstream.composio]"]
    );
    assert!(!printed.contains("page_rows"), "{printed}");
    let output = command.arg("--all").output().unwrap();
    let printed = std::str::from_utf8(&output.stdout).unwrap();
    assert!(printed.contains("\n[lists]\npage_rows = ") && !printed.contains(CANARY), "{printed}");
}

#[test]
fn unencrypted_upstreams_on_other_machines_are_warned_about() {
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = switchboard(&["check"]);
    command
        .env("SWITCHBOARD__UPSTREAM__LEADLEX__BASE_URL", format!("http://{nowhere}"))
        .env("SWITCHBOARD__UPSTREAM__COMPOSIO__BASE_URL", format!("http://{}.invalid", "a".repeat(64)));
    let output = command.output().unwrap();
    let printed = std::str::from_utf8(&output.stdout).unwrap();
    let warnings: Vec<&str> = printed.lines().filter(|line| line.starts_with("Warning: ")).collect();
    assert_eq!(warnings.len(), 1, "{printed}");
    assert!(warnings[0].starts_with("Warning: upstream.composio.base_url is http"), "{printed}");

    let file = ConfigFile::new(
        "[http]\nlisten = \"127.0.0.1:0\"\n[ops]\nlisten = \"127.0.0.1:0\"\n\
         [upstream.leadlex]\nbase_url = \"http://api.example\"\n[upstream.composio]\nbase_url = \"https://api.example\"\n",
    );
    let (mut process, _) = Running::start_until(switchboard(&["serve", "--config", file.path()]), "Probes: ");
    process.terminate();
    let said = process.errors();
    assert!(said.contains("upstream.leadlex.base_url is http"), "{said}");
    assert!(!said.contains("upstream.composio") && !said.contains("api.example"), "{said}");
}

#[test]
fn schema_prints_the_schema_and_accepts_a_closed_pipe() {
    let output = switchboard(&["schema", "--format", "plain"]).env_clear().output().unwrap();
    assert!(output.status.success());
    assert!(std::str::from_utf8(&output.stdout).unwrap().contains("type Query {"));

    let mut early = switchboard(&["schema"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(early.stdout.take());
    let output = early.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
