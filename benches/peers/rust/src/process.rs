//! A server under test or an upstream: a process on one core, with its resource usage.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::http::Connection;

/// The core of the servers.
pub(crate) const SERVER_CORE: usize = 0;
/// The core of the upstreams and of the load.
pub(crate) const LOAD_CORE: usize = 1;

/// The maximum time until a server's first response.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Ticks per second in `/proc/PID/stat` (`USER_HZ`).
const TICKS: f64 = 100.0;

/// A program with its arguments and its complete environment.
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
}

/// A process that listens.
pub(crate) struct Process {
    child: Child,
    id: u32,
    pub(crate) address: SocketAddr,
    /// From its start to its first response.
    pub(crate) started_in: Duration,
}

/// In megabytes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Memory {
    pub(crate) now: f64,
    pub(crate) most: f64,
}

/// A free loopback address.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

impl Process {
    /// Starts `program` on `core` and waits until it responds to `probe` with 200. Its output goes to `log`.
    pub(crate) async fn start(
        program: &Program,
        core: usize,
        address: SocketAddr,
        probe: &[u8],
        log: &Path,
    ) -> anyhow::Result<Self> {
        // If this process is killed, setpriv ends the child.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "taskset", "--cpu-list", &core.to_string()])
            .arg(&program.path)
            .args(&program.arguments)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(program.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::from(File::create(log)?))
            .stderr(Stdio::from(File::options().append(true).open(log)?))
            .kill_on_drop(true);
        let begun = Instant::now();
        let mut child = command.spawn().context("setpriv and taskset (util-linux) start the servers")?;
        let id = child.id().context("it ended at once")?;
        while !answers(address, probe).await {
            if let Some(status) = child.try_wait()? {
                bail!("{} ended ({status}):\n{}", program.path.display(), last_lines(log));
            }
            if begun.elapsed() > START_TIMEOUT {
                bail!("{} does not answer:\n{}", program.path.display(), last_lines(log));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(Self { child, id, address, started_in: begun.elapsed() })
    }

    /// The CPU time of the process and its children.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let mut ticks = 0;
        let mut family = vec![self.id];
        let all = stats();
        while let Some(parent) = family.pop() {
            let own = all.iter().find(|stat| stat.id == parent).context("the server has ended")?;
            ticks += own.ticks;
            family.extend(all.iter().filter(|stat| stat.parent == parent).map(|stat| stat.id));
        }
        Ok(Duration::from_secs_f64(ticks as f64 / TICKS))
    }

    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.id)).context("the server has ended")?;
        let megabytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kilobytes: Option<f64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            kilobytes.unwrap_or_default() / 1024.0
        };
        Ok(Memory { now: megabytes("VmRSS"), most: megabytes("VmHWM") })
    }

    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

async fn answers(address: SocketAddr, probe: &[u8]) -> bool {
    let asked =
        async { Ok::<_, std::io::Error>(Connection::open(address).await?.send(probe).await?.status == 200) };
    tokio::time::timeout(Duration::from_secs(5), asked).await.is_ok_and(|answer| answer.unwrap_or(false))
}

struct Stat {
    id: u32,
    parent: u32,
    ticks: u64,
}

/// Every process, from `/proc/PID/stat` (proc_pid_stat(5)).
fn stats() -> Vec<Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter_map(|id: u32| {
        let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The second field is a name in brackets, which can contain any character.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        // Own user and system time, and that of ended children.
        let ticks = field(14)? + field(15)? + field(16)? + field(17)?;
        Some(Stat { id, parent: field(4)?.try_into().ok()?, ticks })
    })
    .collect()
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
