//! A day of three replicas that share a starter key, and are asked far more than it allows.

use switchboard::upstream::quota::Purpose::Refresh;

use crate::upstream::shared_quota::calls_of_three_and_of_one;

#[expect(clippy::print_stderr, reason = "the figures, for whoever asks for them with --nocapture")]
#[tokio::test(start_paused = true)]
async fn the_day_of_three_that_ask_far_too_much_is_the_day_of_one() {
    // From noon to noon.
    let (many, single) = calls_of_three_and_of_one(Refresh, 24 * 60).await;
    eprintln!("a day of three replicas: {many} calls; of one: {single}");
    assert!(many.abs_diff(single) <= 6, "{many} calls of three, {single} of one");
}
