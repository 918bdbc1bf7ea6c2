//! What a rule demands before a deviation counts, in vmanomaly's vocabulary.

use super::Method;

/// The side on which a deviation counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Either side.
    #[default]
    Both,
    /// Only values above the expected one.
    AboveExpected,
    /// Only values below the expected one.
    BelowExpected,
}

/// A rule's demands on a judgement. Pairs are `[below, above]` the expected value.
#[derive(Clone, Debug, PartialEq)]
pub struct Demands {
    /// Which detector judges.
    pub method: Method,
    /// Values outside score at least [`super::OUTSIDE_DATA_RANGE`], even during warm-up.
    pub data_range: Option<[f64; 2]>,
    /// The side that counts.
    pub direction: Direction,
    /// Absolute deviations smaller than this score 0.
    pub min_dev: [f64; 2],
    /// Deviations smaller than this fraction of the expected value score 0.
    pub min_rel_dev: [f64; 2],
    /// The share of ordinary values that the band holds.
    pub coverage: f64,
    /// Factors on the width of the band.
    pub scale: [f64; 2],
    /// Whether the forecast and its band are held inside `data_range`.
    pub clip_predictions: bool,
    /// Samples that a series must have shown before it scores.
    pub min_samples: u32,
    /// Standard deviations at which the score is 1, in place of the detector's own measure.
    pub threshold: Option<f64>,
}

impl Default for Demands {
    fn default() -> Self {
        Self {
            method: Method::Hybrid,
            data_range: None,
            direction: Direction::Both,
            min_dev: [0.0; 2],
            min_rel_dev: [0.0; 2],
            coverage: 0.99,
            scale: [1.0; 2],
            clip_predictions: false,
            min_samples: 16,
            threshold: None,
        }
    }
}

impl Demands {
    /// Whether every deviation counts as it is.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.direction == Direction::Both
            && self.min_dev == [0.0; 2]
            && self.min_rel_dev == [0.0; 2]
            && self.scale == [1.0; 2]
    }

    /// The part of `error = value - expected` that counts: 0 on the side that does not count and for
    /// deviations that are too small to matter.
    #[inline]
    pub(super) fn counted(&self, error: f64, expected: f64) -> f64 {
        let side = usize::from(error > 0.0);
        let counts = self.heeds(side);
        let size = error.abs();
        let relative = self.min_rel_dev[side] * expected.abs();
        if counts && size >= self.min_dev[side] && size >= relative { error } else { 0.0 }
    }

    /// Whether deviations on `side` (0 below, 1 above the expected value) count at all.
    #[inline]
    pub(super) fn heeds(&self, side: usize) -> bool {
        match self.direction {
            Direction::Both => true,
            Direction::AboveExpected => side == 1,
            Direction::BelowExpected => side == 0,
        }
    }

    /// The sum of what was counted on the sides that count.
    #[inline]
    pub(super) fn sides(&self, [below, above]: [f32; 2]) -> f32 {
        match self.direction {
            Direction::Both => below + above,
            Direction::AboveExpected => above,
            Direction::BelowExpected => below,
        }
    }

    /// Whether the rule sets a range and `value` is outside of it.
    #[inline]
    pub(super) fn outside_range(&self, value: f64) -> bool {
        self.data_range.is_some_and(|[low, high]| value < low || value > high)
    }

    /// `forecast` (or an edge of its band) held inside the range, if the rule asks for it.
    #[inline]
    pub(super) fn clip(&self, forecast: f64) -> f64 {
        match self.data_range {
            Some([low, high]) if self.clip_predictions => forecast.max(low).min(high),
            _ => forecast,
        }
    }

    /// The band `expected - width .. expected + width`, open on the side that does not count.
    pub(super) fn band(&self, expected: f64, width: f64) -> [f64; 2] {
        let side = |side: usize| {
            let floor = self.min_dev[side].max(self.min_rel_dev[side] * expected.abs());
            (width * self.scale[side]).max(floor)
        };
        let lower = match self.direction {
            Direction::AboveExpected => f64::NEG_INFINITY,
            _ => self.clip(expected - side(0)),
        };
        let upper = match self.direction {
            Direction::BelowExpected => f64::INFINITY,
            _ => self.clip(expected + side(1)),
        };
        [lower, upper]
    }
}
