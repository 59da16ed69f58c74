//! Checks whether a server can be used: reachability, authentication, permissions and latency. Entry point: [`probe`].

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, RedisResult, cmd};
use tokio::time::{Instant, timeout};

use super::connection::{failure, is_unauthenticated};
use super::server::{RedisSettingsError, Server};
use super::{EXTEND, REMOVE, quota};
use crate::replicas::quota::QuotaExchange;
use crate::replicas::settings::ReplicaSettings;
use crate::replicas::store::StoreError;

/// Reason why a server cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeFailure {
    /// The settings are invalid.
    Settings(RedisSettingsError),
    /// Nothing listens at the address, or the host name is unknown.
    Unreachable,
    /// It did not respond within [`TIMEOUT`].
    Timeout,
    /// The TLS handshake failed: the server has no TLS, or its certificate is not trusted.
    Tls,
    /// It closed the connection or speaks another protocol; it may require TLS.
    Closed,
    /// It rejects the user name or password.
    WrongCredentials,
    /// It requires a password.
    PasswordRequired,
    /// The database does not exist, or may not be used.
    Database,
    /// It refused this command.
    Refused(&'static str),
}

/// Checks that a server permits every command that is needed, and returns the median latency of a few pings.
///
/// # Errors
/// The reason why the server cannot be used.
pub async fn probe(settings: &ReplicaSettings) -> Result<Duration, ProbeFailure> {
    let server = Server::new(settings).map_err(ProbeFailure::Settings)?;
    match timeout(TIMEOUT, server.connect_tcp()).await {
        Ok(Ok(_)) => {}
        _ => return Err(ProbeFailure::Unreachable),
    }
    let connected = server.connect(TIMEOUT).await;
    let mut connection = connected.map_err(|error| connect_failure(&error, server.is_tls()))?;
    let latency = latency(&mut connection).await?;
    check_commands(&mut connection, &settings.key_prefix).await?;
    let subscription = async {
        let mut listener = server.connect_subscription().await?;
        listener.subscribe(format!("{}:check", settings.key_prefix)).await
    };
    match timeout(TIMEOUT, subscription).await {
        Ok(Ok(())) => Ok(latency),
        Ok(Err(error)) => Err(command_failure("SUBSCRIBE", &error)),
        Err(_elapsed) => Err(ProbeFailure::Timeout),
    }
}

/// Timeout of each step.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Number of pings.
const PINGS: usize = 5;

async fn latency(connection: &mut MultiplexedConnection) -> Result<Duration, ProbeFailure> {
    let mut latencies = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let started = Instant::now();
        run(connection, "PING", &[]).await?;
        latencies.push(started.elapsed());
    }
    latencies.sort_unstable();
    Ok(latencies.get(PINGS / 2).copied().unwrap_or_default())
}

/// Runs every command that the store uses, on a random key.
async fn check_commands(connection: &mut MultiplexedConnection, prefix: &str) -> Result<(), ProbeFailure> {
    let key = &format!("{prefix}:check:{:016x}", fastrand::u64(..));
    run(connection, "SET", &[key, "1", "PX", "1000", "NX"]).await?;
    run(connection, "MGET", &[key]).await?;
    run(connection, "EVAL", &[EXTEND, "1", key, "1", "1000"]).await?;
    run(connection, "EVAL", &[REMOVE, "1", key, "1"]).await?;
    let exchange = quota::command(&QuotaExchange::probe(key.clone()));
    exchange.exec_async(connection).await.map_err(|error| command_failure("EVAL", &error))?;
    run(connection, "PUBLISH", &[&format!("{prefix}:check"), ""]).await
}

async fn run(
    connection: &mut MultiplexedConnection,
    command: &'static str,
    arguments: &[&str],
) -> Result<(), ProbeFailure> {
    let result: RedisResult<()> = cmd(command).arg(arguments).exec_async(connection).await;
    result.map_err(|error| command_failure(command, &error))
}

fn connect_failure(error: &RedisError, is_tls: bool) -> ProbeFailure {
    match error.kind() {
        ErrorKind::AuthenticationFailed => ProbeFailure::WrongCredentials,
        ErrorKind::Server(_) | ErrorKind::Extension if is_unauthenticated(error) => {
            ProbeFailure::PasswordRequired
        }
        ErrorKind::Server(_) | ErrorKind::Extension => ProbeFailure::Database,
        _ if error.is_timeout() => ProbeFailure::Timeout,
        _ if is_tls => ProbeFailure::Tls,
        _ => ProbeFailure::Closed,
    }
}

fn command_failure(command: &'static str, error: &RedisError) -> ProbeFailure {
    match failure(error) {
        _ if is_unauthenticated(error) => ProbeFailure::PasswordRequired,
        StoreError::Refused => ProbeFailure::Refused(command),
        StoreError::Unreachable if error.is_timeout() => ProbeFailure::Timeout,
        StoreError::Unreachable | StoreError::Unauthenticated => ProbeFailure::Closed,
    }
}
