//! A robust z-score around a level or a day profile, whichever forecasts the series better.
//!
//! Two forecasters run side by side: a level with a memory of an hour, and a slow mean with a profile of
//! the 24 hours of the day (UTC). Each keeps a robust average of its own absolute errors; once two days
//! have been seen, the one that errs less speaks. The score is the error in units of
//! `threshold * 1.2533 * average error`: 1.2533 = sqrt(pi/2) turns a mean absolute deviation into a
//! standard deviation where errors are normal. Errors are clipped before they teach (Huber's idea), so
//! that an outlier cannot move the level far, and the average error grows a little with each, so that a
//! new level is accepted in the end.
//!
//! Memories are spans of time, not numbers of samples: an update weighs `dt / (memory + dt)`, the
//! rational form of `1 - exp(-dt / memory)`, which is the same on every machine to the last bit.

use super::{Demands, Judgement, MAX_SCORE, OUTSIDE_DATA_RANGE};

/// Hours of the day profile.
const BINS: usize = 24;
const MS: f64 = 1e-3;
/// A mean absolute deviation times this is a standard deviation, for normal errors: sqrt(pi / 2).
const MAD_TO_SIGMA: f64 = 1.253_314_137_315_500_3;
/// Errors teach the forecast up to this many average errors, and the average itself up to `SPREAD_CLIP`.
const TEACH_CLIP: f64 = 4.0;
const SPREAD_CLIP: f64 = 8.0;

/// Parameters of the seasonal detector.
///
/// | name | default | purpose |
/// |---|---|---|
/// | `threshold` | 5.0 | standard deviations at which the score is 1 |
/// | `level_memory_s` | 3,600 | seconds that the fast level remembers |
/// | `mean_memory_s` | 172,800 | seconds that the slow mean behind the day profile remembers |
/// | `profile_visits` | 1.0 | visits of an hour of the day that its bin remembers |
/// | `spread_memory_s` | 21,600 | seconds over which errors are averaged |
/// | `profile_after_s` | 172,800 | seconds of history before the day profile may speak |
/// | `floor` | 0.01 | least deviation that scores 1, as a share of the expected value |
#[derive(Clone, Debug, PartialEq)]
pub struct Seasonal {
    /// Standard deviations at which the score is 1.
    pub threshold: f64,
    /// Seconds that the fast level remembers.
    pub level_memory_s: f64,
    /// Seconds that the slow mean behind the day profile remembers.
    pub mean_memory_s: f64,
    /// Visits of an hour of the day that its bin remembers.
    pub profile_visits: f64,
    /// Seconds over which errors are averaged.
    pub spread_memory_s: f64,
    /// Seconds of history before the day profile may speak.
    pub profile_after_s: f64,
    /// Least deviation that scores 1, as a share of the expected value: keeps a series that never moved
    /// from alarming at its first rounding error.
    pub floor: f64,
}

/// What a series has learned.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    level: f64,
    mean: f64,
    last_ms: i64,
    seen_s: f32,
    samples: u32,
    /// Average absolute error of the level, and of the mean with its profile.
    level_error: f32,
    profile_error: f32,
    /// Average of how much more the level errs than the profile, outliers in full.
    profile_gain: f32,
    profile: [f32; BINS],
}

impl Default for Seasonal {
    fn default() -> Self {
        Self {
            threshold: 5.0,
            level_memory_s: 3_600.0,
            mean_memory_s: 172_800.0,
            profile_visits: 1.0,
            spread_memory_s: 21_600.0,
            profile_after_s: 172_800.0,
            floor: 0.01,
        }
    }
}

// === impl Seasonal ===

impl Seasonal {
    #[inline]
    pub(super) fn judge(
        &self,
        state: &State,
        at_ms: i64,
        value: f64,
        demands: &Demands,
    ) -> Option<Judgement> {
        if state.samples == 0 {
            return None;
        }
        let (expected, spread) = self.forecast(state, at_ms);
        let expected = demands.clip(expected);
        let threshold = demands.threshold.unwrap_or(self.threshold);
        let width = (threshold * MAD_TO_SIGMA * spread).max(self.floor * expected.abs());
        let [lower, upper] = demands.band(expected, width);
        let mut score = 0.0;
        if state.samples >= demands.min_samples {
            let error = demands.counted(value - expected, expected);
            let width = width * demands.scale[usize::from(error > 0.0)];
            score = ratio(error.abs(), width);
        }
        if demands.outside_range(value) {
            score = score.max(OUTSIDE_DATA_RANGE);
        }
        Some(Judgement { score, expected, lower, upper })
    }

    /// The expected value and its average absolute error.
    #[inline]
    fn forecast(&self, state: &State, at_ms: i64) -> (f64, f64) {
        if f64::from(state.seen_s) >= self.profile_after_s && state.profile_gain > 0.0 {
            (state.mean + f64::from(state.profile[bin(at_ms)]), f64::from(state.profile_error))
        } else {
            (state.level, f64::from(state.level_error))
        }
    }

    #[inline]
    pub(super) fn learn(&self, state: &mut State, at_ms: i64, value: f64) {
        let dt = ((at_ms - state.last_ms).max(0) as f64 * MS).min(self.level_memory_s);
        state.last_ms = at_ms;
        state.samples = state.samples.saturating_add(1);
        if state.samples == 1 {
            (state.level, state.mean) = (value, value);
            return;
        }
        state.seen_s += dt as f32;
        // The first samples weigh as in a plain average, so that a series is not bound to how it began.
        let start = 1.0 / f64::from(state.samples);
        let weight = |memory: f64| (dt / (memory + dt)).max(start.min(0.5));

        let hour = &mut state.profile[bin(at_ms)];
        let profile_error = value - (state.mean + f64::from(*hour));
        let taught = clipped(profile_error, state.profile_error, state.samples);
        state.mean += weight(self.mean_memory_s) * taught;
        *hour += (dt / (self.profile_visits * 3_600.0 + dt) * taught) as f32;

        let level_error = value - state.level;
        state.level += weight(self.level_memory_s) * clipped(level_error, state.level_error, state.samples);

        let gain = level_error.abs().min(f64::from(f32::MAX)) - profile_error.abs().min(f64::from(f32::MAX));
        let slow = dt / (self.profile_after_s + dt);
        state.profile_gain += (slow * (gain - f64::from(state.profile_gain))) as f32;

        let weight = weight(self.spread_memory_s);
        average(&mut state.level_error, level_error, weight, state.samples);
        average(&mut state.profile_error, profile_error, weight, state.samples);
    }
}

// === impl State ===

impl State {
    #[inline]
    pub(super) fn samples_seen(&self) -> u32 {
        self.samples
    }
}

/// Hour of the day, UTC.
#[inline]
fn bin(at_ms: i64) -> usize {
    at_ms.div_euclid(3_600_000).rem_euclid(BINS as i64) as usize
}

/// `error` as far as it may teach: at most [`TEACH_CLIP`] average errors once there is an average.
#[inline]
fn clipped(error: f64, average: f32, samples: u32) -> f64 {
    let bound = TEACH_CLIP * f64::from(average);
    // While nothing is known of the spread, and where it is nil, an error teaches whole.
    if samples < 8 || bound == 0.0 { error } else { error.clamp(-bound, bound) }
}

/// Moves `average` towards `|error|`, held to [`SPREAD_CLIP`] times itself; stays finite.
#[inline]
fn average(average: &mut f32, error: f64, weight: f64, samples: u32) {
    let now = f64::from(*average);
    let bound = if samples < 8 || now == 0.0 { f64::MAX } else { SPREAD_CLIP * now };
    let next = now + weight * (error.abs().min(bound) - now);
    *average = (next as f32).min(f32::MAX);
}

/// `error / width` in `0..=MAX_SCORE`, for any width from 0 to infinity.
#[inline]
fn ratio(error: f64, width: f64) -> f64 {
    if error == 0.0 {
        return 0.0;
    }
    let ratio = error / width;
    // NaN is infinity over infinity: both overflowed, nothing can be said.
    if ratio.is_nan() { 0.0 } else { ratio.min(MAX_SCORE) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STEP_MS: i64 = 15_000;

    fn taught(values: impl IntoIterator<Item = f64>) -> (Seasonal, State, i64) {
        let detector = Seasonal::default();
        let (mut state, mut at) = (State::default(), 1_700_006_400_000);
        for value in values {
            detector.learn(&mut state, at, value);
            at += STEP_MS;
        }
        (detector, state, at)
    }

    fn wave(count: usize) -> impl Iterator<Item = f64> {
        (0..count).map(|i| 100.0 + ((i * 7919) % 13) as f64)
    }

    fn score(values: impl IntoIterator<Item = f64>, value: f64, demands: &Demands) -> f64 {
        let (detector, state, at) = taught(values);
        detector.judge(&state, at, value, demands).expect("taught").score
    }

    #[test]
    fn usual_values_score_below_one_and_a_jump_above() {
        let demands = Demands::default();
        assert!(score(wave(500), 105.0, &demands) < 1.0);
        assert!(score(wave(500), 300.0, &demands) > 1.0);
    }

    #[test]
    fn warm_up_scores_zero() {
        assert_eq!(score(wave(15), 1e9, &Demands::default()), 0.0);
        assert!(score(wave(16), 1e9, &Demands::default()) > 1.0);
    }

    #[test]
    fn nothing_is_expected_before_the_first_sample() {
        let judged = Seasonal::default().judge(&State::default(), 0, 1.0, &Demands::default());
        assert_eq!(judged, None);
    }

    #[test]
    fn the_other_side_does_not_count() {
        let above = Demands { direction: super::super::Direction::AboveExpected, ..Demands::default() };
        assert_eq!(score(wave(500), -1e6, &above), 0.0);
        assert!(score(wave(500), 1e6, &above) > 1.0);
    }

    #[test]
    fn small_deviations_are_ignored_where_the_rule_says_so() {
        let demands = Demands { min_dev: [0.0, 500.0], ..Demands::default() };
        assert_eq!(score(wave(500), 300.0, &demands), 0.0);
        assert!(score(wave(500), 700.0, &demands) > 1.0);
        let relative = Demands { min_rel_dev: [0.0, 4.0], ..Demands::default() };
        assert_eq!(score(wave(500), 300.0, &relative), 0.0);
    }

    #[test]
    fn outside_the_data_range_scores_only_where_a_rule_sets_one() {
        let ranged = Demands { data_range: Some([0.0, 110.0]), ..Demands::default() };
        assert_eq!(score(wave(500), 112.0, &ranged), OUTSIDE_DATA_RANGE);
        assert!(score(wave(500), 112.0, &Demands::default()) < 1.0);
        assert_eq!(score(wave(2), 112.0, &ranged), OUTSIDE_DATA_RANGE, "warm-up does not excuse it");
    }

    #[test]
    fn a_constant_series_stays_at_zero_and_alarms_when_it_leaves() {
        let constant = || std::iter::repeat_n(42.0, 200);
        assert_eq!(score(constant(), 42.0, &Demands::default()), 0.0);
        assert!(score(constant(), 50.0, &Demands::default()) > 1.0);
        assert!(score(constant(), 42.0 + 1e-9, &Demands::default()) < 1.0);
    }

    #[test]
    fn a_day_profile_takes_over_when_it_forecasts_better() {
        let daily = |i: usize| if (i / 240) % 24 < 12 { 10.0 } else { 1000.0 };
        let days = |n: usize| (0..n * 5760).map(daily);
        let (detector, state, at) = taught(days(6));
        let judged = detector.judge(&state, at, daily(6 * 5760), &Demands::default()).expect("taught");
        assert!((judged.expected - daily(6 * 5760)).abs() < 200.0, "{judged:?}");
    }

    #[test]
    fn a_level_that_stays_becomes_normal() {
        let shifted = wave(2000).chain(wave(6000).map(|v| v + 300.0));
        assert!(score(shifted, 405.0, &Demands::default()) < 1.0);
    }

    proptest! {
        #[test]
        fn whatever_is_learned_scores_are_finite_and_not_negative(
            values in proptest::collection::vec(prop_oneof![any::<f64>(), -1e3..1e3], 1..200),
            last in any::<f64>(),
        ) {
            let finite = values.into_iter().filter(|v| v.is_finite());
            let (detector, state, at) = taught(finite);
            prop_assume!(last.is_finite());
            if let Some(judged) = detector.judge(&state, at, last, &Demands::default()) {
                prop_assert!(judged.score.is_finite() && judged.score >= 0.0, "{:?}", judged);
                prop_assert!(!judged.expected.is_nan());
            }
        }
    }
}
