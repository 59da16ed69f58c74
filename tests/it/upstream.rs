//! The two upstream clients over the in-process sandbox: which calls they make, and how failed calls are
//! handled.

mod every_field;
mod headers;
mod policies;
mod quota;
mod responses;
pub(crate) mod shared_quota;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use switchboard::domain::clock::Clock;
use switchboard::domain::credential::Credential;
use switchboard::domain::filters::{AccountFilter, AccountOrder};
use switchboard::domain::problems::ProblemRule;
use switchboard::domain::upstream_name::{Composio, Leadlex, UpstreamName};
use switchboard::sandbox::{self, EmulatedUpstream, Fault, LEADLEX_PATH, Sandbox};
use switchboard::upstream::accounts::AccountsClient;
use switchboard::upstream::error::{UpstreamError, UpstreamFailure};
use switchboard::upstream::providers::ProvidersClient;
use switchboard::upstream::quota::Purpose;
use switchboard::upstream::settings::UpstreamSettings;
use switchboard::upstream::transport::{Network, Transport};

use crate::world::{NOW, network, upstream_by_default};

/// Both clients over a sandbox, with the keys of its first tenant.
struct UpstreamClients {
    sandbox: Sandbox,
    providers: ProvidersClient,
    accounts: AccountsClient,
    leadlex: Credential<Leadlex>,
    composio: Credential<Composio>,
}

/// The result of a call without its value.
type CallResult = Result<(), UpstreamError>;

impl UpstreamClients {
    /// The default policies without retries.
    fn new(settings: sandbox::Settings) -> Self {
        Self::with_policies(settings, without_retries, |network| network)
    }

    /// The default policies with changes.
    fn with_policies(
        settings: sandbox::Settings,
        change: impl Fn(&mut UpstreamSettings),
        wrap_network: impl FnOnce(Network) -> Network,
    ) -> Self {
        let clock = Clock::starting_at(NOW.parse::<Timestamp>().unwrap());
        let sandbox = Sandbox::new(settings, sandbox::Clock::new(move || clock.now()));
        let network = wrap_network(network(&sandbox));
        let transport = |name, base: &str| {
            let mut settings = upstream_by_default(base);
            change(&mut settings);
            Transport::new(name, settings, network.clone(), clock)
        };
        Self {
            providers: ProvidersClient::new(transport(UpstreamName::Leadlex, LEADLEX_PATH)),
            accounts: AccountsClient::new(transport(UpstreamName::Composio, "/")),
            sandbox,
            leadlex: Credential::new("wbk_sandbox_a").unwrap(),
            composio: Credential::new("ak_sandbox_a").unwrap(),
        }
    }

    async fn list(&self, purpose: Purpose) -> CallResult {
        self.providers.fetch_list(&self.leadlex, purpose).await.map(drop)
    }

    async fn page(&self, purpose: Purpose) -> CallResult {
        let (filter, order) = (AccountFilter::default(), AccountOrder::NEWEST_FIRST);
        self.accounts.fetch_page(&self.composio, &filter, order, None, 100, purpose).await.map(drop)
    }

    fn inject_fault(&self, upstream: EmulatedUpstream, fault: &str) {
        self.sandbox.emulate(upstream, Some(Fault::parse(fault).unwrap()));
    }

    /// The number of calls that arrived since the last look.
    fn calls(&self) -> usize {
        let calls = self.sandbox.requests().len();
        self.sandbox.clear_requests();
        calls
    }
}

fn without_retries(upstream: &mut UpstreamSettings) {
    upstream.retry.retries_max = 0;
}

/// The time for which the client itself held a call back, without calling the upstream.
#[track_caller]
fn held_for(result: CallResult) -> Duration {
    let error = result.expect_err("expected a held call");
    assert!(error.is_call_held() && error.status.is_none(), "{error:?}");
    assert_eq!(error.failure, UpstreamFailure::RateLimited);
    error.retry_after.expect("a held call has a retry time")
}

async fn advance_secs(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn unreadable_parts_are_counted_by_rule() {
    let clients = UpstreamClients::new(sandbox::Settings::default());
    let count = |rules: &[(ProblemRule, u64)]| rules.iter().copied().collect::<BTreeMap<_, _>>();
    clients.list(Purpose::Needed).await.unwrap();
    clients.page(Purpose::Needed).await.unwrap();
    assert_eq!(
        (clients.providers.transport.counts().problems, clients.accounts.transport.counts().problems),
        (count(&[]), count(&[]))
    );
    clients.sandbox.set_drift(true);
    for times in 1..=2 {
        clients.list(Purpose::Needed).await.unwrap();
        clients.page(Purpose::Needed).await.unwrap();
        let of_lists = [
            (ProblemRule::WrongType, times),
            (ProblemRule::UnreadableTimestamp, times),
            (ProblemRule::UnreadableScope, 2 * times),
        ];
        assert_eq!(clients.providers.transport.counts().problems, count(&of_lists));
        let of_pages = [(ProblemRule::WrongType, times), (ProblemRule::UnreadableTimestamp, times)];
        assert_eq!(clients.accounts.transport.counts().problems, count(&of_pages));
    }
}
