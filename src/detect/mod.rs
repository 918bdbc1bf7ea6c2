//! From a sample and what its series has learned to a score and the band that was expected.
//!
//! A [`Detector`] holds what all series share and comes from the model; a [`State`] is what one series
//! has learned, of fixed size. [`Detector::judge`] only looks, [`Detector::learn`] only learns, so that
//! one sample can be judged as often as it is asked for and teaches once.

mod demands;
mod hybrid;
mod seasonal;

pub use demands::{Demands, Direction};
pub use hybrid::{Hybrid, Method, Part, Parts, forest};
pub use seasonal::Seasonal;

/// Score of a value outside the range that the rule allows (vmanomaly's convention).
pub const OUTSIDE_DATA_RANGE: f64 = 1.01;
/// No score is larger: beyond it a difference says nothing, and no infinity leaves.
pub const MAX_SCORE: f64 = 1e6;

/// Everything about scoring that is shared by all series.
#[derive(Clone, Debug)]
pub enum Detector {
    /// A robust z-score around a level or a day profile, whichever forecasts the series better.
    Seasonal(Seasonal),
    /// A forecast baseline, then energy, calibration and onset on what it leaves over; or one of these alone.
    Hybrid(Box<Hybrid>),
    /// Breaks on purpose: proves that data passes whatever a detector does.
    #[doc(hidden)]
    Broken(Broken),
}

/// How [`Detector::Broken`] breaks.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Panics at every judgement.
    Panics,
    /// Never returns.
    Hangs,
}

/// What one series has learned, of one detector.
#[derive(Clone, Debug, Default)]
pub struct State(Learned);

#[derive(Clone, Debug, Default)]
enum Learned {
    /// Nothing: a series that was never seen.
    #[default]
    Nothing,
    Seasonal(seasonal::State),
    /// Ten times as much as the seasonal detector learns, so it lies apart.
    Hybrid(Box<hybrid::State>),
}

/// What a detector says of one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// At least 0; above 1 is an anomaly; 0 while the series warms up.
    pub score: f64,
    /// The forecast for this sample, made before it was seen.
    pub expected: f64,
    /// Below this a value scores more than 1 (`-inf` where only rises count).
    pub lower: f64,
    /// Above this a value scores more than 1 (`+inf` where only falls count).
    pub upper: f64,
}

// === impl Detector ===

impl Detector {
    /// Judges `value` at `timestamp_ms` against what `state` learned from earlier samples.
    ///
    /// `value` is finite. `None` before the first sample: nothing is expected yet.
    #[inline]
    pub fn judge(
        &self,
        state: &State,
        timestamp_ms: i64,
        value: f64,
        demands: &Demands,
    ) -> Option<Judgement> {
        match (self, &state.0) {
            (Self::Seasonal(seasonal), Learned::Seasonal(state)) => {
                seasonal.judge(state, timestamp_ms, value, demands)
            }
            (Self::Hybrid(hybrid), Learned::Hybrid(state)) => {
                hybrid.judge(state, timestamp_ms, value, demands)
            }
            (Self::Broken(how), _) => how.break_now(),
            // Never seen, or learned by another detector.
            (Self::Seasonal(seasonal), _) => {
                seasonal.judge(&Default::default(), timestamp_ms, value, demands)
            }
            (Self::Hybrid(hybrid), _) => hybrid.judge(&Default::default(), timestamp_ms, value, demands),
        }
    }

    /// Lets `value` (finite) at `timestamp_ms` teach `state`. Timestamps come in rising order.
    #[inline]
    pub fn learn(&self, state: &mut State, timestamp_ms: i64, value: f64) {
        match (self, &mut state.0) {
            (Self::Seasonal(seasonal), Learned::Seasonal(state)) => {
                seasonal.learn(state, timestamp_ms, value)
            }
            (Self::Hybrid(hybrid), Learned::Hybrid(state)) => hybrid.learn(state, timestamp_ms, value),
            (Self::Broken(_), _) => {}
            (Self::Seasonal(seasonal), other) => {
                let mut mine = seasonal::State::default();
                seasonal.learn(&mut mine, timestamp_ms, value);
                *other = Learned::Seasonal(mine);
            }
            (Self::Hybrid(hybrid), other) => {
                let mut mine = Box::<hybrid::State>::default();
                hybrid.learn(&mut mine, timestamp_ms, value);
                *other = Learned::Hybrid(mine);
            }
        }
    }
}

impl State {
    /// How many samples have taught this state.
    #[inline]
    pub fn samples_seen(&self) -> u32 {
        match &self.0 {
            Learned::Nothing => 0,
            Learned::Seasonal(state) => state.samples_seen(),
            Learned::Hybrid(state) => state.samples_seen(),
        }
    }
}

impl Broken {
    fn break_now(self) -> ! {
        match self {
            Self::Panics => panic!("this detector breaks on purpose"),
            Self::Hangs => loop {
                std::thread::park();
            },
        }
    }
}
