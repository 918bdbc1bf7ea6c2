//! The exact likelihood, by a Kalman filter.
//!
//! The state space is that of Harvey: `state[t] = T state[t-1] + R e[t]`, where `T` has the autoregressive coefficients in its
//! first column and ones above its diagonal, `R` is 1 and the moving-average coefficients, and the first component is what is
//! seen. Variances are in units of that of the innovations. What is seen is known without error, so of the filtered covariance
//! only the part beyond the first component is left, and `T` merely shifts it.

use nalgebra::{SMatrix, SVector};

use super::order::MAX_TERMS;

/// Components of the largest state: p, or q + 1 if that is more.
const STATES: usize = MAX_TERMS + 1;

/// Filtered variance of the state below which the filter has converged. Of an invertible process the past tells all about the
/// present, so the filtered covariance goes to 0, the variance of the prediction to 1 and the gain to `R`: the distance from
/// the limit itself is compared, not the last change. The log-likelihood is off by this much per sample at most.
const CONVERGED: f64 = 1e-12;

type Covariance = [[f64; STATES]; STATES];
/// One more, 0, lets a shift by one read beyond the last component.
type State = [f64; STATES + 1];

/// How likely a series is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likelihood {
    /// The log-likelihood at that variance of the innovations which makes it largest.
    pub log_likelihood: f64,
    /// That variance.
    pub sigma2: f64,
    /// The mean: as given, or that which makes the likelihood largest.
    pub mean: f64,
    /// Differenced samples that are not missing.
    pub observations: usize,
}

/// The mean that a likelihood is taken at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mean {
    /// As given.
    Fixed(f64),
    /// That which makes the likelihood largest.
    Best,
}

/// A process in state space.
#[derive(Clone, Debug)]
pub(super) struct System {
    states: usize,
    ar: State,
    /// 1 and the moving-average coefficients.
    ma: State,
    /// The gain of the filter that has converged.
    limit: State,
    /// Of the stationary distribution.
    covariance: Covariance,
}

/// How uncertain the state is; the same for all series that miss the same samples.
pub(super) struct Uncertainty<'a> {
    system: &'a System,
    /// Predicted covariance; the lower triangle.
    covariance: Covariance,
    gain: State,
    has_converged: bool,
}

/// What is believed of the state before the next sample.
#[derive(Clone, Debug, Default)]
pub(super) struct Belief(State);

// === impl System ===

impl System {
    /// None if the process is so near to not being stationary that it has no numbers.
    pub(super) fn new(ar: &[f64], ma: &[f64]) -> Option<Self> {
        let states = ar.len().max(ma.len() + 1);
        let (mut padded_ar, mut padded_ma, mut limit) =
            ([0.0; STATES + 1], [0.0; STATES + 1], [0.0; STATES + 1]);
        padded_ar[..ar.len()].copy_from_slice(ar);
        padded_ma[0] = 1.0;
        padded_ma[1..=ma.len()].copy_from_slice(ma);
        limit[..ma.len()].copy_from_slice(ma);
        let covariance = stationary_covariance(&padded_ar, &padded_ma)?;
        Some(Self { states, ar: padded_ar, ma: padded_ma, limit, covariance })
    }

    /// The likelihood of `values`, of which `observations` are not missing.
    pub(super) fn likelihood(&self, values: &[f64], mean: Mean) -> Likelihood {
        let (subtracted, is_best) = match mean {
            Mean::Fixed(mean) => (mean, false),
            Mean::Best => (0.0, true),
        };
        let mut uncertainty = Uncertainty::new(self);
        // The filter is linear: what it makes of a series of ones tells what it would make of any mean.
        let (mut of_values, mut of_ones) = (Belief::default(), Belief::default());
        let (mut observations, mut log_variances) = (0_usize, 0.0);
        let (mut squares, mut products, mut squares_of_ones) = (0.0, 0.0, 0.0);
        for value in values {
            if value.is_nan() {
                of_values.miss(self);
                of_ones.miss(self);
                uncertainty.miss();
                continue;
            }
            observations += 1;
            let (variance, gain) = uncertainty.observe();
            let error = of_values.observe(self, gain, value - subtracted);
            // Exactly 1 once the filter has converged: neither a logarithm nor a division is needed then.
            let weighted = if variance == 1.0 {
                error
            } else {
                log_variances += variance.ln();
                error / variance
            };
            squares += error * weighted;
            if is_best {
                let of_one = of_ones.observe(self, gain, 1.0);
                products += of_one * weighted;
                squares_of_ones += of_one * of_one / variance;
            }
        }
        let best = if is_best { products / squares_of_ones } else { 0.0 };
        let count = observations as f64;
        let sigma2 = (squares - best * products) / count;
        let log_likelihood =
            -0.5 * (count * (std::f64::consts::TAU.ln() + 1.0 + sigma2.ln()) + log_variances);
        Likelihood { log_likelihood, sigma2, mean: subtracted + best, observations }
    }
}

/// The covariance of the stationary distribution: the solution of `P = T P T' + R R'`, the discrete Lyapunov equation.
///
/// Written out, `P[i][j] = ar[i] ar[j] P[0][0] + ar[i] P[0][j+1] + ar[j] P[0][i+1] + P[i+1][j+1] + ma[i] ma[j]`. Down the
/// diagonals, all of it comes from the first row, so there is one unknown per component instead of one per pair.
fn stationary_covariance(ar: &State, ma: &State) -> Option<Covariance> {
    let mut equations = SMatrix::<f64, STATES, STATES>::identity();
    let mut constants = SVector::<f64, STATES>::zeros();
    for lag in 0..STATES {
        for (i, j) in (lag..STATES).enumerate() {
            constants[lag] += ma[i] * ma[j];
            equations[(lag, 0)] -= ar[i] * ar[j];
            if j + 1 < STATES {
                equations[(lag, j + 1)] -= ar[i];
            }
            if i + 1 < STATES {
                equations[(lag, i + 1)] -= ar[j];
            }
        }
    }
    let first = equations.lu().solve(&constants)?;
    let at = |index: usize| if index < STATES { first[index] } else { 0.0 };
    let mut covariance = [[0.0; STATES]; STATES];
    for i in (0..STATES).rev() {
        for j in (0..=i).rev() {
            let shifted = if i + 1 < STATES { covariance[i + 1][j + 1] } else { 0.0 };
            covariance[i][j] =
                ar[i] * ar[j] * at(0) + ar[i] * at(j + 1) + ar[j] * at(i + 1) + shifted + ma[i] * ma[j];
        }
    }
    let is_sound = covariance[0][0].is_finite() && covariance[0][0] > 0.0;
    is_sound.then_some(covariance)
}

// === impl Uncertainty ===

impl<'a> Uncertainty<'a> {
    pub(super) fn new(system: &'a System) -> Self {
        Self { system, covariance: system.covariance, gain: [0.0; STATES + 1], has_converged: false }
    }

    /// A sample is seen: the variance of its prediction and the gain of the components after the first.
    pub(super) fn observe(&mut self) -> (f64, &State) {
        if self.has_converged {
            return (1.0, &self.system.limit);
        }
        let first = self.first_column();
        let variance = first[0];
        for (gain, covariance) in self.gain.iter_mut().zip(&first[1..]) {
            *gain = covariance / variance;
        }
        let (states, ma) = (self.system.states, &self.system.ma);
        let mut largest: f64 = 0.0;
        for i in 0..states {
            for j in 0..=i {
                let filtered = self.shifted(i, j) - self.gain[i] * first[j + 1];
                if i == j {
                    largest = largest.max(filtered);
                }
                self.covariance[i][j] = filtered + ma[i] * ma[j];
            }
        }
        self.has_converged = largest <= CONVERGED;
        (variance, &self.gain)
    }

    /// A sample is missing.
    pub(super) fn miss(&mut self) {
        let System { states, ar, ma, .. } = self.system;
        let first = self.first_column();
        for i in 0..*states {
            for j in 0..=i {
                let turned = ar[i] * ar[j] * first[0] + ar[i] * first[j + 1] + ar[j] * first[i + 1];
                self.covariance[i][j] = turned + self.shifted(i, j) + ma[i] * ma[j];
            }
        }
        self.has_converged = false;
    }

    fn first_column(&self) -> State {
        let mut first = [0.0; STATES + 1];
        for (entry, row) in first.iter_mut().zip(&self.covariance).take(self.system.states) {
            *entry = row[0];
        }
        first
    }

    /// The covariance one further down the diagonal, before it is overwritten.
    fn shifted(&self, i: usize, j: usize) -> f64 {
        if i + 1 < self.system.states { self.covariance[i + 1][j + 1] } else { 0.0 }
    }
}

// === impl Belief ===

impl Belief {
    /// What the next sample will be.
    pub(super) fn prediction(&self) -> f64 {
        self.0[0]
    }

    /// Takes a sample in; gives the error of its prediction.
    pub(super) fn observe(&mut self, system: &System, gain: &State, value: f64) -> f64 {
        let error = value - self.0[0];
        for (i, (ar, gain)) in system.ar.iter().zip(gain).enumerate().take(system.states) {
            self.0[i] = ar * value + self.0[i + 1] + gain * error;
        }
        error
    }

    /// Goes on without a sample.
    pub(super) fn miss(&mut self, system: &System) {
        let value = self.0[0];
        for i in 0..system.states {
            self.0[i] = system.ar[i] * value + self.0[i + 1];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stationary_variance_is_that_of_the_textbook() {
        let (ar, ma) = (0.6, 0.4);
        let system = System::new(&[ar], &[ma]).unwrap();
        let expected = (1.0 + 2.0 * ar * ma + ma * ma) / (1.0 - ar * ar);
        assert!((system.covariance[0][0] - expected).abs() < 1e-12);
    }

    #[test]
    fn the_filter_of_an_autoregression_converges_after_as_many_samples_as_it_has_terms() {
        let system = System::new(&[0.5, -0.3, 0.2], &[]).unwrap();
        let mut uncertainty = Uncertainty::new(&system);
        let variances: Vec<f64> = (0..5).map(|_| uncertainty.observe().0).collect();
        assert!(variances[..3].iter().all(|variance| *variance > 1.0 + 1e-3), "{variances:?}");
        assert!(uncertainty.has_converged);
        uncertainty.miss();
        assert!(
            uncertainty.observe().0 > 1.2,
            "after a gap the prediction is as uncertain as two steps ahead"
        );
    }
}
