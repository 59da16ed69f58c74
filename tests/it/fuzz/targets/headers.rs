//! Rate-limit and retry headers in every dialect, parsed alone and by a client.

use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use switchboard::domain::clock::Clock;
use switchboard::domain::credential::Credential;
use switchboard::domain::upstream_name::UpstreamName;
use switchboard::upstream::providers::ProvidersClient;
use switchboard::upstream::quota::Purpose;
use switchboard::upstream::rate_limit;
use switchboard::upstream::transport::{Network, Transport};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, service_fn};

use super::with_paused_clock;
use crate::world::{NOW, upstream};

const TTL: Duration = Duration::from_secs(60);
const MONTH: Duration = Duration::from_secs(31 * 86_400);

/// The status code, then one header per line.
fn read(bytes: &[u8]) -> (StatusCode, HeaderMap) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let status = lines.next().and_then(|line| StatusCode::from_bytes(line).ok()).unwrap_or(StatusCode::OK);
    let header = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        Some((name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?))
    };
    // hyper accepts no more headers.
    (status, lines.filter_map(header).take(100).collect())
}

pub(super) fn headers(bytes: &[u8]) {
    let (status, headers) = read(bytes);
    let now: Timestamp = NOW.parse().unwrap();
    // Parsing is deterministic.
    let parse = || {
        let (reset, date) = (rate_limit::resets_at(&headers, now), rate_limit::date(&headers));
        (reset, date, rate_limit::limit(&headers), rate_limit::remaining(&headers))
    };
    assert_eq!(parse(), parse());
    let upstream_now = rate_limit::upstream_now(&headers, now);
    for name in rate_limit::unreadable(&headers, upstream_now) {
        assert!(headers.contains_key(name), "{name}");
    }
    if let Some(wait) = rate_limit::wait(&headers, upstream_now) {
        assert!((Duration::from_secs(1)..=MONTH).contains(&wait), "{wait:?}");
    }
    with_paused_clock(async {
        let network: Network = BoxCloneSyncService::new(service_fn(move |_: ::http::Request<Bytes>| {
            let body = Full::new(Bytes::from_static(br#"{"data":{"providers":[]}}"#));
            let mut answer = Response::new(body.map_err(BoxError::from).boxed_unsync());
            (*answer.status_mut(), *answer.headers_mut()) = (status, headers.clone());
            async move { Ok(answer) }
        }));
        let clock = Clock::starting_at(now);
        let client =
            ProvidersClient::new(Transport::new(UpstreamName::Leadlex, upstream("/"), network, clock));
        let credential = Credential::new("wbk_fuzz").unwrap();
        for purpose in [Purpose::Needed, Purpose::Refresh, Purpose::Needed] {
            let fetched = client.fetch_list(&credential, purpose).await;
            let is_answer = [StatusCode::OK, StatusCode::NON_AUTHORITATIVE_INFORMATION].contains(&status);
            assert!(is_answer || fetched.is_err());
            if let Err(error) = fetched {
                assert!(error.retry_after.is_none_or(|wait| wait <= MONTH), "{:?}", error.retry_after);
            }
            assert!(
                client.transport.fresh_for(&credential, TTL) >= TTL,
                "a quota never shortens the fresh time"
            );
            // A credential with held calls has a retry time, unless there is nothing to wait for.
            let status = client.transport.status(&credential);
            assert!(
                client.transport.refresh_wait(&credential).is_none_or(|wait| wait <= 2 * MONTH),
                "{status:?}"
            );
        }
    });
}
