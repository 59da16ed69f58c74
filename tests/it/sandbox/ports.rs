//! The `sandbox` command: printed addresses and keys, exit on a signal, and one clear line if the port is in
//! use.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

fn sandbox(listen: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    command.args(["sandbox", "--listen", listen]).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn sandbox_prints_its_address_serves_and_exits_on_signal() {
    let mut child = sandbox("127.0.0.1:0").spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("sandbox listening on http://").expect("the line").to_owned();

    // A truncated body closes the connection after a part of the declared length.
    let mut stream = TcpStream::connect(&address).unwrap();
    let head = "GET /api/v3/connected_accounts HTTP/1.1\r\nhost: h\r\nx-api-key: ak_sandbox_a\r\n";
    write!(stream, "{head}x-emulate: cut=1\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let promised = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    assert!(head.starts_with("HTTP/1.1 200"));
    assert!(!body.is_empty() && body.len() < promised.parse().unwrap(), "{} of {promised}", body.len());

    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert!(child.wait().unwrap().success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let leadlex =
        format!("LeadLex: http://{address}/functions/v1/api-gateway, key wbk_sandbox_a or wbk_sandbox_b");
    let composio = format!("Composio: http://{address}, key ak_sandbox_a or ak_sandbox_b");
    assert!(rest.contains(&leadlex) && rest.contains(&composio), "{rest}");
}

/// The time of the newest account that a sandbox with `flags` returns, in days before now.
fn age_of_the_newest_account(flags: &[&str]) -> i64 {
    let mut child = sandbox("127.0.0.1:0").args(flags).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let mut stream = TcpStream::connect(line.trim_end().rsplit('/').next().unwrap()).unwrap();
    let head = "GET /api/v3/connected_accounts?limit=1 HTTP/1.1\r\nhost: h\r\nx-api-key: ak_sandbox_a\r\n";
    write!(stream, "{head}connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let created = answer.split_once("\"created_at\":\"").unwrap().1.split('"').next().unwrap();
    let created: jiff::Timestamp = created.parse().unwrap();
    #[allow(clippy::disallowed_methods, reason = "the age of data in another process")]
    let now = jiff::Timestamp::now();
    now.duration_since(created).as_hours() / 24
}

#[test]
fn data_is_recent_unless_the_clock_is_fixed() {
    assert_eq!(age_of_the_newest_account(&[]), 0);
    let built_in = age_of_the_newest_account(&["--fixed-clock"]);
    assert!(built_in > 30, "{built_in} days");
}

#[test]
fn port_in_use_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let done = sandbox(&address).output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(said.starts_with(&format!("switchboard: --listen: {address} is already in use. ")), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(done.stdout.is_empty());
}
