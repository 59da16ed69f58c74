//! The way of spans to the collector: a queue with an end, a task that empties it, one message at a time.
//!
//! Nothing waits for the collector: where the queue is full, spans are dropped and counted, and a line a minute tells. The
//! library's own batch processors were rejected: the stable one has a thread of its own, the one on Tokio blocks a thread while
//! it ends, and neither tells of what it dropped unless the library may write to the log whatever it likes.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Uri};
use opentelemetry::Context;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use prost::Message as _;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt as _;

use super::Post;
use super::settings::{BadHeaders, TraceSettings};

/// How many spans wait at most.
const QUEUE: usize = 8_192;

/// How many go in one message.
const MESSAGE: usize = 512;

/// How long a span waits at most for others to go along.
const EVERY: Duration = Duration::from_secs(1);

/// How often a message is sent again that the collector could not take for now, and the pause before the first time; twice
/// as long before each further one.
const AGAIN: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// How long the last messages may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long nothing more is said of spans that were lost.
const SILENCE: Duration = Duration::from_secs(60);

/// Begins to post spans to the collector.
pub(super) fn start(
    settings: &TraceSettings,
    resource: &Resource,
    post: Post,
) -> Result<(Queue, Exporter), BadHeaders> {
    let (sender, spans) = mpsc::channel(QUEUE);
    let (end, asked_to_end) = watch::channel(());
    let (enough, lost) = (Arc::new(Notify::new()), Arc::new(AtomicU64::new(0)));
    let mut headers = HeaderMap::new();
    headers.extend(settings.headers()?);
    headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/x-protobuf"));
    let delivery = Delivery {
        spans,
        enough: Arc::clone(&enough),
        lost: Arc::clone(&lost),
        asked_to_end,
        is_ending: false,
        silent_until: None,
        resource: resource.into(),
        url: settings.url().and_then(|url| url.as_str().parse().ok()).unwrap_or_default(),
        headers,
        timeout: settings.timeout(),
        post,
    };
    Ok((Queue { sender, enough, lost }, Exporter { end, task: tokio::spawn(delivery.run()) }))
}

/// Where spans are put when they end.
#[derive(Debug)]
pub(super) struct Queue {
    sender: mpsc::Sender<SpanData>,
    enough: Arc<Notify>,
    lost: Arc<AtomicU64>,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.sender.try_send(span).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        if self.sender.max_capacity() - self.sender.capacity() >= MESSAGE {
            self.enough.notify_one();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    /// The exporter is what ends.
    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// What posts them.
#[derive(Debug)]
pub(super) struct Exporter {
    end: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Exporter {
    /// Ends it, with what waits posted if that can be done in time.
    pub(super) async fn end(mut self) {
        drop(self.end);
        if timeout(FAREWELL, &mut self.task).await.is_err() {
            self.task.abort();
            tracing::warn!("the last traces did not reach the collector in time");
        }
    }
}

struct Delivery {
    spans: mpsc::Receiver<SpanData>,
    enough: Arc<Notify>,
    lost: Arc<AtomicU64>,
    asked_to_end: watch::Receiver<()>,
    is_ending: bool,
    silent_until: Option<Instant>,
    resource: ResourceAttributesWithSchema,
    url: Uri,
    headers: HeaderMap,
    timeout: Duration,
    post: Post,
}

/// Why a message was not taken.
struct Refusal {
    why: String,
    may_pass: bool,
}

impl Delivery {
    async fn run(mut self) {
        while !self.is_ending {
            tokio::select! {
                () = sleep(EVERY) => {}
                () = self.enough.notified() => {}
                _ = self.asked_to_end.changed() => self.is_ending = true,
            }
            loop {
                let mut message = Vec::new();
                while message.len() < MESSAGE
                    && let Ok(span) = self.spans.try_recv()
                {
                    message.push(span);
                }
                if message.is_empty() {
                    break;
                }
                self.deliver(message).await;
            }
            if self.lost.load(Ordering::Relaxed) > 0 {
                self.complain("they came faster than it took them");
            }
        }
    }

    /// Posts a message, and again where that may help.
    async fn deliver(&mut self, spans: Vec<SpanData>) {
        let count = spans.len();
        let resource_spans = group_spans_by_resource_and_scope(spans, &self.resource);
        let message = Bytes::from(ExportTraceServiceRequest { resource_spans }.encode_to_vec());
        let mut pause = PAUSE;
        for left in (0..=AGAIN).rev() {
            let Err(refusal) = self.send(message.clone()).await else { return };
            let is_last = left == 0 || !refusal.may_pass || !self.waited(pause).await;
            if is_last {
                self.lost.fetch_add(count as u64, Ordering::Relaxed);
                return self.complain(&refusal.why);
            }
            pause *= 2;
        }
    }

    /// Whether so much time has passed; it does not where the end is asked for.
    async fn waited(&mut self, pause: Duration) -> bool {
        if !self.is_ending {
            tokio::select! {
                () = sleep(pause) => {}
                _ = self.asked_to_end.changed() => self.is_ending = true,
            }
        }
        !self.is_ending
    }

    async fn send(&self, message: Bytes) -> Result<(), Refusal> {
        let may_pass = |why: &str| Refusal { why: why.to_owned(), may_pass: true };
        let mut request = Request::new(message);
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.url.clone();
        *request.headers_mut() = self.headers.clone();
        let status = match timeout(self.timeout, self.post.clone().oneshot(request)).await {
            Ok(Ok(status)) => status,
            // The error itself could quote the URL.
            Ok(Err(_)) => return Err(may_pass("there is no connection to it")),
            Err(_elapsed) => return Err(may_pass("it did not answer in time")),
        };
        // Those that say that it may pass (OTLP, "Failures").
        let may_pass = matches!(status.as_u16(), 429 | 502 | 503 | 504);
        let why = || format!("it answered {}", status.as_u16());
        if status.is_success() { Ok(()) } else { Err(Refusal { why: why(), may_pass }) }
    }

    /// Tells, at most once in a while, what was lost, since this was told last, and why.
    fn complain(&mut self, why: &str) {
        let now = Instant::now();
        if self.silent_until.is_some_and(|until| now < until) {
            return;
        }
        self.silent_until = Some(now + SILENCE);
        let lost = self.lost.swap(0, Ordering::Relaxed);
        tracing::warn!(lost, why, "traces do not reach the collector");
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Mutex;

    use http::StatusCode;
    use tower::service_fn;
    use tower::util::BoxCloneSyncService;

    use super::*;
    use crate::telemetry::tests::logged;
    use crate::telemetry::traces::Traces;

    /// A collector that gives these answers, one to each message, and then is silent; and how many spans came that it took.
    fn answering(statuses: &[u16]) -> (Post, Arc<Mutex<Vec<usize>>>) {
        let took = Arc::new(Mutex::new(Vec::new()));
        let statuses: Vec<_> =
            statuses.iter().rev().map(|status| StatusCode::from_u16(*status).unwrap()).collect();
        let (statuses, seen) = (Arc::new(Mutex::new(statuses)), Arc::clone(&took));
        let post = BoxCloneSyncService::new(service_fn(move |request: Request<Bytes>| {
            let next = statuses.lock().unwrap().pop();
            let message = ExportTraceServiceRequest::decode(request.into_body()).unwrap();
            let count =
                message.resource_spans.iter().flat_map(|of| &of.scope_spans).map(|of| of.spans.len()).sum();
            if next.is_some_and(|status| status.is_success()) {
                seen.lock().unwrap().push(count);
            }
            async move {
                match next {
                    Some(status) => Ok(status),
                    None => pending().await,
                }
            }
        }));
        (post, took)
    }

    fn traces(post: Post) -> Traces {
        let settings = TraceSettings {
            endpoint: "http://canary.example/canary".to_owned(),
            headers: "authorization=canary".into(),
            service_name: "switchboard".to_owned(),
            sample_percent: 100,
            timeout_ms: 10_000,
        };
        Traces::start(&settings, post).unwrap()
    }

    fn requests(traces: &Traces, count: usize) {
        for _ in 0..count {
            drop(traces.root().request("GET", None, &HeaderMap::new()));
        }
    }

    /// What is logged while something is done on the paused clock.
    fn logged_of(done: impl Future<Output = ()>) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let text = logged(|| runtime.unwrap().block_on(done));
        assert!(!text.contains("canary"), "{text}");
        text.lines().map(str::to_owned).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn spans_go_in_messages_once_a_second_or_when_there_are_enough() {
        let (post, took) = answering(&[200; 4]);
        let traces = traces(post);
        requests(&traces, 3);
        sleep(EVERY + Duration::from_millis(1)).await;
        assert_eq!(*took.lock().unwrap(), [3]);
        requests(&traces, MESSAGE + 1);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(*took.lock().unwrap(), [3, MESSAGE, 1], "without a pause");
        requests(&traces, 2);
        traces.end().await;
        assert_eq!(*took.lock().unwrap(), [3, MESSAGE, 1, 2], "the last at the end");
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_could_not_be_taken_for_now_is_sent_again() {
        let (post, took) = answering(&[503, 429, 502, 200]);
        let traces = traces(post);
        requests(&traces, 3);
        sleep(EVERY + 7 * PAUSE + Duration::from_millis(1)).await;
        assert_eq!(*took.lock().unwrap(), [3]);
    }

    #[test]
    fn what_is_lost_is_told_once_a_minute_and_where_to_is_not() {
        let lines = logged_of(async {
            let (post, _) = answering(&[401; 200]);
            let traces = traces(post);
            sleep(EVERY / 2).await;
            for _ in 0..100 {
                requests(&traces, 1);
                sleep(EVERY).await;
            }
        });
        let [first, second] = &lines[..] else { panic!("{lines:#?}") };
        for line in [first, second] {
            assert!(
                line.contains("traces do not reach the collector") && line.contains("it answered 401"),
                "{line}"
            );
        }
        assert!(first.contains("lost=1 ") && second.contains("lost=60 "), "{lines:#?}");
    }

    #[test]
    fn a_collector_that_is_silent_costs_spans_and_a_second_at_the_end() {
        let lines = logged_of(async {
            let (post, _) = answering(&[]);
            let traces = traces(post);
            requests(&traces, 1);
            sleep(2 * EVERY).await;
            // It waits for an answer now: what comes beyond the queue is dropped.
            requests(&traces, QUEUE + 10);
            let before = Instant::now();
            traces.end().await;
            assert_eq!(before.elapsed(), FAREWELL);
        });
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(lines[0].contains("the last traces did not reach the collector in time"), "{lines:#?}");
    }

    #[test]
    fn a_queue_that_ran_over_is_told() {
        let lines = logged_of(async {
            let (post, took) = answering(&[200; 100]);
            let traces = traces(post);
            requests(&traces, QUEUE + 10);
            traces.end().await;
            assert_eq!(took.lock().unwrap().iter().sum::<usize>(), QUEUE);
        });
        assert!(
            lines.len() == 1 && lines[0].contains("lost=10 ") && lines[0].contains("faster"),
            "{lines:#?}"
        );
    }
}
