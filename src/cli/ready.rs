//! `switchboard ready`: checks `/ready` of the `serve` on this machine, for health checks in containers without another
//! HTTP client.
//!
//! It reads only `ops.listen` from the configuration, so that a mistake in the file does not make a running process
//! look unhealthy.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::arguments::{reachable, sources};
use super::output::{Failure, print};
use crate::config::{ApiKeys, Config};

/// Timeout of the whole check.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Arguments of `ready`.
#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// The configuration file of `serve`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address of /ready (setting ops.listen).
    #[arg(long, value_name = "ADDR", value_parser = super::arguments::address)]
    ops_listen: Option<SocketAddr>,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let flag = arguments.ops_listen.map(|address| ("ops.listen", "--ops-listen", address.to_string()));
    let listener =
        Config::ops_listen(sources(arguments.config, flag.into_iter().collect(), ApiKeys::Optional))?;
    let address = reachable(listener);
    let status = tokio::time::timeout(TIMEOUT, ready_status(address)).await;
    let status = status.with_context(|| format!("no response from {address} within {TIMEOUT:?}"))?;
    match status.with_context(|| format!("cannot connect to {address}"))?.as_str() {
        "200" => Ok(print("ready")?),
        other => Err(anyhow::anyhow!("not ready: {address} returned {other}").into()),
    }
}

/// Returns the status code of `/ready`.
async fn ready_status(address: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /ready HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    // As many bytes as `HTTP/1.1 200`.
    let mut head = Vec::new();
    stream.take(12).read_to_end(&mut head).await?;
    let head = String::from_utf8_lossy(&head);
    match head.strip_prefix("HTTP/1.1 ").and_then(|status| status.get(..3)) {
        Some(status) => Ok(status.to_owned()),
        None => bail!("the response is not HTTP"),
    }
}
