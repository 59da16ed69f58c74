//! `switchboard demo`: everything in one process, without keys, network or configuration.
//!
//! It runs the code of `serve` over its own sandbox, by HTTP. Of the environment it reads only `[log]`, `http.listen`
//! and `http.cors_origins`, because the API keys for `serve` must not be used by a demo. If it listens on an address
//! that other machines can reach, clients need the token that it prints.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;

use super::arguments::hidden_port_flag;
use super::output::{Failure, print_in_background};
use super::serve::StopSignal;
use crate::app::{self, App};
use crate::config::{ApiKeys, Config, ConfigSources};
use crate::domain::clock::Clock;
use crate::http;
use crate::http::caller::settings::{AuthMode, RoleName, TokenSettings};
use crate::http::caller::tokens::NewToken;
use crate::sandbox::{self, LEADLEX_PATH, Sandbox, Scenario};
use crate::telemetry;

/// Arguments of `demo`.
#[derive(clap::Args, Debug)]
#[command(arg = hidden_port_flag())]
pub(super) struct Arguments {
    /// State of the emulated upstreams.
    #[arg(long, value_name = "NAME", value_enum, default_value_t = Scenario::Healthy)]
    scenario: Scenario,
    /// Address of GraphiQL and the graph; port 0 picks a free one. On other than loopback addresses, clients need the
    /// printed token.
    #[arg(
        long,
        value_name = "ADDR",
        env = "SWITCHBOARD__HTTP__LISTEN",
        default_value = "127.0.0.1:8080",
        value_parser = super::arguments::address
    )]
    listen: SocketAddr,
    /// Address of the emulated upstreams; by default a free port.
    #[arg(long, value_name = "ADDR", value_parser = super::arguments::address)]
    sandbox_listen: Option<SocketAddr>,
    /// Origin whose pages may send requests, as in http://localhost:5173; can be repeated (`http.cors_origins`).
    #[arg(long, value_name = "ORIGIN")]
    cors_origin: Vec<String>,
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
    let is_exposed = !listen.ip().is_loopback();
    // The configuration refuses mode `none` on addresses that others can reach, so it is loaded with a loopback
    // address; below, the real address is set together with a token.
    let local = if is_exposed { SocketAddr::from((Ipv4Addr::LOCALHOST, listen.port())) } else { listen };
    let mut config = Config::load(ConfigSources {
        variables: std::env::vars_os().filter(|(name, _)| is_setting_of_demo(name)).collect(),
        flags: settings(local, free, sandbox_address, &arguments.cors_origin),
        keys: ApiKeys::Required,
        file: None,
    })?;
    let token =
        is_exposed.then(NewToken::random).transpose().context("cannot read random bytes from the system")?;
    if let Some(token) = &token {
        require_token(token, &mut config);
        config.http.listen = listen;
    }
    telemetry::start(&config.log)?;
    let app = App::start(&config).await?;
    let sandbox = Sandbox::new(arguments.scenario.settings(arguments.sandbox), sandbox::Clock::system());
    sandbox.shift_to_now(Clock::system().now());
    arguments.scenario.arrange(&sandbox);
    let never = std::future::pending();
    let serving = http::serve::serve(upstreams, sandbox.router(), config.server.clone(), never);
    let upstreams = tokio::spawn(serving);
    print_in_background(greeting(app.http_address(), sandbox_address, token.as_ref()));
    let ended = app.run(stop.received(), std::future::pending()).await;
    // Only now, because the graph may call it until it ends.
    upstreams.abort();
    Ok(ended?)
}

fn is_setting_of_demo(variable: &OsString) -> bool {
    // Also accepts misspelt names, which the configuration then refuses with a message.
    let name = variable.to_str().unwrap_or("").replace('_', "");
    name.starts_with("SWITCHBOARDLOG")
        || ["SWITCHBOARDHTTPCORSORIGINS", "SWITCHBOARDHTTPLISTEN"].contains(&name.as_str())
}

/// Requires clients to send the token, which makes them an administrator of the sandbox's first tenant.
fn require_token(token: &NewToken, config: &mut Config) {
    config.auth.mode = AuthMode::Tokens;
    config.auth.tokens = vec![TokenSettings {
        name: "demo".to_owned(),
        sha256: token.sha256.clone(),
        role: RoleName::Admin,
        tenant: "default".to_owned(),
        user_id: String::new(),
        rate_limit_requests: 0,
        rate_limit_complexity: 0,
        rate_limit_upstream_calls: 0,
    }];
}

/// Returns the settings of a `serve` over this sandbox, with its first tenant.
fn settings(
    listen: SocketAddr,
    ops: SocketAddr,
    sandbox: SocketAddr,
    cors_origins: &[String],
) -> Vec<(&'static str, &'static str, String)> {
    let mut settings = vec![
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
    ];
    if !cors_origins.is_empty() {
        settings.push(("http.cors_origins", "--cors-origin", cors_origins.join(",")));
    }
    settings
}

/// Returns the text with the addresses. The address of all interfaces is shown as loopback, which browsers can open.
fn greeting(graph: SocketAddr, sandbox: SocketAddr, token: Option<&NewToken>) -> String {
    let graph = super::arguments::reachable(graph);
    let (line, header) = match token {
        Some(NewToken { text, .. }) => (
            format!("Token: {text} (send it as `Authorization: Bearer …`)\n"),
            format!(" -H 'authorization: Bearer {text}'"),
        ),
        None => Default::default(),
    };
    format!(
        "GraphiQL: http://{graph}/\n\
         Settings page: http://{graph}/example\n\
         GraphQL: http://{graph}/graphql\n\
         Sandbox: http://{sandbox}\n\
         {line}\
         Try: curl -s http://{graph}/graphql{header} -H 'content-type: application/json' \
         -d '{{\"query\":\"{{ providers(first: 3) {{ nodes {{ name status }} }} }}\"}}'\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_settings_are_a_complete_configuration() {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let origins = ["http://localhost:5173".to_owned(), "http://localhost:3000".to_owned()];
        let flags = settings(at(8080), at(0), at(8090), &origins);
        let mut config = Config::load(ConfigSources { flags, ..ConfigSources::default() }).unwrap();
        assert_eq!(
            config.upstream.leadlex.base_url.as_str(),
            "http://127.0.0.1:8090/functions/v1/api-gateway"
        );
        assert_eq!(config.http.listen, at(8080));
        assert!(config.actions.enabled);
        let printed = config.redacted();
        assert!(
            printed.contains("\"http://localhost:5173,http://localhost:3000\" # --cors-origin"),
            "{printed}"
        );
        require_token(&NewToken::random().unwrap(), &mut config);
        assert!(app::access::callers(&config).is_ok());
    }

    #[test]
    fn the_greeting_has_the_lines_that_scripts_read() {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let text = greeting(at(8080), at(8090), None);
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
    fn the_greeting_of_an_exposed_demo_has_its_token_and_an_address_to_open() {
        let token = NewToken::random().unwrap();
        let text = greeting("0.0.0.0:8080".parse().unwrap(), "127.0.0.1:1".parse().unwrap(), Some(&token));
        assert!(text.contains("GraphiQL: http://127.0.0.1:8080/\n"), "{text}");
        assert!(text.contains(&format!("\nToken: {} (", token.text)), "{text}");
        assert!(text.contains(&format!("/graphql -H 'authorization: Bearer {}' -H", token.text)), "{text}");
    }

    #[test]
    fn the_demo_ignores_the_environment_except_for_the_log_the_address_and_cors() {
        for name in [
            "SWITCHBOARD__LOG__LEVEL",
            "SWITCHBOARD_LOG_LEVEL",
            "SWITCHBOARD__HTTP__CORS_ORIGINS",
            "SWITCHBOARD__HTTP__LISTEN",
        ] {
            assert!(is_setting_of_demo(&name.into()), "{name}");
        }
        for name in
            ["SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY", "SWITCHBOARD__HTTP__EXAMPLE", "SWITCHBOARD_URL"]
        {
            assert!(!is_setting_of_demo(&name.into()), "{name}");
        }
    }
}
