//! A process that may open few files: its soft limit is raised, and idle clients leave files for probes and upstream
//! calls.

use std::process::Command;

use axum::http::StatusCode;
use futures_util::future::try_join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{body_of, status};
use crate::reload::Serving;

const SETTINGS: &str = "[http]\nlisten = \"127.0.0.1:0\"\n[auth]\nmode = \"none\"\n\
    [upstream.leadlex.concurrency]\nall_calls_max = 16\n[upstream.composio.concurrency]\nall_calls_max = 16\n";
const QUERY: &str = "{ providers { totalCount } connectedAccounts { totalCount } }";

/// A process whose shell has set this limit of open files.
async fn serve(ulimit: &str) -> Serving {
    let script = format!("ulimit {ulimit} && exec \"$0\" \"$@\"");
    let limited = |command: &mut Command| {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &script]).arg(command.get_program()).args(command.get_args()).env_clear();
        *command = shell;
    };
    Serving::start_with(SETTINGS, limited).await
}

async fn idle_clients(serving: &Serving, count: usize) -> Vec<TcpStream> {
    let address = serving.graph.strip_prefix("http://").unwrap().strip_suffix("/graphql").unwrap();
    try_join_all((0..count).map(|_| TcpStream::connect(address))).await.unwrap()
}

#[test]
fn check_prints_how_many_connections_are_accepted() {
    let output = Command::new("/bin/sh")
        .args(["-c", "ulimit -n 400 && exec \"$0\" check", env!("CARGO_BIN_EXE_switchboard")])
        .env_clear()
        .env("SWITCHBOARD__UPSTREAM__LEADLEX__BASE_URL", "http://127.0.0.1:1")
        .env("SWITCHBOARD__UPSTREAM__COMPOSIO__BASE_URL", "http://127.0.0.1:1")
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    for line in [
        "Warning: server.connections_max is 4096, but the process may open 400 files: at most 100 client connections are accepted.",
        "Listener  ok     at most 100 client connections; the process may open 400 files, 768 are wanted for everything else",
    ] {
        assert!(printed.lines().any(|printed| printed.starts_with(line)), "{printed}");
    }
}

#[tokio::test]
async fn the_soft_limit_of_files_is_raised() {
    let serving = serve("-S -n 64").await;
    let _idle = idle_clients(&serving, 100).await;
    let (status, answer) = serving.ask("", QUERY).await;
    assert_eq!((status, answer.get("errors")), (StatusCode::OK, None), "{answer}");
}

#[tokio::test]
async fn idle_clients_leave_files_for_probes_and_upstream_calls() {
    let serving = serve("-n 400").await;
    let log = serving.logged("serving");
    let warning = log.iter().find(|line| line.contains("may open 400 files")).unwrap();
    assert!(warning.contains("at most 112 client connections"), "{warning}");

    let mut clients = idle_clients(&serving, 112).await;
    let mut beyond = idle_clients(&serving, 1).await.remove(0);
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    beyond.write_all(request("/graphql").as_bytes()).await.unwrap();
    let mut refusal = String::new();
    beyond.read_to_string(&mut refusal).await.unwrap();
    assert_eq!(status(&refusal), 503);
    assert!(body_of(&refusal).contains("OVERLOADED"), "{refusal}");

    for (probe, expected) in [("live", "live\n"), ("ready", "ready\n")] {
        let response = serving.client.get(format!("{}/{probe}", serving.ops)).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), expected);
    }
    let query =
        format!("/graphql?query={}", QUERY.replace(' ', "%20").replace('{', "%7B").replace('}', "%7D"));
    clients[0].write_all(request(&query).as_bytes()).await.unwrap();
    let mut answer = String::new();
    clients[0].read_to_string(&mut answer).await.unwrap();
    assert_eq!(status(&answer), 200);
    assert!(!body_of(&answer).contains("errors"), "{answer}");
}
