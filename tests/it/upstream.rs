//! The two clients over the in-process sandbox: which calls leave, and what becomes of those that fail.

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
    /// With the default policies, but no repeated calls.
    fn over(settings: sandbox::Settings) -> Self {
        Self::wired(settings, never_again, |network| network)
    }

    /// With the default policies where they are not changed.
    fn wired(
        settings: sandbox::Settings,
        change: impl Fn(&mut UpstreamSettings),
        wrap_network: impl FnOnce(Network) -> Network,
    ) -> Self {
        let clock = Clock::starting_at(NOW.parse::<Timestamp>().unwrap());
        let sandbox = Sandbox::new(settings, sandbox::Clock::new(move || clock.now()));
        let network = wrap_network(network(&sandbox));
        let road = |name, base: &str| {
            let mut settings = upstream_by_default(base);
            change(&mut settings);
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
        self.sandbox.clear_requests();
        calls
    }
}

fn never_again(upstream: &mut UpstreamSettings) {
    upstream.retry.retries_max = 0;
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

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_counted_by_its_rule_each_time_that_it_comes() {
    let roads = Roads::over(sandbox::Settings::default());
    let count = |rules: &[(ProblemRule, u64)]| rules.iter().copied().collect::<BTreeMap<_, _>>();
    roads.list(Purpose::Needed).await.unwrap();
    roads.page(Purpose::Needed).await.unwrap();
    assert_eq!(
        (roads.providers.counts().problems, roads.accounts.counts().problems),
        (count(&[]), count(&[]))
    );
    roads.sandbox.drift(true);
    for times in 1..=2 {
        roads.list(Purpose::Needed).await.unwrap();
        roads.page(Purpose::Needed).await.unwrap();
        let of_lists = [
            (ProblemRule::WrongType, times),
            (ProblemRule::UnreadableTimestamp, times),
            (ProblemRule::UnreadableScope, 2 * times),
        ];
        assert_eq!(roads.providers.counts().problems, count(&of_lists));
        let of_pages = [(ProblemRule::WrongType, times), (ProblemRule::UnreadableTimestamp, times)];
        assert_eq!(roads.accounts.counts().problems, count(&of_pages));
    }
}
