//! What metrics tell of an upstream: its calls, how long they took, and the quota that is the tightest.

use super::counts::{CallCounts, HoldReason};
use super::quota::QuotaFigures;
use crate::domain::upstream_name::UpstreamName;
use crate::telemetry::metrics::declared;
use crate::telemetry::metrics::distribution::Distribution;
use crate::telemetry::metrics::readings::Readings;

impl CallCounts {
    /// Puts them into a reading of metrics.
    pub(super) fn read(&self, upstream: UpstreamName, readings: &mut Readings) {
        let upstream = upstream.slug();
        let calls = [("ok", &self.succeeded), ("cancelled", &self.cancelled)];
        for (outcome, count) in
            calls.into_iter().chain(self.failed.iter().map(|(code, count)| (*code, count)))
        {
            readings.count(&declared::CALLS, &[upstream, outcome], *count);
        }
        for by in HoldReason::ALL {
            let count = self.held.get(&by).copied().unwrap_or_default();
            readings.count(&declared::CALLS_HELD, &[upstream, by.label()], count);
        }
        readings.count(&declared::RETRIES, &[upstream], self.retried);
        readings.begin(&declared::PROBLEMS);
        for (rule, count) in &self.problems {
            readings.count(&declared::PROBLEMS, &[upstream, rule.slug()], *count);
        }
        readings.level(&declared::CALLS_UNDER_WAY, &[upstream], self.in_flight);
        readings.level(&declared::BREAKERS_OPEN, &[upstream], self.breakers_open);
    }
}

impl QuotaFigures {
    /// Of those whose limit is known, the one that has the smallest share of it left. Metrics tell of that key alone, and not whose it
    /// is: with keys of callers' own there is any number, and it is the tightest that is about to hurt.
    pub(super) fn tightest(all: impl Iterator<Item = Self>) -> Option<Self> {
        let share = |figures: &Self| Some((figures.remaining?, figures.limit.filter(|limit| *limit > 0)?));
        let known = all.filter_map(|figures| Some((share(&figures)?, figures)));
        let by_share = |((left, limit), _): &((u64, u64), _),
                        ((other_left, other_limit), _): &((u64, u64), _)| {
            // left / limit against the other's, in whole numbers.
            let (one, other) =
                (u128::from(*left) * u128::from(*other_limit), u128::from(*other_left) * u128::from(*limit));
            one.cmp(&other)
        };
        known.min_by(by_share).map(|(_, figures)| figures)
    }

    /// Puts them into a reading of metrics, as far as they are known.
    pub(super) fn read(&self, upstream: UpstreamName, readings: &mut Readings) {
        let upstream = upstream.slug();
        for (metric, calls) in
            [(&declared::QUOTA_LIMIT, self.limit), (&declared::QUOTA_REMAINING, self.remaining)]
        {
            if let Some(calls) = calls {
                readings.level(metric, &[upstream], calls);
            }
        }
        if let Some(length) = self.length {
            readings.gauge(&declared::QUOTA_WINDOW, &[upstream], length.as_secs_f64());
        }
        if let Some(resets_at) = self.resets_at {
            readings.gauge(&declared::QUOTA_RESET, &[upstream], resets_at.as_duration().as_secs_f64());
        }
    }
}

/// Puts how long calls took, answered as asked or failed, into a reading.
pub(super) fn read_durations(
    [answered, failed]: [&Distribution; 2],
    upstream: UpstreamName,
    readings: &mut Readings,
) {
    for (outcome, durations) in [("ok", answered), ("failed", failed)] {
        readings.distribution(&declared::CALL_DURATION, &[upstream.slug(), outcome], durations);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_quota_is_the_one_with_the_smallest_share_left() {
        let figures = |limit, remaining| QuotaFigures { limit, remaining, resets_at: None, length: None };
        let roomy = figures(Some(100), Some(90));
        let tight = figures(Some(10_000), Some(2_000));
        let unknown = [figures(None, Some(1)), figures(Some(5), None), figures(Some(0), Some(0))];
        assert_eq!(QuotaFigures::tightest([roomy, tight].into_iter().chain(unknown)), Some(tight));
        assert_eq!(QuotaFigures::tightest(unknown.into_iter()), None);
    }
}
