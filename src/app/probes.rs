//! The calls of `switchboard check`: one to each upstream with each tenant's keys, one to Redis, and one to the issuer
//! of JWTs.

use std::time::Duration;

use super::access::{default_tenant, issuer_keys, tenants};
use super::wiring::{Networks, clients};
use crate::config::Config;
use crate::domain::caller::Tenant;
use crate::domain::clock::Clock;
use crate::domain::upstream_name::UpstreamName;
use crate::http::caller::jwks;
use crate::http::caller::settings::DEFAULT_TENANT;
use crate::replicas::redis::probe::{self, ProbeFailure};
use crate::upstream::accounts::AccountsClient;
use crate::upstream::error::UpstreamError;
use crate::upstream::probe::ProbeReport;
use crate::upstream::providers::ProvidersClient;

/// The result of one call to an upstream.
pub(crate) type ProbeResult = Result<ProbeReport, UpstreamError>;

/// The results of one tenant's calls.
pub(crate) struct TenantProbe {
    /// The tenant's name.
    pub(crate) tenant: String,
    /// One call to each upstream.
    pub(crate) upstreams: [(UpstreamName, ProbeResult); 2],
    /// A write that changes nothing; `None` if actions are off, or Composio could not be read.
    pub(crate) write: Option<Result<(), UpstreamError>>,
}

/// Calls both upstreams once with each tenant's keys. If actions are on, it also finds out whether the Composio key may
/// write.
pub(crate) async fn probe_upstreams(config: &Config, networks: &Networks) -> Vec<TenantProbe> {
    let mut tenants = tenants(config);
    if tenants.is_empty() {
        tenants.insert(DEFAULT_TENANT.to_owned(), default_tenant(config));
    }
    let (providers, accounts) = clients(config, Clock::system(), networks, None);
    let mut results = Vec::new();
    for (name, tenant) in tenants {
        let upstreams = probe_tenant(&providers, &accounts, &tenant).await;
        let is_readable =
            upstreams.iter().all(|(upstream, result)| *upstream != UpstreamName::Composio || result.is_ok());
        let key = tenant.composio.as_ref().filter(|_| config.actions.enabled && is_readable);
        let write = match key {
            Some(key) => Some(accounts.probe_write(key).await),
            None => None,
        };
        results.push(TenantProbe { tenant: name, upstreams, write });
    }
    results
}

/// Sends one command to Redis and measures its latency; `None` if `redis.url` is not set.
pub(crate) async fn probe_redis(config: &Config) -> Option<Result<Duration, ProbeFailure>> {
    let is_set = !config.redis.url.is_empty();
    if is_set { Some(probe::probe(&config.redis).await) } else { None }
}

/// Reads the issuer's keys once and counts them.
pub(crate) async fn probe_issuer(config: &Config) -> anyhow::Result<Result<usize, jwks::KeyReadError>> {
    Ok(issuer_keys(&config.auth.jwt)?.read().await.map(|keys| keys.count()))
}

/// Calls both upstreams at the same time.
async fn probe_tenant(
    providers: &ProvidersClient,
    accounts: &AccountsClient,
    tenant: &Tenant,
) -> [(UpstreamName, ProbeResult); 2] {
    let leadlex = async {
        match &tenant.leadlex {
            Some(key) => providers.probe(key).await,
            None => Err(UpstreamError::no_credential(UpstreamName::Leadlex)),
        }
    };
    let composio = async {
        match &tenant.composio {
            Some(key) => accounts.probe(key).await,
            None => Err(UpstreamError::no_credential(UpstreamName::Composio)),
        }
    };
    let (leadlex, composio) = tokio::join!(leadlex, composio);
    [(UpstreamName::Leadlex, leadlex), (UpstreamName::Composio, composio)]
}
