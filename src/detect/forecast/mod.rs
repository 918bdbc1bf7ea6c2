//! What a series will be some time from now, and how far from it that may be.
//!
//! Off the hot path: a sample teaches an [`Outlook`] a few means, and once in a tenth of a horizon a forecast is made.
//! `docs/forecasts.md` tells the method, its sources and its figures; here is where its parts are:
//!
//! - [`horizon`]: how far ahead, and how that is spelled.
//! - [`past`]: the last day and the last week as they were.
//! - [`levels`]: means and a line over about one horizon.
//! - [`voices`]: what each of a few simple forecasts says, and what each has cost.
//! - [`spread`]: how far past forecasts were off, on either side.
//! - [`track`]: all of this for one horizon, with the forecasts that wait for their moment.

mod horizon;
mod levels;
mod past;
mod spread;
mod track;
mod voices;

use self::horizon::MAX_HORIZONS;
use self::levels::Lesson;
use self::past::Past;
use self::track::Track;
use super::Demands;
use super::hybrid::Bearings;
use super::kept::Kept;

pub use self::horizon::{Horizon, HorizonError, Horizons};

/// A forecast for one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Foretold {
    /// How far ahead.
    pub horizon: Horizon,
    /// When it was made, in milliseconds since the epoch; what it is about lies a horizon later.
    pub made_ms: i64,
    /// The value that is expected then.
    pub expected: f64,
    /// The lower edge of the band that holds it with the rule's `coverage`.
    pub lower: f64,
    /// Its upper edge.
    pub upper: f64,
}

/// What one series has taught of its future. Only series have it whose rule asks for forecasts.
#[derive(Clone, Debug)]
pub struct Outlook {
    past: Past,
    tracks: Vec<Track>,
    /// The first moment at which one of the horizons may be forecast anew.
    due_ms: i64,
    /// The newest sample's, if forecasts are due and were not made yet.
    due_at_ms: Option<i64>,
}

// === impl Outlook ===

impl Outlook {
    /// Bytes beside those of each horizon.
    pub const BYTES: usize = size_of::<Self>();
    /// Bytes of each horizon.
    pub const BYTES_A_HORIZON: usize = size_of::<Track>();

    /// Nothing learned yet. `phase` says when within a tenth of a horizon forecasts are made, so that those of many
    /// series are not made at once.
    pub fn new(horizons: &Horizons, phase: u32) -> Self {
        let tracks = horizons.iter().map(|horizon| Track::new(horizon, phase)).collect();
        Self { past: Past::default(), tracks, due_ms: i64::MIN, due_at_ms: None }
    }

    /// Whether these are its horizons.
    pub fn is_for(&self, horizons: &Horizons) -> bool {
        self.tracks.iter().map(|track| track.horizon()).eq(horizons.iter())
    }

    /// Keeps what was learned of `horizons`, and begins with those that it did not have.
    pub fn turn_to(&mut self, horizons: &Horizons, phase: u32) {
        let mut kept = std::mem::take(&mut self.tracks);
        let track = |horizon| {
            let at = kept.iter().position(|track: &Track| track.horizon() == horizon);
            at.map_or_else(|| Track::new(horizon, phase), |at| kept.swap_remove(at))
        };
        self.tracks = horizons.iter().map(track).collect();
        self.due_ms = i64::MIN;
    }

    /// The same for another series that goes on from here: what waits was said of the other one, and its moment would teach
    /// an error that is none.
    #[must_use]
    pub(super) fn for_heir(mut self) -> Self {
        self.tracks.iter_mut().for_each(Track::take_back);
        self
    }

    /// Lets `value` (finite) at `at_ms` teach; whether a forecast is due.
    #[inline]
    pub(super) fn learn(&mut self, bearings: &Bearings, at_ms: i64, value: f64, demands: &Demands) -> bool {
        self.past.learn(demands.local_ms(at_ms), value);
        let Bearings { season, step_s, .. } = *bearings;
        let lesson = Lesson { at_ms, value, season, day: self.past.day(), step_s };
        for track in &mut self.tracks {
            track.learn(bearings, &lesson);
        }
        self.due_at_ms = (at_ms >= self.due_ms).then_some(at_ms);
        self.is_due()
    }

    /// Whether forecasts are due.
    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.due_at_ms.is_some()
    }

    /// Makes the forecasts that are due, and hands them to `tell`.
    pub(super) fn forecast(
        &mut self,
        bearings: &Bearings,
        demands: &Demands,
        mut season_at: impl FnMut(i64) -> f64,
        tell: &mut dyn FnMut(Foretold),
    ) {
        let Some(at_ms) = self.due_at_ms.take() else { return };
        for track in self.tracks.iter_mut().filter(|track| track.is_due(at_ms)) {
            if !track.is_known(bearings) {
                track.postpone(at_ms);
                continue;
            }
            let then_ms = at_ms.saturating_add(track.horizon().millis());
            let before = self.past.before(demands.local_ms(then_ms));
            tell(track.forecast(bearings, at_ms, season_at(then_ms), before, demands));
        }
        self.due_ms = self.tracks.iter().map(Track::due_ms).min().unwrap_or(i64::MAX);
    }

    /// What was last forecast for each horizon, if anything was, held to `demands`.
    pub fn last(&self, demands: &Demands) -> impl Iterator<Item = Foretold> {
        self.tracks.iter().filter_map(|track| track.last(demands))
    }
}

// === kept ===

impl Kept for Outlook {
    fn layout(to: &mut String) {
        to.push_str("Outlook {");
        Past::layout(to);
        to.push_str("tracks: u8 ");
        Track::layout(to);
        to.push('}');
    }

    fn keep(&self, to: &mut Vec<u8>) {
        self.past.keep(to);
        (self.tracks.len() as u8).keep(to);
        self.tracks.iter().for_each(|track| track.keep(to));
    }

    fn recall(from: &mut &[u8]) -> Option<Self> {
        let past = Past::recall(from)?;
        let count = u8::recall(from).filter(|count| usize::from(*count) <= MAX_HORIZONS)?;
        let tracks = (0..count).map(|_| Track::recall(from)).collect::<Option<_>>()?;
        Some(Self { past, tracks, due_ms: i64::MIN, due_at_ms: None })
    }
}

#[cfg(test)]
mod tests;
