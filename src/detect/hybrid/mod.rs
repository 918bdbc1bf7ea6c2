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

use std::sync::LazyLock;

use self::autoregression::Autoregression;
use self::calibration::{Calibration, Past, half_log2};
use self::clock::{Clock, Pace};
use self::distance::Distances;
use self::energy::{Burst, Energy};
use self::forest::Forest;
use self::habit::{Habit, Today};
use self::math::squared_z;
use self::onset::{Extremes, Onset};
use self::season::{Profiles, Season, Seasons};
use super::kept::{Kept, kept};
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

/// What one series has learned: what every sample touches. Series lie one behind the other, so that what the next
/// sample needs is on its way from memory already.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    samples: u32,
    clock: Clock,
    today: Today,
    short: Autoregression,
    distances: Distances,
    extremes: Extremes,
    energy: Energy,
    seasons: Seasons,
    calibration: Calibration,
    /// What was made of the newest sample when it was judged: the same is needed to learn from it.
    seen: Seen,
    /// Nothing before the second sample.
    slow: Option<Box<Slow>>,
}

/// What one series has learned: what is touched now and then.
#[derive(Clone, Copy, Debug, Default)]
struct Slow {
    past: Past,
    habit: Habit,
    profiles: Profiles,
}

/// Of a series that has learned nothing yet.
static NOTHING: LazyLock<Slow> = LazyLock::new(Slow::default);

/// Places on the scale of calibration: of the short-term, the seasonal, the hourly error and the energy.
type Places = [f32; forest::INPUTS];

/// A value as the state before it sees it.
struct Look {
    pace: Pace,
    errors: Errors,
    rare: Option<Rare>,
    seen: Seen,
}

/// How rare four numbers are, and where on the scale of calibration the forest puts them.
#[derive(Clone, Copy)]
struct Rare {
    parts: [f32; forest::INPUTS],
    place: Option<f32>,
}

/// What of a look is needed to learn from the value.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    at_ms: i64,
    value: f64,
    /// What was expected in the short term.
    short: f64,
    season: season::Forecast,
    /// The energy with the errors of the value in it.
    energy: Energy,
    places: Places,
    /// Where the forest puts the value.
    isolation: f32,
    season_z2: f32,
    is_fresh: bool,
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

/// What is expected of a value, if anything, and the variance around it.
#[derive(Clone, Copy)]
struct Expected {
    is_ready: bool,
    value: f64,
    variance: f64,
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
        state: &mut State,
        at_ms: i64,
        value: f64,
        demands: &Demands,
    ) -> Option<Judgement> {
        if state.samples == 0 {
            return None;
        }
        let value = math::clip(value, LARGEST_VALUE);
        let look = self.look(state, at_ms, value);
        state.seen = look.seen;
        Some(self.judge_look(state, &look, value, demands))
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
        let (mut energy, mut places, mut rare) = (look.seen.energy, look.seen.places, look.rare);
        if !demands.is_plain() {
            errors = errors.map(|error| counted(error, value, demands));
            energy = self.energy(state, &errors, &look.pace);
            places = errors.places(demands.sides(self.sides(&energy)));
            rare = self.rare(state, &places);
        }
        let Errors { short, season, long, .. } = errors;
        let mut weighed = Weighed { errors, energy, places, ..Weighed::default() };
        // An error of nought, or one that the rule passes over, is no anomaly, whatever came before it.
        if short.z2 + season.z2 + long.z2 == 0.0 {
            return weighed;
        }
        weighed.onset = self.onset(state, &places, rare, value, season.z2, demands);
        let onset = weighed.onset.as_ref().map_or(0.0, Onset::rarity);
        if !self.without.has(Part::Onset) {
            weighed.onset_score = (f64::from(onset) - self.onset_from).max(0.0) / self.onset_unit;
        }
        weighed.lasting = self.lasting(state, look, places[ENERGY]);
        if !self.without.has(Part::State) {
            let unit = self.state_unit + self.unit_a_decade * f64::from(look.pace.decades);
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
            let newness = state.slow().habit.newness(look.seen.season.hour(), place);
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
        rare: Option<Rare>,
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
        if extreme + record == 0.0 && rare.is_none() {
            return None;
        }
        let Rare { parts: [short, season, hour, _], place } =
            rare.unwrap_or_else(|| self.rare_at(state, places));
        let isolation = (!self.without.has(Part::Forest)).then(|| self.isolation(state, place));
        Some(Onset { errors: [short, season, hour], isolation, extreme, record })
    }

    /// How rare what the forest says is.
    #[inline]
    fn isolation(&self, state: &State, place: Option<f32>) -> f32 {
        place.map_or(0.0, |place| state.calibration.rarity(&state.slow().past, ISOLATION, place))
    }

    /// What is rare at `places`, if anything may be.
    #[inline]
    fn rare(&self, state: &State, places: &Places) -> Option<Rare> {
        self.is_rare(state, places).then(|| self.rare_at(state, places))
    }

    fn rare_at(&self, state: &State, places: &Places) -> Rare {
        let parts = self.rarities_at(state, places);
        Rare { parts, place: self.place(&parts) }
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
    fn energy(&self, state: &State, errors: &Errors, pace: &Pace) -> Energy {
        let mut burst = Burst::default();
        let Errors { short, season, long, .. } = errors;
        for error in [short, season, long] {
            burst.add(usize::from(error.size > 0.0), error.z2);
        }
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
        state.calibration.rarity(&state.slow().past, part, at)
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
        let least = state.least();
        let short = state.short.forecast();
        let season = state.seasons.forecast(&state.slow().profiles, at_ms, &pace, self.most());
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

    #[inline]
    pub(super) fn learn(&self, state: &mut State, at_ms: i64, value: f64, demands: &Demands) {
        let value = math::clip(value, LARGEST_VALUE);
        let kept = state.seen;
        let seen = if kept.is_of(at_ms, value) { kept } else { self.look(state, at_ms, value).seen };
        // It was made of the state as it was before this sample, and is of no use after it.
        state.seen.is_fresh = false;
        let Seen { short, season, energy, season_z2, .. } = &seen;
        let (before, pace) = (state.samples, &state.clock.pace(at_ms));
        let share = pace.share_of_days(SCALE_DAYS);
        state.energy = *energy;
        if before >= SETTLED {
            self.learn_past(state, &seen, pace, demands.coverage);
        }
        let fade = std::f64::consts::LN_2 * pace.share_of_days(EXTREME_DAYS).min(1.0 / EXTREME_ROWS);
        state.extremes.learn(value, season_z2.sqrt(), before, fade);
        let seasonal = state.seasons.age().map(|age| (state.seasons.of(season), age));
        state.distances.learn(value, seasonal, pace, before, share);
        state.short.learn(value, *short, pace, before, share, state.least());
        if before > 0 {
            let slow = state.slow.get_or_insert_default();
            state.seasons.learn(&mut slow.profiles, value, season, pace, state.clock.age_s(), share);
        } else {
            state.seasons.begin(value);
        }
        state.clock.learn(at_ms);
        state.samples = before.saturating_add(1);
    }

    /// Lets the places of errors and energy teach how rare they are.
    #[inline]
    fn learn_past(&self, state: &mut State, seen: &Seen, pace: &Pace, coverage: f64) {
        let [short, season, hour, energy] = seen.places;
        let slow = state.slow.get_or_insert_default();
        state.today.learn(&mut slow.habit, seen.season.hour(), energy);
        let all = [short, season, hour, energy, seen.isolation];
        let fade = (std::f64::consts::LN_2 * pace.share_of_days(PAST_DAYS)) as f32;
        state.calibration.learn(&mut slow.past, all, fade, state.samples, (1.0 - coverage) as f32);
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
    fn map(self, each: impl Fn(Error) -> Error) -> Self {
        let Self { short, season, hour, long } = self;
        Self { short: each(short), season: each(season), hour: each(hour), long: each(long) }
    }

    /// Where on the scale of calibration they and the energy lie.
    #[inline]
    fn places(&self, energy: f32) -> Places {
        [self.short.z2, self.season.z2, self.hour.z2, energy].map(half_log2)
    }
}

// === impl Seen ===

impl Seen {
    /// Whether it was made of `value` at `at_ms` by the state as it is.
    #[inline]
    fn is_of(&self, at_ms: i64, value: f64) -> bool {
        self.is_fresh && self.at_ms == at_ms && self.value.to_bits() == value.to_bits()
    }
}

// === impl State ===

impl State {
    /// Bytes of what one series has learned.
    pub(super) const BYTES: usize = size_of::<Self>() + size_of::<Slow>();

    #[inline]
    pub(super) fn samples_seen(&self) -> u32 {
        self.samples
    }

    /// Whether enough has been seen for a score.
    #[inline]
    fn is_warm(&self, demands: &Demands) -> bool {
        self.samples >= demands.min_samples.max(WARM_UP)
    }

    #[inline]
    fn slow(&self) -> &Slow {
        self.slow.as_deref().unwrap_or(&NOTHING)
    }

    /// The variance below which nothing is told apart.
    #[inline]
    fn least(&self) -> f64 {
        let resolution = RESOLUTION * self.distances.long.mean;
        resolution * resolution + LEAST_VARIANCE
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
            (look.seen.short, self.short.error_variance * look.pace.steps, 0)
        } else {
            (look.seen.season.expected, self.seasons.error_variance, 1)
        };
        (expected, (f64::from(self.calibration.band(part)) * variance).sqrt())
    }
}

// === kept ===

kept!(Slow { past, habit, profiles });

/// All but what was made of the newest sample when it was judged.
impl Kept for State {
    const LAYOUT: &'static str =
        "State samples clock today short distances extremes energy seasons calibration slow\n";

    fn keep(&self, to: &mut Vec<u8>) {
        let Self {
            samples,
            clock,
            today,
            short,
            distances,
            extremes,
            energy,
            seasons,
            calibration,
            slow,
            seen: _,
        } = self;
        samples.keep(to);
        clock.keep(to);
        today.keep(to);
        short.keep(to);
        distances.keep(to);
        extremes.keep(to);
        energy.keep(to);
        seasons.keep(to);
        calibration.keep(to);
        slow.keep(to);
    }

    fn recall(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            samples: Kept::recall(from)?,
            clock: Kept::recall(from)?,
            today: Kept::recall(from)?,
            short: Kept::recall(from)?,
            distances: Kept::recall(from)?,
            extremes: Kept::recall(from)?,
            energy: Kept::recall(from)?,
            seasons: Kept::recall(from)?,
            calibration: Kept::recall(from)?,
            slow: Kept::recall(from)?,
            seen: Seen::default(),
        })
    }
}

impl State {
    /// Names all that is kept, in order.
    pub(super) fn layout() -> String {
        let outer = [Self::LAYOUT, Slow::LAYOUT, Clock::LAYOUT, Today::LAYOUT, Autoregression::LAYOUT];
        let inner =
            [Distances::LAYOUT, Extremes::LAYOUT, Energy::LAYOUT, Seasons::LAYOUT, Calibration::LAYOUT];
        let slow = [Past::LAYOUT, Habit::LAYOUT, Profiles::LAYOUT];
        let sizes = [size_of::<Self>(), size_of::<Slow>()];
        format!("{}{}{}{sizes:?}", outer.concat(), inner.concat(), slow.concat())
    }
}

#[cfg(test)]
mod tests;
