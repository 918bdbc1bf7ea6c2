//! The short-term forecast: an autoregression of order 4, learned online by recursive least squares.
//!
//! The model is `v(t) = w4 + sum w_i v(t - i)` on values standardised by a slow robust mean and variance
//! (Ljung, System Identification, 1999, 11.2; the forgetting factor is `1 - 1/4000`). An error teaches
//! the weights up to three of its own standard deviations, and the variances up to four: an outlier moves
//! them little (Huber, Robust Statistics, 1981).

use super::clock::{Pace, at_least};
use super::math::clip;
use crate::detect::explanation::Window;
use crate::detect::kept::kept;

/// How many values back the short-term forecast looks.
pub const ORDER: usize = 4;
const INPUTS: usize = ORDER + 1;
/// Elements on and above the diagonal of a symmetric matrix of `INPUTS` rows.
const TRIANGLE: usize = INPUTS * (INPUTS + 1) / 2;
const FORGET: f64 = 1.0 - 1.0 / 4_000.0;
/// Variance of each weight, of standardised inputs, where nothing is known of it; and of one that was learned offline, which is worth
/// about a hundred samples.
const UNKNOWN: f32 = 10.0;
const PRIOR_VARIANCE: f32 = 0.01;
/// Where the trace of the inverse correlation grows beyond, nothing excites the inputs: it is scaled back.
const LARGEST_TRACE: f64 = 1e5;
/// Standard deviations up to which an error teaches the weights, the mean and the variances.
const TEACH_CLIP: f64 = 3.0;
const SPREAD_CLIP: f64 = 4.0;
/// Samples that the slow mean, and the variance of errors behind `TEACH_CLIP`, remember.
const MEAN_ROWS: f64 = 1_000.0;
const ERROR_ROWS: f64 = 500.0;
/// Values before the weights learn: until then too little is known of the scale.
const START: u32 = 10;
/// After so many errors only each fourth teaches the weights.
const EVERY_UNTIL: u32 = 1_000;
const EVERY: u32 = 4;
/// Errors seen before clipping starts.
const SETTLED: u32 = 32;

/// What one series has taught its autoregression.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Autoregression {
    mean: f64,
    variance: f64,
    /// The root of the variance, and of what is told apart at all.
    deviation: f64,
    /// Variance of errors, in the unit of the values: slow, robust.
    pub(super) error_variance: f64,
    lags: [f64; ORDER],
    weights: [f32; INPUTS],
    /// Inverse correlation of the inputs, its upper triangle by rows.
    inverse: [f32; TRIANGLE],
    /// Variance of standardised errors: fast.
    recent_variance: f32,
    /// Errors seen, up to where anybody asks.
    errors: u32,
}

// === impl Autoregression ===

impl Autoregression {
    /// The value expected next, once there are enough values to look back on.
    #[inline]
    pub(super) fn forecast(&self) -> f64 {
        let above: f64 = self
            .lags
            .iter()
            .zip(self.weights)
            .map(|(lag, weight)| f64::from(weight) * (lag - self.mean))
            .sum();
        self.mean + f64::from(self.weights[ORDER]) * self.deviation + above
    }

    /// The last values, standardised, and the constant.
    #[inline]
    fn inputs(&self) -> [f64; INPUTS] {
        let inverse = 1.0 / self.deviation;
        let mut inputs = [1.0; INPUTS];
        for (input, lag) in inputs.iter_mut().zip(self.lags) {
            *input = (lag - self.mean) * inverse;
        }
        inputs
    }

    /// What a forecast looks back on.
    pub(super) fn window(&self) -> Window {
        let [a, b, c, d, _] = self.inputs();
        Window { values: self.lags, z: [a, b, c, d] }
    }

    /// Makes of it what values `factor` times as large would have taught: the weights are of standardised ones.
    pub(super) fn scale(&mut self, factor: f64) {
        let sizes = [&mut self.mean, &mut self.deviation].into_iter().chain(&mut self.lags);
        sizes.for_each(|size| *size *= factor);
        self.variance *= factor * factor;
        self.error_variance *= factor * factor;
    }

    /// Whether its errors have been seen often enough to be compared with.
    #[inline]
    pub(super) fn is_ready(&self) -> bool {
        self.errors >= 10
    }

    /// Lets `value`, in whose place `expected` was, teach. `seen` values came before it; `share` is the weight
    /// of each in the variance of errors; a variance below `least` says nothing.
    #[inline]
    pub(super) fn learn(
        &mut self,
        value: f64,
        expected: f64,
        pace: &Pace,
        seen: u32,
        share: f64,
        least: f64,
    ) {
        if seen == 0 {
            (self.mean, self.lags, self.deviation) = (value, [value; ORDER], least.sqrt());
            if !self.has_prior() {
                self.weights[0] = 1.0;
                self.forget_inputs();
            }
            return;
        }
        // A forecast across a gap is not one step ahead: its error says nothing of the weights.
        if seen >= START && pace.steps == 1.0 {
            let error = value - expected;
            if self.errors < EVERY_UNTIL || seen.is_multiple_of(EVERY) {
                self.learn_weights(error);
            }
            self.learn_errors(error, share);
        }
        self.learn_scale(value, seen, least);
        self.shift(value, pace);
    }

    #[inline]
    fn learn_weights(&mut self, error: f64) {
        let error = error / self.deviation;
        let bound = TEACH_CLIP * (f64::from(self.recent_variance).sqrt() + 1e-9);
        let error = clip(error, if self.errors < SETTLED { 1e6 } else { bound });
        let inputs = self.inputs();
        let mut gain = [0.0; INPUTS];
        let mut at = 0;
        for i in 0..INPUTS {
            gain[i] += f64::from(self.inverse[at]) * inputs[i];
            at += 1;
            for j in i + 1..INPUTS {
                let element = f64::from(self.inverse[at]);
                gain[i] += element * inputs[j];
                gain[j] += element * inputs[i];
                at += 1;
            }
        }
        let mut scale = FORGET;
        for i in 0..INPUTS {
            scale += inputs[i] * gain[i];
        }
        // Rounding may have cost the matrix its definiteness: begin again with what the weights know.
        if !(0.5 * FORGET..1e12).contains(&scale) {
            return self.forget_inputs();
        }
        let inverse_scale = 1.0 / scale;
        for (weight, gain) in self.weights.iter_mut().zip(gain) {
            *weight = (f64::from(*weight) + gain * inverse_scale * error) as f32;
        }
        let trace = self.downdate(&gain, inverse_scale);
        if !trace.is_finite() {
            return self.forget_inputs();
        }
        if trace > LARGEST_TRACE {
            let shrink = (0.1 * LARGEST_TRACE / trace) as f32;
            self.inverse.iter_mut().for_each(|element| *element *= shrink);
        }
        let faster = at_least(1.0 / ERROR_ROWS, self.errors);
        let variance = f64::from(self.recent_variance);
        self.recent_variance = (variance + faster * (error * error - variance)) as f32;
        if !self.weights.iter().all(|weight| weight.abs() < 1e6) {
            self.weights = [1.0, 0.0, 0.0, 0.0, 0.0];
        }
    }

    /// `(P - g g' / s) / lambda`; gives the trace.
    #[inline]
    fn downdate(&mut self, gain: &[f64; INPUTS], inverse_scale: f64) -> f64 {
        const INVERSE_FORGET: f64 = 1.0 / FORGET;
        let (mut at, mut trace) = (0, 0.0);
        for i in 0..INPUTS {
            let row = gain[i] * inverse_scale;
            for (j, other) in gain.iter().enumerate().skip(i) {
                let element = (f64::from(self.inverse[at]) - row * other) * INVERSE_FORGET;
                self.inverse[at] = element as f32;
                if i == j {
                    trace += element;
                }
                at += 1;
            }
        }
        trace
    }

    /// Has learned nothing, but begins with what series of its kind have in common.
    pub(super) fn beginning_at(weights: [f64; ORDER]) -> Self {
        let mut prior = Self::default();
        prior.weights.iter_mut().zip(weights).for_each(|(weight, known)| *weight = known as f32);
        prior.know_inputs(PRIOR_VARIANCE);
        prior
    }

    fn has_prior(&self) -> bool {
        self.inverse[0] != 0.0
    }

    #[cold]
    fn forget_inputs(&mut self) {
        self.know_inputs(UNKNOWN);
    }

    fn know_inputs(&mut self, variance: f32) {
        self.inverse = [0.0; TRIANGLE];
        let mut at = 0;
        for i in 0..INPUTS {
            self.inverse[at] = variance;
            at += INPUTS - i;
        }
    }

    #[inline]
    fn learn_errors(&mut self, error: f64, share: f64) {
        let bound = SPREAD_CLIP * SPREAD_CLIP * self.error_variance;
        let square = error * error;
        let square = if self.is_ready() && bound > 0.0 { square.min(bound) } else { square };
        let weight = at_least(share, self.errors);
        self.error_variance += weight * (square - self.error_variance);
        self.errors = self.errors.saturating_add(1);
    }

    #[inline]
    fn learn_scale(&mut self, value: f64, seen: u32, least: f64) {
        let weight = at_least(1.0 / MEAN_ROWS, seen);
        let mut distance = value - self.mean;
        let bound = SPREAD_CLIP * SPREAD_CLIP * self.variance;
        if seen > SETTLED && bound > 0.0 && distance * distance > bound {
            distance = clip(distance, bound.sqrt());
        }
        self.mean += weight * distance;
        self.variance += weight * (distance * distance - self.variance);
        self.deviation = (self.variance + least).sqrt();
    }

    /// Makes `value` the newest to look back on; what a gap left out lies on the straight line to it.
    #[inline]
    fn shift(&mut self, value: f64, pace: &Pace) {
        if pace.steps == 1.0 {
            self.lags = [value, self.lags[0], self.lags[1], self.lags[2]];
            return;
        }
        let old = self.lags[0];
        let slope = (value - old) / pace.steps;
        for (back, lag) in self.lags.iter_mut().enumerate() {
            *lag = value - slope * (back as f64).min(pace.steps);
        }
    }
}

// === kept ===

kept!(Autoregression {
    mean,
    variance,
    deviation,
    error_variance,
    lags,
    weights,
    inverse,
    recent_variance,
    errors
});

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { step_s: 60.0, steps: 1.0, decades: 0.0 };
    const LEAST: f64 = 1e-280;

    fn taught(values: impl IntoIterator<Item = f64>) -> Autoregression {
        let mut model = Autoregression::default();
        for (seen, value) in values.into_iter().enumerate() {
            let expected = model.forecast();
            model.learn(value, expected, &PACE, seen as u32, 1.0 / 3_000.0, LEAST);
        }
        model
    }

    use crate::detect::hybrid::tests::noise;

    #[test]
    fn an_oscillation_is_forecast() {
        let wave = |i: usize| 50.0 + 10.0 * (i as f64 * 0.7).sin() + 0.1 * noise(i);
        let model = taught((0..2_000).map(wave));
        let expected = model.forecast();
        assert!((expected - wave(2_000)).abs() < 0.5, "{expected} {}", wave(2_000));
    }

    #[test]
    fn a_prior_is_right_from_the_start_and_gives_way_to_the_series() {
        let wave = |phase: f64| move |i: usize| 50.0 + 10.0 * (i as f64 * phase).sin() + 0.1 * noise(i);
        // x(t) = 2 cos(0.7) x(t - 1) - x(t - 2)
        let weights = [2.0 * 0.7_f64.cos(), -1.0, 0.0, 0.0];
        let error = |mut model: Autoregression, phase: f64, seen: std::ops::Range<usize>| {
            let mut sum = 0.0;
            for i in 0..seen.end {
                let (value, expected) = (wave(phase)(i), model.forecast());
                sum += if seen.contains(&i) { (value - expected).powi(2) } else { 0.0 };
                model.learn(value, expected, &PACE, i as u32, 1.0 / 3_000.0, LEAST);
            }
            (sum / seen.len() as f64).sqrt()
        };
        let [with, without] = [Autoregression::beginning_at(weights), Autoregression::default()];
        let early = 5..12;
        let [known, unknown] = [with, without].map(|model| error(model, 0.7, early.clone()));
        assert!(known < 0.7 * unknown, "{known} {unknown}");
        // A wrong one is forgotten: of an amplitude of 10 little is left.
        let late = error(with, 1.3, 2_000..3_000);
        assert!(late < 1.0, "{late}");
    }

    #[test]
    fn an_outlier_moves_the_forecast_little() {
        let flat = |i: usize| 10.0 + noise(i);
        let mut model = taught((0..1_000).map(flat));
        let before = model.error_variance;
        model.learn(1e9, model.forecast(), &PACE, 1_000, 1.0 / 3_000.0, LEAST);
        assert!(model.error_variance < 1.1 * before);
        assert!((model.mean - 10.0).abs() < 0.1);
    }

    #[test]
    fn whatever_is_learned_stays_finite() {
        let nasty = [0.0, 1e120, -1e120, 1e-308, 5e-324, 1.0, 0.0, 0.0];
        let model = taught((0..5_000).map(|i| nasty[(i * i + i / 7) % nasty.len()]));
        assert!(model.forecast().is_finite(), "{model:?}");
        let growing = taught((0..398).map(|i| 2.0_f64.powi(i)));
        assert!(growing.forecast().is_finite());
    }

    #[test]
    fn a_gap_is_bridged_by_a_straight_line() {
        let mut model = taught((0..100).map(|_| 10.0));
        let pace = Pace { steps: 4.0, ..PACE };
        model.learn(18.0, model.forecast(), &pace, 100, 1.0 / 3_000.0, LEAST);
        assert_eq!(model.lags, [18.0, 16.0, 14.0, 12.0]);
    }
}
