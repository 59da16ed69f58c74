//! The Redis of this benchmark: a real `redis-server` on a loopback port, without persistence, with limited
//! memory. It ends with this process in any case.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::{Client, Connection};

/// The number of connection attempts, 20 ms apart.
const TRIES: usize = 250;

/// Commands inside a script. The script was sent as one command.
const WITHIN_SCRIPTS: [&str; 3] = ["get", "del", "pexpire"];

pub(crate) struct Server {
    process: Child,
    connection: Connection,
    pub(crate) url: String,
}

/// The number of calls of each command.
pub(crate) type Commands = BTreeMap<String, u64>;

/// The stored entries of one kind.
#[derive(Default)]
pub(crate) struct Stored {
    pub(crate) values: u64,
    /// The size of the values.
    pub(crate) value_bytes: u64,
    /// The size with keys and Redis' overhead.
    pub(crate) all_bytes: u64,
}

impl Server {
    /// Starts the server and waits until it responds.
    pub(crate) fn start() -> Result<Self, String> {
        for program in ["redis-server", "setpriv"] {
            let there = Command::new(program).arg("--version").stdout(Stdio::null()).status();
            if there.is_err() {
                return Err(format!("this benchmark needs {program} (Debian: redis-server and util-linux)"));
            }
        }
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.map_err(|error| format!("no port is free: {error}"))?.port().to_string();
        // If this process is killed, setpriv ends the server.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "redis-server", "--bind", "127.0.0.1", "--port", &port]);
        command.args(["--save", "", "--appendonly", "no", "--maxmemory", "256mb"]);
        command.current_dir(std::env::temp_dir());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().map_err(|error| format!("redis-server did not start: {error}"))?;
        let url = format!("redis://127.0.0.1:{port}");
        match connect(&url) {
            Some(connection) => Ok(Self { process, connection, url }),
            None => {
                let _ = process.kill().and_then(|()| process.wait());
                Err("redis-server does not answer".to_owned())
            }
        }
    }

    /// The commands of all replicas since the start, without this benchmark's own.
    pub(crate) fn commands(&mut self) -> Commands {
        let text: String =
            redis::cmd("INFO").arg("commandstats").query(&mut self.connection).expect("INFO is answered");
        let line = |line: &str| {
            let (name, figures) = line.strip_prefix("cmdstat_")?.split_once(':')?;
            let calls = figures.strip_prefix("calls=")?.split(',').next()?.parse().ok()?;
            let is_theirs = name != "info" && !WITHIN_SCRIPTS.contains(&name);
            is_theirs.then(|| (name.to_owned(), calls))
        };
        text.lines().filter_map(line).collect()
    }

    /// Removes all data.
    pub(crate) fn empty(&mut self) {
        redis::cmd("FLUSHALL").exec(&mut self.connection).expect("FLUSHALL is answered");
    }

    /// The current entries by kind, which is the fifth part of a key.
    pub(crate) fn stored(&mut self) -> BTreeMap<String, Stored> {
        let keys: Vec<String> =
            redis::cmd("KEYS").arg("*").query(&mut self.connection).expect("KEYS is answered");
        let mut stored = BTreeMap::<String, Stored>::new();
        for key in keys {
            let mut figure = |words: &[&str]| -> Option<u64> {
                let mut command = redis::cmd(words.first()?);
                command.arg(words.get(1..)?).arg(&key).query(&mut self.connection).expect("a figure")
            };
            // The server may have ended meanwhile.
            let (Some(value), Some(all)) = (figure(&["STRLEN"]), figure(&["MEMORY", "USAGE"])) else {
                continue;
            };
            let kind = stored.entry(key.split(':').nth(4).unwrap_or_default().to_owned()).or_default();
            kind.values += 1;
            kind.value_bytes += value;
            kind.all_bytes += all;
        }
        stored
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill().and_then(|()| self.process.wait());
    }
}

fn connect(url: &str) -> Option<Connection> {
    let client = Client::open(url).expect("a URL");
    (0..TRIES).find_map(|_| {
        let mut connection = client.get_connection().ok();
        let answers = connection.as_mut().is_some_and(|open| redis::cmd("PING").exec(open).is_ok());
        if !answers {
            std::thread::sleep(Duration::from_millis(20));
        }
        connection.filter(|_| answers)
    })
}

/// The commands between two counts.
pub(crate) fn difference(before: &Commands, after: &Commands) -> Commands {
    let grown = |(name, calls): (&String, &u64)| {
        let calls = calls - before.get(name).copied().unwrap_or_default();
        (calls > 0).then(|| (name.clone(), calls))
    };
    after.iter().filter_map(grown).collect()
}

/// The medians of some rounds. A heartbeat occurs in few of them.
pub(crate) fn median_commands(rounds: &[Commands]) -> Commands {
    let names: BTreeSet<_> = rounds.iter().flat_map(BTreeMap::keys).collect();
    let median = |name: &String| {
        let mut calls: Vec<_> =
            rounds.iter().map(|round| round.get(name).copied().unwrap_or_default()).collect();
        calls.sort_unstable();
        calls[calls.len() / 2]
    };
    names.into_iter().map(|name| (name.clone(), median(name))).filter(|(_, calls)| *calls > 0).collect()
}

/// Formats as `2 mget, 1 set`.
pub(crate) fn describe(commands: &Commands) -> String {
    let each: Vec<_> = commands.iter().map(|(name, calls)| format!("{calls} {name}")).collect();
    if each.is_empty() { "none".to_owned() } else { each.join(", ") }
}
