//! The graph inside a program of your own, without a server: `cargo run --example embedded`.
//!
//! The upstreams here are the sandbox on a loopback port; leave out the two base URLs and give real
//! keys, and they are the real ones.

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use switchboard::config::{ApiKeys, Config, ConfigSources};
use switchboard::domain::caller::{Caller, Tenant};
use switchboard::domain::credential::Credential;
use switchboard::operation::TransportRules;
use switchboard::operation::request::OperationRequest;
use switchboard::sandbox::{Clock, LEADLEX_PATH, Sandbox, Settings};

const REQUEST: &str = r#"{
  "query": "query Broken($first: Int!) { connectedAccounts(first: $first, filter: { statuses: [EXPIRED] }) { totalCount nodes { userId toolkit { slug } statusReason } } }",
  "variables": { "first": 3 }
}"#;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let sandbox = Sandbox::new(Settings::default(), Clock::system());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let upstreams = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, sandbox.router()).await });

    let variables = [
        ("SWITCHBOARD__UPSTREAM__LEADLEX__BASE_URL", format!("http://{upstreams}{LEADLEX_PATH}")),
        ("SWITCHBOARD__UPSTREAM__COMPOSIO__BASE_URL", format!("http://{upstreams}")),
    ];
    let variables = variables.map(|(name, value)| (name.into(), value.into())).to_vec();
    let config =
        Config::load(ConfigSources { variables, keys: ApiKeys::Optional, ..ConfigSources::default() })?;
    let operations = switchboard::app::operations(&config)?;

    // On whose behalf: every caller brings its tenant's keys, and nothing is shared between tenants.
    let tenant = Tenant {
        leadlex: Some(Credential::new("wbk_sandbox_a")?),
        composio: Some(Credential::new("ak_sandbox_a")?),
    };
    let caller = Caller::admin("embedded", tenant);
    let request = OperationRequest::from_json(REQUEST.as_bytes())?;
    let answer = operations.run(request, TransportRules { mutations: true }, caller).await;
    println!("{}", String::from_utf8_lossy(&answer.body));
    Ok(())
}
