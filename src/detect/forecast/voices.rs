//! A few simple forecasts, and what each has cost: those that were cheap are heeded.
//!
//! They are weighed by the inverse square of their mean absolute error (Bates and Granger, *Operational Research
//! Quarterly* 20, 1969), and of the weighed forecasts the middle half is averaged: one that is far out is not heeded.

use super::super::hybrid::Bearings;
use super::levels::Levels;
use super::past::Before;
use crate::detect::kept::kept;

/// How many there are.
pub(super) const VOICES: usize = 8;
/// The one that follows a line.
const LINE: usize = 2;
/// How many times what lies around a line it must have moved to be heeded as much as the others.
const CLEAR: f64 = 8.0;
/// Past errors that are remembered, and how many the guess of one weighs as much as.
const LEAST_MEMORY: f64 = 40.0;
const MEMORY_S: f64 = 1.0 * DAY_S;
const DAY_S: f64 = 86_400.0;
/// When two days can be compared.
const DRIFT_KNOWN_S: f64 = 3.0 * DAY_S;
const GUESSED: f64 = 2.0;
/// Usual errors up to which one counts that all of them make.
const CLIP: f64 = 8.0;

/// What each forecast says.
pub(super) type Said = [f64; VOICES];

/// What each forecast has cost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Costs {
    errors: u32,
    means: [f64; VOICES],
}

/// What all forecasts say together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chorus {
    pub(super) expected: f64,
    /// How far they are apart, as a variance.
    pub(super) apart: f64,
    pub(super) said: Said,
}

/// What is needed for the forecasts of one moment.
pub(super) struct Scene<'a> {
    pub(super) bearings: &'a Bearings,
    pub(super) levels: &'a Levels,
    pub(super) horizon_s: f64,
    /// The season at that moment.
    pub(super) season: f64,
    pub(super) before: Before,
}

// === impl Scene ===

impl Scene<'_> {
    /// What each of them says.
    fn said(&self) -> Said {
        let Self { levels, season, before, .. } = self;
        let day = before.day.unwrap_or(levels.near);
        let days = before.days.unwrap_or(day);
        let is_known = self.bearings.age_s >= DRIFT_KNOWN_S;
        let drift = if is_known { levels.drift() * DAY_S } else { 0.0 };
        [
            levels.near,
            levels.near_bare + season,
            levels.line(self.horizon_s) + season,
            day,
            days,
            days + drift * before.days_ago,
            before.week.unwrap_or(day),
            self.bearings.median,
        ]
    }

    /// What each of them is thought to err before any of it is known. A line that goes on is missed by all others; one
    /// that does not errs by as much itself.
    fn guesses(&self) -> [f64; VOICES] {
        let Self { levels, bearings, horizon_s, .. } = self;
        let (moves, goes_on) = (levels.slope().abs() * horizon_s, self.goes_on(levels.slope()));
        let reach = horizon_s / bearings.age_s.max(1.0);
        let mut guesses = [levels.around + moves * goes_on; VOICES];
        guesses[LINE] = levels.around * (1.0 + reach) + moves * (1.0 - goes_on);
        guesses
    }

    /// From 0 to 1 how far a slope is to be believed: a line that moved by much more than what lies around it goes on.
    fn goes_on(&self, slope: f64) -> f64 {
        let moved = slope * self.bearings.age_s.min(self.horizon_s);
        let (moved, around) = (moved * moved, CLEAR * CLEAR * self.levels.around * self.levels.around);
        if moved > 0.0 { moved / (moved + around) } else { 0.0 }
    }
}

/// How many errors of forecasts of a horizon are remembered: those of three horizons, or of three days.
pub(super) fn memory(horizon_s: f64) -> f64 {
    (10.0 * MEMORY_S / horizon_s).max(LEAST_MEMORY)
}

// === impl Costs ===

impl Costs {
    /// What all of them say together in `scene`.
    pub(super) fn chorus(&self, scene: &Scene<'_>) -> Chorus {
        let said = scene.said();
        let weights = self.weights(scene);
        let expected = middle_half(&said, &weights);
        let apart = |(weight, said): (&f64, &f64)| weight * (said - expected) * (said - expected);
        Chorus { expected, apart: weights.iter().zip(&said).map(apart).sum(), said }
    }

    /// The weights of the forecasts of a scene; they sum to 1.
    fn weights(&self, scene: &Scene<'_>) -> [f64; VOICES] {
        let known = f64::from(self.errors);
        let mut costs = scene.guesses();
        for (cost, mean) in costs.iter_mut().zip(self.means) {
            *cost = (known * mean + GUESSED * *cost) / (known + GUESSED);
        }
        // By the cheapest, so that no square leaves what numbers can say.
        let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
        let weights = costs.map(|cost| {
            let ratio = if cost > least { least / cost } else { 1.0 };
            ratio * ratio
        });
        let sum: f64 = weights.iter().sum();
        weights.map(|weight| weight / sum)
    }

    /// Lets what each was off by teach. A moment that none of them foresaw, as a spike, says little of any; one that some
    /// foresaw, as a series that has set out for elsewhere, tells them apart.
    pub(super) fn learn(&mut self, errors: &Said, memory: f64) {
        self.errors = self.errors.saturating_add(1);
        let weight = (1.0 / memory).max(1.0 / f64::from(self.errors));
        let usual = self.means.iter().copied().fold(f64::INFINITY, f64::min);
        let most = if self.errors > 10 && usual > 0.0 { CLIP * usual } else { f64::INFINITY };
        let least = errors.iter().fold(f64::INFINITY, |least, error| least.min(error.abs()));
        let share = if least > most { most / least } else { 1.0 };
        for (mean, error) in self.means.iter_mut().zip(errors) {
            *mean += weight * (share * error.abs() - *mean);
        }
    }
}

/// The mean of `said` between the first and the third quarter of its weight, which is 1 in all.
fn middle_half(said: &Said, weights: &[f64; VOICES]) -> f64 {
    let mut order: [usize; VOICES] = std::array::from_fn(|voice| voice);
    order.sort_unstable_by(|a, b| said[*a].total_cmp(&said[*b]));
    let (mut below, mut inside, mut sum) = (0.0, 0.0, 0.0);
    for voice in order {
        let above = below + weights[voice];
        let share = (above.min(0.75) - below.max(0.25)).max(0.0);
        (below, inside, sum) = (above, inside + share, sum + share * said[voice]);
    }
    sum / inside
}

// === kept ===

kept!(Costs { errors, means });
