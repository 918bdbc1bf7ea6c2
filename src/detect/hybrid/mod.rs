//! The default detector and its family: a forecast baseline, then anomaly detection on what it leaves over.
//!
//! One pass, a state of fixed size, the same work for each sample. `docs/detection.md` tells the method,
//! its sources and its figures; here is where its parts are:
//!
//! - [`clock`]: the step of the series, gaps, memories in time.
//! - [`autoregression`], [`season`], [`distance`]: what is expected in the short term, by the time of the
//!   day and the week, and in the long term. Each gives an error in its own standard deviations.
//! - [`energy`]: the state. Errors of late, over three horizons: holds while an event lasts.
//! - [`calibration`]: from an error to how rare it is in this series' own past.
//! - [`onset`], [`forest`]: rare errors that agree, new extremes and records: calls someone.
//!
//! The score is the root of the sum of squares of state and onset, each in the unit at which it alone is
//! worth an alert. The simpler detectors of the [`Method`] are single parts of it, compared with their own
//! standard deviation.

mod autoregression;
mod calibration;
mod clock;
mod distance;
mod energy;
mod explain;
pub mod forest;
mod habit;
mod math;
mod method;
mod onset;
mod parts;
mod season;

use self::autoregression::Autoregression;
use self::calibration::{Calibration, half_log2};
use self::clock::{Clock, Pace};
use self::distance::Distances;
use self::energy::{Burst, Energy};
use self::forest::Forest;
use self::habit::Habit;
use self::math::squared_z;
use self::onset::{Extremes, Onset};
use self::season::{Season, Seasons};
use super::{Demands, Judgement, MAX_SCORE, OUTSIDE_DATA_RANGE};

pub use self::method::Method;
pub use self::parts::{Part, Parts};

/// Days that scales, histograms and extremes remember.
const SCALE_DAYS: f64 = 14.0;
const PAST_DAYS: f64 = 10.0;
const EXTREME_DAYS: f64 = 60.0;
const EXTREME_ROWS: f64 = 15_000.0;
/// No value is larger: its square must be a number.
const LARGEST_VALUE: f64 = 1e120;
/// The share of the long mean below which nothing is told apart, and the least that is told apart at all.
const RESOLUTION: f64 = 1e-6;
const LEAST_VARIANCE: f64 = 1e-280;
/// Samples before there are errors, and before a score.
const SETTLED: u32 = 10;
const WARM_UP: u32 = 16;
/// Samples after the first day before distances less the season are compared.
const SEASON_SETTLED: u32 = 20;
/// Where calibrated numbers are kept: the energy and the forest's answer behind the three errors.
const ENERGY: usize = 3;
const ISOLATION: usize = 4;
/// The state of a habit is no rarer than this.
const HABITUAL: f32 = 1.6;
/// The energy is large, and may be called rarer than one in a hundred, from this place on the scale (1.6 times
/// its usual root, 3), and by so much more an octave.
const LARGE: f32 = 2.263;
const LARGE_SLOPE: f32 = 3.0;
/// The forest is asked only where a number is among the rarest in a hundred.
const ASK_FROM: f32 = 2.0;
/// The longest mean path that is told apart.
const LONGEST_PATH: f32 = 10.0;

/// Parameters of the hybrid detector.
///
/// | name | default | purpose | range |
/// |---|---|---|---|
/// | `state_unit` | 2.0 | orders of magnitude of rarity at which the state alone scores 1, at a sample a minute | above 0 |
/// | `unit_a_decade` | 0.143 | what is added to it where samples are ten times as many | from 0 |
/// | `onset_from` | 2.0 | orders of magnitude from which the onset counts | from 0 |
/// | `onset_unit` | 1.525 | at how many more the onset alone scores 1 | above 0 |
/// | `seasonless` | 0.85 | weight of the distance to the long mean less the season, the plain one being 1 | 0 to 1 |
/// | `z_threshold` | 5.0 | standard deviations at which the simpler methods score 1 | above 0 |
/// | `forest` | built in | isolates errors that are rare together | |
/// | `without` | nothing | parts that are left out, for comparison | |
#[derive(Clone, Debug, PartialEq)]
pub struct Hybrid {
    /// Orders of magnitude of rarity at which the state alone scores 1, at a sample a minute.
    pub state_unit: f64,
    /// What is added to it where samples are ten times as many, so that alerts are about as rare in time.
    pub unit_a_decade: f64,
    /// Orders of magnitude of rarity from which the onset counts.
    pub onset_from: f64,
    /// At how many more the onset alone scores 1.
    pub onset_unit: f64,
    /// Weight of the distance to the long mean less the season, the plain one being 1.
    pub seasonless: f64,
    /// Standard deviations at which the simpler methods score 1.
    pub z_threshold: f64,
    /// Isolates errors that are rare together.
    pub forest: Forest,
    /// Parts that are left out.
    pub without: Parts,
}

/// What one series has learned. What every sample touches stands first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    samples: u32,
    clock: Clock,
    short: Autoregression,
    distances: Distances,
    extremes: Extremes,
    energy: Energy,
    calibration: Calibration,
    habit: Habit,
    seasons: Seasons,
}

/// Places on the scale of calibration: of the short-term, the seasonal, the hourly error and the energy.
type Places = [f32; forest::INPUTS];

/// A value as the state before it sees it.
struct Look {
    pace: Pace,
    short: autoregression::Forecast,
    season: season::Forecast,
    errors: Errors,
}

/// What the hybrid's score is made of.
#[derive(Clone, Copy, Default)]
struct Weighed {
    /// The errors that count by the rule.
    errors: Errors,
    energy: Energy,
    places: Places,
    /// What begins; nothing where no number is rare.
    onset: Option<Onset>,
    onset_score: f64,
    /// How rare what goes on is.
    lasting: f32,
    state_score: f64,
}

/// The errors of one value.
#[derive(Clone, Copy, Default)]
struct Errors {
    short: Error,
    season: Error,
    hour: Error,
    long: Error,
}

/// A difference to what is expected, and the square of how many standard deviations it is.
#[derive(Clone, Copy, Debug, Default)]
struct Error {
    size: f64,
    z2: f32,
}

// === impl Hybrid ===

impl Default for Hybrid {
    fn default() -> Self {
        Self {
            state_unit: 2.0,
            onset_from: 2.0,
            onset_unit: 1.525,
            unit_a_decade: 0.143,
            seasonless: 0.85,
            z_threshold: 5.0,
            forest: Forest::builtin(),
            without: Parts::default(),
        }
    }
}

impl Hybrid {
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
        let value = math::clip(value, LARGEST_VALUE);
        Some(self.judge_look(state, &self.look(state, at_ms, value), value, demands))
    }

    #[inline]
    fn judge_look(&self, state: &State, look: &Look, value: f64, demands: &Demands) -> Judgement {
        let (expected, width) = state.band(look);
        let expected = demands.clip(expected);
        let [lower, upper] = demands.band(expected, width);
        let mut score = 0.0;
        if state.is_warm(demands) {
            score = match (demands.method, demands.threshold) {
                (Method::Hybrid, None) => self.weigh(state, look, value, demands).score(),
                (method, threshold) => {
                    let error = method.error(self, state, look, value);
                    let threshold = threshold.unwrap_or(self.z_threshold);
                    self.alone(error, value, threshold, demands)
                }
            };
        }
        if demands.outside_range(value) {
            score = score.max(OUTSIDE_DATA_RANGE);
        }
        Judgement { score, expected, lower, upper }
    }

    /// The score of one error alone, at `threshold` standard deviations 1.
    fn alone(&self, error: Error, value: f64, threshold: f64, demands: &Demands) -> f64 {
        let error = counted(error, value, demands);
        (f64::from(error.z2).sqrt() / threshold).min(MAX_SCORE)
    }

    /// What the hybrid's score is made of.
    #[inline]
    fn weigh(&self, state: &State, look: &Look, value: f64, demands: &Demands) -> Weighed {
        let mut errors = look.errors;
        if !demands.is_plain() {
            errors = errors.map(|error| counted(error, value, demands));
        }
        let Errors { short, season, hour, long } = errors;
        let energy = self.energy(state, &[short, season, long], &look.pace);
        let side = demands.sides(self.sides(&energy));
        let places = [short.z2, season.z2, hour.z2, side].map(half_log2);
        let mut weighed = Weighed { errors, energy, places, ..Weighed::default() };
        // An error of nought, or one that the rule passes over, is no anomaly, whatever came before it.
        if short.z2 + season.z2 + long.z2 == 0.0 {
            return weighed;
        }
        weighed.onset = self.onset(state, &places, value, season.z2, demands);
        let onset = weighed.onset.as_ref().map_or(0.0, Onset::rarity);
        if !self.without.has(Part::Onset) {
            weighed.onset_score = (f64::from(onset) - self.onset_from).max(0.0) / self.onset_unit;
        }
        weighed.lasting = self.lasting(state, look, places[ENERGY]);
        if !self.without.has(Part::State) {
            let unit = self.state_unit + self.unit_a_decade * look.pace.decades();
            weighed.state_score = f64::from(weighed.lasting) / unit;
        }
        weighed
    }

    /// How rare the energy is, if it is large as well and no habit.
    #[inline]
    fn lasting(&self, state: &State, look: &Look, place: f32) -> f32 {
        let mut rarity = self.rarity(state, ENERGY, place);
        // What is rare must be large as well, and must not be what happens at this time every day.
        if rarity > HABITUAL {
            rarity = rarity.min((2.0 + LARGE_SLOPE * (place - LARGE)).max(1.0));
            let newness = state.habit.newness(look.season.hour(), place);
            if !self.without.has(Part::Habit) && rarity > HABITUAL {
                rarity = HABITUAL + newness * (rarity - HABITUAL);
            }
        }
        rarity
    }

    /// What begins here; nothing where that is not worth knowing.
    #[inline]
    fn onset(
        &self,
        state: &State,
        places: &Places,
        value: f64,
        season_z2: f32,
        demands: &Demands,
    ) -> Option<Onset> {
        let side = usize::from(value > state.distances.long.mean);
        let (mut extreme, mut record) = (0.0, 0.0);
        if !self.without.has(Part::Extremes) && demands.heeds(side) {
            extreme = state.extremes.extreme(value, side, state.samples);
        }
        if !self.without.has(Part::Records) {
            record = state.extremes.record(season_z2.sqrt(), state.samples);
        }
        // Most samples end here: nothing about them is rare.
        if extreme + record == 0.0 && !self.is_rare(state, places) {
            return None;
        }
        let parts = self.rarities_at(state, places);
        let isolation = (!self.without.has(Part::Forest)).then(|| self.isolation(state, &parts));
        let [short, season, hour, _] = parts;
        Some(Onset { errors: [short, season, hour], isolation, extreme, record })
    }

    /// How rare what the forest says of four rarities is.
    #[inline]
    fn isolation(&self, state: &State, parts: &[f32; forest::INPUTS]) -> f32 {
        self.place(parts).map_or(0.0, |place| state.calibration.rarity(ISOLATION, place))
    }

    /// Whether one of four numbers may be rare enough to ask the forest.
    #[inline]
    fn is_rare(&self, state: &State, places: &Places) -> bool {
        let may_be = |part: usize| state.calibration.may_be(part, places[part], ASK_FROM);
        may_be(0) | may_be(1) | may_be(2) | may_be(ENERGY) || self.without.has(Part::Calibration)
    }

    #[inline]
    fn rarities_at(&self, state: &State, places: &Places) -> [f32; forest::INPUTS] {
        std::array::from_fn(|part| self.rarity(state, part, places[part]))
    }

    /// The energy with `errors` in it.
    #[inline]
    fn energy(&self, state: &State, errors: &[Error; 3], pace: &Pace) -> Energy {
        let mut burst = Burst::default();
        errors.iter().for_each(|error| burst.add(usize::from(error.size > 0.0), error.z2));
        state.energy.with(&burst, pace)
    }

    #[inline]
    fn sides(&self, energy: &Energy) -> [f32; 2] {
        if self.without.has(Part::Horizons) { energy.newest() } else { energy.sides() }
    }

    #[inline]
    fn rarity(&self, state: &State, part: usize, at: f32) -> f32 {
        if self.without.has(Part::Calibration) {
            // Octaves of standard deviations, in place of orders of magnitude.
            return at.max(0.0);
        }
        state.calibration.rarity(part, at)
    }

    /// Where on the scale of calibration the forest puts four rarities; nowhere in particular where none of
    /// them is rare.
    #[inline]
    fn place(&self, parts: &[f32; forest::INPUTS]) -> Option<f32> {
        let is_rare = parts.iter().any(|part| *part >= ASK_FROM);
        (is_rare && !self.without.has(Part::Forest))
            .then(|| calibration::linear(1.0 - self.forest.path(parts) / LONGEST_PATH))
    }

    /// The most of a season that is heeded.
    #[inline]
    fn most(&self) -> Season {
        match () {
            () if self.without.has(Part::Season) => Season::None,
            () if self.without.has(Part::Week) => Season::Day,
            () => Season::Week,
        }
    }

    #[inline]
    fn look(&self, state: &State, at_ms: i64, value: f64) -> Look {
        let pace = state.clock.pace(at_ms);
        let has = |part: Part| !self.without.has(part);
        let resolution = RESOLUTION * state.distances.long.mean;
        let least = resolution * resolution + LEAST_VARIANCE;
        let short = state.short.forecast(least);
        let season = state.seasons.forecast(at_ms, &pace, self.most());
        let error = |expected: f64, variance: f64, is_ready: bool| {
            let size = value - expected;
            Error { size, z2: if is_ready { squared_z(size, variance, least) } else { 0.0 } }
        };
        let distances = &state.distances;
        let settled = state.samples >= SETTLED;
        let mut long = error(distances.long.mean, distances.long.variance, settled && has(Part::LongMean));
        if state.seasons.age().is_some_and(|age| age > SEASON_SETTLED)
            && has(Part::Seasonless)
            && has(Part::LongMean)
        {
            let Error { size, z2 } =
                error(distances.seasonless.mean + season.season, distances.seasonless.variance, true);
            let z2 = (self.seasonless * self.seasonless) as f32 * z2;
            long = if z2 > long.z2 { Error { size, z2 } } else { long };
        }
        let errors = Errors {
            // A forecast over a gap is as uncertain as a random walk over as many steps.
            short: error(
                short.expected,
                state.short.error_variance * pace.steps,
                state.short.is_ready() && has(Part::Autoregression),
            ),
            season: error(season.expected, state.seasons.error_variance, state.seasons.is_ready()),
            hour: error(distances.hour, distances.plain.variance, settled && has(Part::HourMean)),
            long,
        };
        Look { pace, short, season, errors }
    }

    #[inline]
    pub(super) fn learn(&self, state: &mut State, at_ms: i64, value: f64, demands: &Demands) {
        let value = math::clip(value, LARGEST_VALUE);
        let Look { pace, short, season, errors } = &self.look(state, at_ms, value);
        let seen = state.samples;
        let share = pace.share_of_days(SCALE_DAYS);
        state.energy = self.energy(state, &[errors.short, errors.season, errors.long], pace);
        if seen >= SETTLED {
            self.learn_past(state, errors, pace, season.hour(), demands.coverage);
        }
        let fade = std::f64::consts::LN_2 * pace.share_of_days(EXTREME_DAYS).min(1.0 / EXTREME_ROWS);
        state.extremes.learn(value, errors.season.z2.sqrt(), seen, fade);
        state.short.learn(value, short, pace, seen, share);
        let seasonal = state.seasons.age();
        state.seasons.learn(value, season, pace, state.clock.age_s(), share);
        let seasonal = seasonal.map(|before| (season.season, before));
        state.distances.learn(value, seasonal, pace, seen, share);
        state.clock.learn(at_ms);
        state.samples = seen.saturating_add(1);
    }

    /// Lets errors and energy teach how rare they are.
    #[inline]
    fn learn_past(&self, state: &mut State, errors: &Errors, pace: &Pace, hour_of_day: usize, coverage: f64) {
        let places = self.places(errors, &state.energy);
        let place =
            if self.is_rare(state, &places) { self.place(&self.rarities_at(state, &places)) } else { None };
        let [short, season, hour, energy] = places;
        state.habit.learn(hour_of_day, energy);
        let all = [short, season, hour, energy, place.unwrap_or(calibration::linear(0.0))];
        let fade = std::f64::consts::LN_2 * pace.share_of_days(PAST_DAYS);
        state.calibration.learn(all, fade, state.samples, (1.0 - coverage) as f32);
    }

    /// Where on the scale of calibration the errors and the energy of a value lie.
    #[inline]
    fn places(&self, errors: &Errors, energy: &Energy) -> Places {
        let [below, above] = self.sides(energy);
        [errors.short.z2, errors.season.z2, errors.hour.z2, below + above].map(half_log2)
    }
}

/// What of `error` counts by the rule: nothing where it is too small or on the wrong side, and less where the
/// rule widens the band.
#[inline]
fn counted(error: Error, value: f64, demands: &Demands) -> Error {
    let scale = demands.scale[usize::from(error.size > 0.0)];
    let z2 = if demands.counted(error.size, value - error.size) == 0.0 { 0.0 } else { error.z2 };
    Error { z2: if scale == 1.0 { z2 } else { z2 / (scale * scale) as f32 }, ..error }
}

// === impl Weighed ===

impl Weighed {
    #[inline]
    fn score(&self) -> f64 {
        (self.state_score * self.state_score + self.onset_score * self.onset_score).sqrt()
    }
}

// === impl Errors ===

impl Errors {
    #[inline]
    fn map(self, each: impl Fn(Error) -> Error) -> Self {
        let Self { short, season, hour, long } = self;
        Self { short: each(short), season: each(season), hour: each(hour), long: each(long) }
    }
}

// === impl State ===

impl State {
    #[inline]
    pub(super) fn samples_seen(&self) -> u32 {
        self.samples
    }

    /// Whether enough has been seen for a score.
    #[inline]
    fn is_warm(&self, demands: &Demands) -> bool {
        self.samples >= demands.min_samples.max(WARM_UP)
    }

    /// Whether the short-term forecast errs less than the seasonal one.
    #[inline]
    fn is_short(&self) -> bool {
        self.short.is_ready() && self.short.error_variance <= self.seasons.error_variance
    }

    /// What is expected by the forecast that speaks, and how far from it ordinary samples are.
    #[inline]
    fn band(&self, look: &Look) -> (f64, f64) {
        let (expected, variance, part) = if self.is_short() {
            (look.short.expected, self.short.error_variance * look.pace.steps, 0)
        } else {
            (look.season.expected, self.seasons.error_variance, 1)
        };
        (expected, (f64::from(self.calibration.band(part)) * variance).sqrt())
    }
}

#[cfg(test)]
mod tests;
