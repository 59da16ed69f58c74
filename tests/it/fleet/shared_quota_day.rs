//! A day of three replicas that share one starter key: far more requests than its quota allows, without a
//! 429.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use switchboard::sandbox::{LeadlexPlan, Settings};
use tokio::time::Instant;

use super::Fleet;
use crate::laws::polling_day::watched;
use crate::world::{NOW, Setup, World, at};

const DAY: Duration = Duration::from_secs(86_400);
const ROUNDS: u32 = 1_000;
const PAGE: &str = "{ providers(first: 1) { freshness { fetchedAt state } nodes { name } } }";

/// A starter key. The statuses of its upstream's responses are recorded in `seen`.
fn setup(seen: &Arc<Mutex<Vec<u16>>>) -> Setup {
    let sandbox = Settings { leadlex_plan: LeadlexPlan::Starter, ..Settings::default() };
    let seen = Arc::clone(seen);
    Setup { sandbox, wrap_network: Box::new(|network| watched(network, seen)), ..Setup::as_shipped() }
}

#[track_caller]
fn assert_no_429(seen: &Arc<Mutex<Vec<u16>>>) {
    assert!(seen.lock().unwrap().iter().all(|status| *status == 200), "a 429 that Switchboard caused");
}

/// The result of one day.
struct DayReport {
    /// The calls between the first midnight and the second.
    calls: usize,
    /// The mean age of served data in seconds.
    mean_age: i64,
}

/// Two days from noon. Every replica receives a request in each round, in varying order.
async fn days(replicas: &[World]) -> DayReport {
    let (started, began): (Timestamp, _) = (NOW.parse().unwrap(), Instant::now());
    let (mut ages, mut asked) = (0, 0);
    for round in 0..2 * ROUNDS {
        for turn in 0..replicas.len() {
            let replica = &replicas[(turn + round as usize) % replicas.len()];
            let data = replica.data(PAGE).await;
            let now = started + SignedDuration::try_from(began.elapsed()).unwrap();
            let fetched_at: Timestamp =
                at(&data, "providers.freshness.fetchedAt").as_str().unwrap().parse().unwrap();
            assert!(fetched_at <= now, "data from the future");
            ages += now.duration_since(fetched_at).as_secs();
            asked += 1;
        }
        // The paused clock advances only when all tasks wait, so background work is complete by then.
        tokio::time::sleep(DAY / ROUNDS).await;
    }
    let requests = replicas[0].sandbox.requests();
    let [first, second] = ["2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"].map(|at| at.parse().unwrap());
    let within = |from: Timestamp, to: Timestamp| {
        requests.iter().filter(|call| (from..to).contains(&call.time)).count()
    };
    let calls = within(first, second);
    assert!(calls <= 100 && within(started, first) <= 100, "{calls}");
    DayReport { calls, mean_age: ages / asked }
}

#[expect(clippy::print_stderr, reason = "figures for a run with --nocapture")]
#[tokio::test(start_paused = true)]
async fn three_replicas_share_a_starter_key_for_two_days_without_a_429() {
    let seen = Arc::default();
    let one = days(&[World::new_with(setup(&seen))]).await;
    let fleet = Fleet::with_setup(setup(&seen)).await;
    let three = days(&fleet.replicas).await;
    assert_no_429(&seen);
    eprintln!(
        "one replica: {} calls, mean age {} s; three: {} calls, mean age {} s",
        one.calls, one.mean_age, three.calls, three.mean_age
    );
    assert!(three.calls <= one.calls + 2, "{} calls of three, {} of one", three.calls, one.calls);
    assert!(three.mean_age <= one.mean_age * 105 / 100, "{} s, {} s", three.mean_age, one.mean_age);
}

#[tokio::test(start_paused = true)]
async fn restarting_replicas_cost_no_calls_and_cause_no_429() {
    let seen = Arc::default();
    let fleet = Fleet::with_setup(setup(&seen)).await;
    let mut replicas = fleet.replicas;
    for round in 0..200_usize {
        let started = replicas[0].add_replica(setup(&seen), Arc::new(fleet.stores[0].another_connection()));
        replicas[round % 3] = started;
        for replica in &replicas {
            replica.data(PAGE).await;
        }
        tokio::time::sleep(DAY / 200).await;
    }
    assert_no_429(&seen);
}
