//! A day of three replicas that share one starter key: far more requests than its quota allows, and no limit met.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use switchboard::sandbox::{LeadlexPlan, Settings};
use tokio::time::Instant;

use super::Fleet;
use crate::laws::day::watched;
use crate::world::{NOW, Setup, World, at};

const DAY: Duration = Duration::from_secs(86_400);
const ROUNDS: u32 = 1_000;
const PAGE: &str = "{ providers(first: 1) { freshness { fetchedAt state } nodes { name } } }";

/// A starter key, and the statuses that its upstream answers with.
fn setup(seen: &Arc<Mutex<Vec<u16>>>) -> Setup {
    let sandbox = Settings { leadlex_plan: LeadlexPlan::Starter, ..Settings::default() };
    let seen = Arc::clone(seen);
    Setup { sandbox, wrap_network: Box::new(|network| watched(network, seen)), ..Setup::as_shipped() }
}

#[track_caller]
fn no_limit_was_met(seen: &Arc<Mutex<Vec<u16>>>) {
    assert!(seen.lock().unwrap().iter().all(|status| *status == 200), "a 429 of our making");
}

/// How a day went by.
struct Told {
    /// The calls from the first midnight on until the second.
    calls: usize,
    /// How old what was served was, on average, in seconds.
    mean_age: i64,
}

/// Two days, from noon on: every replica is asked in each round, in turns that differ.
async fn days(replicas: &[World]) -> Told {
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
        // On the paused clock time runs on only where all wait for it: what runs behind answers is done by then.
        tokio::time::sleep(DAY / ROUNDS).await;
    }
    let requests = replicas[0].sandbox.requests();
    let [first, second] = ["2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"].map(|at| at.parse().unwrap());
    let within = |from: Timestamp, to: Timestamp| {
        requests.iter().filter(|call| (from..to).contains(&call.time)).count()
    };
    let calls = within(first, second);
    assert!(calls <= 100 && within(started, first) <= 100, "{calls}");
    Told { calls, mean_age: ages / asked }
}

#[expect(clippy::print_stderr, reason = "the figures, for whoever asks for them with --nocapture")]
#[tokio::test(start_paused = true)]
async fn three_replicas_share_a_starter_key_for_two_days_and_meet_no_limit() {
    let seen = Arc::default();
    let one = days(&[World::new_with(setup(&seen))]).await;
    let fleet = Fleet::of(setup(&seen)).await;
    let three = days(&fleet.replicas).await;
    no_limit_was_met(&seen);
    eprintln!(
        "one replica: {} calls, mean age {} s; three: {} calls, mean age {} s",
        one.calls, one.mean_age, three.calls, three.mean_age
    );
    // Each keeps a call or two for what the others may be asking at that very moment.
    assert!(three.calls <= one.calls + 2, "{} calls of three, {} of one", three.calls, one.calls);
    assert!(three.mean_age <= one.mean_age * 115 / 100, "{} s, {} s", three.mean_age, one.mean_age);
}

#[tokio::test(start_paused = true)]
async fn replicas_that_come_and_go_all_day_cost_no_call_and_meet_no_limit() {
    let seen = Arc::default();
    let fleet = Fleet::of(setup(&seen)).await;
    let mut replicas = fleet.replicas;
    for round in 0..200_usize {
        let started = replicas[0].add_replica(setup(&seen), Arc::new(fleet.lines[0].another_line()));
        replicas[round % 3] = started;
        for replica in &replicas {
            replica.data(PAGE).await;
        }
        tokio::time::sleep(DAY / 200).await;
    }
    no_limit_was_met(&seen);
}
