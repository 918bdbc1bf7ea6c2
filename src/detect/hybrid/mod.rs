//! The default detector and its family: a forecast baseline, then anomaly detection on what it leaves over.
//!
//! One pass, a state of fixed size, the same work for each sample. `docs/detection.md` tells the method,
//! its sources and its figures; here is where its parts are:
//!
//! - [`clock`]: the step of the series, gaps, memories in time.
//! - [`autoregression`], [`season`] with its [`profile`], [`distance`]: what is expected in the short term, by the time of the
//!   day and the week, and in the long term. Each gives an error in its own standard deviations.
//! - [`energy`]: the state. Errors of late, over three horizons: holds while an event lasts.
//! - [`calibration`]: from an error to how rare it is in this series' own past.
//! - [`look`]: all of this at one value. [`state`]: what is learned between two. [`bearings`]: what of it forecasts take.
//! - [`joint`]: several series that describe one thing, together.
//! - [`settling`]: how a series that goes on with another's state finds its own level.
//! - [`onset`], [`forest`]: rare errors that agree, new extremes and records: calls someone.
//!
//! The score is the root of the sum of squares of state and onset, each in the unit at which it alone is
//! worth an alert. The simpler detectors of the [`Method`] are single parts of it, compared with their own
//! standard deviation.

mod autoregression;
mod bearings;
mod calibration;
mod clock;
mod distance;
mod energy;
mod explain;
pub mod forest;
mod habit;
mod joint;
mod look;
pub(super) mod math;
mod method;
mod onset;
mod parts;
mod profile;
mod season;
mod settling;
mod state;

use self::clock::Pace;
use self::energy::Energy;
use self::forest::Forest;
use self::look::{Error, Errors, Look, Places, Rare, Seen, counted};
use self::onset::Onset;
use super::{Demands, Judgement, MAX_SCORE, OUTSIDE_DATA_RANGE, Priors};

pub use self::autoregression::ORDER;
pub(super) use self::bearings::Bearings;
pub(super) use self::joint::Joint;
pub use self::joint::{JointExplanation, Together};
pub use self::method::Method;
pub use self::parts::{Part, Parts};
pub(super) use self::state::State;
pub use self::state::WARM_UP;

/// Days that scales, histograms and extremes remember.
const SCALE_DAYS: f64 = 14.0;
const PAST_DAYS: f64 = 10.0;
const EXTREME_DAYS: f64 = 60.0;
const EXTREME_ROWS: f64 = 15_000.0;
/// No value is larger: its square must be a number.
pub(super) const LARGEST_VALUE: f64 = 1e120;
/// Samples before there are errors.
const SETTLED: u32 = 10;
/// Where calibrated numbers are kept: the energy and the forest's answer behind the three errors.
const ENERGY: usize = 3;
const ISOLATION: usize = 4;
/// The state of a habit is no rarer than this.
const HABITUAL: f32 = 1.6;
/// The energy is large, and may be called rarer than one in a hundred, from this place on the scale (1.6 times
/// its usual root, 3), and by so much more an octave.
const LARGE: f32 = 2.263;
const LARGE_SLOPE: f32 = 3.0;

/// Parameters of the hybrid detector.
///
/// | name | default | purpose | range |
/// |---|---|---|---|
/// | `state_unit` | 2.0 | orders of magnitude of rarity at which the state alone scores 1, at a sample a minute | above 0 |
/// | `unit_a_decade` | 0.143 | what is taken from it where samples are ten times fewer | from 0 |
/// | `state_a_decade` | 0.443 | what is added to it where samples are ten times as many | from 0 |
/// | `onset_from` | 2.0 | orders of magnitude from which the onset counts | from 0 |
/// | `onset_unit` | 1.525 | at how many more the onset alone scores 1 | above 0 |
/// | `onset_a_decade` | 2.0 | what is added to that where samples are ten times as many | from 0 |
/// | `seasonless` | 0.85 | weight of the distance to the long mean less the season, the plain one being 1 | 0 to 1 |
/// | `z_threshold` | 5.0 | standard deviations at which the simpler methods score 1 | above 0 |
/// | `forest` | built in | isolates errors that are rare together | |
/// | `joint_forest` | built in | isolates steps in which parts of an entity are rare together | |
/// | `priors` | none | where the autoregressions of new series begin | |
/// | `without` | nothing | parts that are left out, for comparison | |
#[derive(Clone, Debug, PartialEq)]
pub struct Hybrid {
    /// Orders of magnitude of rarity at which the state alone scores 1, at a sample a minute.
    pub state_unit: f64,
    /// What is taken from it where samples are ten times fewer than one a minute, and what is added where they are
    /// ten times as many.
    pub unit_a_decade: f64,
    /// See [`Self::unit_a_decade`].
    pub state_a_decade: f64,
    /// Orders of magnitude of rarity from which the onset counts.
    pub onset_from: f64,
    /// At how many more the onset alone scores 1.
    pub onset_unit: f64,
    /// What is added to that where samples are ten times as many as one a minute.
    pub onset_a_decade: f64,
    /// Weight of the distance to the long mean less the season, the plain one being 1.
    pub seasonless: f64,
    /// Standard deviations at which the simpler methods score 1.
    pub z_threshold: f64,
    /// Isolates errors that are rare together.
    pub forest: Forest,
    /// Isolates steps in which parts of an entity are rare together.
    pub joint_forest: Forest,
    /// Where new series begin.
    pub priors: Priors,
    /// Parts that are left out.
    pub without: Parts,
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

// === impl Hybrid ===

impl Default for Hybrid {
    fn default() -> Self {
        Self {
            state_unit: 2.0,
            onset_from: 2.0,
            onset_unit: 1.525,
            unit_a_decade: 0.143,
            state_a_decade: 0.443,
            onset_a_decade: 2.0,
            seasonless: 0.85,
            z_threshold: 5.0,
            forest: Forest::builtin(),
            joint_forest: Forest::builtin_joint(),
            priors: Priors::default(),
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
        let look = self.look(state, at_ms, value, demands);
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
        // Alerts are to be about as rare in time whatever the step: where samples are more, they must be rarer.
        let decades = f64::from(look.pace.decades);
        let (coarser, finer) = (decades.min(0.0), decades.max(0.0));
        weighed.onset = self.onset(state, &places, rare, value, season.z2, demands);
        let onset = weighed.onset.as_ref().map_or(0.0, Onset::rarity);
        if !self.without.has(Part::Onset) {
            let unit = self.onset_unit + self.onset_a_decade * finer;
            weighed.onset_score =
                (f64::from(onset) - self.onset_from).max(0.0) / (unit * demands.budget.unit);
        }
        weighed.lasting = self.lasting(state, look, places[ENERGY]);
        if !self.without.has(Part::State) {
            let unit = self.state_unit + self.unit_a_decade * coarser + self.state_a_decade * finer;
            weighed.state_score = f64::from(weighed.lasting) / (unit * demands.budget.unit);
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
            let newness = state.slow().habit.newness(look.seen.season.hour_of_day(), place);
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

    #[inline]
    pub(super) fn learn(&self, state: &mut State, at_ms: i64, value: f64, demands: &Demands) {
        let value = math::clip(value, LARGEST_VALUE);
        if state.settling.is_some() {
            let look = self.look(state, at_ms, value, demands);
            return state.settle(at_ms, value, &look);
        }
        let kept = state.seen;
        let seen = if kept.is_of(at_ms, value) { kept } else { self.look(state, at_ms, value, demands).seen };
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
        state.today.learn(&mut slow.habit, seen.season.hour_of_day(), energy);
        let all = [short, season, hour, energy, seen.isolation];
        let fade = (std::f64::consts::LN_2 * pace.share_of_days(PAST_DAYS)) as f32;
        state.calibration.learn(&mut slow.past, all, fade, state.samples, (1.0 - coverage) as f32);
    }
}

// === impl Weighed ===

impl Weighed {
    #[inline]
    fn score(&self) -> f64 {
        (self.state_score * self.state_score + self.onset_score * self.onset_score).sqrt()
    }
}

#[cfg(test)]
pub(super) mod tests;
