//! `switchboard sandbox`: only the two emulated REST APIs, for other people's tests.

use std::net::SocketAddr;

use super::Failure;
use super::serve::StopSignal;
use crate::sandbox;

/// What `sandbox` takes.
#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    #[command(flatten)]
    settings: sandbox::Settings,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let stop = StopSignal::listen()?;
    sandbox::run(arguments.listen, arguments.settings, stop.received()).await?;
    Ok(())
}
