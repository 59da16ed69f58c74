//! Metrics of an upstream: calls, their durations, and the tightest quota.

use super::counts::{CallCounts, HoldReason};
use super::quota::QuotaFigures;
use crate::domain::upstream_name::UpstreamName;
use crate::telemetry::metrics::declared;
use crate::telemetry::metrics::distribution::Distribution;
use crate::telemetry::metrics::readings::Readings;

impl CallCounts {
    /// Adds the counters to a metrics reading.
    pub(super) fn read(&self, upstream: UpstreamName, readings: &mut Readings) {
        let upstream = upstream.slug();
        let calls = [("ok", &self.succeeded), ("cancelled", &self.cancelled)];
        for (outcome, count) in
            calls.into_iter().chain(self.failed.iter().map(|(code, count)| (*code, count)))
        {
            readings.count(&declared::CALLS, &[upstream, outcome], *count);
        }
        for reason in HoldReason::ALL {
            let count = self.held.get(reason).copied().unwrap_or_default();
            readings.count(&declared::CALLS_HELD, &[upstream, reason.label()], count);
        }
        readings.count(&declared::RETRIES, &[upstream], self.retried);
        readings.declare(&declared::PROBLEMS);
        for (rule, count) in &self.problems {
            readings.count(&declared::PROBLEMS, &[upstream, rule.slug()], *count);
        }
        readings.declare(&declared::UNREADABLE_HEADERS);
        for (name, count) in &self.unreadable_headers {
            readings.count(&declared::UNREADABLE_HEADERS, &[upstream, name], *count);
        }
        readings.level(&declared::CALLS_UNDER_WAY, &[upstream], self.in_flight);
        readings.level(&declared::BREAKERS_OPEN, &[upstream], self.breakers_open);
    }
}

impl QuotaFigures {
    /// Returns the quota with the smallest remaining share, among those with a known limit. Metrics show only this one,
    /// without its key: callers may bring any number of keys, and the tightest is exhausted first.
    pub(super) fn tightest(all: impl Iterator<Item = Self>) -> Option<Self> {
        let share = |figures: &Self| Some((figures.remaining?, figures.limit.filter(|limit| *limit > 0)?));
        let known = all.filter_map(|figures| Some((share(&figures)?, figures)));
        let by_share = |((left, limit), _): &((u64, u64), _),
                        ((other_left, other_limit), _): &((u64, u64), _)| {
            // Compares left / limit in integers.
            let (scaled, other_scaled) =
                (u128::from(*left) * u128::from(*other_limit), u128::from(*other_left) * u128::from(*limit));
            scaled.cmp(&other_scaled)
        };
        known.min_by(by_share).map(|(_, figures)| figures)
    }

    /// Adds the known figures to a metrics reading.
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

/// Adds the durations of successful and failed calls to a metrics reading.
pub(super) fn read_durations(
    [succeeded, failed]: [&Distribution; 2],
    upstream: UpstreamName,
    readings: &mut Readings,
) {
    for (outcome, durations) in [("ok", succeeded), ("failed", failed)] {
        readings.distribution(&declared::CALL_DURATION, &[upstream.slug(), outcome], durations);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_quota_has_the_smallest_share_left() {
        let figures = |limit, remaining| QuotaFigures { limit, remaining, resets_at: None, length: None };
        let roomy = figures(Some(100), Some(90));
        let tight = figures(Some(10_000), Some(2_000));
        let unknown = [figures(None, Some(1)), figures(Some(5), None), figures(Some(0), Some(0))];
        assert_eq!(QuotaFigures::tightest([roomy, tight].into_iter().chain(unknown)), Some(tight));
        assert_eq!(QuotaFigures::tightest(unknown.into_iter()), None);
    }
}
