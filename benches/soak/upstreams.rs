//! Both upstreams and their faults: the sandbox behind one relay each, whose connections can fail too.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use switchboard::sandbox::{
    Clock, ComposioPlan, EmulatedUpstream, Fault, LEADLEX_PATH, LeadlexPlan, Sandbox, Settings,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// A fault of an upstream, from the sandbox or from the connection, and the error codes that it explains.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UpstreamFault {
    pub(crate) what: FaultKind,
    pub(crate) codes: &'static [&'static str],
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum FaultKind {
    Emulated(&'static str),
    /// Every connection is closed immediately, existing ones too.
    Closed,
    /// No more bytes are relayed.
    Still,
    /// A few bytes at a time.
    Dripping,
}

const fn emulated(words: &'static str, codes: &'static [&'static str]) -> UpstreamFault {
    UpstreamFault { what: FaultKind::Emulated(words), codes }
}

const DOWN: &[&str] = &["UPSTREAM_UNAVAILABLE"];
// A truncated body is unreadable. After several, the breaker opens.
const BROKEN: &[&str] = &["UPSTREAM_BAD_RESPONSE", "UPSTREAM_UNAVAILABLE"];
// On a busy machine eight megabytes can exceed the call timeout.
const LARGE: &[&str] = &["UPSTREAM_BAD_RESPONSE", "UPSTREAM_TIMEOUT", "UPSTREAM_UNAVAILABLE"];
const SLOW: &[&str] = &["UPSTREAM_TIMEOUT", "UPSTREAM_UNAVAILABLE"];

pub(crate) const FAULTS: [UpstreamFault; 19] = [
    emulated("status=500", DOWN),
    emulated("status=502", DOWN),
    emulated("status=503; retry-after=1", DOWN),
    emulated("status=504", DOWN),
    emulated("status=546", DOWN),
    emulated("status=401", &["UPSTREAM_UNAUTHORIZED"]),
    emulated("status=403", &["UPSTREAM_FORBIDDEN"]),
    emulated("status=404", &["UPSTREAM_REJECTED"]),
    emulated("status=422", &["UPSTREAM_REJECTED"]),
    emulated("garbage=1", BROKEN),
    emulated("empty=1", BROKEN),
    emulated("cut=1", BROKEN),
    emulated("size=10485760", LARGE),
    emulated("shape=wrong-types", BROKEN),
    emulated("shape=list", BROKEN),
    emulated("latency-ms=300", &[]),
    UpstreamFault { what: FaultKind::Closed, codes: BROKEN },
    UpstreamFault { what: FaultKind::Still, codes: SLOW },
    UpstreamFault { what: FaultKind::Dripping, codes: SLOW },
];

/// Only in the second half, because the learned limit applies for an hour.
pub(crate) const RATE_LIMITED: UpstreamFault =
    emulated("status=429; retry-after=1; times=3", &["UPSTREAM_RATE_LIMITED"]);

/// One upstream.
pub(crate) struct Upstream {
    pub(crate) name: &'static str,
    emulated: EmulatedUpstream,
    pub(crate) relay: std::net::SocketAddr,
    carries: Arc<Mutex<FaultKind>>,
    request_counts: Arc<AtomicU64>,
    history: Mutex<Vec<(Instant, Option<Instant>, UpstreamFault)>>,
}

/// Both upstreams, LeadLex first.
pub(crate) struct Upstreams {
    pub(crate) sandbox: Sandbox,
    pub(crate) both: [Upstream; 2],
}

/// The relay passes everything.
const NO_FAULT: FaultKind = FaultKind::Emulated("");

/// The time for which effects outlast a fault: a fetch deadline, plus the longest open time of a breaker that
/// opened at the fault's end, plus some time for a busy machine.
const AFTERMATH: Duration = Duration::from_secs(5 + 2 + 5);

/// The time for which a limit from a 429 applies, and the length of its window in milliseconds.
const RATE_LIMIT_AFTERMATH: Duration = Duration::from_secs(3_600);
const WINDOW_MS: u64 = 60_000;

impl Upstreams {
    pub(crate) async fn start(accounts: usize) -> Self {
        let settings = Settings {
            accounts,
            leadlex_plan: LeadlexPlan::Unmetered,
            composio_plan: ComposioPlan::Enterprise,
            ..Settings::default()
        };
        let sandbox = Sandbox::new(settings, Clock::system());
        let upstream = async |name, emulated| {
            let (carries, request_counts) = (Arc::new(Mutex::new(NO_FAULT)), Arc::new(AtomicU64::new(0)));
            let count = Arc::clone(&request_counts);
            let counted = move |request: Request, next: Next| {
                count.fetch_add(1, Ordering::Relaxed);
                next.run(request)
            };
            let router = sandbox.router().layer(from_fn(counted));
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let behind = listener.local_addr().unwrap();
            tokio::spawn(async move { axum::serve(listener, router).await });
            let relay = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = relay.local_addr().unwrap();
            tokio::spawn(relay_all(relay, behind, Arc::clone(&carries)));
            Upstream { name, emulated, relay: address, carries, request_counts, history: Mutex::default() }
        };
        let both = [
            upstream("LEADLEX", EmulatedUpstream::Leadlex).await,
            upstream("COMPOSIO", EmulatedUpstream::Composio).await,
        ];
        Self { sandbox, both }
    }

    /// The number of requests that each upstream received.
    pub(crate) fn request_counts(&self) -> [u64; 2] {
        [0, 1].map(|upstream| self.both[upstream].request_counts.load(Ordering::Relaxed))
    }

    pub(crate) fn base_url(&self, upstream: usize) -> String {
        let path = if upstream == 0 { LEADLEX_PATH } else { "" };
        format!("http://{}{path}", self.both[upstream].relay)
    }

    /// Begins or ends a fault.
    pub(crate) fn set_fault(&self, upstream: usize, fault: Option<UpstreamFault>) {
        let Upstream { emulated, carries, history, .. } = &self.both[upstream];
        let emulated_fault = match fault.map(|fault| fault.what) {
            Some(FaultKind::Emulated(words)) => Some(Fault::parse(words).unwrap()),
            _ => None,
        };
        self.sandbox.emulate(*emulated, emulated_fault);
        let carried = fault.map(|fault| fault.what).filter(|what| !matches!(what, FaultKind::Emulated(_)));
        *carries.lock().unwrap() = carried.unwrap_or(NO_FAULT);
        let mut history = history.lock().unwrap();
        let now = Instant::now();
        if let Some((_, end @ None, _)) = history.last_mut() {
            *end = Some(now);
        }
        history.extend(fault.map(|fault| (now, None, fault)));
    }

    /// Whether a recent fault explains an error with this code and this `retryAfterMs` in a response to a
    /// request of that time.
    pub(crate) fn explains(
        &self,
        upstream: usize,
        code: &str,
        retry_after_ms: Option<u64>,
        sent_at: Instant,
    ) -> bool {
        let history = self.both[upstream].history.lock().unwrap();
        let explains = |(_, end, fault): &(Instant, Option<Instant>, UpstreamFault)| {
            // The limited calls are available again in the next minute.
            let (aftermath, has_valid_wait) = match code {
                "UPSTREAM_RATE_LIMITED" => {
                    (RATE_LIMIT_AFTERMATH, retry_after_ms.is_some_and(|after| after <= WINDOW_MS))
                }
                _ => (AFTERMATH, true),
            };
            has_valid_wait && end.is_none_or(|end| end + aftermath > sent_at) && fault.codes.contains(&code)
        };
        history.iter().any(explains)
    }

    /// The last faults of an upstream, to analyse a violation.
    pub(crate) fn last(&self, upstream: usize) -> String {
        let history = self.both[upstream].history.lock().unwrap();
        let descriptions = history.iter().rev().take(3).map(|(began, end, fault)| {
            let ended = end.map_or_else(String::new, |end| format!(", over for {:.1?}", end.elapsed()));
            format!("{:?} since {:.1?}{ended}", fault.what, began.elapsed())
        });
        descriptions.collect::<Vec<_>>().join("; ")
    }

    pub(crate) fn fault_count(&self) -> usize {
        self.both.iter().map(|upstream| upstream.history.lock().unwrap().len()).sum()
    }
}

async fn relay_all(relay: TcpListener, to: std::net::SocketAddr, carries: Arc<Mutex<FaultKind>>) {
    loop {
        let Ok((client, _)) = relay.accept().await else { continue };
        let carries = Arc::clone(&carries);
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(to).await else { return };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::select! {
                () = relay_bytes(from_client, to_server, &carries) => {}
                () = relay_bytes(from_server, to_client, &carries) => {}
            }
        });
    }
}

/// Relays bytes in one direction. Both directions end with the first that ends.
async fn relay_bytes(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    carries: &Mutex<FaultKind>,
) {
    const POLL_INTERVAL: Duration = Duration::from_millis(20);
    let mut bytes = vec![0; 16 << 10];
    loop {
        let how = *carries.lock().unwrap();
        let most = match how {
            FaultKind::Closed => return,
            FaultKind::Still => {
                tokio::time::sleep(POLL_INTERVAL).await;
                continue;
            }
            FaultKind::Dripping => {
                tokio::time::sleep(POLL_INTERVAL).await;
                32
            }
            FaultKind::Emulated(_) => bytes.len(),
        };
        // Wakes up regularly, because its mode may have changed.
        match tokio::time::timeout(POLL_INTERVAL, from.read(&mut bytes[..most])).await {
            Err(_elapsed) => {}
            Ok(Ok(read @ 1..)) if to.write_all(&bytes[..read]).await.is_ok() => {}
            Ok(_) => return,
        }
    }
}
