//! `switchboard ready`: whether the `serve` on this machine may be sent requests, for the health checks of containers whose image
//! has no other program.
//!
//! Of the configuration it reads where the probes are, and nothing else: while a file is wrong, the process goes on by what it
//! read before, and must not be found ill for it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::TcpStream;

use super::{Failure, print, sources};
use crate::config::{ApiKeys, Config};

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// What `ready` takes.
#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// The file that `serve` was started with.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where probes connect (`ops.listen`).
    #[arg(long, value_name = "ADDR", value_parser = super::address)]
    ops_listen: Option<SocketAddr>,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let flag = arguments.ops_listen.map(|address| ("ops.listen", "--ops-listen", address.to_string()));
    let listens =
        Config::ops_listen(sources(arguments.config, flag.into_iter().collect(), ApiKeys::Optional))?;
    let address = from_here(listens);
    let asked = tokio::time::timeout(PATIENCE, ask(address)).await;
    let status = asked.with_context(|| format!("{address} does not answer"))?;
    match status.with_context(|| format!("{address} cannot be asked"))?.as_str() {
        "200" => Ok(print("ready")?),
        other => Err(anyhow::anyhow!("not ready: {address} answers {other}").into()),
    }
}

/// How a listener is reached from its own machine: one on all addresses, by loopback.
fn from_here(mut address: SocketAddr) -> SocketAddr {
    address.set_ip(match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    });
    address
}

/// The status that `/ready` has.
async fn ask(address: SocketAddr) -> anyhow::Result<String> {
    let stream = TcpStream::connect(address).await?;
    let request = format!("GET /ready HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let mut left = request.as_bytes();
    while !left.is_empty() {
        stream.writable().await?;
        match stream.try_write(left) {
            Ok(written) => left = left.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    // `HTTP/1.1 200`
    let (mut head, mut room) = (Vec::new(), [0; 12]);
    while head.len() < room.len() {
        stream.readable().await?;
        match stream.try_read(&mut room) {
            Ok(0) => break,
            Ok(read) => head.extend(room.iter().take(read)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    let head = String::from_utf8_lossy(&head);
    match head.strip_prefix("HTTP/1.1 ").and_then(|status| status.get(..3)) {
        Some(status) => Ok(status.to_owned()),
        None => bail!("it speaks no HTTP"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_asked_by_loopback() {
        for (listens, asked) in [
            ("0.0.0.0:9090", "127.0.0.1:9090"),
            ("[::]:9090", "[::1]:9090"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("10.0.0.7:9090", "10.0.0.7:9090"),
        ] {
            assert_eq!(from_here(listens.parse().unwrap()).to_string(), asked);
        }
    }
}
