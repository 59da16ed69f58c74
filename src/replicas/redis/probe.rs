//! What asking the server once tells: whether it is there, lets us in, allows what is needed, and is quick enough.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, RedisError, RedisResult, cmd};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::line::{self, Unfit, failure, is_locked_out};
use super::{EXTEND, REMOVE};
use crate::replicas::settings::ReplicaSettings;
use crate::replicas::store::StoreError;

/// Why a server cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeFailure {
    /// The settings are none of a server.
    Unfit(Unfit),
    /// Nothing listens there, or the name is unknown.
    Unreachable,
    /// It took seconds to answer, or did not.
    Slow,
    /// TLS could not be agreed on: no TLS there, or a certificate that is not trusted.
    Tls,
    /// It hung up, or speaks another protocol: perhaps it wants TLS.
    HungUp,
    /// It took the user and password for wrong.
    SignIn,
    /// It wants a password.
    Password,
    /// There is no such database, or it may not be used.
    Database,
    /// It refused this command.
    Refused(&'static str),
}

/// How long an answer takes, at the median of a few; with all that this layer needs allowed.
///
/// # Errors
/// Why the server cannot be used.
pub async fn probe(settings: &ReplicaSettings) -> Result<Duration, ProbeFailure> {
    let client = line::client(settings).map_err(ProbeFailure::Unfit)?;
    let is_tls = listens(&client).await?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    let connected = client.get_multiplexed_async_connection_with_config(&config).await;
    let mut connection = connected.map_err(|error| of_connecting(&error, is_tls))?;
    let latency = latency(&mut connection).await?;
    commands(&mut connection, &settings.key_prefix).await?;
    let subscribing = async {
        let mut listener = client.get_async_pubsub().await?;
        listener.subscribe(format!("{}:check", settings.key_prefix)).await
    };
    match timeout(PATIENCE, subscribing).await {
        Ok(Ok(())) => Ok(latency),
        Ok(Err(error)) => Err(of_command("SUBSCRIBE", &error)),
        Err(_elapsed) => Err(ProbeFailure::Slow),
    }
}

/// Whether anything does there, and whether it is to speak TLS.
async fn listens(client: &Client) -> Result<bool, ProbeFailure> {
    let (host, port, is_tls) = match client.get_connection_info().addr() {
        ConnectionAddr::Tcp(host, port) => (host, port, false),
        ConnectionAddr::TcpTls { host, port, .. } => (host, port, true),
        _ => return Err(ProbeFailure::Unfit(Unfit::Url)),
    };
    match timeout(PATIENCE, TcpStream::connect((host.as_str(), *port))).await {
        Ok(Ok(_)) => Ok(is_tls),
        _ => Err(ProbeFailure::Unreachable),
    }
}

/// How long somebody who checks waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is asked for a sign of life.
const PINGS: usize = 5;

async fn latency(connection: &mut MultiplexedConnection) -> Result<Duration, ProbeFailure> {
    let mut taken = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let asked = Instant::now();
        ask(connection, "PING", &[]).await?;
        taken.push(asked.elapsed());
    }
    taken.sort_unstable();
    Ok(taken.get(PINGS / 2).copied().unwrap_or_default())
}

/// All that a store asks for, on keys of its own.
async fn commands(connection: &mut MultiplexedConnection, prefix: &str) -> Result<(), ProbeFailure> {
    let key = &format!("{prefix}:check:{:016x}", fastrand::u64(..));
    ask(connection, "SET", &[key, "1", "PX", "1000", "NX"]).await?;
    ask(connection, "MGET", &[key]).await?;
    ask(connection, "EVAL", &[EXTEND, "1", key, "1", "1000"]).await?;
    ask(connection, "EVAL", &[REMOVE, "1", key, "1"]).await?;
    ask(connection, "PUBLISH", &[&format!("{prefix}:check"), ""]).await
}

async fn ask(
    connection: &mut MultiplexedConnection,
    command: &'static str,
    arguments: &[&str],
) -> Result<(), ProbeFailure> {
    let answered: RedisResult<()> = cmd(command).arg(arguments).exec_async(connection).await;
    answered.map_err(|error| of_command(command, &error))
}

fn of_connecting(error: &RedisError, is_tls: bool) -> ProbeFailure {
    match error.kind() {
        ErrorKind::AuthenticationFailed => ProbeFailure::SignIn,
        ErrorKind::Server(_) | ErrorKind::Extension if is_locked_out(error) => ProbeFailure::Password,
        ErrorKind::Server(_) | ErrorKind::Extension => ProbeFailure::Database,
        _ if error.is_timeout() => ProbeFailure::Slow,
        _ if is_tls => ProbeFailure::Tls,
        _ => ProbeFailure::HungUp,
    }
}

fn of_command(command: &'static str, error: &RedisError) -> ProbeFailure {
    match failure(error) {
        _ if is_locked_out(error) => ProbeFailure::Password,
        StoreError::Refused => ProbeFailure::Refused(command),
        StoreError::Unreachable if error.is_timeout() => ProbeFailure::Slow,
        StoreError::Unreachable | StoreError::LockedOut => ProbeFailure::HungUp,
    }
}
