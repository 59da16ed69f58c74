//! The Redis of this benchmark: a real `redis-server` on a loopback port, without persistence, bounded in memory, and ended with
//! this process, however that ends.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::{Client, Connection};

/// How often it is asked whether it answers yet, 20 ms apart.
const TRIES: usize = 250;

/// What a script asks by itself: it came as one command.
const WITHIN_SCRIPTS: [&str; 3] = ["get", "del", "pexpire"];

pub(crate) struct Server {
    process: Child,
    connection: Connection,
    pub(crate) url: String,
}

/// How often what was asked, by its name.
pub(crate) type Commands = BTreeMap<String, u64>;

/// What stands in the store of one kind.
#[derive(Default)]
pub(crate) struct Stored {
    pub(crate) values: u64,
    /// The values alone.
    pub(crate) value_bytes: u64,
    /// With their keys and all that Redis keeps beside them.
    pub(crate) all_bytes: u64,
}

impl Server {
    /// Starts it, and waits until it answers.
    pub(crate) fn start() -> Result<Self, String> {
        for program in ["redis-server", "setpriv"] {
            let there = Command::new(program).arg("--version").stdout(Stdio::null()).status();
            if there.is_err() {
                return Err(format!("this benchmark needs {program} (Debian: redis-server and util-linux)"));
            }
        }
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.map_err(|error| format!("no port is free: {error}"))?.port().to_string();
        // Where this process is killed and cannot stop it, it still ends: that is setpriv's part.
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

    /// What all replicas have asked since it started, this benchmark's own questions left out.
    pub(crate) fn commands(&mut self) -> Commands {
        let told: String =
            redis::cmd("INFO").arg("commandstats").query(&mut self.connection).expect("INFO is answered");
        let line = |line: &str| {
            let (name, figures) = line.strip_prefix("cmdstat_")?.split_once(':')?;
            let calls = figures.strip_prefix("calls=")?.split(',').next()?.parse().ok()?;
            let is_theirs = name != "info" && !WITHIN_SCRIPTS.contains(&name);
            is_theirs.then(|| (name.to_owned(), calls))
        };
        told.lines().filter_map(line).collect()
    }

    /// Forgets everything.
    pub(crate) fn empty(&mut self) {
        redis::cmd("FLUSHALL").exec(&mut self.connection).expect("FLUSHALL is answered");
    }

    /// What stands there now, by kind: the fifth part of a key.
    pub(crate) fn stored(&mut self) -> BTreeMap<String, Stored> {
        let keys: Vec<String> =
            redis::cmd("KEYS").arg("*").query(&mut self.connection).expect("KEYS is answered");
        let mut stored = BTreeMap::<String, Stored>::new();
        for key in keys {
            let mut figure = |words: &[&str]| -> Option<u64> {
                let mut command = redis::cmd(words.first()?);
                command.arg(words.get(1..)?).arg(&key).query(&mut self.connection).expect("a figure")
            };
            // It may have ended meanwhile.
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

/// What was asked between two moments.
pub(crate) fn between(before: &Commands, after: &Commands) -> Commands {
    let grown = |(name, calls): (&String, &u64)| {
        let calls = calls - before.get(name).copied().unwrap_or_default();
        (calls > 0).then(|| (name.clone(), calls))
    };
    after.iter().filter_map(grown).collect()
}

/// The medians of some rounds: a sign of life falls into few of them.
pub(crate) fn usual(rounds: &[Commands]) -> Commands {
    let names: BTreeSet<_> = rounds.iter().flat_map(BTreeMap::keys).collect();
    let median = |name: &String| {
        let mut calls: Vec<_> =
            rounds.iter().map(|round| round.get(name).copied().unwrap_or_default()).collect();
        calls.sort_unstable();
        calls[calls.len() / 2]
    };
    names.into_iter().map(|name| (name.clone(), median(name))).filter(|(_, calls)| *calls > 0).collect()
}

/// `2 mget, 1 set`.
pub(crate) fn told(commands: &Commands) -> String {
    let each: Vec<_> = commands.iter().map(|(name, calls)| format!("{calls} {name}")).collect();
    if each.is_empty() { "none".to_owned() } else { each.join(", ") }
}
