//! The upstreams: `switchboard sandbox` as a process, and the calls that it received.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use crate::job::ACCOUNTS;
use crate::process::{LOAD_CORE, Process, Program, free_address};
use crate::rest::PAGE;

pub(crate) const LEADLEX_KEY: &str = "wbk_sandbox_a";
pub(crate) const COMPOSIO_KEY: &str = "ak_sandbox_a";

/// Both emulated upstreams in one process.
pub(crate) struct Sandbox {
    process: Process,
    client: reqwest::Client,
}

/// The number of calls that each upstream received.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    pub(crate) leadlex: usize,
    pub(crate) composio: usize,
}

#[derive(Deserialize)]
struct RecordedCall {
    upstream: String,
}

impl Sandbox {
    pub(crate) async fn start(switchboard: &Path, log: &Path, flags: &[&str]) -> anyhow::Result<Self> {
        let address = free_address()?;
        let plans = ["--leadlex-plan", "unmetered", "--composio-plan", "enterprise"];
        let fixed = ["sandbox", "--fixed-clock"].into_iter().chain(plans).chain(["--listen"]);
        let arguments = fixed.map(str::to_owned);
        let sized = [address.to_string(), "--accounts".to_owned(), ACCOUNTS.to_string()];
        let program = Program {
            path: switchboard.to_owned(),
            arguments: arguments.chain(sized).chain(flags.iter().map(|flag| (*flag).to_owned())).collect(),
            environment: Vec::new(),
        };
        let probe = format!("GET / HTTP/1.1\r\nhost: {address}\r\n\r\n").into_bytes();
        let process = Process::start(&program, LOAD_CORE, address, &probe, log).await?;
        Ok(Self { process, client: reqwest::Client::builder().no_proxy().build()? })
    }

    pub(crate) fn leadlex_url(&self) -> String {
        format!("http://{}/functions/v1/api-gateway", self.process.address)
    }

    pub(crate) fn composio_url(&self) -> String {
        format!("http://{}", self.process.address)
    }

    pub(crate) async fn forget_calls(&self) -> anyhow::Result<()> {
        let url = format!("{}/__requests", self.composio_url());
        self.client.delete(url).send().await?.error_for_status()?;
        Ok(())
    }

    /// The calls since [`Sandbox::forget_calls`], at most 10,000.
    pub(crate) async fn calls(&self) -> anyhow::Result<Calls> {
        let url = format!("{}/__requests", self.composio_url());
        let asked: Vec<RecordedCall> = self.client.get(url).send().await?.error_for_status()?.json().await?;
        let leadlex = asked.iter().filter(|call| call.upstream == "leadlex").count();
        Ok(Calls { leadlex, composio: asked.len() - leadlex })
    }

    /// The account ids of a correct response to the hot query, provider by provider, from one call for each.
    pub(crate) async fn account_ids(
        &self,
        toolkits: &HashMap<String, Vec<String>>,
    ) -> anyhow::Result<Vec<Vec<String>>> {
        let url = format!("{}/v1/settings/providers", self.leadlex_url());
        let workspace: Value = self.client.get(url).bearer_auth(LEADLEX_KEY).send().await?.json().await?;
        let mut all = Vec::new();
        for row in workspace["data"]["providers"].as_array().into_iter().flatten().take(20) {
            let word = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            let slugs =
                toolkits.get(&format!("{}/{}", word("category"), word("name"))).cloned().unwrap_or_default();
            let url = format!("{}/api/v3/connected_accounts", self.composio_url());
            let query = [("toolkit_slugs", slugs.join(",")), ("limit", "10".to_owned())];
            let call = self.client.get(url).header("x-api-key", COMPOSIO_KEY).query(&query);
            let page: Value = call.send().await?.json().await?;
            let ids = page["items"].as_array().into_iter().flatten().filter_map(|item| item["id"].as_str());
            all.push(ids.map(str::to_owned).collect());
        }
        Ok(all)
    }

    /// The time that two requests take, one after the other: the providers, then a page of the toolkits' accounts.
    pub(crate) async fn two_requests(&self, toolkits: &str) -> anyhow::Result<Duration> {
        let providers = format!("{}/v1/settings/providers", self.leadlex_url());
        let accounts = format!("{}/api/v3/connected_accounts", self.composio_url());
        let limit = PAGE.to_string();
        let begun = Instant::now();
        let call = self.client.get(providers).bearer_auth(LEADLEX_KEY);
        call.send().await?.error_for_status()?.bytes().await?;
        let query = [("toolkit_slugs", toolkits), ("limit", &limit)];
        let call = self.client.get(accounts).header("x-api-key", COMPOSIO_KEY).query(&query);
        call.send().await?.error_for_status()?.bytes().await?;
        Ok(begun.elapsed())
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.process.stop().await
    }
}
