//! Property: rate limit and date headers, in any form and combination, on a 200, a 429 and a 503. What is understood is
//! respected, what is not is ignored and counted, and an inference never holds calls for long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proptest::prelude::*;
use switchboard::sandbox::{LeadlexPlan, Settings};
use switchboard::upstream::quota::Purpose::Needed;
use switchboard::upstream::transport::Network;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt, service_fn};

use super::{UpstreamClients, without_retries};

/// The meaning of a value: nothing, or a number of seconds or calls.
type Meaning = Option<u64>;

const DAY: u64 = 86_400;

/// Own inferences last five minutes. The backoff after one 429 is at most two seconds.
const INFERENCE_MAX: u64 = 300 + 2;

/// Values that all of these headers ignore.
const MALFORMED: [&[u8]; 12] = [
    b"",
    b"soon",
    b"NaN",
    b"inf",
    b"-inf",
    b"1e999",
    b"0x10",
    b"1 2",
    b"60 minutes",
    b"\xff\xfe",
    b"\"7\"",
    b"{}",
];

const RETRY_AFTER: [(&str, Meaning); 12] = [
    ("7", Some(7)),
    (" 7 ", Some(7)),
    ("1.5", Some(1)),
    ("0", Some(1)),
    ("3600", Some(3_600)),
    ("1e2", Some(100)),
    ("Sat, 21 Nov 2026 12:01:00 GMT", Some(60)),
    ("Saturday, 21-Nov-26 12:01:00 GMT", Some(60)),
    ("Sat Nov 21 12:01:00 2026", Some(60)),
    ("Sat, 21 Nov 2020 12:01:00 GMT", Some(1)),
    ("-5", None),
    ("99999999999", None),
];

const REMAINING: [(&str, Meaning); 7] = [
    ("995", Some(995)),
    ("7.0", Some(7)),
    ("99999999999999999999999", Some(u64::MAX)),
    ("0", Some(0)),
    ("-3", Some(0)),
    ("many", None),
    ("5, 3", None),
];

const LIMIT: [(&str, Meaning); 6] = [
    ("1000", Some(1_000)),
    ("1000, 1000;w=60", Some(1_000)),
    ("1e3", Some(1_000)),
    ("99999999999999999999999", Some(u64::MAX)),
    ("-1", None),
    (", 100", None),
];

const RESET: [(&str, Meaning); 9] = [
    ("45", Some(45)),
    ("0", Some(0)),
    ("1795262430", Some(30)),
    ("1795262430000", Some(30)),
    ("2026-11-21T12:00:10Z", Some(10)),
    ("Sat, 21 Nov 2026 12:01:00 GMT", Some(60)),
    ("1708905600", Some(0)),
    ("-60", None),
    ("tomorrow", None),
];

const DATES: [(&str, Meaning); 4] = [
    ("Sat, 21 Nov 2026 12:00:00 GMT", Some(0)),
    ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
    ("Thu, 31 Dec 2099 00:00:00 GMT", Some(0)),
    ("noon", None),
];

/// A header: its name, its value, and what the value means.
type Header = (&'static str, Vec<u8>, Meaning);

fn header(
    names: &'static [&'static str],
    values: &'static [(&'static str, Meaning)],
) -> impl Strategy<Value = Option<Header>> {
    let understood =
        prop::sample::select(values).prop_map(|(text, meaning)| (text.as_bytes().to_vec(), meaning));
    let malformed = prop::sample::select(&MALFORMED[..]).prop_map(|bytes| (bytes.to_vec(), None));
    let noise = prop::collection::vec(0x20_u8..0x7f, 1..12)
        .prop_filter("no number", |bytes| {
            bytes.iter().any(u8::is_ascii_alphabetic) && !bytes.iter().any(u8::is_ascii_digit)
        })
        .prop_map(|bytes| ([b"?".to_vec(), bytes].concat(), None));
    let value = prop_oneof![4 => understood, 1 => malformed, 1 => noise];
    prop::option::of(
        (prop::sample::select(names), value).prop_map(|(name, (value, meaning))| (name, value, meaning)),
    )
}

fn headers() -> impl Strategy<Value = Vec<Header>> {
    (
        header(&["retry-after"], &RETRY_AFTER),
        header(&["x-ratelimit-remaining", "ratelimit-remaining"], &REMAINING),
        header(&["x-ratelimit-limit", "ratelimit-limit", "x-ratelimit"], &LIMIT),
        header(&["x-ratelimit-reset", "ratelimit-reset"], &RESET),
        header(&["date"], &DATES),
    )
        .prop_map(|(wait, left, limit, reset, date)| {
            [wait, left, limit, reset, date].into_iter().flatten().collect()
        })
}

/// Responses of this status, with these headers in place of the sandbox's own.
fn with_headers(network: Network, response: Arc<Mutex<Option<(StatusCode, HeaderMap)>>>) -> Network {
    BoxCloneSyncService::new(service_fn(move |request: http::Request<bytes::Bytes>| {
        let (network, response) = (network.clone(), Arc::clone(&response));
        async move {
            let mut answer = network.oneshot(request).await?;
            if let Some((status, headers)) = response.lock().unwrap().clone() {
                *answer.status_mut() = status;
                *answer.headers_mut() = headers;
            }
            Ok(answer)
        }
    }))
}

async fn check(status: StatusCode, headers: Vec<Header>) {
    let map = headers
        .iter()
        .map(|(name, value, _)| (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap()));
    let response = Arc::new(Mutex::new(Some((status, map.collect()))));
    let settings = Settings { leadlex_plan: LeadlexPlan::Unmetered, ..Settings::default() };
    let shared = Arc::clone(&response);
    let clients =
        UpstreamClients::with_policies(settings, without_retries, |network| with_headers(network, shared));
    let first = clients.list(Needed).await;
    assert_eq!(first.is_ok(), status == StatusCode::OK);

    let ignored = headers.iter().filter(|(_, _, meaning)| meaning.is_none()).map(|(name, ..)| (*name, 1));
    assert_eq!(clients.providers.transport.counts().unreadable_headers, ignored.collect::<BTreeMap<_, _>>());

    let understood =
        |of: &str| headers.iter().find(|(name, ..)| name.ends_with(of)).and_then(|(_, _, meaning)| *meaning);
    let (retry_after, left) = (understood("retry-after"), understood("remaining"));
    let limit = understood("limit").or_else(|| understood("x-ratelimit"));
    // A tenth of the limit is left to other programs.
    let is_used_up = left.is_some_and(|left| left <= limit.unwrap_or_default() / 10);
    let is_429 = status == StatusCode::TOO_MANY_REQUESTS;
    if let Err(error) = &first
        && let Some(asked) = retry_after
    {
        let stated = error.retry_after.unwrap_or_default().as_secs();
        // If no calls remain either, the later of both times counts.
        assert!(stated == asked || (is_used_up && stated > asked), "stated {stated} s, asked for {asked} s");
    }
    *response.lock().unwrap() = None;
    let held = match clients.list(Needed).await {
        Ok(()) => 0,
        Err(error) => {
            assert!(error.is_call_held(), "{error:?}");
            error.retry_after.unwrap_or_default().as_secs()
        }
    };
    match (is_429, retry_after) {
        (true, Some(asked)) => assert!(held >= asked, "held for {held} s, asked for {asked} s"),
        (true, None) => assert!(held > 0 || left.is_some(), "a 429 holds the next call"),
        // Without a 429 and with calls left, nothing is held.
        (false, _) if !is_used_up => assert_eq!(held, 0),
        (false, _) => {}
    }
    // A quota that is used up holds until its reset, by default midnight.
    let stated = if is_used_up { understood("reset").unwrap_or(DAY).max(INFERENCE_MAX) } else { 0 };
    let reset = if is_429 && left.is_none() { understood("reset").unwrap_or_default() } else { 0 };
    let most = stated.max(reset).max(retry_after.unwrap_or_default()).max(INFERENCE_MAX);
    assert!(held <= most, "held for {held} s, at most {most} s");
    tokio::time::advance(Duration::from_secs(held + 1)).await;
    clients.list(Needed).await.expect("the next call is sent after the hold");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn headers_of_any_form_are_respected_or_ignored_and_counted(
        status in prop::sample::select(&[200_u16, 429, 503][..]), headers in headers(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(check(StatusCode::from_u16(status).unwrap(), headers));
    }
}
