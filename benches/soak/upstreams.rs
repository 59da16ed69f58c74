//! Both upstreams, and what is done to them: the sandbox behind a relay each, whose connections can go wrong too.

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

/// What befalls an upstream: the sandbox's words or a connection's trouble, and the codes that it explains.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trouble {
    pub(crate) what: What,
    pub(crate) codes: &'static [&'static str],
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum What {
    Emulated(&'static str),
    /// Every connection is closed at once, those there are too.
    Closed,
    /// Nothing is carried any more.
    Still,
    /// A few bytes at a time.
    Dripping,
}

const fn emulated(words: &'static str, codes: &'static [&'static str]) -> Trouble {
    Trouble { what: What::Emulated(words), codes }
}

const DOWN: &[&str] = &["UPSTREAM_UNAVAILABLE"];
// What is cut while its body is read cannot be read; after some of it the breaker opens.
const BROKEN: &[&str] = &["UPSTREAM_BAD_RESPONSE", "UPSTREAM_UNAVAILABLE"];
// On a busy machine eight megabytes may take longer than a call may.
const LARGE: &[&str] = &["UPSTREAM_BAD_RESPONSE", "UPSTREAM_TIMEOUT", "UPSTREAM_UNAVAILABLE"];
const SLOW: &[&str] = &["UPSTREAM_TIMEOUT", "UPSTREAM_UNAVAILABLE"];

pub(crate) const TROUBLES: [Trouble; 19] = [
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
    Trouble { what: What::Closed, codes: BROKEN },
    Trouble { what: What::Still, codes: SLOW },
    Trouble { what: What::Dripping, codes: SLOW },
];

/// In the second half alone: a limit that it teaches is believed for an hour.
pub(crate) const RATE_LIMITED: Trouble =
    emulated("status=429; retry-after=1; times=3", &["UPSTREAM_RATE_LIMITED"]);

/// One upstream.
pub(crate) struct Upstream {
    pub(crate) name: &'static str,
    emulated: EmulatedUpstream,
    pub(crate) relay: std::net::SocketAddr,
    carries: Arc<Mutex<What>>,
    asked: Arc<AtomicU64>,
    history: Mutex<Vec<(Instant, Option<Instant>, Trouble)>>,
}

/// Both, LeadLex first.
pub(crate) struct Upstreams {
    pub(crate) sandbox: Sandbox,
    pub(crate) both: [Upstream; 2],
}

/// The relay carries all.
const CARRIES_ALL: What = What::Emulated("");

/// How much longer than its trouble an upstream's effects last: a question's deadline, and the longest that a breaker is
/// open, which may have been asked to open at the trouble's end; and some for a machine that has other things to do.
const AFTERMATH: Duration = Duration::from_secs(5 + 2 + 5);

/// How long a limit is believed that a 429 taught, and how long the window is that it is one of, in milliseconds.
const TAUGHT: Duration = Duration::from_secs(3_600);
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
            let (carries, asked) = (Arc::new(Mutex::new(CARRIES_ALL)), Arc::new(AtomicU64::new(0)));
            let count = Arc::clone(&asked);
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
            tokio::spawn(carry_all(relay, behind, Arc::clone(&carries)));
            Upstream { name, emulated, relay: address, carries, asked, history: Mutex::default() }
        };
        let both = [
            upstream("LEADLEX", EmulatedUpstream::Leadlex).await,
            upstream("COMPOSIO", EmulatedUpstream::Composio).await,
        ];
        Self { sandbox, both }
    }

    /// How many requests each was asked.
    pub(crate) fn asked(&self) -> [u64; 2] {
        [0, 1].map(|upstream| self.both[upstream].asked.load(Ordering::Relaxed))
    }

    pub(crate) fn base_url(&self, upstream: usize) -> String {
        let path = if upstream == 0 { LEADLEX_PATH } else { "" };
        format!("http://{}{path}", self.both[upstream].relay)
    }

    /// Puts an upstream into trouble, or out of it.
    pub(crate) fn strike(&self, upstream: usize, trouble: Option<Trouble>) {
        let Upstream { emulated, carries, history, .. } = &self.both[upstream];
        let fault = match trouble.map(|trouble| trouble.what) {
            Some(What::Emulated(words)) => Some(Fault::parse(words).unwrap()),
            _ => None,
        };
        self.sandbox.emulate(*emulated, fault);
        let carried = trouble.map(|trouble| trouble.what).filter(|what| !matches!(what, What::Emulated(_)));
        *carries.lock().unwrap() = carried.unwrap_or(CARRIES_ALL);
        let mut history = history.lock().unwrap();
        let now = Instant::now();
        if let Some((_, end @ None, _)) = history.last_mut() {
            *end = Some(now);
        }
        history.extend(trouble.map(|trouble| (now, None, trouble)));
    }

    /// Whether what befell an upstream explains that an answer, asked for at that moment, has an error of that code, and with
    /// it that time to come again, in milliseconds.
    pub(crate) fn explains(
        &self,
        upstream: usize,
        code: &str,
        come_again: Option<u64>,
        asked_at: Instant,
    ) -> bool {
        let history = self.both[upstream].history.lock().unwrap();
        let explains = |(_, end, trouble): &(Instant, Option<Instant>, Trouble)| {
            // What is short for it is there again with the next minute, each time.
            let (aftermath, is_told) = match code {
                "UPSTREAM_RATE_LIMITED" => (TAUGHT, come_again.is_some_and(|told| told <= WINDOW_MS)),
                _ => (AFTERMATH, true),
            };
            is_told && end.is_none_or(|end| end + aftermath > asked_at) && trouble.codes.contains(&code)
        };
        history.iter().any(explains)
    }

    /// What befell an upstream last, for whoever looks into an accusation.
    pub(crate) fn last(&self, upstream: usize) -> String {
        let history = self.both[upstream].history.lock().unwrap();
        let told = history.iter().rev().take(3).map(|(began, end, trouble)| {
            let ended = end.map_or_else(String::new, |end| format!(", over for {:.1?}", end.elapsed()));
            format!("{:?} since {:.1?}{ended}", trouble.what, began.elapsed())
        });
        told.collect::<Vec<_>>().join("; ")
    }

    pub(crate) fn troubles(&self) -> usize {
        self.both.iter().map(|upstream| upstream.history.lock().unwrap().len()).sum()
    }
}

async fn carry_all(relay: TcpListener, to: std::net::SocketAddr, carries: Arc<Mutex<What>>) {
    loop {
        let Ok((client, _)) = relay.accept().await else { continue };
        let carries = Arc::clone(&carries);
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(to).await else { return };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::select! {
                () = carry(from_client, to_server, &carries) => {}
                () = carry(from_server, to_client, &carries) => {}
            }
        });
    }
}

/// Carries bytes one way, as they may be; both ways end with the first that does.
async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    carries: &Mutex<What>,
) {
    const A_MOMENT: Duration = Duration::from_millis(20);
    let mut bytes = vec![0; 16 << 10];
    loop {
        let how = *carries.lock().unwrap();
        let most = match how {
            What::Closed => return,
            What::Still => {
                tokio::time::sleep(A_MOMENT).await;
                continue;
            }
            What::Dripping => {
                tokio::time::sleep(A_MOMENT).await;
                32
            }
            What::Emulated(_) => bytes.len(),
        };
        // It looks up from reading, as what it is to do may have changed.
        match tokio::time::timeout(A_MOMENT, from.read(&mut bytes[..most])).await {
            Err(_elapsed) => {}
            Ok(Ok(read @ 1..)) if to.write_all(&bytes[..read]).await.is_ok() => {}
            Ok(_) => return,
        }
    }
}
