//! Two days of a settings page that polls with a starter key: 100 times as many requests as the quota allows.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use switchboard::sandbox::{LeadlexPlan, Settings};
use switchboard::upstream::transport::Network;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt, service_fn};

use crate::world::{NOW, Setup, World, at, strings_at};

const DAY: Duration = Duration::from_secs(86_400);
const CALLS_A_DAY: usize = 100;
const REQUESTS_A_DAY: u32 = 100 * 100;

const PAGE: &str = "{ providers(first: 1) { freshness { fetchedAt state } nodes { name } } }";

/// Records the status of every response.
pub(crate) fn watched(network: Network, seen: Arc<Mutex<Vec<u16>>>) -> Network {
    BoxCloneSyncService::new(service_fn(move |request: http::Request<bytes::Bytes>| {
        let (network, seen) = (network.clone(), Arc::clone(&seen));
        async move {
            let response = network.oneshot(request).await?;
            seen.lock().unwrap().push(response.status().as_u16());
            Ok(response)
        }
    }))
}

#[expect(clippy::print_stderr, reason = "figures for a run with --nocapture")]
#[tokio::test(start_paused = true)]
async fn polling_all_day_with_a_starter_key_never_hits_the_limit() {
    let statuses = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&statuses);
    let world = World::new_with(Setup {
        sandbox: Settings { leadlex_plan: LeadlexPlan::Starter, ..Settings::default() },
        wrap_network: Box::new(|network| watched(network, seen)),
        ..Setup::as_shipped()
    });
    let started: Timestamp = NOW.parse().unwrap();
    let mut ages = Vec::new();
    for request in 0..2 * REQUESTS_A_DAY {
        let data = world.data(PAGE).await;
        assert_eq!(strings_at(&data, "providers.nodes.*.name").len(), 1);
        let now = started + SignedDuration::try_from(DAY / REQUESTS_A_DAY * request).unwrap();
        let fetched_at: Timestamp =
            at(&data, "providers.freshness.fetchedAt").as_str().unwrap().parse().unwrap();
        assert!(fetched_at <= now, "data from the future");
        ages.push(now.duration_since(fetched_at).as_secs());
        if at(&data, "providers.freshness.state") != "FRESH" {
            world.settle().await;
        }
        world.advance(DAY / REQUESTS_A_DAY).await;
    }

    assert_eq!(
        statuses.lock().unwrap().iter().filter(|status| **status != 200).count(),
        0,
        "a 429 that Switchboard caused"
    );
    let calls: Vec<Timestamp> = world.sandbox.requests().iter().map(|call| call.time).collect();
    let midnights =
        ["2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"].map(|text| text.parse::<Timestamp>().unwrap());
    let [first, whole, last] = [0, 1, 2].map(|window| {
        calls
            .iter()
            .filter(|call| midnights.iter().filter(|midnight| **midnight <= **call).count() == window)
            .count()
    });
    assert!([first, whole, last].into_iter().all(|calls| calls <= CALLS_A_DAY), "{first}, {whole}, {last}");
    for midnight in midnights {
        let after = |call: &&Timestamp| (0..600).contains(&call.duration_since(midnight).as_secs());
        assert!(calls.iter().filter(after).count() <= 2, "a burst after {midnight}");
    }

    // Half of the interval between two calls that are spread evenly over the day.
    let best = DAY.as_secs() / u64::try_from(CALLS_A_DAY).unwrap() / 2;
    let whole_day: Vec<_> = ages[usize::try_from(REQUESTS_A_DAY / 2).unwrap()..]
        [..usize::try_from(REQUESTS_A_DAY).unwrap()]
        .to_vec();
    let mean = u64::try_from(whole_day.iter().sum::<i64>()).unwrap() / u64::from(REQUESTS_A_DAY);
    let oldest = whole_day.iter().max().unwrap();
    eprintln!(
        "a day of {REQUESTS_A_DAY} requests: {whole} calls; mean age {mean} s (best {best} s), oldest {oldest} s"
    );
    // The reserve, a tenth of the calls, belongs to the customer.
    assert!(mean <= best * 100 / 85, "mean age {mean} s, best {best} s");
}
