//! Noise that is a function of what it is asked for.

use crate::scatter::scatter;

/// Scatters `seed`, the number of a noise source and a position over all 64 bits.
pub(super) fn mix(seed: u64, source: u64, at: u64) -> u64 {
    scatter(scatter(scatter(seed) ^ source) ^ at)
}

/// A number in `[0, 1)` from scattered bits.
pub(super) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// A bell-shaped number from scattered bits: mean 0, variance 1, never beyond ±3.47.
///
/// The sum of four uniform numbers of 16 bits each: no logarithm, whose last bit differs from platform to
/// platform, and no tail that would look like an anomaly nobody injected.
pub(super) fn bell(bits: u64) -> f64 {
    const FULL: f64 = 65_536.0;
    const SQRT_3: f64 = 1.732_050_807_568_877_2;
    let sum: u64 = (0..4).map(|part| (bits >> (16 * part)) & 0xffff).sum();
    ((sum as f64 + 2.0) / FULL - 2.0) * SQRT_3
}

/// Noise with a memory of about 100 seconds: an autoregression of the first order with variance 1.
#[derive(Clone, Debug)]
pub(super) struct Wander {
    source: u64,
    value: f64,
}

impl Wander {
    /// What is left of a value after one tick.
    const KEPT: f64 = 0.95;
    /// sqrt(1 - KEPT²), so that the variance stays 1.
    const FRESH: f64 = 0.312_249_899_919_919_9;

    pub(super) fn new(source: u64) -> Self {
        Self { source, value: 0.0 }
    }

    /// Goes one tick on, to tick `at`.
    pub(super) fn step(&mut self, seed: u64, at: u64) -> f64 {
        self.value = Self::KEPT * self.value + Self::FRESH * bell(mix(seed, self.source, at));
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bell_has_mean_zero_and_variance_one() {
        let draws: Vec<f64> = (0..20_000).map(|at| bell(mix(1, 2, at))).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| x * x).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.05, "{variance}");
    }

    #[test]
    fn wander_remembers_and_keeps_its_variance() {
        let mut wander = Wander::new(7);
        let walk: Vec<f64> = (0..50_000).map(|at| wander.step(1, at)).collect();
        let variance = walk.iter().map(|x| x * x).sum::<f64>() / walk.len() as f64;
        let lagged = walk.windows(2).map(|w| w[0] * w[1]).sum::<f64>() / walk.len() as f64;
        assert!((variance - 1.0).abs() < 0.1, "{variance}");
        assert!((lagged / variance - Wander::KEPT).abs() < 0.02, "{lagged}");
    }

    #[test]
    fn sources_are_unlike_each_other() {
        assert_ne!(mix(1, 2, 3), mix(1, 3, 2));
        assert_ne!(mix(1, 2, 3), mix(2, 1, 3));
    }
}
