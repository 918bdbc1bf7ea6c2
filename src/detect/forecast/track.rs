//! One horizon: what it forecasts, what waits for its moment, and how it went.

use super::super::hybrid::Bearings;
use super::levels::{Lesson, Levels};
use super::past::Before;
use super::spread::Spread;
use super::voices::{Chorus, Costs, Said, Scene, VOICES, memory};
use super::{Foretold, Horizon};
use crate::detect::Demands;
use crate::detect::kept::kept;

/// A forecast is made once in so many parts of a horizon, so that as many wait at the most.
const PARTS: usize = 10;
/// A horizon is forecast once this share of it has been seen.
const SEEN: f64 = 0.25;

/// One horizon.
#[derive(Clone, Copy, Debug)]
pub(super) struct Track {
    horizon: Horizon,
    levels: Levels,
    costs: Costs,
    spread: Spread,
    /// Those that wait, the oldest first, from `first` on.
    waiting: [Waiting; PARTS],
    first: u8,
    count: u8,
    /// When the next may be made.
    due_ms: i64,
    /// What was last forecast.
    last: Last,
    phase: u32,
}

/// A forecast that waits for its moment.
#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    /// When it was made.
    made_ms: i64,
    /// What was expected.
    expected: f64,
    /// The usual size of an error then.
    size: f64,
    /// How far above what was expected each voice was.
    said: [f32; VOICES],
}

/// What was last forecast.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    made_ms: i64,
    expected: f64,
    /// How far below and above are the edges.
    below: f64,
    above: f64,
    is_made: bool,
}

// === impl Track ===

impl Track {
    pub(super) fn new(horizon: Horizon, phase: u32) -> Self {
        Self {
            horizon,
            levels: Levels::default(),
            costs: Costs::default(),
            spread: Spread::default(),
            waiting: [Waiting::default(); PARTS],
            first: 0,
            count: 0,
            due_ms: i64::MIN,
            last: Last::default(),
            phase,
        }
    }

    pub(super) fn horizon(&self) -> Horizon {
        self.horizon
    }

    fn every_ms(&self) -> i64 {
        self.horizon().millis() / PARTS as i64
    }

    /// When the next forecast may be made.
    pub(super) fn due_ms(&self) -> i64 {
        self.due_ms
    }

    pub(super) fn is_due(&self, at_ms: i64) -> bool {
        at_ms >= self.due_ms
    }

    /// Whether enough was seen for a forecast.
    pub(super) fn is_known(&self, bearings: &Bearings) -> bool {
        bearings.is_warm && bearings.age_s >= SEEN * self.horizon().seconds()
    }

    /// Tries again when the next would be made.
    pub(super) fn postpone(&mut self, at_ms: i64) {
        self.due_ms = at_ms.saturating_add(self.every_ms());
    }

    /// Takes back all that was forecast.
    pub(super) fn take_back(&mut self) {
        (self.count, self.last) = (0, Last::default());
    }

    /// Lets a sample teach.
    #[inline]
    pub(super) fn learn(&mut self, bearings: &Bearings, lesson: &Lesson) {
        let Lesson { at_ms, value, .. } = *lesson;
        if self.due_ms == i64::MIN {
            let phase = self.every_ms() as f64 * (f64::from(self.phase) / f64::from(u32::MAX));
            self.due_ms = at_ms.saturating_add(phase as i64);
        }
        self.levels.learn(self.horizon().seconds(), lesson);
        while self.count > 0 && self.matures(bearings, at_ms, value) {
            self.first = (self.first + 1) % PARTS as u8;
            self.count -= 1;
        }
    }

    /// Lets the oldest forecast that waits teach, if its moment is there; whether it is.
    #[inline]
    fn matures(&mut self, bearings: &Bearings, at_ms: i64, value: f64) -> bool {
        let waiting = &self.waiting[usize::from(self.first) % PARTS];
        let horizon_ms = self.horizon().millis();
        let late_ms = at_ms.saturating_sub(waiting.made_ms.saturating_add(horizon_ms)) as f64;
        let step_ms = bearings.step_s * 1e3;
        if late_ms < -0.5 * step_ms.min(0.2 * horizon_ms as f64) {
            return false;
        }
        // One whose moment fell into a gap says nothing.
        if late_ms <= step_ms.max(0.1 * horizon_ms as f64) {
            let error = value - waiting.expected;
            let memory = memory(self.horizon().seconds());
            self.costs.learn(&waiting.said.map(|said| error - f64::from(said)), memory);
            self.spread.learn(error, waiting.size, memory);
        }
        true
    }

    /// Makes the forecast of `at_ms`.
    pub(super) fn forecast(
        &mut self,
        bearings: &Bearings,
        at_ms: i64,
        season: f64,
        before: Before,
        demands: &Demands,
    ) -> Foretold {
        let scene =
            Scene { bearings, levels: &self.levels, horizon_s: self.horizon().seconds(), season, before };
        let Chorus { expected, apart, said } = self.costs.chorus(&scene);
        let size = self.spread.size(guess(bearings, self.horizon().seconds(), apart));
        let [below, above] = self.spread.edges(1.0 - demands.coverage).map(|ratio| ratio * size);
        self.wait(at_ms, expected, size, &said);
        self.postpone(at_ms);
        self.last = Last { made_ms: at_ms, expected, below, above, is_made: true };
        self.told(demands)
    }

    fn wait(&mut self, made_ms: i64, expected: f64, size: f64, said: &Said) {
        let place = usize::from(self.first + self.count) % PARTS;
        if usize::from(self.count) == PARTS {
            self.first = (self.first + 1) % PARTS as u8;
        } else {
            self.count += 1;
        }
        let said = said.map(|said| (said - expected).clamp(f32::MIN.into(), f32::MAX.into()) as f32);
        self.waiting[place] = Waiting { made_ms, expected, size, said };
    }

    fn told(&self, demands: &Demands) -> Foretold {
        let Last { made_ms, expected, below, above, .. } = self.last;
        Foretold {
            horizon: self.horizon(),
            made_ms,
            expected: demands.clip(expected),
            lower: demands.clip(expected - below * demands.scale[0]),
            upper: demands.clip(expected + above * demands.scale[1]),
        }
    }

    /// What was last forecast, if anything was.
    pub(super) fn last(&self, demands: &Demands) -> Option<Foretold> {
        self.last.is_made.then(|| self.told(demands))
    }
}

/// What the usual error over `horizon_s` is thought to be, before any is known: that of a random walk of the series'
/// one-step errors, up to what any two values of it are apart; more where the forecasts are `apart` (squared), and
/// where less than a horizon was seen.
fn guess(bearings: &Bearings, horizon_s: f64, apart: f64) -> f64 {
    let walk = bearings.step_variance * (horizon_s / bearings.step_s).max(1.0);
    let most = 2.0 * bearings.variance;
    let variance = if walk + most > 0.0 { walk * (most / (walk + most)) } else { 0.0 };
    let reach = horizon_s / bearings.age_s.max(1.0);
    // The mean size of a normal distribution of variance 1.
    const MEAN_SIZE: f64 = 0.797_884_560_802_865_4;
    MEAN_SIZE * ((variance + apart) * (1.0 + reach)).sqrt()
}

// === kept ===

kept!(Waiting { made_ms, expected, size, said });
kept!(Last { made_ms, expected, below, above, is_made });
kept!(Track { horizon, levels, costs, spread, waiting, first, count, due_ms, last, phase });
