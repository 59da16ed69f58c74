//! A day of three replicas that share a starter key and receive far more requests than its quota allows.

use switchboard::upstream::quota::Purpose::Refresh;

use crate::upstream::shared_quota::calls_of_three_and_of_one;

#[expect(clippy::print_stderr, reason = "figures for a run with --nocapture")]
#[tokio::test(start_paused = true)]
async fn three_busy_replicas_make_as_many_calls_as_one() {
    // From noon to noon.
    let (many, single) = calls_of_three_and_of_one(Refresh, 24 * 60).await;
    eprintln!("a day of three replicas: {many} calls; of one: {single}");
    assert!(many.abs_diff(single) <= 6, "{many} calls of three, {single} of one");
}
