//! `switchboard sandbox`: the two emulated REST APIs alone, for tests of other programs.

use std::net::SocketAddr;

use super::arguments::hidden_port_flag;
use super::output::{Failure, print};
use super::serve::StopSignal;
use crate::app;
use crate::config::{ApiKeys, Config, ConfigSources};
use crate::domain::clock::Clock;
use crate::http;
use crate::sandbox::{self, LEADLEX_PATH, Sandbox};

/// Arguments of `sandbox`.
#[derive(clap::Args, Debug)]
#[command(arg = hidden_port_flag())]
pub(super) struct Arguments {
    /// Address to listen on; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090", value_parser = super::arguments::address)]
    listen: SocketAddr,
    /// Keep the data's built-in timestamps, which are equal in every run. By default they are shifted to now.
    #[arg(long)]
    fixed_clock: bool,
    #[command(flatten)]
    settings: sandbox::Settings,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let stop = StopSignal::listen()?;
    let listener = app::bind("--listen", arguments.listen)?;
    let sandbox = Sandbox::new(arguments.settings, sandbox::Clock::system());
    if !arguments.fixed_clock {
        sandbox.shift_to_now(Clock::system().now());
    }
    print(&greeting(listener.local_addr()?))?;
    // The default timeouts and limits of connections.
    let connections =
        Config::load(ConfigSources { keys: ApiKeys::Optional, ..ConfigSources::default() })?.server;
    http::serve::serve(listener, sandbox.router(), connections, stop.received()).await?;
    Ok(())
}

fn greeting(at: SocketAddr) -> String {
    format!(
        "sandbox listening on http://{at}\n\
         LeadLex: http://{at}{LEADLEX_PATH}, key wbk_sandbox_a or wbk_sandbox_b\n\
         Composio: http://{at}, key ak_sandbox_a or ak_sandbox_b\n\
         Recorded requests: http://{at}/__requests\n\
         An outage: curl -X PUT http://{at}/__faults/composio -H 'x-emulate: status=503' (DELETE ends it)\n"
    )
}
