//! The list engine over the sandbox, without the graph. It is cheap to build, so every case has its own.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use switchboard::domain::clock::Clock;
use switchboard::domain::credential::Credential;
use switchboard::domain::filters::{AccountFilter, AccountOrder};
use switchboard::domain::page::{Direction, PageRequest};
use switchboard::domain::upstream_name::UpstreamName;
use switchboard::domain::view::View;
use switchboard::loaders::cache::upstream_cache::UpstreamCache;
use switchboard::loaders::lists::account_lists::{AccountLists, ListError};
use switchboard::loaders::lists::multi_parent::{AccountQuery, Slices};
use switchboard::loaders::lists::parent::Parent;
use switchboard::loaders::lists::scan::Reader;
use switchboard::loaders::lists::slice::Slice;
use switchboard::loaders::settings::{CacheSettings, ListSettings};
use switchboard::loaders::stats::OperationStats;
use switchboard::sandbox::{self, Account, ComposioPlan, Sandbox, Tenant};
use switchboard::upstream::accounts::AccountsClient;
use switchboard::upstream::transport::{Network, Transport};

use super::expected_lists::Scenario;
use crate::world::{NOW, network, upstream};

/// The lifetime of cached pages.
pub(super) const TTL: Duration = Duration::from_secs(30);

pub(super) const PAGES_MAX: usize = 100;

/// A list engine over its sandbox.
pub(super) struct Bench {
    pub(super) sandbox: Sandbox,
    pub(super) lists: AccountLists,
    pub(super) reader: Reader,
}

/// A list to read.
#[derive(Debug, Clone)]
pub(super) struct List {
    pub(super) parent: Parent,
    pub(super) filter: AccountFilter,
    pub(super) order: AccountOrder,
}

impl Bench {
    pub(super) fn new(accounts: &[Account], scenario: Scenario) -> Self {
        Self::with_network(accounts, scenario, ListSettings::of(scenario), |network| network)
    }

    /// With other settings and a wrapped network.
    pub(super) fn with_network(
        accounts: &[Account],
        scenario: Scenario,
        settings: ListSettings,
        wrap_network: impl FnOnce(Network) -> Network,
    ) -> Self {
        let clock = Clock::starting_at(NOW.parse::<Timestamp>().unwrap());
        let sandbox = Sandbox::new(
            sandbox::Settings {
                accounts: 0,
                cursor: scenario.cursor,
                ties: scenario.ties,
                composio_plan: ComposioPlan::Enterprise,
                ..Default::default()
            },
            sandbox::Clock::new(move || clock.now()),
        );
        sandbox.change_accounts(Tenant::A, |rows| *rows = accounts.to_vec());
        let network = wrap_network(network(&sandbox));
        let client =
            AccountsClient::new(Transport::new(UpstreamName::Composio, upstream("/"), network, clock));
        let ttl = u64::try_from(TTL.as_millis()).unwrap();
        let cache = CacheSettings {
            limit_bytes: 64 << 20,
            providers_ttl_ms: ttl,
            accounts_ttl_ms: ttl,
            stale_while_revalidate_ms: 0,
            stale_if_error_ms: 0,
            toolkits_ttl_ms: 0,
            toolkits_stale_ms: 0,
            jitter_percent: 0,
        };
        let upstream_cache = UpstreamCache::sharing(cache, clock, None, |_| {});
        let credential = Credential::new(Tenant::A.composio_key()).unwrap();
        let stats = Arc::new(OperationStats::new(false, crate::world::distant_deadline()));
        let reader = Reader { credential, view: View::FULL, stats, is_prefetch: false };
        Self { sandbox, lists: AccountLists::new(client, settings, upstream_cache, None), reader }
    }

    /// The same query for many parents.
    pub(super) async fn read_many(
        &self,
        parents: &[Parent],
        filter: &AccountFilter,
        order: AccountOrder,
        page: PageRequest,
    ) -> Slices {
        let query = AccountQuery { filter: filter.clone(), order, page };
        self.lists.slices(&self.reader, &query, parents.iter().cloned().collect()).await
    }

    pub(super) async fn try_read(&self, list: &List, page: PageRequest) -> Result<Arc<Slice>, ListError> {
        let parents = [list.parent.clone()];
        let slices = self.read_many(&parents, &list.filter, list.order, page).await;
        slices.into_values().next().unwrap()
    }

    pub(super) async fn read(&self, list: &List, page: PageRequest) -> Arc<Slice> {
        self.try_read(list, page).await.unwrap()
    }

    /// The calls that the sandbox received since the last look.
    pub(super) fn calls(&self) -> Vec<String> {
        let calls = self.sandbox.requests().into_iter().map(|call| call.target).collect();
        self.sandbox.clear_requests();
        calls
    }

    /// Advances time until every cached page is expired.
    pub(super) async fn expire_pages(&self) {
        tokio::time::advance(TTL).await;
    }

    pub(super) fn accounts(&self) -> Vec<Account> {
        self.sandbox.accounts(Tenant::A)
    }
}

/// The engine settings of a scenario.
pub(super) trait FromScenario {
    fn of(scenario: Scenario) -> Self;
}

impl FromScenario for ListSettings {
    fn of(scenario: Scenario) -> Self {
        Self { page_rows: scenario.page_rows, pages_max: PAGES_MAX, count_calls_max: 40 }
    }
}

/// The first or last `size` items of a list.
pub(super) fn wanted(direction: Direction, size: usize) -> PageRequest {
    PageRequest::from_end(direction, size)
}

pub(super) fn ids(slice: &Slice) -> Vec<String> {
    slice.accounts().map(|(account, _)| account.id.to_string()).collect()
}
