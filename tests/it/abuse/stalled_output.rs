//! Standard error and standard output that are not read, or that are full: `serve` still starts, answers and stops.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::config::{ConfigFile, Running, switchboard};

const LISTENERS: &str = "[http]\nlisten = \"127.0.0.1:0\"\n[ops]\nlisten = \"127.0.0.1:0\"\n";

/// A connection that sends one request after the other.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(address: &str) -> Self {
        Self(BufReader::new(TcpStream::connect(address).unwrap()))
    }

    fn send(&mut self, path: &str, times: usize) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        self.0.get_mut().write_all(request.repeat(times).as_bytes()).unwrap();
    }

    /// The next response's body; its status must be 200.
    fn receive(&mut self) -> String {
        let (mut line, mut length) = (String::new(), 0);
        self.0.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200"), "{line}");
        while line != "\r\n" {
            line.clear();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the connection was closed");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    }

    fn get(&mut self, path: &str) -> String {
        self.send(path, 1);
        self.receive()
    }
}

fn terminate(process: &Running) {
    assert!(Command::new("kill").args(["-TERM", &process.0.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_log_that_is_not_read_delays_neither_requests_nor_shutdown() {
    let file = ConfigFile::new(LISTENERS);
    // Standard error is a pipe that only the end of this test reads.
    let (mut process, printed) =
        Running::start_until(switchboard(&["serve", "--config", file.path()]), "Probes: ");
    let address = |before: &str, after: &str| {
        let start = printed.split_once(before).unwrap().1;
        start.split_once(after).unwrap().0.to_owned()
    };
    let mut graph = Client::connect(&address("listening on http://", "/graphql"));
    let mut ops = Client::connect(&address("Probes: http://", "/live"));
    let is_dropping = |page: &str| {
        page.lines().any(|line| {
            line.strip_prefix("switchboard_log_lines_dropped_total{reason=\"full\"} ")
                .is_some_and(|count| count != "0")
        })
    };
    while !is_dropping(&ops.get("/metrics")) {
        graph.send("/graphql?query=%7B__typename%7D", 200);
        for _ in 0..200 {
            assert_eq!(graph.receive(), r#"{"data":{"__typename":"Query"}}"#);
        }
    }
    assert_eq!((ops.get("/live"), ops.get("/ready")), ("live\n".to_owned(), "ready\n".to_owned()));
    terminate(&process);
    assert_eq!(process.0.wait().unwrap().code(), Some(0));
    assert!(process.errors().contains("serving"));
}

#[test]
fn the_last_log_lines_are_written_before_the_process_ends() {
    let file = ConfigFile::new(LISTENERS);
    let (mut process, _) = Running::start_until(switchboard(&["serve", "--config", file.path()]), "Probes: ");
    terminate(&process);
    assert_eq!(process.0.wait().unwrap().code(), Some(0));
    let log = process.errors();
    assert!(log.contains("shutdown requested"), "{log}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_the_output_does_not_stop_the_server() {
    let full = || Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap());
    let file = ConfigFile::new(LISTENERS);
    for format in ["pretty", "json"] {
        let mut command = switchboard(&["serve", "--config", file.path()]);
        command.env("SWITCHBOARD__LOG__FORMAT", format).stdout(full()).stderr(Stdio::piped());
        let mut process = Running(command.spawn().unwrap());
        let mut log = BufReader::new(process.0.stderr.take().unwrap()).lines();
        let serving = log.find(|line| line.as_ref().unwrap().contains("serving"));
        assert!(serving.is_some(), "{format}: the process ended");
        terminate(&process);
        assert_eq!(process.0.wait().unwrap().code(), Some(0), "{format}");
    }

    let file = ConfigFile::new(LISTENERS);
    let mut command = switchboard(&["serve", "--config", file.path()]);
    let mut process = Running(command.stdout(Stdio::piped()).stderr(full()).spawn().unwrap());
    let mut out = BufReader::new(process.0.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("listening on http://").unwrap();
    let mut graph = Client::connect(address.strip_suffix("/graphql").unwrap());
    assert_eq!(graph.get("/graphql?query=%7B__typename%7D"), r#"{"data":{"__typename":"Query"}}"#);
    terminate(&process);
    assert_eq!(process.0.wait().unwrap().code(), Some(0));
}
