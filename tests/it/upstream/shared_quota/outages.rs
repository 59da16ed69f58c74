//! Replicas that share one starter key while their store is unreachable, and afterwards.

use std::time::Duration;

use switchboard::sandbox::Settings;
use switchboard::upstream::quota::Purpose::Needed;

use super::{Fleet, MINUTE, advance_secs, left_after_a_second, settle};
use crate::replicas::memory::Behaviour;

#[tokio::test(start_paused = true)]
async fn without_the_store_the_day_quota_is_not_exceeded() {
    for failing in
        [Behaviour::Away, Behaviour::Refusing, Behaviour::Full, Behaviour::Slow(Duration::from_millis(80))]
    {
        let fleet = Fleet::starting_at("2026-11-21T23:15:00Z", Settings::default());
        let three = fleet.three();
        // Nine calls a minute, until the day's calls are used up while the store is unreachable.
        for minute in 0..30 {
            for replica in &three {
                replica.line.set_behaviour(if (3..20).contains(&minute) { failing } else { Behaviour::Well });
                replica.calls(Needed).await;
                advance_secs(7).await;
                replica.calls(Needed).await;
                advance_secs(13).await;
            }
        }
        assert_eq!(fleet.refusals(), 0, "{failing:?}");
        // The reserve is used in part: a replica without the store knows the calls of others by its own responses only.
        let calls = fleet.calls();
        assert!((93..100).contains(&calls), "{failing:?}: {calls} calls");
        // The replicas know of each other again.
        advance_secs(16 * MINUTE).await;
        three[0].list(Needed).await.unwrap();
        assert_eq!(left_after_a_second(three.each_ref()).await, [Some(99); 3], "{failing:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_store_each_replica_uses_its_share() {
    for failing in [Behaviour::Away, Behaviour::Slow(Duration::from_millis(80))] {
        let fleet = Fleet::new();
        let three = fleet.three();
        three[0].list(Needed).await.unwrap();
        left_after_a_second(three.each_ref()).await;
        three.iter().for_each(|replica| replica.line.set_behaviour(failing));
        let mut calls = [0; 3];
        for (replica, calls) in three.iter().zip(&mut calls) {
            while replica.calls(Needed).await {
                *calls += 1;
            }
        }
        // A third of the ten of a minute; the first has used one of them.
        assert_eq!((calls, fleet.refusals()), ([2, 3, 3], 0), "{failing:?}");
        // A third of the day's calls, in any order.
        for _ in 0..40 {
            advance_secs(2 * MINUTE).await;
            while three[1].calls(Needed).await {
                calls[1] += 1;
            }
        }
        assert_eq!((calls[1], fleet.refusals()), (31, 0), "{failing:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn first_replica_that_reaches_the_store_again_uses_its_share_at_first() {
    let fleet = Fleet::new();
    let three = fleet.three();
    three[0].list(Needed).await.unwrap();
    left_after_a_second(three.each_ref()).await;
    three.iter().for_each(|replica| replica.line.set_behaviour(Behaviour::Away));
    left_after_a_second(three.each_ref()).await;
    for replica in &three[1..] {
        while replica.calls(Needed).await {}
    }
    three[0].line.set_behaviour(Behaviour::Well);
    advance_secs(1).await;
    while three[0].calls(Needed).await {}
    assert_eq!((fleet.calls(), fleet.refusals()), (9, 0), "a third of the ten of a minute each");
    three[1..].iter().for_each(|replica| replica.line.set_behaviour(Behaviour::Well));
    advance_secs(7).await;
    while three[0].calls(Needed).await {}
    assert_eq!((fleet.calls(), fleet.refusals()), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn calls_during_an_outage_are_shared_afterwards() {
    let fleet = Fleet::new();
    let [one, two, three] = fleet.three();
    settle().await;
    one.list(Needed).await.unwrap();
    for replica in [&one, &two, &three] {
        replica.line.set_behaviour(Behaviour::Away);
    }
    for _ in 0..2 {
        one.list(Needed).await.unwrap();
    }
    for replica in [&one, &two, &three] {
        replica.line.set_behaviour(Behaviour::Well);
    }
    advance_secs(2).await;
    assert_eq!(left_after_a_second([&one, &two, &three]).await, [Some(97); 3]);
    // Each replica waits until the others have shared their calls.
    advance_secs(6).await;
    while two.calls(Needed).await {}
    assert_eq!((fleet.calls(), fleet.refusals()), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn emptied_store_is_filled_again() {
    let fleet = Fleet::new();
    let (one, two) = (fleet.replica(), fleet.replica());
    settle().await;
    for _ in 0..4 {
        one.list(Needed).await.unwrap();
    }
    advance_secs(2).await;
    fleet.server.restart_empty();
    advance_secs(2).await;
    let late = fleet.replica();
    assert_eq!(left_after_a_second([&one, &two, &late]).await, [Some(96); 3]);
    // The minute as well.
    while late.calls(Needed).await {}
    assert_eq!((fleet.calls(), fleet.refusals()), (10, 0));
}
