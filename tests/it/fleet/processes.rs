//! Three processes and a real Redis, over sockets, under load.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::join_all;
use serde_json::{Value, json};
use switchboard::sandbox::{self, CANARY, LEADLEX_PATH, Sandbox};

use super::PAGE;
use crate::auth_modes::serve_router;
use crate::config::{ConfigFile, Running, switchboard};
use crate::replicas::server::{RedisServer, until};
use crate::world::{PROVIDERS, list};

/// Timeouts that are long enough for a busy machine. The product's own limit is 50 ms.
const LONG_TIMEOUTS: &str = "timeout_ms = 5_000\nclaim_ms = 10_000\nwait_ms = 60_000\n";

/// All cached fields of an account that is read by id.
const ALL: &str = "connectedAccountId alias userId statusReason state { settings { name value } withheld scopes error errorDescription }";

/// Three processes, their Redis and their upstreams.
struct Fleet {
    redis: RedisServer,
    replicas: Vec<Replica>,
    sandbox: Sandbox,
    client: reqwest::Client,
}

/// One process, on ports that it keeps over restarts.
struct Replica {
    file: ConfigFile,
    process: Option<Running>,
    graph: String,
    ready: String,
    /// Whether a load balancer would send requests here.
    is_in: AtomicBool,
    under_way: AtomicUsize,
}

impl Fleet {
    async fn start(redis: RedisServer, latency_ms: u64, redis_settings: &str, settings: &str) -> Self {
        let of_sandbox = sandbox::Settings { accounts: 60, latency_ms, ..sandbox::Settings::default() };
        let sandbox = Sandbox::new(of_sandbox, sandbox::Clock::system());
        let upstreams = serve_router(sandbox.router()).await;
        let replicas: Vec<_> = free_ports().into_iter().map(|[http, ops]| {
            let file = ConfigFile::new(&format!(
                "[log]\nlevel = \"off\"\n[http]\nlisten = \"{http}\"\n[ops]\nlisten = \"{ops}\"\n{settings}\n\
                 [redis]\nurl = \"redis://127.0.0.1:{}\"\nkey_prefix = \"fleet\"\n{redis_settings}\
                 [upstream.leadlex]\nbase_url = \"http://{upstreams}{LEADLEX_PATH}\"\napi_key = \"wbk_sandbox_a\"\n\
                 [upstream.composio]\nbase_url = \"http://{upstreams}\"\napi_key = \"ak_sandbox_a\"\n",
                redis.port()
            ));
            let mut replica = Replica {
                file,
                process: None,
                graph: format!("http://{http}/graphql"),
                ready: format!("http://{ops}/ready"),
                is_in: AtomicBool::new(false),
                under_way: AtomicUsize::new(0),
            };
            replica.start();
            replica
        })
        .collect();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { redis, replicas, sandbox, client }
    }

    /// The data of one replica's response, which must have no errors.
    async fn data(&self, replica: usize, query: &str) -> Value {
        let replica = &self.replicas[replica];
        replica.under_way.fetch_add(1, Ordering::SeqCst);
        let body = json!({ "query": query }).to_string();
        let asked = self.client.post(&replica.graph).header("content-type", "application/json").body(body);
        let answered = asked.send().await.unwrap();
        let status = answered.status();
        let mut answer: Value = serde_json::from_slice(&answered.bytes().await.unwrap()).unwrap();
        replica.under_way.fetch_sub(1, Ordering::SeqCst);
        assert_eq!((status.as_u16(), answer.get("errors")), (200, None), "{answer}");
        answer["data"].take()
    }

    fn calls(&self) -> Vec<String> {
        let requests = self.sandbox.requests();
        let mut calls: Vec<_> =
            requests.iter().map(|call| format!("{} {}", call.method, call.target)).collect();
        calls.sort_unstable();
        self.sandbox.clear_requests();
        calls
    }

    async fn is_ready(&self, replica: usize) -> bool {
        let asked = self.client.get(&self.replicas[replica].ready).send().await;
        asked.is_ok_and(|answered| answered.status().is_success())
    }

    /// Everything in Redis: keys and values.
    async fn stored(&self) -> Vec<(String, Vec<u8>)> {
        let texts = |value: redis::Value| redis::from_redis_value::<Vec<String>>(value).unwrap();
        let mut stored = Vec::new();
        for key in texts(self.redis.command(&["KEYS", "*"]).await) {
            // Unlike GET, MGET returns nil for a key of another type.
            let value = self.redis.command(&["MGET", &key]).await;
            let mut values: Vec<Option<Vec<u8>>> = redis::from_redis_value(value).unwrap();
            stored.push((key, values.pop().flatten().unwrap_or_default()));
        }
        stored
    }

    /// Asserts that nothing in Redis is readable.
    async fn assert_sealed(&self) {
        let stored = self.stored().await;
        assert!(!stored.is_empty());
        for (key, value) in stored {
            let text = format!("{key} {}", String::from_utf8_lossy(&value));
            for secret in [CANARY, "wbk_sandbox", "ak_sandbox", "ca_", "user_", "@example"] {
                assert!(!text.contains(secret), "{secret}: {text}");
            }
        }
    }
}

impl Replica {
    fn start(&mut self) {
        let mut command = switchboard(&["serve", "--config", self.file.path()]);
        command.env_clear();
        let (process, _) = Running::start_until(command, "Probes: ");
        self.process = Some(process);
        self.is_in.store(true, Ordering::SeqCst);
    }

    fn signal(&self, name: &str) {
        let result = format!("kill -{name} {}", self.process.as_ref().unwrap().0.id());
        assert!(Command::new("sh").args(["-c", &result]).status().unwrap().success());
    }
}

/// Two ports for each replica, all bound until all are known, so that no port is given twice.
fn free_ports() -> [[SocketAddr; 2]; 3] {
    let held = [(); 3].map(|()| [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap()));
    held.each_ref().map(|pair| pair.each_ref().map(|port| port.local_addr().unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_cold_requests_over_three_processes_make_the_calls_of_one() {
    let fleet = Fleet::start(RedisServer::start(&[]).await, 500, LONG_TIMEOUTS, "").await;
    let result = join_all((0..1_000).map(|request| fleet.data(request % 3, PAGE))).await;
    assert_eq!(fleet.calls(), [list(&[]), PROVIDERS.to_owned()]);
    assert!(result.iter().all(|data| *data == result[0]));
    // The same for each member, and for each account by id.
    let ids: Vec<_> = fleet.sandbox.accounts(sandbox::Tenant::A).into_iter().take(3).map(|a| a.id).collect();
    let query = format!("{{ connectedAccountsByIds(ids: {ids:?}) {{ {ALL} }} }}");
    join_all((0..30).map(|request| fleet.data(request % 3, &query))).await;
    assert_eq!(fleet.calls().len(), 1);
    fleet.assert_sealed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_lease_holder_costs_the_lease_time_and_one_call() {
    let quick = "timeout_ms = 5_000\n";
    let mut fleet = Fleet::start(RedisServer::start(&[]).await, 1_500, quick, "").await;
    let query = "{ providers(first: 1) { nodes { name } } }";
    let holder = fleet.client.post(&fleet.replicas[0].graph).header("content-type", "application/json");
    let holder = tokio::spawn(holder.body(json!({ "query": query }).to_string()).send());
    until("its call", async || !fleet.sandbox.requests().is_empty()).await;
    fleet.replicas[0].process.as_mut().unwrap().0.kill().unwrap();
    let result = tokio::join!(fleet.data(1, query), fleet.data(2, query));
    assert_eq!(result.0, result.1);
    assert_eq!(fleet.calls(), [PROVIDERS, PROVIDERS]);
    assert!(holder.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn rolling_restart_under_load_loses_no_request_and_makes_no_call() {
    let settings =
        "[server]\ndrain_ms = 300\n[cache]\nproviders_ttl_ms = 86_400_000\naccounts_ttl_ms = 86_400_000\n";
    let mut fleet = Fleet::start(RedisServer::start(&[]).await, 20, LONG_TIMEOUTS, settings).await;
    for replica in 0..3 {
        fleet.data(replica, PAGE).await;
    }
    assert_eq!(fleet.calls().len(), 2);
    for restarted in 0..3 {
        let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
        let others: Vec<_> = (0..3).filter(|replica| *replica != restarted).collect();
        let load = |client: usize| {
            let (fleet, is_over, answered, others) = (&fleet, &is_over, &answered, &others);
            async move {
                let mut turn = client;
                while !is_over.load(Ordering::SeqCst) {
                    turn += 1;
                    let is_in = fleet.replicas[restarted].is_in.load(Ordering::SeqCst);
                    let replica = if is_in && turn.is_multiple_of(3) { restarted } else { others[turn % 2] };
                    fleet.data(replica, PAGE).await;
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            }
        };
        let restart = async {
            let answers = |more: usize| {
                let (answered, from) = (&answered, answered.load(Ordering::SeqCst));
                until("answers", async move || answered.load(Ordering::SeqCst) >= from + more)
            };
            answers(50).await;
            let replica = &fleet.replicas[restarted];
            replica.signal("TERM");
            until("the replica is draining", async || !fleet.is_ready(restarted).await).await;
            // As a load balancer does: no new requests, while running requests complete.
            replica.is_in.store(false, Ordering::SeqCst);
            answers(50).await;
            is_over.store(true, Ordering::SeqCst);
        };
        tokio::join!(join_all((0..6).map(load)), restart);
        let mut process = fleet.replicas[restarted].process.take().unwrap();
        assert!(process.0.wait().unwrap().success());
        fleet.replicas[restarted].start();
        until("the replica is ready", async || fleet.is_ready(restarted).await).await;
        fleet.data(restarted, PAGE).await;
    }
    let calls = fleet.calls();
    assert!(calls.is_empty(), "{calls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_faults_under_load_cause_no_wrong_response() {
    let settings = "[cache]\nproviders_ttl_ms = 200\naccounts_ttl_ms = 200\nstale_while_revalidate_ms = 0\n";
    let mut fleet = Fleet::start(RedisServer::start(&[]).await, 5, "claim_ms = 200\n", settings).await;
    let query =
        "{ providers { nodes { name } } connectedAccounts(first: 5) { nodes { connectedAccountId } } }";
    let expected = fleet.data(0, query).await;
    let (is_over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let graphs: Vec<_> = fleet.replicas.iter().map(|replica| replica.graph.clone()).collect();
    let load = (0..6).map(|client| {
        let (is_over, answered, expected) = (Arc::clone(&is_over), Arc::clone(&answered), expected.clone());
        let (graph, http) = (graphs[client % 3].clone(), fleet.client.clone());
        tokio::spawn(async move {
            while !is_over.load(Ordering::SeqCst) {
                let body = json!({ "query": query }).to_string();
                let asked = http.post(&graph).header("content-type", "application/json").body(body);
                let answer = asked.send().await.unwrap().bytes().await.unwrap();
                let answer: Value = serde_json::from_slice(&answer).unwrap();
                assert_eq!((answer.get("errors"), &answer["data"]), (None, &expected));
                answered.fetch_add(1, Ordering::SeqCst);
            }
        })
    });
    let load: Vec<_> = load.collect();
    let answers = async || {
        let from = answered.load(Ordering::SeqCst);
        until("answers", async || {
            assert!(load.iter().all(|client| !client.is_finished()), "a client received a wrong response");
            answered.load(Ordering::SeqCst) >= from + 60
        })
        .await;
    };
    answers().await;
    fleet.redis.kill();
    answers().await;
    fleet.redis.run().await;
    answers().await;
    fleet.redis.freeze();
    answers().await;
    fleet.redis.unfreeze();
    answers().await;
    fleet.redis.command(&["FLUSHALL"]).await;
    answers().await;
    fleet.redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    answers().await;
    fleet.redis.command(&["CONFIG", "SET", "maxmemory", "0"]).await;
    answers().await;
    for _ in 0..20 {
        for (key, _) in fleet.stored().await {
            fleet.redis.command(&["SET", &key, "not ours"]).await;
        }
        for (key, _) in fleet.stored().await {
            let list = "redis.call('DEL', KEYS[1]) redis.call('LPUSH', KEYS[1], 'not ours')";
            fleet.redis.command(&["EVAL", list, "1", &key]).await;
        }
    }
    answers().await;
    fleet.redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    fleet.redis.command(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    answers().await;
    for _ in 0..20 {
        // Each command exceeds its timeout while the connection stays open.
        fleet.redis.command(&["CLIENT", "PAUSE", "100"]).await;
        fleet.redis.command(&["PING"]).await;
    }
    answers().await;
    fleet.redis.change_password("another").await;
    answers().await;
    is_over.store(true, Ordering::SeqCst);
    for client in load {
        client.await.unwrap();
    }
    fleet.replicas.clear();
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_again_after_a_redis_outage() {
    let mut fleet = Fleet::start(RedisServer::start(&[]).await, 5, LONG_TIMEOUTS, "").await;
    fleet.data(0, PAGE).await;
    fleet.redis.kill();
    for replica in 0..3 {
        fleet
            .data(
                replica,
                "{ connectedAccounts(first: 1, filter: { userIds: [\"user_1\"] }) { nodes { id } } }",
            )
            .await;
    }
    fleet.redis.run().await;
    let user = AtomicUsize::new(2);
    until("one replica reads for all", async || {
        fleet.calls();
        let user = user.fetch_add(1, Ordering::SeqCst);
        for replica in 0..3 {
            let filter = format!("filter: {{ userIds: [\"user_{user}\"] }}");
            fleet
                .data(replica, &format!("{{ connectedAccounts(first: 1, {filter}) {{ nodes {{ id }} }} }}"))
                .await;
        }
        fleet.calls().len() == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refresh_on_one_process_reaches_all() {
    let fleet = Fleet::start(RedisServer::start(&[]).await, 5, LONG_TIMEOUTS, "").await;
    let query = "{ connectedAccounts(first: 1) { nodes { status } } }";
    for replica in 0..3 {
        fleet.data(replica, query).await;
    }
    fleet.sandbox.change_accounts(sandbox::Tenant::A, |rows| {
        rows.iter_mut().for_each(|row| row.status = "FAILED");
    });
    fleet.data(1, "mutation { refresh { retryAt } }").await;
    for replica in 0..3 {
        until("the new status", async || {
            fleet.data(replica, query).await["connectedAccounts"]["nodes"][0]["status"] == "FAILED"
        })
        .await;
    }
    // One call before, one for the refresh, for all later requests.
    let calls = fleet.calls();
    let lists = calls.iter().filter(|call| call.contains("connected_accounts")).count();
    assert!(lists <= 3, "{calls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_redis_password_does_not_stop_serving() {
    let redis = RedisServer::start_with_password("right").await;
    let fleet = Fleet::start(redis, 5, "password = \"wrong\"\n", "").await;
    for replica in 0..3 {
        fleet.data(replica, PAGE).await;
    }
    assert_eq!(fleet.calls().len(), 6);
}
