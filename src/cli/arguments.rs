//! Arguments of several commands: addresses, and the sources of settings.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use clap::Arg;
use clap::builder::UnknownArgumentValueParser;

use crate::config::{ApiKeys, Config, ConfigErrors, ConfigSources};

/// Parses an address to listen on; the error shows examples.
pub(super) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(
        |_| "give an IP address and a port, as in 127.0.0.1:8080 or [::1]:8080; port 0 picks a free one",
    )
}

/// Returns the address at which this machine reaches a listener: loopback if it listens on all interfaces.
pub(super) fn reachable(mut address: SocketAddr) -> SocketAddr {
    address.set_ip(match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    });
    address
}

/// Returns a hidden `--port`, an option that other servers have: its error suggests `--listen`.
pub(super) fn hidden_port_flag() -> Arg {
    let parser = UnknownArgumentValueParser::suggest_arg("--listen");
    Arg::new("port")
        .long("port")
        .hide(true)
        .value_parser(parser.and_suggest("it takes an address with a port, as in 127.0.0.1:8080"))
}

/// Returns the configuration of a file, the environment and flags.
pub(super) fn configuration(
    file: Option<PathBuf>,
    flags: Vec<(&'static str, &'static str, String)>,
    keys: ApiKeys,
) -> Result<Config, ConfigErrors> {
    Config::load(sources(file, flags, keys))
}

pub(super) fn sources(
    file: Option<PathBuf>,
    flags: Vec<(&'static str, &'static str, String)>,
    keys: ApiKeys,
) -> ConfigSources {
    ConfigSources { file, variables: std::env::vars_os().collect(), flags, keys }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_reached_by_loopback() {
        for (listener, expected) in [
            ("0.0.0.0:9090", "127.0.0.1:9090"),
            ("[::]:9090", "[::1]:9090"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("10.0.0.7:9090", "10.0.0.7:9090"),
        ] {
            assert_eq!(reachable(listener.parse().unwrap()).to_string(), expected);
        }
    }
}
