//! Replicas that share one starter key: together they make as many calls as one replica would.

mod outages;
mod schedules;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use switchboard::domain::clock::Clock;
use switchboard::domain::credential::Credential;
use switchboard::domain::upstream_name::{Leadlex, UpstreamName};
use switchboard::replicas::Replicas;
use switchboard::replicas::quota::QuotaExchange;
use switchboard::replicas::settings::ReplicaSettings;
use switchboard::sandbox::{self, LEADLEX_PATH, LeadlexPlan, Sandbox, Settings};
use switchboard::upstream::providers::ProvidersClient;
use switchboard::upstream::quota::Purpose::{self, Needed, Refresh};
use switchboard::upstream::transport::{Network, Transport};
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt, service_fn};

use super::{CallResult, held_for};
use crate::replicas::memory::{Behaviour, Command, MemoryStore};
use crate::world::{NOW, network, upstream};

const MINUTE: u64 = 60;

/// A starter key's upstream, and the store that its replicas share.
struct Fleet {
    clock: Clock,
    network: Network,
    server: MemoryStore,
    statuses: Arc<Mutex<Vec<u16>>>,
}

struct Replica {
    providers: ProvidersClient,
    leadlex: Credential<Leadlex>,
    /// Its connection to the store, unused if it shares nothing.
    line: MemoryStore,
    _replicas: Option<Replicas>,
}

impl Fleet {
    fn with_settings(settings: Settings) -> Self {
        Self::starting_at(NOW, settings)
    }

    fn starting_at(moment: &str, settings: Settings) -> Self {
        let clock = Clock::starting_at(moment.parse::<Timestamp>().unwrap());
        let settings = Settings { leadlex_plan: LeadlexPlan::Starter, ..settings };
        let sandbox = Sandbox::new(settings, sandbox::Clock::new(move || clock.now()));
        let statuses = Arc::<Mutex<Vec<u16>>>::default();
        let network = watched(network(&sandbox), Arc::clone(&statuses));
        Self { clock, network, server: MemoryStore::new(), statuses }
    }

    fn new() -> Self {
        Self::with_settings(Settings::default())
    }

    fn replica(&self) -> Replica {
        let line = self.server.another_connection();
        let settings = ReplicaSettings {
            url: String::new(),
            username: String::new(),
            password: SecretString::default(),
            ca_file: String::new(),
            key_prefix: "switchboard".to_owned(),
            timeout_ms: 50,
            claim_ms: 1_000,
            wait_ms: 5_000,
        };
        self.replica_with(Some(Replicas::start(Arc::new(line.clone()), settings)), line)
    }

    fn replica_with(&self, replicas: Option<Replicas>, line: MemoryStore) -> Replica {
        let transport =
            Transport::new(UpstreamName::Leadlex, upstream(LEADLEX_PATH), self.network.clone(), self.clock);
        let replica = Replica {
            providers: ProvidersClient::new(transport.sharing(replicas.as_ref())),
            leadlex: Credential::new("wbk_sandbox_a").unwrap(),
            line,
            _replicas: replicas,
        };
        assert_eq!(replica.left(), None, "the key is known from now on");
        replica
    }

    fn three(&self) -> [Replica; 3] {
        [self.replica(), self.replica(), self.replica()]
    }

    fn unshared_replica(&self) -> Replica {
        self.replica_with(None, MemoryStore::new())
    }

    fn calls(&self) -> usize {
        self.statuses.lock().unwrap().len()
    }

    fn refusals(&self) -> usize {
        self.statuses.lock().unwrap().iter().filter(|status| **status == 429).count()
    }
}

impl Replica {
    async fn list(&self, purpose: Purpose) -> CallResult {
        self.providers.fetch_list(&self.leadlex, purpose).await.map(drop)
    }

    fn left(&self) -> Option<u64> {
        self.providers.transport.status(&self.leadlex).quota.remaining
    }

    /// The exchanges of its quota with the store.
    fn exchanges(&self) -> Vec<QuotaExchange> {
        let exchange = |command| match command {
            Command::Quota(exchange) => Some(exchange),
            _ => None,
        };
        self.line.commands().into_iter().filter_map(exchange).collect()
    }

    /// Whether a call was made. If not, the quota held it back.
    async fn calls(&self, purpose: Purpose) -> bool {
        let result = self.list(purpose).await;
        if result.is_err() {
            held_for(result.clone());
        }
        result.is_ok()
    }
}

/// Records the status of every response.
fn watched(network: Network, seen: Arc<Mutex<Vec<u16>>>) -> Network {
    BoxCloneSyncService::new(service_fn(move |request: http::Request<bytes::Bytes>| {
        let (network, seen) = (network.clone(), Arc::clone(&seen));
        async move {
            let response = network.oneshot(request).await?;
            seen.lock().unwrap().push(response.status().as_u16());
            Ok(response)
        }
    }))
}

/// The calls of three replicas with a request every minute, alternating or at the same time, and of one
/// unshared replica with as many requests.
pub(crate) async fn calls_of_three_and_of_one(purpose: Purpose, minutes: u64) -> (usize, usize) {
    let (fleet, lonely) = (Fleet::new(), Fleet::new());
    let (three, one) = (fleet.three(), lonely.unshared_replica());
    for minute in 0..minutes {
        let at_once = minute % 3 == 0;
        if at_once {
            tokio::join!(three[0].calls(purpose), three[1].calls(purpose), three[2].calls(purpose));
        }
        for replica in &three {
            one.calls(purpose).await;
            if !at_once {
                replica.calls(purpose).await;
            }
            advance_secs(20).await;
        }
    }
    assert_eq!((fleet.refusals(), lonely.refusals()), (0, 0), "a 429 that Switchboard caused");
    (fleet.calls(), lonely.calls())
}

/// Advances time second by second, with everything that happens meanwhile.
async fn advance_secs(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// Runs the exchanges in the background.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// The remaining calls as each replica shows them, a second later. Reading them updates them in the background.
async fn left_after_a_second<const N: usize>(replicas: [&Replica; N]) -> [Option<u64>; N] {
    advance_secs(1).await;
    replicas.iter().for_each(|replica| {
        replica.left();
    });
    settle().await;
    replicas.map(Replica::left)
}

#[tokio::test(start_paused = true)]
async fn calls_of_one_replica_count_for_all() {
    let fleet = Fleet::with_settings(Settings { latency_ms: 2_500, ..Settings::default() });
    let all = fleet.three();
    let left = async || left_after_a_second(all.each_ref()).await;
    all[0].list(Needed).await.unwrap();
    assert_eq!(left().await, [Some(99); 3]);
    let under_way = async { assert_eq!(left().await, [Some(98); 3]) };
    let (result, ()) = tokio::join!(all[1].list(Needed), under_way);
    result.unwrap();
    assert_eq!(left().await, [Some(98); 3]);
    assert_eq!(fleet.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_costs_one_exchange_before_it_and_one_after_it() {
    let fleet = Fleet::new();
    let one = fleet.replica();
    settle().await;
    let calls = |exchange: &QuotaExchange| exchange.calls.len();
    assert_eq!(one.exchanges().iter().map(calls).collect::<Vec<_>>(), [0], "the state is read once");
    for _ in 0..3 {
        one.list(Needed).await.unwrap();
        settle().await;
    }
    assert_eq!(one.exchanges().iter().map(calls).collect::<Vec<_>>(), [0, 1, 1, 1, 1, 1, 1]);
    let is_write = |exchange: &QuotaExchange| exchange.write.is_some();
    let writes: Vec<_> = one.exchanges().iter().map(is_write).collect();
    assert_eq!(writes, [false, false, true, false, true, false, true]);
}

#[tokio::test(start_paused = true)]
async fn cancelled_request_returns_its_reservation() {
    let fleet = Fleet::new();
    let one = fleet.replica();
    settle().await;
    one.line.set_behaviour(Behaviour::Slow(Duration::from_millis(40)));
    let cancelled = tokio::time::timeout(Duration::from_millis(20), one.list(Needed)).await;
    assert!(cancelled.is_err());
    advance_secs(1).await;
    let returned: Vec<_> = one.exchanges().iter().flat_map(|exchange| exchange.calls.clone()).collect();
    assert_eq!(returned.last().map(|call| (call.minute_until, call.unconfirmed_until)), Some((0, 0)));
    assert_eq!(fleet.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn needed_calls_use_the_day_quota_of_one() {
    let (many, single) = calls_of_three_and_of_one(Needed, 40).await;
    assert_eq!((many, single), (95, 95));
}

#[tokio::test(start_paused = true)]
async fn minute_limit_is_shared_by_all_replicas() {
    let fleet = Fleet::new();
    let three = fleet.three();
    // Enough for hours without the minute limit.
    for _ in 0..60 {
        tokio::join!(three[0].calls(Needed), three[1].calls(Needed), three[2].calls(Needed));
    }
    assert_eq!((fleet.calls(), fleet.refusals()), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn late_replica_knows_the_quota_without_a_call() {
    let fleet = Fleet::new();
    let one = fleet.replica();
    for _ in 0..9 {
        one.list(Needed).await.unwrap();
        advance_secs(1).await;
    }
    let late = fleet.replica();
    settle().await;
    assert_eq!(late.left(), Some(91));
    // One call of the minute is left.
    late.list(Needed).await.unwrap();
    let wait = held_for(late.list(Needed).await);
    assert!((Duration::from_secs(45)..=Duration::from_secs(60)).contains(&wait), "{wait:?}");
    assert_eq!(fleet.calls(), 10);

    // The day's rate too: a replica that restarts often refreshes no more often than one that does not.
    let (fleet, mut calls) = (Fleet::new(), 0);
    for _ in 0..2 * 60 {
        let restarted = fleet.replica();
        calls += usize::from(restarted.calls(Refresh).await);
        advance_secs(60).await;
    }
    assert_eq!((fleet.calls(), fleet.refusals()), (calls, 0));
    let (lonely, mut single) = (Fleet::new(), 0);
    let unshared_replica = lonely.unshared_replica();
    for _ in 0..2 * 60 {
        single += usize::from(unshared_replica.calls(Refresh).await);
        advance_secs(60).await;
    }
    assert!(calls.abs_diff(single) <= 2, "{calls} calls, {single} of one that goes on");
}

#[tokio::test(start_paused = true)]
async fn only_numbers_are_shared_and_foreign_data_is_ignored() {
    let fleet = Fleet::new();
    let one = fleet.replica();
    settle().await;
    one.list(Needed).await.unwrap();
    settle().await;
    let quotas = fleet.server.quotas();
    let [(key, value)] = &quotas.iter().collect::<Vec<_>>()[..] else { panic!("{quotas:?}") };
    assert!(key.starts_with("switchboard:2:quota:leadlex:{"), "{key}");
    let exchanged =
        one.exchanges().into_iter().map(|exchange| format!("{:?}", (exchange.replica, exchange.calls)));
    let [a, b, c, d, ..] = *one.leadlex.fingerprint().digest();
    let digest = format!("{a:02x}{b:02x}{c:02x}{d:02x}");
    for text in exchanged.chain([String::from_utf8(value.to_vec()).unwrap(), key.to_string()]) {
        for secret in ["wbk_", "http", "sandbox.invalid", &digest] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    for garbage in [&b"[1,2"[..], b"", b"\xff\xfe", b"{\"at\":\"2026-11-21T12:00:00Z\"}"] {
        fleet.server.put_quota(key, garbage);
        let another = fleet.replica();
        another.list(Needed).await.unwrap();
        settle().await;
    }
    assert_eq!(fleet.refusals(), 0);
    assert_eq!(left_after_a_second([&one]).await, [Some(95)]);
}
