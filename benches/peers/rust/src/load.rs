//! Load on one server: some connections, each with one request in flight, for a fixed time.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::future::{join_all, try_join_all};
use tokio::time::Instant;

use crate::http::{Connection, post};
use crate::job;
use crate::process::Process;

/// Connections of a round.
const CONNECTIONS: usize = 16;
/// The time that a round may wait for its last responses.
const OVERTIME: Duration = Duration::from_secs(60);

/// The request of a round.
pub(crate) enum Question<'a> {
    /// The same query repeatedly, with the length of its response.
    Hot { length: usize },
    /// Unique queries, with the number of the next.
    Unique { next: &'a Cell<usize> },
}

/// One round on one server.
#[derive(Clone, Copy)]
pub(crate) struct Round {
    requests: usize,
    took: Duration,
    cpu: Duration,
}

impl Round {
    /// CPU time of the server.
    pub(crate) fn cpu_micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests as f64
    }

    /// Requests per second of the server's core: its requests per second if the core is always busy, and an
    /// extrapolation if the load is the limit.
    pub(crate) fn per_core_second(&self) -> f64 {
        1e6 / self.cpu_micros()
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }

    /// The used share of the server's core. Far below 1, the load or the upstream was the limit.
    pub(crate) fn busy(&self) -> f64 {
        self.cpu.as_secs_f64() / self.took.as_secs_f64()
    }
}

/// Loads `server` for `time`.
pub(crate) async fn round(server: &Process, question: Question<'_>, time: Duration) -> anyhow::Result<Round> {
    let mut connections = try_join_all((0..CONNECTIONS).map(|_| Connection::open(server.address))).await?;
    let hot = post(server.address, &job::hot());
    let requests = Cell::new(0);
    let cpu = server.cpu()?;
    let begun = Instant::now();
    let sending = try_join_all(connections.iter_mut().map(async |connection| {
        while begun.elapsed() < time {
            let answer = match &question {
                Question::Hot { .. } => connection.send(&hot).await?,
                Question::Unique { next } => {
                    let request = post(server.address, &job::unique(next.replace(next.get() + 1)));
                    connection.send(&request).await?
                }
            };
            let least = match &question {
                Question::Hot { length } => *length,
                Question::Unique { .. } => 3_000,
            };
            ensure!(
                answer.status == 200 && answer.length() >= least,
                "a wrong response under load: {}",
                tell(&answer.body()?)
            );
            requests.set(requests.get() + 1);
        }
        Ok(())
    }));
    tokio::time::timeout(time + OVERTIME, sending).await.context("the server stopped responding")??;
    let took = begun.elapsed();
    Ok(Round { requests: requests.get(), took, cpu: server.cpu()? - cpu })
}

/// The same query on many concurrent connections: the time until the last response, each of which has this
/// length.
pub(crate) async fn stampede(server: &Process, many: usize, length: usize) -> anyhow::Result<Duration> {
    let mut connections = try_join_all((0..many).map(|_| Connection::open(server.address))).await?;
    let request = post(server.address, &job::hot());
    let begun = Instant::now();
    let sending = join_all(connections.iter_mut().map(async |connection| -> std::io::Result<bool> {
        let answer = connection.send(&request).await?;
        Ok(answer.status == 200 && answer.length() >= length)
    }));
    let answers = tokio::time::timeout(OVERTIME, sending)
        .await
        .context("some requests got no response within a minute")?;
    let took = begun.elapsed();
    let wrong = answers.iter().filter(|answer| !matches!(answer, Ok(true))).count();
    ensure!(wrong == 0, "{wrong} of {many} answers were wrong");
    Ok(took)
}

/// Sends one request on an open connection and returns the response body.
pub(crate) async fn ask(
    connection: &mut Connection,
    server: &Process,
    body: &str,
) -> anyhow::Result<(Vec<u8>, Duration)> {
    let request = post(server.address, body);
    let begun = Instant::now();
    let sending = async { connection.send(&request).await?.body() };
    let body = tokio::time::timeout(OVERTIME, sending).await.context("the server does not respond")??;
    Ok((body, begun.elapsed()))
}

/// The beginning of a response.
fn tell(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(300).collect()
}
