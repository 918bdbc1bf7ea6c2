//! A value as the state before it sees it: its errors, the energy with them, and what of these is rare.

use super::calibration::{self, half_log2};
use super::clock::Pace;
use super::distance::Distances;
use super::energy::{Burst, Energy};
use super::math::squared_z;
use super::season::{self, Heeded};
use super::{ENERGY, Hybrid, Part, SETTLED, State, forest};
use crate::detect::Demands;

/// Samples after the first day before distances less the season are compared.
const SEASON_SETTLED: u32 = 20;
/// The forest is asked only where a number is among the rarest in a hundred.
const ASK_FROM: f32 = 2.0;
/// The longest mean path that is told apart.
pub(super) const LONGEST_PATH: f32 = 10.0;

/// Places on the scale of calibration: of the short-term, the seasonal, the hourly error and the energy.
pub(super) type Places = [f32; forest::INPUTS];

/// A value as the state before it sees it.
pub(super) struct Look {
    pub(super) pace: Pace,
    pub(super) errors: Errors,
    pub(super) rare: Option<Rare>,
    pub(super) seen: Seen,
}

/// How rare four numbers are, and where on the scale of calibration the forest puts them.
#[derive(Clone, Copy)]
pub(super) struct Rare {
    pub(super) parts: [f32; forest::INPUTS],
    pub(super) place: Option<f32>,
}

/// What of a look is needed to learn from the value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) at_ms: i64,
    pub(super) value: f64,
    /// What was expected in the short term.
    pub(super) short: f64,
    pub(super) season: season::Forecast,
    /// The energy with the errors of the value in it.
    pub(super) energy: Energy,
    pub(super) places: Places,
    /// Where the forest puts the value.
    pub(super) isolation: f32,
    pub(super) season_z2: f32,
    pub(super) is_fresh: bool,
}

/// The errors of one value.
#[derive(Clone, Copy, Default)]
pub(super) struct Errors {
    pub(super) short: Error,
    pub(super) season: Error,
    pub(super) hour: Error,
    pub(super) long: Error,
}

/// A difference to what is expected, and the square of how many standard deviations it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Error {
    pub(super) size: f64,
    pub(super) z2: f32,
}

/// What is expected of a value, if anything, and the variance around it.
#[derive(Clone, Copy)]
struct Expected {
    is_ready: bool,
    value: f64,
    variance: f64,
}

// === impl Hybrid ===

impl Hybrid {
    /// What is rare at `places`, if anything may be.
    #[inline]
    pub(super) fn rare(&self, state: &State, places: &Places) -> Option<Rare> {
        self.is_rare(state, places).then(|| self.rare_at(state, places))
    }

    pub(super) fn rare_at(&self, state: &State, places: &Places) -> Rare {
        let parts = self.rarities_at(state, places);
        Rare { parts, place: self.place(&parts) }
    }

    /// Whether one of four numbers may be rare enough to ask the forest.
    #[inline]
    pub(super) fn is_rare(&self, state: &State, places: &Places) -> bool {
        let may_be = |part: usize| state.calibration.may_be(part, places[part], ASK_FROM);
        may_be(0) | may_be(1) | may_be(2) | may_be(ENERGY) || self.without.has(Part::Calibration)
    }

    #[inline]
    pub(super) fn rarities_at(&self, state: &State, places: &Places) -> [f32; forest::INPUTS] {
        std::array::from_fn(|part| self.rarity(state, part, places[part]))
    }

    /// The energy with `errors` in it.
    #[inline]
    pub(super) fn energy(&self, state: &State, errors: &Errors, pace: &Pace) -> Energy {
        let mut burst = Burst::default();
        let Errors { short, season, long, .. } = errors;
        for error in [short, season, long] {
            burst.add(usize::from(error.size > 0.0), error.z2);
        }
        state.energy.with(&burst, pace)
    }

    #[inline]
    pub(super) fn sides(&self, energy: &Energy) -> [f32; 2] {
        if self.without.has(Part::Horizons) { energy.newest() } else { energy.sides() }
    }

    #[inline]
    pub(super) fn rarity(&self, state: &State, part: usize, at: f32) -> f32 {
        if self.without.has(Part::Calibration) {
            // Octaves of standard deviations, in place of orders of magnitude.
            return at.max(0.0);
        }
        state.calibration.rarity(&state.slow().past, part, at)
    }

    /// Where on the scale of calibration the forest puts four rarities; nowhere in particular where none of
    /// them is rare.
    #[inline]
    pub(super) fn place(&self, parts: &[f32; forest::INPUTS]) -> Option<f32> {
        self.path(parts).map(|path| calibration::linear(1.0 - path / LONGEST_PATH))
    }

    /// The mean path to four rarities in the forest's trees; nothing where none of them is rare.
    #[inline]
    pub(super) fn path(&self, parts: &[f32; forest::INPUTS]) -> Option<f32> {
        let is_rare = parts.iter().any(|part| *part >= ASK_FROM);
        (is_rare && !self.without.has(Part::Forest)).then(|| self.forest.path(parts))
    }

    /// The seasons that are heeded.
    #[inline]
    pub(super) fn heeded(&self) -> Heeded {
        let has = |part| !self.without.has(part) && !self.without.has(Part::Season);
        Heeded { hour: has(Part::Hour), day: has(Part::Season), week: has(Part::Week) }
    }

    #[inline]
    pub(super) fn look(&self, state: &State, at_ms: i64, value: f64, demands: &Demands) -> Look {
        let pace = state.clock.pace(at_ms);
        let has = |part: Part| !self.without.has(part);
        let least = state.least();
        let short = state.short.forecast();
        let local_ms = demands.local_ms(at_ms);
        let season = state.seasons.forecast(&state.slow().profiles, local_ms, &pace, self.heeded());
        let Distances { long, seasonless, plain, hour, .. } = &state.distances;
        let settled = state.samples >= SETTLED;
        let has_season = state.seasons.age().is_some_and(|age| age > SEASON_SETTLED) && has(Part::Seasonless);
        // All at once: five divisions side by side cost little more than one.
        let errors = [
            // A forecast over a gap is as uncertain as a random walk over as many steps.
            Expected::when(
                state.short.is_ready() && has(Part::Autoregression),
                short,
                state.short.error_variance * pace.steps,
            ),
            Expected::when(state.seasons.is_ready(), season.expected, state.seasons.error_variance),
            Expected::when(settled && has(Part::HourMean), *hour, plain.variance),
            Expected::when(settled && has(Part::LongMean), long.mean, long.variance),
            Expected::when(
                has_season && has(Part::LongMean),
                seasonless.mean + state.seasons.of(&season),
                seasonless.variance,
            ),
        ]
        .map(|expected| expected.error(value, least));
        let [short_error, season_error, hour, long, mut seasonless] = errors;
        seasonless.z2 *= (self.seasonless * self.seasonless) as f32;
        let long = if seasonless.z2 > long.z2 { seasonless } else { long };
        let errors = Errors { short: short_error, season: season_error, hour, long };
        let energy = self.energy(state, &errors, &pace);
        let [below, above] = self.sides(&energy);
        let places = errors.places(below + above);
        let season_z2 = errors.season.z2;
        let rare = if settled { self.rare(state, &places) } else { None };
        let isolation = rare.and_then(|rare| rare.place).unwrap_or(calibration::linear(0.0));
        let seen = Seen { at_ms, value, short, season, energy, places, isolation, season_z2, is_fresh: true };
        Look { pace, errors, rare, seen }
    }
}

/// What of `error` counts by the rule: nothing where it is too small or on the wrong side, and less where the
/// rule widens the band.
#[inline]
pub(super) fn counted(error: Error, value: f64, demands: &Demands) -> Error {
    let scale = demands.scale[usize::from(error.size > 0.0)];
    let z2 = if demands.counted(error.size, value - error.size) == 0.0 { 0.0 } else { error.z2 };
    Error { z2: if scale == 1.0 { z2 } else { z2 / (scale * scale) as f32 }, ..error }
}

// === impl Expected ===

impl Expected {
    #[inline]
    fn when(is_ready: bool, value: f64, variance: f64) -> Self {
        Self { is_ready, value, variance }
    }

    #[inline]
    fn error(self, value: f64, least: f64) -> Error {
        let size = value - self.value;
        let z2 = squared_z(size, self.variance, least);
        Error { size, z2: if self.is_ready { z2 } else { 0.0 } }
    }
}

// === impl Errors ===

impl Errors {
    #[inline]
    pub(super) fn map(self, each: impl Fn(Error) -> Error) -> Self {
        let Self { short, season, hour, long } = self;
        Self { short: each(short), season: each(season), hour: each(hour), long: each(long) }
    }

    /// Where on the scale of calibration they and the energy lie.
    #[inline]
    pub(super) fn places(&self, energy: f32) -> Places {
        [self.short.z2, self.season.z2, self.hour.z2, energy].map(half_log2)
    }
}

// === impl Seen ===

impl Seen {
    /// Whether it was made of `value` at `at_ms` by the state as it is.
    #[inline]
    pub(super) fn is_of(&self, at_ms: i64, value: f64) -> bool {
        self.is_fresh && self.at_ms == at_ms && self.value.to_bits() == value.to_bits()
    }
}
