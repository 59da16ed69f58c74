//! The server under load: a separate process, so that only its memory is measured.
//!
//! It runs the product's own `App` like `switchboard serve`, and reads commands from standard input: a line
//! requests its counters, and the end of the input stops it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use switchboard::app::App;
use switchboard::config::{ApiKeys, Config, ConfigSources};
use tokio::sync::oneshot;
use tokio::task::block_in_place;

/// Runs the server with this configuration file.
pub(crate) async fn serve(file: PathBuf) {
    let config =
        Config::load(ConfigSources { file: Some(file), keys: ApiKeys::Required, ..ConfigSources::default() });
    let config = config.unwrap_or_else(|errors| panic!("{errors}"));
    let app = App::start(&config).await.unwrap();
    let graph = app.graph();
    print_json(&json!({ "port": app.http_address().port() }));
    let (stop, stopped) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        for _ in std::io::stdin().lock().lines() {
            let counts = graph.calls().map(|counts| {
                json!({
                    "succeeded": counts.succeeded,
                    "failed": counts.failed.values().sum::<u64>(),
                    "cancelled": counts.cancelled,
                    "retried": counts.retried,
                    "held": counts.held.values().sum::<u64>(),
                    "underWay": counts.in_flight,
                })
            });
            print_json(&json!(counts));
        }
        drop(stop);
    });
    app.run(async { drop(stopped.await) }, std::future::pending()).await.unwrap();
}

fn print_json(what: &Value) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what}").and_then(|()| out.flush()).unwrap();
}

/// The server process, as seen from the outside.
pub(crate) struct Server {
    process: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    pub(crate) id: u32,
    pub(crate) port: u16,
}

/// Memory in megabytes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Memory {
    pub(crate) now: f64,
    pub(crate) most: f64,
}

/// The server's counters of calls to one upstream.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) retried: u64,
    pub(crate) held: u64,
    pub(crate) under_way: u64,
}

impl Counters {
    /// All calls made.
    pub(crate) fn all(self) -> u64 {
        self.succeeded + self.failed + self.cancelled
    }
}

impl Server {
    pub(crate) fn start(file: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg("serve")
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut server = Self { id: process.id(), process, stdin, stdout: BufReader::new(stdout), port: 0 };
        let port = server.read_json()["port"].as_u64().unwrap();
        server.port = u16::try_from(port).unwrap();
        server
    }

    fn read_json(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// The counters of LeadLex, then of Composio.
    pub(crate) fn counters(&mut self) -> [Counters; 2] {
        self.stdin.write_all(b"calls\n").unwrap();
        let stdout = block_in_place(|| self.read_json());
        [0, 1].map(|upstream| {
            let of = |name: &str| stdout[upstream][name].as_u64().unwrap();
            Counters {
                succeeded: of("succeeded"),
                failed: of("failed"),
                cancelled: of("cancelled"),
                retried: of("retried"),
                held: of("held"),
                under_way: of("underWay"),
            }
        })
    }

    /// The process's memory as the kernel reports it.
    pub(crate) fn memory(&self) -> Memory {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id)).unwrap_or_default();
        let kilobytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().nth(1).and_then(|number| number.parse::<f64>().ok()).unwrap_or_default()
        };
        Memory { now: kilobytes("VmRSS") / 1024.0, most: kilobytes("VmHWM") / 1024.0 }
    }

    /// The number of connections from clients.
    pub(crate) fn connections(&self) -> usize {
        const ESTABLISHED: &str = "01";
        let port = format!(":{:04X}", self.port);
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
        let is_ours = |line: &&str| {
            let columns: Vec<_> = line.split_whitespace().collect();
            columns.get(1).is_some_and(|local| local.ends_with(&port)) && columns.get(3) == Some(&ESTABLISHED)
        };
        table.lines().filter(is_ours).count()
    }

    /// Stops the process. Returns whether it exited with success.
    pub(crate) fn stop(mut self) -> bool {
        drop(self.stdin);
        block_in_place(|| self.process.wait()).is_ok_and(|status| status.success())
    }
}
