//! Replicas that share one starter key: together they make as many calls as one replica would.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use switchboard::domain::clock::Clock;
use switchboard::domain::credential::Credential;
use switchboard::domain::upstream_name::{Leadlex, UpstreamName};
use switchboard::replicas::Replicas;
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
        self.providers.status(&self.leadlex).quota.remaining
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

/// Delivers published messages.
async fn deliver_messages() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn calls_of_one_replica_count_for_all() {
    let fleet = Fleet::with_settings(Settings { latency_ms: 1_000, ..Settings::default() });
    let all = fleet.three();
    let left = || [all[0].left(), all[1].left(), all[2].left()];
    deliver_messages().await;
    all[0].list(Needed).await.unwrap();
    deliver_messages().await;
    assert_eq!(left(), [Some(99); 3]);
    let under_way = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(left(), [Some(98); 3]);
    };
    let (result, ()) = tokio::join!(all[1].list(Needed), under_way);
    result.unwrap();
    deliver_messages().await;
    assert_eq!(left(), [Some(98); 3]);
    assert_eq!(fleet.calls(), 2);
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
    deliver_messages().await;
    // Enough for hours without the minute limit.
    for _ in 0..60 {
        tokio::join!(three[0].calls(Needed), three[1].calls(Needed), three[2].calls(Needed));
        deliver_messages().await;
    }
    assert_eq!(fleet.refusals(), 0);
    let calls = fleet.calls();
    assert!((8..=10).contains(&calls), "{calls} of the ten of a minute");
}

#[tokio::test(start_paused = true)]
async fn late_replica_knows_the_quota_without_a_call() {
    let fleet = Fleet::new();
    let one = fleet.replica();
    deliver_messages().await;
    for _ in 0..9 {
        one.list(Needed).await.unwrap();
        advance_secs(1).await;
    }
    let late = fleet.replica();
    deliver_messages().await;
    assert_eq!(late.left(), Some(91));
    // One call of the minute is left, and the other replica may use it.
    let wait = held_for(late.list(Needed).await);
    assert!((Duration::from_secs(45)..=Duration::from_secs(60)).contains(&wait), "{wait:?}");
    assert_eq!(fleet.calls(), 9);

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
async fn replica_that_missed_messages_reads_the_store() {
    let fleet = Fleet::new();
    let (one, two) = (fleet.replica(), fleet.replica());
    deliver_messages().await;
    two.list(Needed).await.unwrap();
    deliver_messages().await;
    // Its connection is half open: it receives nothing and gets no error.
    two.line.half_open_subscriptions();
    for _ in 0..4 {
        one.list(Needed).await.unwrap();
        advance_secs(1).await;
    }
    assert_eq!((one.left(), two.left()), (Some(95), Some(99)));
    let looks = |line: &MemoryStore| {
        line.commands().iter().filter(|command| matches!(command, Command::Get(_))).count()
    };
    let before = looks(&two.line);
    // It no longer receives its own messages, so it reconnects.
    advance_secs(12).await;
    assert_eq!(looks(&two.line), before + 1);
    assert_eq!(two.left(), Some(95));
    // The minute as well: five calls of ten were made, and one is left for the other.
    let mut more = 0;
    while two.calls(Needed).await {
        more += 1;
    }
    assert_eq!((more, fleet.refusals()), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn without_the_store_each_replica_uses_its_headers() {
    for failing in
        [Behaviour::Away, Behaviour::Refusing, Behaviour::Full, Behaviour::Slow(Duration::from_millis(80))]
    {
        let fleet = Fleet::starting_at("2026-11-21T23:15:00Z", Settings::default());
        let three = fleet.three();
        deliver_messages().await;
        // Nine calls a minute, until the day's calls are used up while the store is unreachable.
        for minute in 0..30 {
            for replica in &three {
                replica.line.set_behaviour(if (3..20).contains(&minute) { failing } else { Behaviour::Well });
                replica.calls(Needed).await;
                advance_secs(7).await;
                replica.calls(Needed).await;
                advance_secs(13).await;
            }
        }
        assert_eq!(fleet.refusals(), 0, "{failing:?}");
        let calls = fleet.calls();
        assert!((95..=100).contains(&calls), "{failing:?}: {calls} calls");
        // The replicas know of each other again.
        advance_secs(15 * MINUTE).await;
        three[0].list(Needed).await.unwrap();
        deliver_messages().await;
        assert_eq!(three.each_ref().map(Replica::left), [Some(99); 3], "{failing:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_during_an_outage_are_shared_afterwards() {
    let fleet = Fleet::new();
    let [one, two, three] = fleet.three();
    deliver_messages().await;
    one.list(Needed).await.unwrap();
    for replica in [&one, &two, &three] {
        replica.line.set_behaviour(Behaviour::Away);
    }
    for _ in 0..5 {
        one.list(Needed).await.unwrap();
    }
    for replica in [&one, &two, &three] {
        replica.line.set_behaviour(Behaviour::Well);
    }
    advance_secs(2).await;
    assert_eq!([one.left(), two.left(), three.left()], [Some(94); 3]);
    while two.calls(Needed).await {
        deliver_messages().await;
    }
    assert_eq!(fleet.refusals(), 0);
}

#[tokio::test(start_paused = true)]
async fn emptied_store_is_filled_again() {
    let fleet = Fleet::new();
    let (one, two) = (fleet.replica(), fleet.replica());
    deliver_messages().await;
    for _ in 0..4 {
        one.list(Needed).await.unwrap();
    }
    advance_secs(2).await;
    fleet.server.restart_empty();
    advance_secs(2).await;
    let late = fleet.replica();
    deliver_messages().await;
    assert_eq!([one.left(), two.left(), late.left()], [Some(96); 3]);
}

#[tokio::test(start_paused = true)]
async fn only_numbers_are_shared_and_foreign_data_is_ignored() {
    let fleet = Fleet::new();
    let one = fleet.replica();
    deliver_messages().await;
    one.list(Needed).await.unwrap();
    deliver_messages().await;
    let entries = fleet.server.entries();
    let [(key, value)] = &entries.iter().collect::<Vec<_>>()[..] else { panic!("{entries:?}") };
    assert!(key.starts_with("switchboard:1:quota:leadlex:"), "{key}");
    let published = one.line.commands().into_iter().filter_map(|command| match command {
        Command::Publish(message) => Some(String::from_utf8(message).unwrap()),
        _ => None,
    });
    let [a, b, c, d, ..] = *one.leadlex.fingerprint().digest();
    let digest = format!("{a:02x}{b:02x}{c:02x}{d:02x}");
    for text in published.chain([String::from_utf8(value.to_vec()).unwrap(), key.to_string()]) {
        for secret in ["wbk_", "http", "sandbox.invalid", &digest] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    for garbage in [&b"[1,2"[..], b"", b"\xff\xfe", b"{\"at\":\"2026-11-21T12:00:00Z\"}"] {
        fleet.server.put(key, garbage);
        let another = fleet.replica();
        another.list(Needed).await.unwrap();
        deliver_messages().await;
    }
    assert_eq!(fleet.refusals(), 0);
    assert_eq!(one.left(), Some(95));
}
