//! The two clients over the in-process sandbox: which calls leave, and what becomes of those that fail.

mod quota;

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use switchboard::domain::clock::Clock;
use switchboard::domain::credential::Credential;
use switchboard::domain::filters::{AccountFilter, AccountOrder};
use switchboard::domain::upstream_name::{Composio, Leadlex, UpstreamName};
use switchboard::sandbox::{self, EmulatedUpstream, Fault, LEADLEX_PATH, Sandbox};
use switchboard::upstream::accounts::AccountsClient;
use switchboard::upstream::error::{UpstreamError, UpstreamFailure};
use switchboard::upstream::providers::ProvidersClient;
use switchboard::upstream::quota::{Purpose, QuotaSettings};
use switchboard::upstream::settings::UpstreamSettings;
use switchboard::upstream::transport::{Network, Transport};

use crate::world::{NOW, network};

/// Both clients over a sandbox, with the keys of its first tenant.
struct Roads {
    sandbox: Sandbox,
    providers: ProvidersClient,
    accounts: AccountsClient,
    leadlex: Credential<Leadlex>,
    composio: Credential<Composio>,
}

/// How a call ended, in short.
type Ended = Result<(), UpstreamError>;

impl Roads {
    fn over(settings: sandbox::Settings) -> Self {
        Self::wired(settings, QuotaSettings::default(), |network| network)
    }

    fn wired(
        settings: sandbox::Settings,
        quota: QuotaSettings,
        rewire: impl FnOnce(Network) -> Network,
    ) -> Self {
        let clock = Clock::starting_at(NOW.parse::<Timestamp>().unwrap());
        let sandbox = Sandbox::new(settings, sandbox::Clock::new(move || clock.now()));
        let network = rewire(network(&sandbox));
        let road = |name, base: &str| {
            let settings = UpstreamSettings {
                base_url: format!("http://sandbox.invalid{base}").parse().unwrap(),
                api_key: SecretString::from(""),
                timeout_ms: 5_000,
                body_limit_bytes: 8 << 20,
                quota: quota.clone(),
            };
            Transport::new(name, settings, network.clone(), clock)
        };
        Self {
            providers: ProvidersClient::new(road(UpstreamName::Leadlex, LEADLEX_PATH)),
            accounts: AccountsClient::new(road(UpstreamName::Composio, "/")),
            sandbox,
            leadlex: Credential::new("wbk_sandbox_a").unwrap(),
            composio: Credential::new("ak_sandbox_a").unwrap(),
        }
    }

    async fn list(&self, purpose: Purpose) -> Ended {
        self.providers.fetch_list(&self.leadlex, purpose).await.map(drop)
    }

    async fn page(&self, purpose: Purpose) -> Ended {
        let (filter, order) = (AccountFilter::default(), AccountOrder::NEWEST_FIRST);
        self.accounts.fetch_page(&self.composio, &filter, order, None, 100, purpose).await.map(drop)
    }

    fn strike(&self, upstream: EmulatedUpstream, fault: &str) {
        self.sandbox.emulate(upstream, Some(Fault::parse(fault).unwrap()));
    }

    /// How many calls arrived since the last look.
    fn calls(&self) -> usize {
        let calls = self.sandbox.requests().len();
        self.sandbox.forget_requests();
        calls
    }
}

/// For how long a call was held back, which no upstream had to do with.
#[track_caller]
fn held(ended: Ended) -> Duration {
    let error = ended.expect_err("a call that was held back");
    assert!(error.is_held() && error.status.is_none(), "{error:?}");
    assert_eq!(error.failure, UpstreamFailure::RateLimited);
    error.retry_after.expect("how long to wait")
}

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}
