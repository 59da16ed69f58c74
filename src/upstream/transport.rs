//! The one road to the network, with every policy on it.
//!
//! Quota → a place → breaker (`limiter.rs`) → the attempt, with its time and its bytes → what its end means →
//! what is learnt of it → perhaps once more (`retry.rs`): all of it in [`Transport::send`], before one
//! deadline. A stack of tower layers would be the same in other words, but each layer would have to say
//! anew whose call it is, what for, and until when.
//!
//! A client hands over a path, a query and its authorisation, and gets the bytes of a successful
//! answer or one [`UpstreamError`]. The network itself sits behind a small tower `Service`
//! ([`Network`]), because a paused clock runs ahead while a real socket is pending: tests plug the
//! sandbox in there, in-process, and time stands still while they do.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::time::{Instant, timeout_at};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt, service_fn};
use url::Url;

use super::call_limiter::{CallLimiters, CallPermit};
use super::content_coding::{self, CodingError};
use super::counts::CallCounts;
use super::error::{UpstreamError, UpstreamFailure};
use super::error_body::{self, public_token};
use super::jitter::jitter;
use super::quota::Purpose;
use super::rate_limit;
use super::retry::Retries;
use super::settings::UpstreamSettings;
use super::status::UpstreamStatus;
use crate::domain::clock::Clock;
use crate::domain::credential::Credential;
use crate::domain::problems::Problems;
use crate::domain::upstream_name::{Upstream, UpstreamName};
use crate::replicas::Replicas;
use crate::telemetry::metrics::readings::Readings;
use crate::telemetry::traces::{Fact, Open, Post};

/// A body as it comes from the network.
pub type NetworkBody = UnsyncBoxBody<Bytes, BoxError>;

/// Whatever carries a request to an upstream and its answer back.
pub type Network = BoxCloneSyncService<Request<Bytes>, Response<NetworkBody>, BoxError>;

/// The real network: reqwest over rustls, which follows no redirect, as a redirect would carry a
/// key to wherever it points.
///
/// # Errors
/// Where the TLS stack cannot be set up, for example without any root certificate.
pub fn network(base_url: &Url) -> Result<Network, reqwest::Error> {
    let client = client(base_url)?;
    Ok(BoxCloneSyncService::new(service_fn(move |request: Request<Bytes>| {
        let client = client.clone();
        async move {
            let request = reqwest::Request::try_from(request).map_err(reqwest::Error::without_url)?;
            let response = client.execute(request).await.map_err(reqwest::Error::without_url)?;
            Ok(Response::from(response).map(|body| body.map_err(BoxError::from).boxed_unsync()))
        }
    })))
}

/// The same network for traces on their way to a collector: of its answers the status alone is read.
///
/// # Errors
/// As [`network`].
pub fn post(url: &Url) -> Result<Post, reqwest::Error> {
    let client = client(url)?;
    Ok(BoxCloneSyncService::new(service_fn(move |request: Request<Bytes>| {
        let client = client.clone();
        async move {
            let request = reqwest::Request::try_from(request).map_err(reqwest::Error::without_url)?;
            Ok(client.execute(request).await.map_err(reqwest::Error::without_url)?.status())
        }
    })))
}

/// Headers that a response may have. hyper's default of 100 is too few for some platforms and proxies; their bytes are
/// bounded beside it.
const HEADERS_MAX: usize = 1_000;

fn client(url: &Url) -> Result<reqwest::Client, reqwest::Error> {
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .http1_max_headers(HEADERS_MAX)
        .user_agent(concat!("switchboard/", env!("CARGO_PKG_VERSION")));
    if is_loopback(url) {
        // A proxy of the environment cannot reach this machine's own loopback.
        builder = builder.no_proxy();
    }
    builder.build()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The road to one upstream.
#[derive(Clone)]
pub struct Transport {
    upstream: UpstreamName,
    settings: Arc<UpstreamSettings>,
    network: Network,
    clock: Clock,
    limiters: CallLimiters,
}

/// What is asked of an upstream: one GET.
pub(super) struct UpstreamRequest<'a, U> {
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) credential: &'a Credential<U>,
    /// The header that carries the key.
    pub(super) key: (HeaderName, String),
    pub(super) purpose: Purpose,
    /// When it has to be answered.
    pub(super) deadline: Instant,
}

/// A successful answer: its bytes at first, then what was read in them.
pub(super) struct UpstreamResponse<T> {
    pub(super) headers: HeaderMap,
    pub(super) body: T,
}

impl Transport {
    /// The road to `upstream` over a network.
    #[must_use]
    pub fn new(upstream: UpstreamName, settings: UpstreamSettings, network: Network, clock: Clock) -> Self {
        let settings = Arc::new(settings);
        let limiters = CallLimiters::new(upstream, Arc::clone(&settings), clock);
        Self { upstream, settings, network, clock, limiters }
    }

    /// The same, whose quotas are those of all replicas: they know of one another's calls. Before the first call, and
    /// within a Tokio runtime.
    #[must_use]
    pub fn sharing(self, replicas: Option<&Replicas>) -> Self {
        Self { limiters: self.limiters.sharing(replicas.cloned()), ..self }
    }

    /// Its clock, for what an answer's headers say of time.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// How long what is read now is to count as fresh: `ttl`, stretched to what the credential's quota
    /// allows until its reset.
    #[must_use]
    pub fn fresh_for<U: Upstream>(&self, credential: &Credential<U>, ttl: Duration) -> Duration {
        self.limiters.of(credential).fresh_for(ttl)
    }

    /// How long a refresh (a call for which there is something older to show) has to wait; `None`: it
    /// may go now.
    #[must_use]
    pub fn refresh_wait<U: Upstream>(&self, credential: &Credential<U>) -> Option<Duration> {
        self.limiters.of(credential).refresh_wait()
    }

    /// How the upstream stands for this credential, by what its calls error. It makes no call.
    #[must_use]
    pub fn status<U: Upstream>(&self, credential: &Credential<U>) -> UpstreamStatus {
        self.limiters.of(credential).status()
    }

    /// What became of all calls, for metrics.
    #[must_use]
    pub fn counts(&self) -> CallCounts {
        self.limiters.counts()
    }

    /// Puts what metrics tell of all calls, and of the quotas, into a reading.
    pub(super) fn read_metrics(&self, readings: &mut Readings) {
        self.limiters.read(readings);
    }

    /// Counts what of an answer could not be read or was not asked for.
    pub(super) fn count_problems(&self, problems: &Problems) {
        self.limiters.count_problems(problems);
    }

    /// When a question that is asked now has to be answered.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.settings.deadline()
    }

    /// Asks once, or retry_at where that failed and is worth it, and reads the answer with `decode`; all of it
    /// before the deadline. Each attempt passes the credential's limiter by itself.
    ///
    /// # Errors
    /// The last failure of the upstream; where there was none, what held the call back.
    pub(super) async fn send<U: Upstream, T, E: Into<BoxError>>(
        &self,
        ask: UpstreamRequest<'_, U>,
        decode: impl Fn(&[u8]) -> Result<T, E>,
    ) -> Result<UpstreamResponse<T>, UpstreamError> {
        let limiter = self.limiters.of(ask.credential);
        let (purpose, deadline) = (ask.purpose, ask.deadline);
        let request = self.request(ask)?;
        let mut retries = Retries::for_call(&self.settings.retry, limiter.budget());
        let (mut last_error, mut attempt): (Option<UpstreamError>, u32) = (None, 0);
        loop {
            let tried = match limiter.acquire(purpose, deadline).await {
                Ok(permit) => {
                    if last_error.is_some() {
                        limiter.on_retry();
                    }
                    let call = Open::call(self.upstream, attempt);
                    attempt += 1;
                    let mut request = request.clone();
                    call.tell(&mut request);
                    let read = call.around(self.attempt(request, permit, deadline, &decode)).await;
                    trace(&call, &read);
                    read
                }
                Err(held) => Err(held),
            };
            let failed = match tried {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let now = Instant::now();
            let retry_at = retries.wait(&failed, now, deadline, jitter()).map(|wait| now + wait);
            let error = if failed.is_held() { last_error.unwrap_or(failed) } else { failed };
            match retry_at.filter(|at| limiter.would_allow(purpose, *at)) {
                Some(at) => tokio::time::sleep_until(at).await,
                None => return Err(error),
            }
            last_error = Some(error).filter(|error| !error.is_held());
        }
    }

    /// One call, within its time. Where the deadline leaves it little of that, the call is cut short, which is as if it
    /// had been cancelled: how much longer it would have taken, nobody knows.
    async fn attempt<T, E: Into<BoxError>>(
        &self,
        request: Request<Bytes>,
        mut permit: CallPermit,
        deadline: Instant,
        decode: impl Fn(&[u8]) -> Result<T, E>,
    ) -> Result<UpstreamResponse<T>, UpstreamError> {
        let (began, timeout) = (Instant::now(), self.settings.timeout().min(self.settings.deadline()));
        let until = deadline.min(began + timeout);
        let answered = timeout_at(until, self.call(request, &mut permit, until).boxed()).await;
        let read = match answered {
            Ok(Ok(UpstreamResponse { headers, body })) => match decode(&body) {
                Ok(body) => Ok(UpstreamResponse { headers, body }),
                Err(error) => Err(self.error(UpstreamFailure::BadResponse).caused_by(error)),
            },
            Ok(Err(error)) => Err(error),
            Err(_elapsed) if until - began < timeout / 2 => return Err(self.error(UpstreamFailure::Timeout)),
            Err(_elapsed) => Err(self.error(UpstreamFailure::Timeout)),
        };
        permit.end(read.as_ref().map(|_| ()));
        read
    }

    fn request<U: Upstream>(&self, ask: UpstreamRequest<'_, U>) -> Result<Request<Bytes>, UpstreamError> {
        let mut url = self.settings.base_url.clone();
        url.set_path(&format!("{}{}", self.settings.base_url.path().trim_end_matches('/'), ask.path));
        url.set_query((!ask.query.is_empty()).then_some(ask.query));
        let (header_name, key) = ask.key;
        let mut key = HeaderValue::try_from(key)
            .map_err(|error| self.error(UpstreamFailure::Internal).caused_by(error))?;
        key.set_sensitive(true);
        Request::get(url.as_str())
            .header(header::ACCEPT, "application/json")
            .header(header::ACCEPT_ENCODING, content_coding::ACCEPTED)
            .header(header_name, key)
            .body(Bytes::new())
            // The one thing that can be wrong is a URL of more than 64 KiB, which no server takes either (414).
            .map_err(|error| self.error(UpstreamFailure::Rejected).caused_by(error))
    }

    async fn call(
        &self,
        request: Request<Bytes>,
        permit: &mut CallPermit,
        until: Instant,
    ) -> Result<UpstreamResponse<Bytes>, UpstreamError> {
        let unavailable = |error: BoxError| {
            let is_closed = is_closed_connection(error.as_ref());
            let error = self.error(UpstreamFailure::Unavailable).caused_by(error);
            if is_closed { error.on_closed_connection() } else { error }
        };
        let response = self.network.clone().oneshot(request).await.map_err(unavailable)?;
        let (head, body) = response.into_parts();
        // At once: whatever becomes of the body, the call was counted.
        let held = permit.on_response(head.status, &head.headers);
        // 203: a proxy on the way has changed the response (RFC 9110, 15.3.4), which still answers the request.
        if matches!(head.status, StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION) {
            let limit_bytes = self.settings.body_limit_bytes;
            let body = self.read(body, limit_bytes).await?;
            let body = content_coding::decode(&head.headers, body, limit_bytes).map_err(|coding| {
                let error = self.error(UpstreamFailure::BadResponse).caused_by(coding);
                if coding == CodingError::TooLarge { error.permanent() } else { error }
            })?;
            return Ok(UpstreamResponse { headers: head.headers, body });
        }
        // The status says what to do, whether or not its body ever comes.
        let soon = until.min(Instant::now() + REFUSAL_TIME);
        let body =
            timeout_at(soon, self.read(body, REFUSAL_BYTES_MAX)).await.map_or_else(|_| None, Result::ok);
        let body = body.and_then(|body| content_coding::decode(&head.headers, body, REFUSAL_BYTES_MAX).ok());
        let mut refusal = self.refusal(head.status, &head.headers, &body.unwrap_or_default());
        refusal.retry_after = held.or(refusal.retry_after);
        Err(refusal)
    }

    async fn read(&self, mut body: NetworkBody, limit_bytes: usize) -> Result<Bytes, UpstreamError> {
        let bad = || self.error(UpstreamFailure::BadResponse);
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| bad().caused_by(error))?;
            if let Some(data) = frame.data_ref() {
                if bytes.len() + data.len() > limit_bytes {
                    // It will be as large the next time.
                    return Err(bad().permanent().caused_by("the answer is larger than it may be"));
                }
                bytes.extend_from_slice(data);
            }
        }
        Ok(bytes.freeze())
    }

    /// What a status other than 200 means (UPSTREAMS.md A7, B2: the status decides, the body only
    /// adds to it).
    fn refusal(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
        let failure = match status.as_u16() {
            401 => UpstreamFailure::Unauthorized,
            403 => UpstreamFailure::Forbidden,
            429 => UpstreamFailure::RateLimited,
            408 => UpstreamFailure::Timeout,
            400..=499 => UpstreamFailure::Rejected,
            500.. => UpstreamFailure::Unavailable,
            // 1xx never gets here; another 2xx or a redirect is no answer to this question.
            _ => UpstreamFailure::BadResponse,
        };
        let error = error_body::read(body);
        let request_id = request_id(headers).or(error.request_id);
        let mut error = self.error(failure);
        error.status = Some(status.as_u16());
        error.retry_after = rate_limit::wait(headers, self.clock.now()).filter(|_| failure.is_retryable());
        error.request_id = request_id.map(Into::into);
        error.slug = error.slug.map(Into::into);
        error
    }

    pub(super) fn error(&self, failure: UpstreamFailure) -> UpstreamError {
        UpstreamError::new(self.upstream, failure)
    }
}

/// Whether the connection was closed before any byte of a response came, as a server does with a kept-alive connection that it has given up
/// (RFC 9110, 9.2.2 and RFC 9112, 9.3.1 let a client repeat an idempotent request then).
fn is_closed_connection(error: &(dyn Error + 'static)) -> bool {
    let is_incomplete = error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message);
    let is_reset = error.downcast_ref::<io::Error>().is_some_and(|error| {
        matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
    });
    is_incomplete || is_reset || error.source().is_some_and(is_closed_connection)
}

/// Tells the trace how a call ended.
fn trace<T>(call: &Open, read: &Result<UpstreamResponse<T>, UpstreamError>) {
    let (status, id) = match read {
        Ok(UpstreamResponse { headers, .. }) => {
            (Some(StatusCode::OK.as_u16()), request_id(headers).map(Into::into))
        }
        Err(error) => (error.status, error.request_id.clone()),
    };
    for fact in [status.map(Fact::Status), id.as_deref().map(Fact::UpstreamRequestId)].into_iter().flatten() {
        call.note(fact);
    }
    if let Err(error) = read {
        call.note(Fact::Failed(error.failure.code()));
    }
}

/// How long the body of a refusal is waited for, and how much of it is read: it only adds to what its status says.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// The upstream's request id, where it is one that may be shown.
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    public_token(headers.get("x-request-id")?.to_str().ok()?)
}
