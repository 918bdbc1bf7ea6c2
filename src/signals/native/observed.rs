//! What was observed between two histograms.

use super::bounds::{self, FINEST};
use crate::batch::{NativeHistogram, Reset};

/// Observations by buckets, those without any left out.
#[derive(Debug, Default)]
pub(in crate::signals) struct Observed {
    /// None where the bounds are given one by one.
    pub(super) schema: Option<i32>,
    pub(super) zero_threshold: f64,
    pub(super) zero_count: f64,
    pub(super) count: f64,
    pub(super) sum: f64,
    pub(super) positive: Vec<(i32, f64)>,
    pub(super) negative: Vec<(i32, f64)>,
    pub(super) custom: Vec<f64>,
}

// === impl Observed ===

impl Observed {
    /// All that `now` holds.
    pub(super) fn take(&mut self, now: &NativeHistogram) {
        self.lay_out(now);
        (self.zero_count, self.count, self.sum) = (now.zero_count, now.count, now.sum);
        let fine = finer(now);
        let sides = [(&mut self.positive, &now.positive), (&mut self.negative, &now.negative)];
        for (observed, now) in sides {
            observed.clear();
            observed.extend(merged(now.iter(), fine).filter(|(_, count)| *count != 0.0));
        }
    }

    /// What `now` holds more than `before`; all of it where it was reset meanwhile.
    ///
    /// It was reset if it says so, if any count of it has fallen, or if its buckets are not made of those before: a
    /// process changes them when it starts anew.
    pub(super) fn between(&mut self, before: &NativeHistogram, now: &NativeHistogram) {
        if !self.subtract(before, now) {
            self.take(now);
        }
    }

    /// False if that cannot be.
    fn subtract(&mut self, before: &NativeHistogram, now: &NativeHistogram) -> bool {
        let is_coarser = now.schema <= before.schema && now.is_custom() == before.is_custom();
        if now.reset == Reset::Yes || !is_coarser || now.custom != before.custom || now.count < before.count {
            return false;
        }
        let Some(zero_count) = zero_count_within(before, now.zero_threshold) else { return false };
        if now.zero_count < zero_count {
            return false;
        }
        self.lay_out(now);
        self.zero_count = now.zero_count - zero_count;
        (self.count, self.sum) = (now.count - before.count, now.sum - before.sum);
        // Buckets that are in the zero bucket by now.
        let gone = Some(now.zero_threshold).filter(|threshold| *threshold > before.zero_threshold);
        let sides = [
            (&mut self.positive, &before.positive, &now.positive),
            (&mut self.negative, &before.negative, &now.negative),
        ];
        sides.into_iter().all(|(observed, before_side, now_side)| {
            let is_left =
                |index| gone.is_none_or(|threshold| bounds::exponential(index, before.schema) > threshold);
            let left = before_side.iter().filter(|(index, _)| is_left(*index));
            let left = merged(left, before.schema - now.schema.min(FINEST));
            subtract_side(left, merged(now_side.iter(), finer(now)), observed)
        })
    }

    fn lay_out(&mut self, now: &NativeHistogram) {
        self.schema = (!now.is_custom()).then_some(now.schema.min(FINEST));
        self.zero_threshold = now.zero_threshold;
        self.custom.clone_from(&now.custom);
    }

    /// The mean observation, as `histogram_avg`; none where nothing was observed.
    pub(super) fn mean(&self) -> Option<f64> {
        let mean = self.sum / self.count;
        mean.is_finite().then_some(mean)
    }

    /// Observations per second, as `histogram_count` of a rate, where these are those of `millis`.
    pub(super) fn rate(&self, millis: f64) -> Option<f64> {
        let rate = self.count / (millis / 1e3);
        rate.is_finite().then_some(rate)
    }
}

/// By how much the buckets of `histogram` are finer than what is reckoned with.
fn finer(histogram: &NativeHistogram) -> i32 {
    (histogram.schema - FINEST).max(0)
}

/// Buckets, by rising index, at a resolution that is lower by `by`.
fn merged(buckets: impl Iterator<Item = (i32, f64)>, by: i32) -> impl Iterator<Item = (i32, f64)> {
    let lowered = move |index| if by > 0 { bounds::lowered(index, by) } else { index };
    let mut buckets = buckets.map(move |(index, count)| (lowered(index), count)).peekable();
    std::iter::from_fn(move || {
        let (index, mut count) = buckets.next()?;
        while let Some((_, more)) = buckets.next_if(|(next, _)| *next == index) {
            count += more;
        }
        Some((index, count))
    })
}

/// Puts into `observed` what the buckets `now` hold more than those `before`; false if one of them has fallen.
fn subtract_side(
    before: impl Iterator<Item = (i32, f64)>,
    now: impl Iterator<Item = (i32, f64)>,
    observed: &mut Vec<(i32, f64)>,
) -> bool {
    observed.clear();
    let mut before = before.filter(|(_, count)| *count != 0.0).peekable();
    for (index, count) in now {
        if before.peek().is_some_and(|(missing, _)| *missing < index) {
            return false;
        }
        let more = count - before.next_if(|(other, _)| *other == index).map_or(0.0, |(_, count)| count);
        if more < 0.0 {
            return false;
        }
        if more > 0.0 {
            observed.push((index, more));
        }
    }
    before.next().is_none()
}

/// What the zero bucket of `histogram` would hold if it reached up to `threshold`; none if it reaches further, or if
/// that lies within a bucket in which something was counted.
fn zero_count_within(histogram: &NativeHistogram, threshold: f64) -> Option<f64> {
    if threshold <= histogram.zero_threshold {
        return (threshold == histogram.zero_threshold).then_some(histogram.zero_count);
    }
    let bound = |index| bounds::exponential(index, histogram.schema);
    let mut zero_count = histogram.zero_count;
    for side in [&histogram.positive, &histogram.negative] {
        let counted = side.iter().filter(|(_, count)| *count != 0.0);
        for (index, count) in counted.take_while(|(index, _)| bound(index.saturating_sub(1)) < threshold) {
            if bound(index) > threshold {
                return None;
            }
            zero_count += count;
        }
    }
    Some(zero_count)
}
