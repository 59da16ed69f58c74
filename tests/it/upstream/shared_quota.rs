//! Replicas that share one starter key: together they keep the pace that one would.

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

use super::{Ended, held};
use crate::replicas::memory::{Command, MemoryStore, Serves};
use crate::world::{NOW, network, upstream};

const MINUTE: u64 = 60;

/// A starter key's upstream, and the server that its replicas share.
struct Fleet {
    clock: Clock,
    network: Network,
    server: MemoryStore,
    statuses: Arc<Mutex<Vec<u16>>>,
}

struct Replica {
    providers: ProvidersClient,
    leadlex: Credential<Leadlex>,
    /// Its line to the server; none where it shares nothing.
    line: MemoryStore,
    _replicas: Option<Replicas>,
}

impl Fleet {
    fn over(settings: Settings) -> Self {
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
        Self::over(Settings::default())
    }

    fn replica(&self) -> Replica {
        let line = self.server.another_line();
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
        self.replica_over(Some(Replicas::start(Arc::new(line.clone()), settings)), line)
    }

    fn replica_over(&self, replicas: Option<Replicas>, line: MemoryStore) -> Replica {
        let road =
            Transport::new(UpstreamName::Leadlex, upstream(LEADLEX_PATH), self.network.clone(), self.clock);
        let replica = Replica {
            providers: ProvidersClient::new(road.sharing(replicas.as_ref())),
            leadlex: Credential::new("wbk_sandbox_a").unwrap(),
            line,
            _replicas: replicas,
        };
        assert_eq!(replica.left(), None, "from now on it knows the key");
        replica
    }

    fn three(&self) -> [Replica; 3] {
        [self.replica(), self.replica(), self.replica()]
    }

    fn alone(&self) -> Replica {
        self.replica_over(None, MemoryStore::new())
    }

    fn calls(&self) -> usize {
        self.statuses.lock().unwrap().len()
    }

    fn refusals(&self) -> usize {
        self.statuses.lock().unwrap().iter().filter(|status| **status == 429).count()
    }
}

impl Replica {
    async fn list(&self, purpose: Purpose) -> Ended {
        self.providers.fetch_list(&self.leadlex, purpose).await.map(drop)
    }

    fn left(&self) -> Option<u64> {
        self.providers.standing(&self.leadlex).quota.remaining
    }

    /// Whether it called; where not, the quota held it back.
    async fn calls(&self, purpose: Purpose) -> bool {
        let ended = self.list(purpose).await;
        if ended.is_err() {
            held(ended.clone());
        }
        ended.is_ok()
    }
}

/// The status of every answer that passes.
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

/// The calls of three replicas that are asked every minute, at different moments or at the same, and those of one that is
/// asked as often and shares nothing.
pub(crate) async fn calls_of_three_and_of_one(purpose: Purpose, minutes: u64) -> (usize, usize) {
    let (fleet, lonely) = (Fleet::new(), Fleet::new());
    let (three, one) = (fleet.three(), lonely.alone());
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
            pass(20).await;
        }
    }
    assert_eq!((fleet.refusals(), lonely.refusals()), (0, 0), "a 429 of our making");
    (fleet.calls(), lonely.calls())
}

/// So much time passes, and all that happens in it.
async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// What was told arrives.
async fn soon() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn calls_of_one_are_in_the_figures_of_all() {
    let fleet = Fleet::over(Settings { latency_ms: 1_000, ..Settings::default() });
    let all = fleet.three();
    let left = || [all[0].left(), all[1].left(), all[2].left()];
    soon().await;
    all[0].list(Needed).await.unwrap();
    soon().await;
    assert_eq!(left(), [Some(99); 3]);
    let under_way = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(left(), [Some(98); 3]);
    };
    let (ended, ()) = tokio::join!(all[1].list(Needed), under_way);
    ended.unwrap();
    soon().await;
    assert_eq!(left(), [Some(98); 3]);
    assert_eq!(fleet.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_waits_for_takes_of_the_day_what_one_would_take() {
    let (many, single) = calls_of_three_and_of_one(Needed, 40).await;
    assert_eq!((many, single), (95, 95));
}

#[tokio::test(start_paused = true)]
async fn a_minute_is_one_minute_for_all_whoever_asks_first() {
    let fleet = Fleet::new();
    let three = fleet.three();
    soon().await;
    // Enough for hours, were there no minute.
    for _ in 0..60 {
        tokio::join!(three[0].calls(Needed), three[1].calls(Needed), three[2].calls(Needed));
        soon().await;
    }
    assert_eq!(fleet.refusals(), 0);
    let calls = fleet.calls();
    assert!((8..=10).contains(&calls), "{calls} of the ten of a minute");
}

#[tokio::test(start_paused = true)]
async fn who_starts_late_knows_the_day_and_the_minute_without_a_call() {
    let fleet = Fleet::new();
    let one = fleet.replica();
    soon().await;
    for _ in 0..9 {
        one.list(Needed).await.unwrap();
        pass(1).await;
    }
    let late = fleet.replica();
    soon().await;
    assert_eq!(late.left(), Some(91));
    // One call of the minute is left, and may be the other's.
    let wait = held(late.list(Needed).await);
    assert!((Duration::from_secs(45)..=Duration::from_secs(60)).contains(&wait), "{wait:?}");
    assert_eq!(fleet.calls(), 9);

    // A day's pace too: whoever is restarted all the time refreshes no more often than one that is not.
    let (fleet, mut calls) = (Fleet::new(), 0);
    for _ in 0..2 * 60 {
        let restarted = fleet.replica();
        calls += usize::from(restarted.calls(Refresh).await);
        pass(60).await;
    }
    assert_eq!((fleet.calls(), fleet.refusals()), (calls, 0));
    let (lonely, mut single) = (Fleet::new(), 0);
    let alone = lonely.alone();
    for _ in 0..2 * 60 {
        single += usize::from(alone.calls(Refresh).await);
        pass(60).await;
    }
    assert!(calls.abs_diff(single) <= 2, "{calls} calls, {single} of one that goes on");
}

#[tokio::test(start_paused = true)]
async fn who_has_missed_something_looks_again() {
    let fleet = Fleet::new();
    let (one, two) = (fleet.replica(), fleet.replica());
    soon().await;
    two.list(Needed).await.unwrap();
    soon().await;
    // Its connection is only half there: it hears nothing and is not told so.
    two.line.half_open_subscriptions();
    for _ in 0..4 {
        one.list(Needed).await.unwrap();
        pass(1).await;
    }
    assert_eq!((one.left(), two.left()), (Some(95), Some(99)));
    let looks = |line: &MemoryStore| {
        line.commands().iter().filter(|command| matches!(command, Command::Get(_))).count()
    };
    let before = looks(&two.line);
    // It no longer hears itself, and connects again.
    pass(12).await;
    assert_eq!(looks(&two.line), before + 1);
    assert_eq!(two.left(), Some(95));
    // The minute as well: five calls of ten, and one is left for the other.
    let mut more = 0;
    while two.calls(Needed).await {
        more += 1;
    }
    assert_eq!((more, fleet.refusals()), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_each_goes_on_by_its_headers() {
    for failing in [Serves::Away, Serves::Refusing, Serves::Full, Serves::Slow(Duration::from_millis(80))] {
        let fleet = Fleet::starting_at("2026-11-21T23:15:00Z", Settings::default());
        let three = fleet.three();
        soon().await;
        // Nine calls a minute, and the day's are used up while it is away.
        for minute in 0..30 {
            for replica in &three {
                replica.line.serve(if (3..20).contains(&minute) { failing } else { Serves::Well });
                replica.calls(Needed).await;
                pass(7).await;
                replica.calls(Needed).await;
                pass(13).await;
            }
        }
        assert_eq!(fleet.refusals(), 0, "{failing:?}");
        let calls = fleet.calls();
        assert!((95..=100).contains(&calls), "{failing:?}: {calls} calls");
        // And one knows of the others again.
        pass(15 * MINUTE).await;
        three[0].list(Needed).await.unwrap();
        soon().await;
        assert_eq!(three.each_ref().map(Replica::left), [Some(99); 3], "{failing:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_made_while_the_store_was_away_are_told_when_it_is_back() {
    let fleet = Fleet::new();
    let [one, two, three] = fleet.three();
    soon().await;
    one.list(Needed).await.unwrap();
    for replica in [&one, &two, &three] {
        replica.line.serve(Serves::Away);
    }
    for _ in 0..5 {
        one.list(Needed).await.unwrap();
    }
    for replica in [&one, &two, &three] {
        replica.line.serve(Serves::Well);
    }
    pass(2).await;
    assert_eq!([one.left(), two.left(), three.left()], [Some(94); 3]);
    while two.calls(Needed).await {
        soon().await;
    }
    assert_eq!(fleet.refusals(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_emptied_is_told_anew() {
    let fleet = Fleet::new();
    let (one, two) = (fleet.replica(), fleet.replica());
    soon().await;
    for _ in 0..4 {
        one.list(Needed).await.unwrap();
    }
    pass(2).await;
    fleet.server.restart_empty();
    pass(2).await;
    let late = fleet.replica();
    soon().await;
    assert_eq!([one.left(), two.left(), late.left()], [Some(96); 3]);
}

#[tokio::test(start_paused = true)]
async fn what_is_shared_is_numbers_and_what_is_not_ours_there_is_not_heeded() {
    let fleet = Fleet::new();
    let one = fleet.replica();
    soon().await;
    one.list(Needed).await.unwrap();
    soon().await;
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
        soon().await;
    }
    assert_eq!(fleet.refusals(), 0);
    assert_eq!(one.left(), Some(95));
}
