//! The only HTTP client of upstreams, and the policies that each call passes.
//!
//! [`Transport::send`] acquires a permit (`call_limiter.rs`), makes one attempt within its timeout and size limit,
//! classifies and records the result, and repeats the call if [`Retries`] allows it. One deadline applies to all of
//! this. Rejected: a stack of tower layers. Each layer would need the credential, the purpose and the deadline again.
//!
//! The network is a small tower `Service` ([`Network`]). Tests use the sandbox as network, in the same process: with a
//! real socket, a paused clock would run ahead while the socket is pending.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::time::{Instant, timeout_at};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt, service_fn};
use url::{Position, Url};

use super::call_limiter::{CallLimiters, CallPermit};
use super::content_coding::{self, CodingError};
use super::counts::CallCounts;
use super::error::{UpstreamError, UpstreamFailure};
use super::error_body::{self, public_token};
use super::quota::Purpose;
use super::rate_limit;
use super::refusals::Refusals;
use super::request_kind::RequestKind;
use super::retry::Retries;
use super::settings::UpstreamSettings;
use super::status::UpstreamStatus;
use crate::domain::clock::Clock;
use crate::domain::credential::{Credential, Fingerprint};
use crate::domain::problems::Problems;
use crate::domain::upstream_name::{Upstream, UpstreamName};
use crate::domain::web_url::is_loopback;
use crate::replicas::Replicas;
use crate::telemetry::metrics::readings::Readings;
use crate::telemetry::traces::{PostService, SpanAttribute, SpanGuard};

/// Body of a response as it arrives from the network.
pub type NetworkBody = UnsyncBoxBody<Bytes, BoxError>;

/// Service that sends a request to an upstream and returns its response.
pub type Network = BoxCloneSyncService<Request<Bytes>, Response<NetworkBody>, BoxError>;

/// Creates the real network: reqwest over rustls. It follows no redirects, because a redirect could send the key to
/// another host.
///
/// # Errors
/// If TLS cannot be set up, for example without any root certificate.
pub fn network(base_url: &Url) -> Result<Network, reqwest::Error> {
    client(base_url).map(network_of)
}

/// Creates the real networks of two upstreams. They share a client if possible, because each client loads the system's
/// certificates, which delays the start by milliseconds.
///
/// # Errors
/// As [`network`].
pub fn networks([first, second]: [&Url; 2]) -> Result<[Network; 2], reqwest::Error> {
    let shared = client(first)?;
    let needs = |url| (is_loopback(url), is_local_http(url));
    let other = if needs(first) == needs(second) { shared.clone() } else { client(second)? };
    Ok([shared, other].map(network_of))
}

/// Whether a URL needs no TLS, not even to a proxy.
fn is_local_http(url: &Url) -> bool {
    is_loopback(url) && url.scheme() == "http"
}

fn network_of(client: reqwest::Client) -> Network {
    BoxCloneSyncService::new(service_fn(move |request: Request<Bytes>| {
        let client = client.clone();
        async move {
            let request = reqwest::Request::try_from(request).map_err(reqwest::Error::without_url)?;
            let response = client.execute(request).await.map_err(reqwest::Error::without_url)?;
            Ok(Response::from(response).map(|body| body.map_err(BoxError::from).boxed_unsync()))
        }
    }))
}

/// Creates the network for exporting traces to a collector. It reads only the status of responses.
///
/// # Errors
/// As [`network`].
pub fn post(url: &Url) -> Result<PostService, reqwest::Error> {
    let client = client(url)?;
    Ok(BoxCloneSyncService::new(service_fn(move |request: Request<Bytes>| {
        let client = client.clone();
        async move {
            let request = reqwest::Request::try_from(request).map_err(reqwest::Error::without_url)?;
            Ok(client.execute(request).await.map_err(reqwest::Error::without_url)?.status())
        }
    })))
}

/// Maximum number of headers of a response. hyper's default of 100 is too low for some platforms and proxies; hyper
/// also bounds the bytes of all headers.
const HEADERS_MAX: usize = 1_000;

fn client(url: &Url) -> Result<reqwest::Client, reqwest::Error> {
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .http1_max_headers(HEADERS_MAX)
        .user_agent(concat!("switchboard/", env!("CARGO_PKG_VERSION")));
    if is_loopback(url) {
        // A proxy from the environment cannot reach this machine's loopback.
        builder = builder.no_proxy();
    }
    if is_local_http(url) {
        // Reading the system's certificates would take a third of the start.
        builder = builder.tls_certs_only(std::iter::empty::<reqwest::Certificate>());
    }
    builder.build()
}

/// Client of one upstream.
#[derive(Clone)]
pub struct Transport {
    upstream: UpstreamName,
    settings: Arc<UpstreamSettings>,
    network: Network,
    /// For times in response headers.
    pub(super) clock: Clock,
    limiters: CallLimiters,
}

/// A request to an upstream.
pub(super) struct UpstreamRequest<'a, U> {
    pub(super) kind: RequestKind,
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    /// The JSON body; empty without one.
    pub(super) body: Bytes,
    /// Identifies the rate limit and the circuit breaker of the call.
    pub(super) credential: &'a Credential<U>,
    pub(super) purpose: Purpose,
}

/// Returns the header with an API key.
fn auth_header<U: Upstream>(credential: &Credential<U>) -> (HeaderName, String) {
    let key = credential.expose();
    match U::NAME {
        UpstreamName::Leadlex => (header::AUTHORIZATION, format!("Bearer {key}")),
        UpstreamName::Composio => (HeaderName::from_static("x-api-key"), key.to_owned()),
    }
}

/// A successful response. Its body is first bytes, then the decoded value.
pub(super) struct UpstreamResponse<T> {
    pub(super) headers: HeaderMap,
    pub(super) body: T,
}

impl Transport {
    /// Creates a client of `upstream` over `network`.
    #[must_use]
    pub fn new(upstream: UpstreamName, settings: UpstreamSettings, network: Network, clock: Clock) -> Self {
        let settings = Arc::new(settings);
        let limiters = CallLimiters::new(upstream, Arc::clone(&settings), clock);
        Self { upstream, settings, network, clock, limiters }
    }

    /// Shares quotas with other replicas. Must be called before the first call, within a Tokio runtime.
    #[must_use]
    pub fn sharing(self, replicas: Option<&Replicas>) -> Self {
        Self { limiters: self.limiters.sharing(replicas.cloned()), ..self }
    }

    /// Returns the time for which data that is read now is fresh: `ttl`, or longer if the credential's quota requires
    /// it.
    #[must_use]
    pub fn fresh_for<U: Upstream>(&self, credential: &Credential<U>, ttl: Duration) -> Duration {
        self.limiters.of(credential).fresh_for(ttl)
    }

    /// Returns the time that a refresh (a call for which older data exists) has to wait; `None` if it may be sent now.
    #[must_use]
    pub fn refresh_wait<U: Upstream>(&self, credential: &Credential<U>) -> Option<Duration> {
        self.limiters.of(credential).refresh_wait()
    }

    /// Returns the status of the upstream for this credential, from the outcomes of its calls. Makes no call.
    #[must_use]
    pub fn status<U: Upstream>(&self, credential: &Credential<U>) -> UpstreamStatus {
        self.limiters.of(credential).status()
    }

    /// Returns the outcomes of all calls, for metrics.
    #[must_use]
    pub fn counts(&self) -> CallCounts {
        self.limiters.counts()
    }

    /// Adds the metrics of all calls and quotas.
    pub(crate) fn read_metrics(&self, readings: &mut Readings) {
        self.limiters.read(readings);
    }

    /// Counts the parts of a response that could not be read or were not requested.
    pub(crate) fn count_problems(&self, problems: &Problems) {
        self.limiters.count_problems(problems);
    }

    /// Forgets recent refusals, because the credential's data may have changed. The requests are then sent again.
    pub fn forget_refusals<U>(&self, credential: &Fingerprint<U>) {
        self.limiters.forget_refusals(credential);
    }

    /// Sends a GET request like [`Self::send`], unless the same request was refused moments ago.
    ///
    /// # Errors
    /// As [`Self::send`], or the refusal.
    pub(super) async fn fetch<U: Upstream, T, E: Into<BoxError>>(
        &self,
        upstream_request: UpstreamRequest<'_, U>,
        decode: impl Fn(&[u8]) -> Result<T, E>,
    ) -> Result<UpstreamResponse<T>, UpstreamError> {
        let limiter = self.limiters.of(upstream_request.credential);
        let (generation, fingerprint) =
            (limiter.refusal_generation(), upstream_request.credential.fingerprint());
        let (path, query) = (upstream_request.path, upstream_request.query);
        let key = || Refusals::key(fingerprint.digest(), generation, path, query);
        if let Some(refusal) = limiter.refusal(key) {
            return Err(refusal);
        }
        self.send(upstream_request, decode).await.inspect_err(|error| limiter.refusals.put(key, error))
    }

    /// Sends a request, repeats it if the failure allows that, and decodes the response with `decode`, all before the
    /// deadline. Each attempt acquires its own permit.
    ///
    /// # Errors
    /// The last failure of the upstream. If no call was sent, the reason for that.
    pub(super) async fn send<U: Upstream, T, E: Into<BoxError>>(
        &self,
        upstream_request: UpstreamRequest<'_, U>,
        decode: impl Fn(&[u8]) -> Result<T, E>,
    ) -> Result<UpstreamResponse<T>, UpstreamError> {
        let limiter = self.limiters.of(upstream_request.credential);
        let (kind, purpose) = (upstream_request.kind, upstream_request.purpose);
        let deadline = Instant::now() + self.settings.deadline();
        let request = self.request(upstream_request)?;
        let mut retries =
            Retries::for_call(&self.settings.retry, &limiter.budget, kind == RequestKind::Write);
        let (mut last_error, mut attempt): (Option<UpstreamError>, u32) = (None, 0);
        loop {
            let result = match limiter.acquire(kind, purpose, deadline).await {
                Ok(permit) => {
                    if last_error.is_some() {
                        limiter.counters.on_retry();
                    }
                    let call = SpanGuard::call(request.method(), self.upstream, attempt);
                    attempt += 1;
                    let mut request = request.clone();
                    call.propagate_to(&mut request);
                    let result = call.instrument(self.attempt(request, permit, deadline, &decode)).await;
                    trace(&call, &result);
                    result
                }
                Err(held) => Err(held),
            };
            let failed = match result {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            let now = Instant::now();
            let wait = retries.wait(&failed, now, deadline, fastrand::f64());
            let error = if failed.is_call_held() { last_error.unwrap_or(failed) } else { failed };
            match wait.filter(|wait| limiter.would_allow(purpose, *wait)) {
                Some(wait) => tokio::time::sleep_until(now + wait).await,
                None => return Err(error),
            }
            last_error = Some(error).filter(|error| !error.is_call_held());
        }
    }

    /// Makes one call within its timeout. If the deadline leaves less than half of the timeout, a timeout counts as
    /// cancelled, because the call might have succeeded in its full time.
    async fn attempt<T, E: Into<BoxError>>(
        &self,
        request: Request<Bytes>,
        mut permit: CallPermit,
        deadline: Instant,
        decode: impl Fn(&[u8]) -> Result<T, E>,
    ) -> Result<UpstreamResponse<T>, UpstreamError> {
        let (started_at, timeout) = (Instant::now(), self.settings.timeout().min(self.settings.deadline()));
        let call_deadline = deadline.min(started_at + timeout);
        let call_result =
            timeout_at(call_deadline, self.call(request, &mut permit, call_deadline).boxed()).await;
        let result = match call_result {
            Ok(Ok(UpstreamResponse { headers, body })) => match decode(&body) {
                Ok(body) => Ok(UpstreamResponse { headers, body }),
                Err(error) => Err(self.error(UpstreamFailure::BadResponse).caused_by(error)),
            },
            Ok(Err(error)) => Err(error),
            Err(_elapsed) if call_deadline - started_at < timeout / 2 => {
                return Err(self.error(UpstreamFailure::Timeout));
            }
            Err(_elapsed) => Err(self.error(UpstreamFailure::Timeout)),
        };
        permit.end(result.as_ref().map(|_| ()));
        result
    }

    fn request<U: Upstream>(
        &self,
        upstream_request: UpstreamRequest<'_, U>,
    ) -> Result<Request<Bytes>, UpstreamError> {
        // Paths and queries are encoded by their callers. The network parses the URL, so it is not parsed here.
        let base_url = &self.settings.base_url[..Position::AfterPath];
        let separator = if upstream_request.query.is_empty() { "" } else { "?" };
        let url = [base_url.trim_end_matches('/'), upstream_request.path, separator, upstream_request.query]
            .concat();
        let (header_name, key) = auth_header(upstream_request.credential);
        let mut key = HeaderValue::try_from(key)
            .map_err(|error| self.error(UpstreamFailure::Internal).caused_by(error))?;
        key.set_sensitive(true);
        let mut request = Request::builder()
            .method(upstream_request.method)
            .uri(url)
            .header(header::ACCEPT, "application/json")
            .header(header::ACCEPT_ENCODING, content_coding::ACCEPTED)
            .header(header_name, key);
        if !upstream_request.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request
            .body(upstream_request.body)
            // Only a URL of more than 64 KiB can be invalid here, and servers refuse it too (414).
            .map_err(|error| self.error(UpstreamFailure::Rejected).caused_by(error))
    }

    async fn call(
        &self,
        request: Request<Bytes>,
        permit: &mut CallPermit,
        call_deadline: Instant,
    ) -> Result<UpstreamResponse<Bytes>, UpstreamError> {
        let unavailable = |cause: BoxError| {
            let mut error = self.error(UpstreamFailure::Unavailable);
            error.is_on_closed_connection = is_closed_connection(cause.as_ref());
            error.is_unsent = is_connect_failure(cause.as_ref());
            error.caused_by(cause)
        };
        let is_not_read = permit.kind != RequestKind::Read;
        let response = self.network.clone().oneshot(request).await.map_err(unavailable)?;
        let (head, body) = response.into_parts();
        // Recorded before the body is read, because the upstream has counted the call already.
        let held = permit.on_response(head.status, &head.headers);
        // With 203, a proxy has changed the response (RFC 9110, 15.3.4), which is still the answer to this request.
        let is_answer = matches!(head.status, StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION);
        if is_answer || (is_not_read && head.status.is_success()) {
            let limit_bytes = self.settings.body_limit_bytes;
            let body = self.read(body, limit_bytes).await?;
            let body = content_coding::decode(&head.headers, body, limit_bytes).map_err(|coding| {
                let mut error = self.error(UpstreamFailure::BadResponse).caused_by(coding);
                error.is_permanent = coding == CodingError::TooLarge;
                error
            })?;
            return Ok(UpstreamResponse { headers: head.headers, body });
        }
        // The status decides the error; the body only adds details, so the wait for it is short.
        let body_deadline = call_deadline.min(Instant::now() + REFUSAL_TIME);
        let body = timeout_at(body_deadline, self.read(body, REFUSAL_BYTES_MAX))
            .await
            .map_or_else(|_| None, Result::ok);
        let body = body.and_then(|body| content_coding::decode(&head.headers, body, REFUSAL_BYTES_MAX).ok());
        let mut refusal = self.refusal(head.status, &head.headers, &body.unwrap_or_default());
        refusal.retry_after = held.or(refusal.retry_after);
        Err(refusal)
    }

    /// Reads a body. One that arrives in one part is not copied, and others are copied once.
    async fn read(&self, mut body: NetworkBody, limit_bytes: usize) -> Result<Bytes, UpstreamError> {
        let bad = || self.error(UpstreamFailure::BadResponse);
        let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        let (mut first, mut bytes) = (Bytes::new(), BytesMut::new());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| bad().caused_by(error))?;
            let Ok(data) = frame.into_data() else { continue };
            let length = first.len() + bytes.len() + data.len();
            if length > limit_bytes {
                // A repeated call would return the same size.
                let mut error = bad();
                error.is_permanent = true;
                return Err(error.caused_by("the response exceeds body_limit_bytes"));
            }
            if length == data.len() {
                first = data;
                continue;
            }
            if bytes.is_empty() {
                bytes.reserve(expected.min(RESERVED_BYTES_MAX).max(length));
                bytes.extend_from_slice(&std::mem::take(&mut first));
            }
            bytes.extend_from_slice(&data);
        }
        Ok(if bytes.is_empty() { first } else { bytes.freeze() })
    }

    /// Returns the error for a status other than 200 (docs/upstreams.md#composio-errors, #leadlex-open-questions:
    /// the status decides, the body only adds details).
    fn refusal(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
        let failure = match status.as_u16() {
            401 => UpstreamFailure::Unauthorized,
            403 => UpstreamFailure::Forbidden,
            429 => UpstreamFailure::RateLimited,
            408 => UpstreamFailure::Timeout,
            400..=499 => UpstreamFailure::Rejected,
            500.. => UpstreamFailure::Unavailable,
            // Another 2xx, or a redirect, is not an answer to this request. 1xx never arrives here.
            _ => UpstreamFailure::BadResponse,
        };
        let parsed = error_body::read(body);
        let request_id = request_id(headers).or(parsed.request_id);
        let mut error = self.error(failure);
        error.status = Some(status.as_u16());
        let upstream_now = rate_limit::upstream_now(headers, self.clock.now());
        error.retry_after = rate_limit::wait(headers, upstream_now).filter(|_| failure.is_retryable());
        error.request_id = request_id.map(Into::into);
        error.slug = parsed.slug.map(Into::into);
        error
    }

    pub(super) fn error(&self, failure: UpstreamFailure) -> UpstreamError {
        UpstreamError::new(self.upstream, failure)
    }
}

/// Whether the connection was closed before any byte of a response arrived, as a server does with a kept-alive
/// connection (RFC 9110, 9.2.2 and RFC 9112, 9.3.1 allow repeating an idempotent request then).
fn is_closed_connection(error: &(dyn Error + 'static)) -> bool {
    let is_incomplete = error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message);
    let is_reset = error.downcast_ref::<io::Error>().is_some_and(|error| {
        matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
    });
    is_incomplete || is_reset || error.source().is_some_and(is_closed_connection)
}

/// Whether no connection was established, so that nothing of the request was sent.
fn is_connect_failure(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect)
        || error.source().is_some_and(is_connect_failure)
}

/// Records the outcome of a call in its span.
fn trace<T>(call: &SpanGuard, read: &Result<UpstreamResponse<T>, UpstreamError>) {
    let (status, id) = match read {
        Ok(UpstreamResponse { headers, .. }) => {
            (Some(StatusCode::OK.as_u16()), request_id(headers).map(Into::into))
        }
        Err(error) => (error.status, error.request_id.clone()),
    };
    for attribute in [status.map(SpanAttribute::Status), id.as_deref().map(SpanAttribute::UpstreamRequestId)]
        .into_iter()
        .flatten()
    {
        call.note(attribute);
    }
    if let Err(error) = read {
        call.note(SpanAttribute::Failed(error.failure.code()));
    }
}

/// Maximum memory that is reserved for a body that has not arrived. A page of 100 accounts has about 100 KB.
const RESERVED_BYTES_MAX: usize = 256 * 1024;

/// Time and size limits for the body of an error response; it only adds details to the status.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// Returns the upstream's request id if it is safe to show.
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    public_token(headers.get("x-request-id")?.to_str().ok()?)
}
