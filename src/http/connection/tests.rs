//! Connections with slow, disconnected or greedy clients, over in-memory pipes and with paused time.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::*;

const PATIENCE: ConnectionTimeouts = ConnectionTimeouts {
    head: Duration::from_secs(10),
    idle: Duration::from_secs(60),
    write: Duration::from_secs(30),
};
const LARGE: usize = 1 << 20;

/// A server with one connection permit.
struct Served {
    client: DuplexStream,
    permits: Arc<Semaphore>,
    phase: watch::Sender<ConnectionPhase>,
    is_full: Arc<AtomicBool>,
    serving: JoinHandle<()>,
}

fn served() -> Served {
    let (client, stream) = duplex(16 << 10);
    let permits = Arc::new(Semaphore::new(1));
    let permit = Arc::clone(&permits).try_acquire_owned().unwrap();
    let (phase, watched) = watch::channel(ConnectionPhase::Serving);
    let is_full = Arc::new(AtomicBool::new(false));
    let crowd = Arc::clone(&is_full);
    let router = Router::new()
        .route("/", get("hello"))
        .route("/large", get(async || "x".repeat(LARGE)))
        .route("/slow", post(async |body: String| (sleep(Duration::from_secs(20)).await, body).1))
        .route("/echo", post(async |body: Bytes| drop(body)))
        .route("/refused", post(async || axum::http::StatusCode::FORBIDDEN))
        .route("/never", get(async || std::future::pending::<&str>().await))
        .route("/events", get(events))
        .route("/stalled", get(stalled));
    let server = ConnectionServer {
        routes: router.into(),
        head_limit_bytes: 16 << 10,
        timeouts: PATIENCE,
        is_full: Arc::new(move || crowd.load(Ordering::Relaxed)),
        connections: Arc::default(),
    };
    let serving = tokio::spawn(server.serve(stream, permit, watched));
    Served { client, permits, phase, is_full, serving }
}

/// A response whose feeding task finds that the client does not read.
async fn stalled(request: Request<Body>) -> &'static str {
    ShutdownToken::from_extensions(request.extensions()).abort_response();
    std::future::pending().await
}

/// An endless stream with an event every ten seconds.
async fn events() -> axum::response::Response {
    let ticks = futures_util::stream::unfold((), async |()| {
        sleep(Duration::from_secs(10)).await;
        Some((Ok::<_, std::io::Error>("data: tick\n\n"), ()))
    });
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(ticks.boxed())).into_response()
}

impl Served {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.client.write_all(bytes.as_ref()).await.unwrap();
    }

    async fn ask(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
    }

    /// Returns the bytes up to and including `end`.
    async fn until(&mut self, end: &str) -> String {
        let mut seen = Vec::new();
        while !seen.ends_with(end.as_bytes()) {
            let mut byte = [0];
            self.client.read_exact(&mut byte).await.unwrap();
            seen.extend(byte);
        }
        String::from_utf8(seen).unwrap()
    }

    /// Returns the number of seconds after which the server closed the connection.
    async fn ended_after(&mut self) -> u64 {
        let start = Instant::now();
        (&mut self.serving).await.unwrap();
        assert_eq!(self.permits.available_permits(), 1, "its permit is free again");
        start.elapsed().as_secs()
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_nothing_is_disconnected() {
    assert_eq!(served().ended_after().await, PATIENCE.head.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_is_disconnected_even_if_bytes_keep_arriving() {
    for beginning in ["GET / HTTP/1.1\r\nx-slow: ", "PRI * HTT"] {
        let mut served = served();
        served.send(beginning).await;
        let mut bytes = 0;
        while served.client.write_all(b"P").await.is_ok() && bytes < 100 {
            bytes += 1;
            sleep(Duration::from_secs(1)).await;
        }
        assert!(bytes <= PATIENCE.head.as_secs() + 1, "{bytes} bytes were taken");
        served.ended_after().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_reused_until_its_idle_timeout() {
    let mut served = served();
    for _ in 0..3 {
        served.ask("/").await;
        assert!(served.until("hello").await.starts_with("HTTP/1.1 200"));
        sleep(PATIENCE.idle / 2).await;
    }
    served.ask("/").await;
    served.until("hello").await;
    // After a response, half a head has the head timeout, not the idle timeout.
    served.send("GET / HT").await;
    assert_eq!(served.ended_after().await, PATIENCE.head.as_secs());

    let mut idle = self::served();
    idle.ask("/").await;
    idle.until("hello").await;
    assert_eq!(idle.ended_after().await, PATIENCE.idle.as_secs());
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_early_at_the_connection_limit() {
    let mut served = served();
    served.is_full.store(true, Ordering::Relaxed);
    served.ask("/").await;
    served.until("hello").await;
    assert_eq!(served.ended_after().await, IDLE_TIMEOUT_WHEN_FULL.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_running_request_is_not_disconnected() {
    let mut served = served();
    served.ask("/never").await;
    sleep(Duration::from_secs(3_600)).await;
    assert!(!served.serving.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_not_read_is_dropped() {
    let mut served = served();
    served.ask("/large").await;
    assert_eq!(served.ended_after().await, PATIENCE.write.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_read_is_sent_completely() {
    let mut served = served();
    served.ask("/large").await;
    served.until("\r\n\r\n").await;
    let mut body = vec![0; LARGE];
    served.client.read_exact(&mut body).await.unwrap();
    assert!(body.iter().all(|byte| *byte == b'x'));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_closes_its_side_gets_its_response() {
    let mut served = served();
    served.send("POST /slow HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}").await;
    served.client.shutdown().await.unwrap();
    assert!(served.until("{}").await.starts_with("HTTP/1.1 200"));
    assert_eq!(served.ended_after().await, 0, "nothing can follow");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_closes_its_side_early_or_of_a_stream_is_disconnected() {
    for request in [
        "GET /never HTTP/1.1\r\nhost: ",
        "POST /slow HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{",
        "GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ] {
        let mut served = served();
        served.send(request).await;
        served.client.shutdown().await.unwrap();
        assert_eq!(served.ended_after().await, 0, "{request}");
    }
    // It may be gone, so it is waited for only so long.
    let mut served = served();
    served.ask("/never").await;
    served.client.shutdown().await.unwrap();
    assert_eq!(served.ended_after().await, PATIENCE.write.as_secs());
}

/// A request over HTTP/2 for `path`, by a client with an empty flow-control window (RFC 9113, 4.1 and 6.5.2; RFC 7541,
/// 6.1).
fn http2_without_a_window(path: &str) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend([0, 0, 6, 4, 0, 0, 0, 0, 0, /* INITIAL_WINDOW_SIZE */ 0, 4, 0, 0, 0, 0]);
    bytes.extend(http2_get(1, path));
    bytes
}

/// Returns the request for `path` on a stream.
fn http2_get(stream: u8, path: &str) -> Vec<u8> {
    let mut head = vec![/* GET */ 0x82, /* http */ 0x86, /* :path */ 0x44];
    head.push(u8::try_from(path.len()).unwrap());
    head.extend(path.as_bytes());
    head.extend([/* :authority */ 0x41, 1, b'a']);
    let length = u8::try_from(head.len()).unwrap();
    [&[0, 0, length, HEADERS, /* END_STREAM, END_HEADERS */ 5, 0, 0, 0, stream], head.as_slice()].concat()
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const WINDOW_UPDATE: u8 = 8;

impl Served {
    /// Returns the next HTTP/2 frame: type, stream, and length of the payload.
    async fn frame(&mut self) -> (u8, u8, usize) {
        let mut head = [0; 9];
        self.client.read_exact(&mut head).await.unwrap();
        let length = usize::from(head[1]) << 8 | usize::from(head[2]);
        self.client.read_exact(&mut vec![0; length]).await.unwrap();
        (head[3], head[8], length)
    }

    /// Returns the next frame of a type.
    async fn frame_of(&mut self, kind: u8) -> (u8, usize) {
        loop {
            let (found, stream, length) = self.frame().await;
            if found == kind {
                return (stream, length);
            }
        }
    }

    /// Lets the server send more bytes on a stream.
    async fn widen(&mut self, stream: u8, bytes: u16) {
        let [high, low] = bytes.to_be_bytes();
        self.send([0, 0, 4, WINDOW_UPDATE, 0, 0, 0, 0, stream, 0, 0, high, low]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_http2_response_that_is_not_read_resets_its_stream_alone() {
    // Nothing of the first response is read, or its beginning.
    for window in [0, 1, 20_000] {
        let mut served = served();
        served.send(http2_without_a_window("/large")).await;
        let start = Instant::now();
        if window > 0 {
            served.widen(1, window).await;
        }
        for stream in [3, 5, 7] {
            sleep(PATIENCE.write / 4).await;
            served.send(http2_get(stream, "/")).await;
            served.widen(stream, 100).await;
            while served.frame_of(DATA).await != (stream, "hello".len()) {}
        }
        assert_eq!(served.frame_of(RST_STREAM).await.0, 1);
        assert_eq!(start.elapsed().as_secs(), PATIENCE.write.as_secs(), "{window}");
        served.send(http2_get(9, "/")).await;
        served.widen(9, 100).await;
        assert_eq!(served.frame_of(HEADERS).await.0, 9);
        assert_eq!(served.frame_of(DATA).await, (9, "hello".len()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_stream_of_events_ends_its_http2_stream_or_its_http1_connection() {
    let mut http2 = served();
    http2.send(http2_without_a_window("/stalled")).await;
    assert_eq!(http2.frame_of(RST_STREAM).await.0, 1);
    http2.send(http2_get(3, "/")).await;
    http2.widen(3, 100).await;
    assert_eq!(http2.frame_of(DATA).await, (3, "hello".len()));

    let mut http1 = served();
    http1.ask("/stalled").await;
    assert_eq!(http1.ended_after().await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_http2_response_that_is_read_slowly_is_sent_completely() {
    let mut served = served();
    served.send(http2_without_a_window("/large")).await;
    // The window of the connection, too (RFC 9113, 6.9.1).
    let mut received = 0;
    while received < LARGE {
        served.widen(1, 60_000).await;
        served.widen(0, 60_000).await;
        sleep(Duration::from_millis(100)).await;
        while received < LARGE
            && let Ok((_, length)) =
                tokio::time::timeout(Duration::from_millis(1), served.frame_of(DATA)).await
        {
            received += length;
        }
    }
    assert_eq!(received, LARGE);
}

#[tokio::test(start_paused = true)]
async fn an_event_stream_is_not_a_slow_response() {
    let mut served = served();
    served.ask("/events").await;
    for _ in 0..20 {
        served.until("data: tick\n\n").await;
    }
    drop(served.client);
    served.serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_active_requests_but_not_for_idle_connections() {
    let mut idle = served();
    idle.ask("/").await;
    idle.until("hello").await;
    idle.phase.send(ConnectionPhase::Draining).unwrap();
    assert_eq!(idle.ended_after().await, 0);

    let mut busy = served();
    busy.ask("/never").await;
    sleep(Duration::from_secs(1)).await;
    busy.phase.send(ConnectionPhase::Draining).unwrap();
    sleep(Duration::from_secs(1)).await;
    assert!(!busy.serving.is_finished());
    busy.phase.send(ConnectionPhase::Aborted).unwrap();
    assert_eq!(busy.ended_after().await, 0);
}

/// Sends requests of HTTP/1 one after the other, and returns the status of each response.
async fn statuses(requests: &[&str]) -> Vec<String> {
    let mut served = served();
    let mut statuses = Vec::new();
    for request in requests {
        let (mut read, mut write) = tokio::io::split(&mut served.client);
        let mut head = Vec::new();
        let receive = async {
            while !head.ends_with(b"\r\n\r\n") && read.read_buf(&mut head).await.unwrap_or_default() > 0 {}
        };
        // The server may close before it has read everything.
        tokio::join!(receive, async { drop(write.write_all(request.as_bytes()).await) });
        statuses.push(String::from_utf8_lossy(&head).chars().skip(9).take(3).collect());
    }
    statuses
}

const POST: &str = "POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: ";

#[tokio::test(start_paused = true)]
async fn a_request_line_that_is_too_long_is_refused_with_its_own_status_on_every_request() {
    let get = "HEAD / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let post = |bytes: usize| format!("{POST}{bytes}\r\n\r\n{}", "x".repeat(bytes));
    for bytes in [16 << 10, 20 << 10, 33 << 10, 100_000, 1_000_000] {
        let line = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(bytes));
        assert_eq!(statuses(&[&line]).await, ["414"], "{bytes}");
        assert_eq!(statuses(&[get, get, &line]).await, ["200", "200", "414"], "{bytes}");
        for body in [0, 7, 16_000, 16 << 10, 20_000, 100_000] {
            let post = post(body);
            let requests: [&str; 3] = [&post, get, &line];
            assert_eq!(statuses(&requests).await, ["200", "200", "414"], "{bytes} after {body}");
            assert_eq!(statuses(&[&post, &line]).await, ["200", "414"], "{bytes} after {body}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_head_that_is_too_large_is_refused() {
    let get = "HEAD / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for bytes in [16 << 10, 20 << 10, 33 << 10, 100_000] {
        let long = format!("GET / HTTP/1.0\r\nx-long: {}\r\n\r\n", "x".repeat(bytes));
        let line = format!("GET /{} HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(16_000), "x".repeat(bytes));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x-many: x\r\n".repeat(bytes / 10));
        for head in [long, line, many] {
            assert_eq!(statuses(&[&head]).await, ["431"], "{bytes}");
            assert_eq!(statuses(&[get, &head]).await, ["200", "431"], "{bytes}");
            let post = format!("{POST}20000\r\n\r\n{}", "x".repeat(20_000));
            assert_eq!(statuses(&[&post, &head]).await, ["200", "431"], "{bytes}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_refused_early_is_no_request_line() {
    let refused = format!(
        "POST /refused HTTP/1.1\r\nhost: localhost\r\ncontent-length: 50000\r\n\r\n{}",
        "x".repeat(50_000)
    );
    assert_eq!(statuses(&[&refused]).await, ["403"]);
    let chunks = format!(
        "POST /refused HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nc350\r\n{}",
        "x".repeat(50_000)
    );
    assert_eq!(statuses(&[&chunks]).await, ["403"]);
    // A body that looks like the library's response is no response.
    let echo = format!("{POST}20013\r\n\r\nHTTP/1.1 431 {}", "x".repeat(20_000));
    assert_eq!(statuses(&[&echo]).await, ["200"]);
}
