//! How a series that goes on with what another has learned finds its own level.
//!
//! The pods of one workload share the shape of their day and how much they scatter for their size, and no more than that:
//! one takes a tenth more requests than another, and all start with cold caches. So the heir is not judged for its
//! first minutes, and they teach nothing but one number: by how much its values are larger than those that were
//! expected, while it no longer starts. What was learned is then brought to this size.

use super::State;
use super::look::Look;

/// Stream time, and samples, for which an heir is not judged. The first half of both is its start.
const SETTLING_MS: i64 = 180_000;
const LEAST: u32 = 4;
/// An heir may be larger or smaller than what it goes on from by this factor. What is beyond it is news, and is judged.
const LARGEST: f64 = 2.0;
/// A mean error of fewer of its standard deviations is no other size.
const SURE: f64 = 3.0;

/// An heir's first minutes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settling {
    begun_ms: i64,
    samples: u32,
    /// Samples behind the start, and sums of what came and of what was expected in its place.
    counted: u32,
    came: f64,
    expected: f64,
}

// === impl Settling ===

impl Settling {
    /// Takes `value` at `at_ms`, in whose place `expected` was, with errors of `variance`. Once it has seen enough: by how
    /// much the heir is larger.
    fn learn(&mut self, at_ms: i64, value: f64, expected: f64, variance: f64) -> Option<f64> {
        if self.samples == 0 {
            self.begun_ms = at_ms;
        }
        self.samples += 1;
        let elapsed_ms = at_ms.saturating_sub(self.begun_ms);
        if elapsed_ms > SETTLING_MS / 2 && self.samples > LEAST / 2 {
            self.counted += 1;
            self.came += value;
            self.expected += expected;
        }
        (elapsed_ms >= SETTLING_MS && self.samples >= LEAST).then(|| self.ratio(variance))
    }

    /// Of what came to what was expected; 1 where there is none, as around nought, or where it may be chance.
    fn ratio(&self, variance: f64) -> f64 {
        let (ratio, error) = (self.came / self.expected, self.came - self.expected);
        let is_sure = error * error > SURE * SURE * variance * f64::from(self.counted);
        let is_size = self.came > 0.0 && self.expected > 0.0 && ratio.is_finite() && is_sure;
        if is_size { ratio.clamp(1.0 / LARGEST, LARGEST) } else { 1.0 }
    }
}

// === impl State ===

impl State {
    /// The same for a series that goes on from here.
    pub(in crate::detect) fn for_heir(mut self) -> Self {
        self.settling = Some(Box::default());
        self
    }

    /// Lets `value` at `at_ms`, as `look` sees it, say how large the heir is. Nothing else is learned.
    #[cold]
    pub(super) fn settle(&mut self, at_ms: i64, value: f64, look: &Look) {
        let (expected, _) = self.band(look);
        let variance = if self.is_short() { self.short.error_variance } else { self.seasons.error_variance };
        let Some(settling) = &mut self.settling else { return };
        if let Some(factor) = settling.learn(at_ms, value, expected, variance) {
            self.settling = None;
            self.scale(factor);
        }
    }

    /// Makes of all that was learned what values `factor` times as large would have taught.
    fn scale(&mut self, factor: f64) {
        self.seen.is_fresh = false;
        self.short.scale(factor);
        self.distances.scale(factor);
        self.extremes.scale(factor);
        self.seasons.scale(factor);
        if let Some(slow) = &mut self.slow {
            slow.profiles.scale(factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::detect::{Demands, Detector, State};
    use crate::model::Model;

    const STEP_MS: i64 = 60_000;
    const START_MS: i64 = 1_700_000_000_000;

    /// A day and its noise, at `step`.
    fn value(step: i64) -> f64 {
        let day = (step % 1_440) as f64 / 1_440.0;
        let noise = (step as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(31);
        100.0 + 200.0 * day * (1.0 - day) + 5.0 * (noise as f64 / u64::MAX as f64 - 0.5)
    }

    struct Series {
        detector: Detector,
        state: State,
        factor: f64,
    }

    impl Series {
        fn learned(factor: f64, steps: i64) -> Self {
            let mut series = Self { detector: Model::builtin().detector, state: State::default(), factor };
            (0..steps).for_each(|step| _ = series.next(step));
            series
        }

        fn next(&mut self, step: i64) -> f64 {
            self.at(step, value(step) * self.factor)
        }

        fn at(&mut self, step: i64, value: f64) -> f64 {
            let (at_ms, demands) = (START_MS + step * STEP_MS, Demands::default());
            let judged = self.detector.judge(&mut self.state, at_ms, value, &demands);
            self.detector.learn(&mut self.state, at_ms, value, &demands);
            judged.map_or(0.0, |judged| judged.score)
        }

        /// The same series by another, `factor` times as large.
        fn heir(mut self, factor: f64) -> Self {
            self.state = self.state.for_heir();
            self.factor *= factor;
            self
        }
    }

    #[test]
    fn an_heir_of_another_size_goes_on_as_if_it_had_always_been_so() {
        let steps = 4_000;
        for factor in [0.6, 1.0, 1.7] {
            let mut heir = Series::learned(1.0, steps).heir(factor);
            let scores: Vec<f64> = (steps + 2..steps + 600).map(|step| heir.next(step)).collect();
            assert!(scores.iter().all(|score| *score < 1.0), "{factor}: {scores:?}");
            let far = heir.at(steps + 600, 1.6 * factor * value(steps + 600));
            assert!(far > 1.0, "{factor}: {far}");
        }
    }

    #[test]
    fn an_heir_is_not_judged_while_it_starts_and_its_start_teaches_nothing() {
        let steps = 4_000;
        let mut heir = Series::learned(1.0, steps).heir(1.0);
        let scores: Vec<f64> = (0..2).map(|step| heir.at(steps + step, 900.0)).collect();
        assert_eq!(scores, [0.0; 2]);
        assert!((2..300).all(|step| heir.next(steps + step) < 1.0));
    }

    #[test]
    fn what_is_far_beyond_the_size_of_another_is_told() {
        let steps = 4_000;
        let mut heir = Series::learned(1.0, steps).heir(4.0);
        assert!((0..20).any(|step| heir.next(steps + step) > 1.0));
    }

    #[test]
    fn around_nought_there_is_no_size() {
        let mut heir = Series::learned(0.0, 4_000).heir(1.0);
        assert!((0..20).all(|step| heir.next(4_000 + step) == 0.0));
        assert!(heir.at(4_020, 5.0) > 1.0);
    }
}
