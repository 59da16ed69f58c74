//! `switchboard demo`: everything in one process, without keys, network or configuration.
//!
//! It runs the code of `serve` over its own sandbox, by HTTP. From the environment it uses the `[log]` settings alone: API keys
//! that are set for `serve` must not be used by a demo.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};

use super::serve::StopSignal;
use super::{Failure, print_in_background};
use crate::app::{self, App};
use crate::config::{ApiKeys, Config, ConfigSources};
use crate::domain::clock::Clock;
use crate::http;
use crate::sandbox::{self, LEADLEX_PATH, Sandbox, Scenario};
use crate::telemetry;

/// Arguments of `demo`.
#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// State of the emulated upstreams.
    #[arg(long, value_name = "NAME", value_enum, default_value_t = Scenario::Healthy)]
    scenario: Scenario,
    /// Address of GraphiQL and the graph; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = super::address)]
    listen: SocketAddr,
    /// Address of the emulated upstreams; by default a free port.
    #[arg(long, value_name = "ADDR", value_parser = super::address)]
    sandbox_listen: Option<SocketAddr>,
    #[command(flatten)]
    sandbox: sandbox::Settings,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let stop = StopSignal::listen()?;
    let upstreams = app::bind("--sandbox-listen", arguments.sandbox_listen.unwrap_or(free))?;
    let sandbox_address = upstreams.local_addr()?;
    // The port must be known before the start: sign-ins return to it.
    let listen = match arguments.listen.port() {
        0 => app::bind("--listen", arguments.listen)?.local_addr()?,
        _ => arguments.listen,
    };
    let config = Config::load(ConfigSources {
        variables: std::env::vars_os().filter(|(name, _)| is_log_setting(name)).collect(),
        flags: settings(listen, free, sandbox_address),
        keys: ApiKeys::Required,
        file: None,
    })?;
    telemetry::start(&config.log)?;
    let app = App::start(&config).await?;
    let sandbox = Sandbox::new(arguments.scenario.settings(arguments.sandbox), sandbox::Clock::system());
    sandbox.shift_to_now(Clock::system().now());
    arguments.scenario.arrange(&sandbox);
    let never = std::future::pending();
    let serving = http::serve::serve(upstreams, sandbox.router(), config.server.clone(), never);
    let upstreams = tokio::spawn(serving);
    print_in_background(greeting(app.http_address(), sandbox_address));
    let ended = app.run(stop.received(), std::future::pending()).await;
    // Not before the graph has ended, which may still call it.
    upstreams.abort();
    Ok(ended?)
}

fn is_log_setting(variable: &OsString) -> bool {
    variable.to_str().is_some_and(|name| name.starts_with("SWITCHBOARD__LOG__"))
}

/// The settings of a `serve` over this sandbox, as its first tenant.
fn settings(
    listen: SocketAddr,
    ops: SocketAddr,
    sandbox: SocketAddr,
) -> Vec<(&'static str, &'static str, String)> {
    [
        ("http.listen", "--listen", listen.to_string()),
        ("ops.listen", "demo", ops.to_string()),
        ("http.example", "demo", "true".to_owned()),
        ("auth.mode", "demo", "none".to_owned()),
        ("actions.enabled", "demo", "true".to_owned()),
        (
            "actions.callback_origins",
            "demo",
            format!("http://{listen}, http://localhost:{port}", port = listen.port()),
        ),
        ("upstream.leadlex.base_url", "demo", format!("http://{sandbox}{LEADLEX_PATH}")),
        ("upstream.leadlex.api_key", "demo", "wbk_sandbox_a".to_owned()),
        ("upstream.composio.base_url", "demo", format!("http://{sandbox}")),
        ("upstream.composio.api_key", "demo", "ak_sandbox_a".to_owned()),
    ]
    .into()
}

fn greeting(graph: SocketAddr, sandbox: SocketAddr) -> String {
    format!(
        "GraphiQL: http://{graph}/\n\
         Settings page: http://{graph}/example\n\
         GraphQL: http://{graph}/graphql\n\
         Sandbox: http://{sandbox}\n\
         Try: curl -s http://{graph}/graphql -H 'content-type: application/json' \
         -d '{{\"query\":\"{{ providers(first: 3) {{ nodes {{ name status }} }} }}\"}}'\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_settings_are_a_complete_configuration() {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let flags = settings(at(8080), at(0), at(8090));
        let config = Config::load(ConfigSources { flags, ..ConfigSources::default() }).unwrap();
        assert_eq!(
            config.upstream.leadlex.base_url.as_str(),
            "http://127.0.0.1:8090/functions/v1/api-gateway"
        );
        assert_eq!(config.http.listen, at(8080));
        assert!(config.actions.enabled);
    }

    #[test]
    fn the_greeting_has_the_lines_that_scripts_read() {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let text = greeting(at(8080), at(8090));
        for line in [
            "GraphiQL: http://127.0.0.1:8080/",
            "Settings page: http://127.0.0.1:8080/example",
            "GraphQL: http://127.0.0.1:8080/graphql",
            "Sandbox: http://127.0.0.1:8090",
        ] {
            assert!(text.lines().any(|printed| printed == line), "{text}");
        }
        let curl = text.lines().find(|line| line.contains("curl ")).unwrap();
        let body = curl.split("-d '").nth(1).unwrap().trim_end_matches('\'');
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok(), "{body}");
    }

    #[test]
    fn the_demo_ignores_the_environment_except_for_the_log() {
        assert!(is_log_setting(&"SWITCHBOARD__LOG__LEVEL".into()));
        assert!(!is_log_setting(&"SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY".into()));
    }
}
