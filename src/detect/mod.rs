//! From a sample and what its series has learned to a score and the band that was expected.
//!
//! A [`Detector`] holds what all series share and comes from the model; a [`State`] is what one series
//! has learned, of fixed size. [`Detector::judge`] only looks, [`Detector::learn`] only learns, so that
//! one sample can be judged as often as it is asked for and teaches once.

mod demands;
mod explanation;
mod forecast;
mod hybrid;
mod kept;
mod priors;
mod zone;

use kept::Kept;

use crate::prefetch::prefetch;

pub use demands::{AlertBudget, Demands, Direction};
pub use explanation::{
    Calibrated, Explanation, Isolation, Rarity, Residual, Residuals, Season, SeasonHeeded, Shares, Voice,
    Window,
};
pub use forecast::{Foretold, Horizon, HorizonError, Horizons, Outlook};
pub use hybrid::ORDER as LAGS;
pub use hybrid::{Hybrid, JointExplanation, Method, Part, Parts, Together, WARM_UP, forest};
pub use priors::{Prior, Priors};
pub use zone::Zone;

/// Score of a value outside the range that the rule allows (vmanomaly's convention).
pub const OUTSIDE_DATA_RANGE: f64 = 1.01;
/// No score is larger: beyond it a difference says nothing, and no infinity leaves.
pub const MAX_SCORE: f64 = 1e6;

/// Everything about scoring that is shared by all series.
#[derive(Clone, Debug)]
pub enum Detector {
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

/// What one series has learned. It lies apart, since it is large and a series that has shown one sample has
/// learned nothing yet.
#[derive(Clone, Debug, Default)]
pub struct State {
    learned: Option<Box<hybrid::State>>,
    /// What forecasts need besides; only where they are asked for.
    outlook: Option<Box<Outlook>>,
    /// What the steps of an entity have taught, where the series is one.
    joint: Option<Box<hybrid::Joint>>,
}

/// What a detector says of one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// At least 0; 1 and above is an anomaly. While the series warms up it is 0, or [`OUTSIDE_DATA_RANGE`].
    pub score: f64,
    /// The forecast for this sample, made before it was seen.
    pub expected: f64,
    /// The lower edge of the band that holds ordinary values (`-inf` where only rises count).
    pub lower: f64,
    /// Its upper edge (`+inf` where only falls count).
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
        state: &mut State,
        timestamp_ms: i64,
        value: f64,
        demands: &Demands,
    ) -> Option<Judgement> {
        match self {
            Self::Hybrid(hybrid) => hybrid.judge(state.learned.as_deref_mut()?, timestamp_ms, value, demands),
            Self::Broken(how) => how.break_now(),
        }
    }

    /// Says why `value` at `timestamp_ms` is given the score that [`Self::judge`] gives it. `None` where that gives
    /// none.
    pub fn explain(
        &self,
        state: &State,
        timestamp_ms: i64,
        value: f64,
        demands: &Demands,
    ) -> Option<Explanation> {
        match self {
            Self::Hybrid(hybrid) => hybrid.explain(state.learned.as_deref()?, timestamp_ms, value, demands),
            Self::Broken(how) => how.break_now(),
        }
    }

    /// Has `state`, which is new, begin from what the series of its kind have in common; `value` gives the values of its labels.
    pub fn begin<'a>(&self, state: &mut State, value: impl FnOnce(&str) -> Option<&'a str>) {
        if let Self::Hybrid(hybrid) = self
            && let Some(prior) = hybrid.priors.of(value)
            && state.is_blank()
        {
            state.learned = Some(Box::new(hybrid::State::beginning_at(prior)));
        }
    }

    /// Lets `value` (finite) at `timestamp_ms` teach `state`, and how wide the band of `demands` is. Timestamps come in
    /// rising order.
    #[inline]
    pub fn learn(&self, state: &mut State, timestamp_ms: i64, value: f64, demands: &Demands) {
        match self {
            Self::Hybrid(hybrid) => {
                hybrid.learn(state.learned.get_or_insert_default(), timestamp_ms, value, demands)
            }
            Self::Broken(_) => {}
        }
    }

    /// Judges what the parts of an entity come to in the step at `at_ms` by the steps before, and lets it teach. Steps
    /// come in rising order, each once.
    pub fn judge_together(
        &self,
        state: &mut State,
        at_ms: i64,
        parts: &Together,
        demands: &Demands,
    ) -> Judgement {
        match self {
            Self::Hybrid(hybrid) => {
                hybrid.judge_together(state.joint.get_or_insert_default(), at_ms, parts, demands)
            }
            Self::Broken(how) => how.break_now(),
        }
    }

    /// What the parts of an entity come to in one step by itself: of a step without a past nobody knows how rare it is, and so
    /// how large it is must do. 1 and above is an anomaly.
    pub fn weigh_together(&self, parts: &Together) -> f64 {
        match self {
            Self::Hybrid(hybrid) => hybrid.weigh_together(parts),
            Self::Broken(how) => how.break_now(),
        }
    }

    /// How rare a single sample of a series must be to score 1 by itself, in orders of magnitude.
    pub fn alert_rarity(&self) -> f64 {
        match self {
            Self::Hybrid(hybrid) => hybrid.onset_from + hybrid.onset_unit,
            Self::Broken(how) => how.break_now(),
        }
    }

    /// Lets `value` (finite) at `at_ms`, which was judged and has not taught yet, teach what forecasts need; whether one
    /// is due. Of a series without an [`Outlook`] none ever is.
    #[inline]
    pub fn look_ahead(&self, state: &mut State, at_ms: i64, value: f64, demands: &Demands) -> bool {
        match (self, &state.learned, &mut state.outlook) {
            (Self::Hybrid(hybrid), Some(learned), Some(outlook)) => {
                let value = hybrid::math::clip(value, hybrid::LARGEST_VALUE);
                outlook.learn(&hybrid.bearings(learned, demands), at_ms, value, demands)
            }
            _ => false,
        }
    }

    /// Makes the forecasts that [`Self::look_ahead`] said are due, and hands them to `tell`.
    pub fn forecast(&self, state: &mut State, demands: &Demands, tell: &mut dyn FnMut(Foretold)) {
        if let (Self::Hybrid(hybrid), Some(learned), Some(outlook)) =
            (self, &state.learned, &mut state.outlook)
        {
            let season_at = |then_ms| hybrid.season_at(learned, demands.local_ms(then_ms));
            outlook.forecast(&hybrid.bearings(learned, demands), demands, season_at, tell);
        }
    }
}

// === impl State ===

impl State {
    /// Bytes of what a series has learned, beside the pointer to it.
    pub const BYTES: usize = hybrid::State::BYTES;
    /// The same of what describes one thing together, which has nothing else.
    pub const BYTES_TOGETHER: usize = size_of::<hybrid::Joint>();

    /// Has it fetched from memory, so that it is at hand when its sample comes.
    #[inline]
    pub fn prefetch(&self) {
        if let Some(state) = &self.learned {
            prefetch(&**state);
        }
    }

    /// Appends what was learned to `to`.
    pub fn keep(&self, to: &mut Vec<u8>) {
        self.learned.keep(to);
        self.outlook.keep(to);
        self.joint.keep(to);
    }

    /// Takes what was learned from the front of `from`; nothing where that is too short, or holds no numbers.
    pub fn recall(from: &mut &[u8]) -> Option<Self> {
        let (learned, outlook) = (Kept::recall(from)?, Kept::recall(from)?);
        Some(Self { learned, outlook, joint: Kept::recall(from)? })
    }

    /// Fingerprint of how it is written: bytes of another layout are not to be read.
    pub fn layout() -> u64 {
        let mut layout = String::new();
        hybrid::State::layout(&mut layout);
        Outlook::layout(&mut layout);
        hybrid::Joint::layout(&mut layout);
        xxhash_rust::xxh3::xxh3_64(layout.as_bytes())
    }

    /// The same for another series that goes on from here, and has a level of its own: it is not judged for its first
    /// minutes, in which it finds that. A rule's `data_range` counts at once.
    #[must_use]
    pub fn for_heir(self) -> Self {
        Self {
            learned: self.learned.map(|state| Box::new(state.for_heir())),
            outlook: self.outlook.map(|outlook| Box::new(outlook.for_heir())),
            ..self
        }
    }

    /// Whether enough has been seen for a score by `demands`.
    #[inline]
    pub fn is_warm(&self, demands: &Demands) -> bool {
        self.learned.as_ref().is_some_and(|state| state.is_warm(demands))
    }

    /// What was made of the newest step of an entity, where the series is one.
    pub fn joint(&self) -> Option<JointExplanation> {
        self.joint.as_ref().map(|joint| joint.said())
    }

    /// Whether forecasts are due that were not made yet.
    #[inline]
    pub fn is_forecast_due(&self) -> bool {
        self.outlook.as_ref().is_some_and(|outlook| outlook.is_due())
    }

    /// What was last forecast for each horizon, held to `demands`.
    pub fn foretold(&self, demands: &Demands) -> impl Iterator<Item = Foretold> {
        self.outlook.iter().flat_map(|outlook| outlook.last(demands))
    }

    /// Has forecasts of `horizons` prepared from now on, or none where there are none. `phase` is as for
    /// [`Outlook::new`].
    pub fn look_out_for(&mut self, horizons: &Horizons, phase: impl FnOnce() -> u32) {
        match &mut self.outlook {
            Some(_) if horizons.is_empty() => self.outlook = None,
            Some(outlook) if outlook.is_for(horizons) => {}
            Some(outlook) => outlook.turn_to(horizons, phase()),
            None if horizons.is_empty() => {}
            None => self.outlook = Some(Box::new(Outlook::new(horizons, phase()))),
        }
    }

    /// Whether nothing was learned.
    #[inline]
    pub fn is_blank(&self) -> bool {
        self.samples_seen() == 0 && self.joint.is_none()
    }

    /// How many samples have taught this state.
    #[inline]
    pub fn samples_seen(&self) -> u32 {
        self.learned.as_ref().map_or(0, |state| state.samples_seen())
    }
}

// === impl Broken ===

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
