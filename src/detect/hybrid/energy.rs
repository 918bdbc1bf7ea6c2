//! State: how much energy the standardised errors have had of late, over three horizons.
//!
//! The square root of a moving average of squared one-step errors is, by the chain rule, the Mahalanobis
//! distance of the last values from what an autoregression expects of them: it stays up for as long as an
//! event lasts, at the cost of one number a horizon. Both sides of the expected value are kept apart, since
//! a rule may heed one of them.

use super::clock::Pace;
use crate::detect::kept::kept;

/// Horizons of about 5, 17 and 170 samples: the weight of the newest.
const WEIGHTS: [f32; 3] = [0.2, 0.06, 0.006];
/// A single error counts at most as the square of so many standard deviations.
const LARGEST: f32 = 400.0;
/// What an ordinary sample brings to one side.
const ORDINARY: f32 = 1.5;

/// The energy of one series, by horizon and side.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Energy {
    levels: [[f32; 2]; 3],
}

/// What one sample brings: the sum of its squared standardised errors below and above the expected.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Burst([f32; 2]);

// === impl Burst ===

impl Burst {
    /// Adds an error of square `z2` on `side`.
    #[inline]
    pub(super) fn add(&mut self, side: usize, z2: f32) {
        self.0[side] += z2.min(LARGEST);
    }
}

// === impl Energy ===

impl Energy {
    /// The energy with `burst` in it.
    #[inline]
    pub(super) fn with(&self, burst: &Burst, pace: &Pace) -> Self {
        let mut next = *self;
        if pace.steps > 1.0 {
            next.rest(pace.steps as f32 - 1.0);
        }
        for (level, weight) in next.levels.iter_mut().zip(WEIGHTS) {
            level[0] += weight * (burst.0[0] - level[0]);
            level[1] += weight * (burst.0[1] - level[1]);
        }
        next
    }

    /// What a gap of `steps` leaves: as if it had held ordinary samples.
    #[cold]
    fn rest(&mut self, steps: f32) {
        for (level, weight) in self.levels.iter_mut().zip(WEIGHTS) {
            let weight = steps * weight / (1.0 + steps * weight);
            level.iter_mut().for_each(|side| *side += weight * (ORDINARY - *side));
        }
    }

    /// The energy by horizon and side.
    pub(super) fn levels(&self) -> [[f32; 2]; 3] {
        self.levels
    }

    /// The energy of the shortest horizon, of each side.
    pub(super) fn newest(&self) -> [f32; 2] {
        self.levels[0]
    }

    /// The sum over all horizons, of each side.
    #[inline]
    pub(super) fn sides(&self) -> [f32; 2] {
        let [a, b, c] = self.levels;
        [a[0] + b[0] + c[0], a[1] + b[1] + c[1]]
    }
}

// === kept ===

kept!(Energy { levels });

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { step_s: 60.0, steps: 1.0, decades: 0.0 };

    fn burst(side: usize, z2: f32) -> Burst {
        let mut burst = Burst::default();
        burst.add(side, z2);
        burst
    }

    #[test]
    fn it_stays_up_while_an_event_lasts_and_falls_afterwards() {
        let mut energy = Energy::default();
        let mut after = |count: usize, z2: f32| {
            for _ in 0..count {
                energy = energy.with(&burst(1, z2), &PACE);
            }
            energy.sides()
        };
        after(500, 1.0);
        let [below, above] = after(20, 100.0);
        assert!(below < 0.1 && above > 150.0, "{above}");
        assert!(after(20, 1.0)[1] < 0.4 * above);
    }

    #[test]
    fn one_error_counts_up_to_a_bound() {
        let of = |z2: f32| Energy::default().with(&burst(0, z2), &PACE).sides();
        assert_eq!(of(1e12), of(LARGEST));
    }

    #[test]
    fn a_gap_is_taken_for_ordinary_samples() {
        let up = Energy::default().with(&burst(0, 400.0), &PACE);
        let rested = up.with(&burst(0, ORDINARY), &Pace { steps: 1_000.0, ..PACE });
        assert!(rested.sides()[0] < 0.15 * up.sides()[0], "{rested:?}");
    }
}
