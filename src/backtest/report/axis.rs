//! Axes: where on a chart a number or a moment lies, and which of them are named.

use super::numbers::short;
use crate::backtest::Moment;

/// From numbers to heights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// From the lowest number to the highest.
    Linear(f64, f64),
    /// Scores from 0 to a highest one, by `ln(1 + score)`: both 1 and 1,000 can be seen.
    Score(f64),
}

/// From moments to places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
}

/// A named place on an axis, as a share of its length from the left or from the top.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) name: String,
}

/// Room above and below what is drawn, as a share of it.
const ROOM: f64 = 0.06;
/// Scores that may be named.
const SCORES: [f64; 9] = [0.0, 1.0, 3.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6];
/// Times from one name to the next.
const MINUTE: i64 = 60_000;
const DAY: i64 = 1_440 * MINUTE;
const TIMES: [i64; 19] = [
    1_000,
    5_000,
    15_000,
    MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    30 * MINUTE,
    60 * MINUTE,
    180 * MINUTE,
    360 * MINUTE,
    720 * MINUTE,
    DAY,
    2 * DAY,
    7 * DAY,
    14 * DAY,
    30 * DAY,
    90 * DAY,
    365 * DAY,
    3_650 * DAY,
];
/// No more names than this stand on an axis of time.
const MOST_TIMES: i64 = 8;

// === impl Scale ===

impl Scale {
    /// The scale on which all of `numbers` can be seen.
    pub(super) fn around(numbers: impl Iterator<Item = f64>) -> Self {
        let numbers = numbers.filter(|number| number.is_finite());
        let ends = numbers.fold(None, |ends: Option<(f64, f64)>, number| {
            Some(ends.map_or((number, number), |(low, high)| (low.min(number), high.max(number))))
        });
        let (low, high) = ends.unwrap_or((0.0, 1.0));
        // A constant series lies in the middle.
        let room = if high > low { ROOM * high - ROOM * low } else { low.abs().max(1.0) / 2.0 };
        Self::Linear((low - room).max(f64::MIN), (high + room).min(f64::MAX))
    }

    /// The scale of scores up to `highest`.
    pub(super) fn of_scores(highest: f64) -> Self {
        Self::Score(highest.max(2.0) * (1.0 + ROOM))
    }

    /// How far from the top `number` is, as a share; what lies outside is held at the edge.
    pub(super) fn top(self, number: f64) -> f64 {
        let share = match self {
            // Halves, since the difference of huge numbers may be infinite.
            Self::Linear(low, high) => (number / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0),
            Self::Score(highest) => number.max(0.0).ln_1p() / highest.ln_1p(),
        };
        1.0 - share.clamp(0.0, 1.0)
    }

    /// The numbers that are named.
    pub(super) fn ticks(self) -> Vec<Tick> {
        let tick = |number: f64| Tick { at: self.top(number), name: short(number) };
        match self {
            Self::Linear(low, high) => round_numbers(low, high).map(tick).collect(),
            Self::Score(highest) => SCORES.into_iter().filter(|score| *score <= highest).map(tick).collect(),
        }
    }
}

/// Multiples of 1, 2 or 5 times a power of ten, four or so between `low` and `high`.
fn round_numbers(low: f64, high: f64) -> impl Iterator<Item = f64> {
    let rough = (high / 4.0 - low / 4.0).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    let digit = [1.0, 2.0, 5.0, 10.0].into_iter().find(|digit| digit * power >= rough).unwrap_or(10.0);
    let step = digit * power;
    let first = (low / step).ceil();
    (0..12).map(move |at| (first + f64::from(at)) * step).filter(move |number| (low..=high).contains(number))
}

// === impl Time ===

impl Time {
    /// How far from the left the moment is, as a share.
    pub(super) fn left(self, at_ms: i64) -> f64 {
        (at_ms - self.from_ms) as f64 / self.length() as f64
    }

    /// Milliseconds of the axis, at least one.
    pub(super) fn length(self) -> i64 {
        (self.to_ms - self.from_ms).max(1)
    }

    /// The moments that are named: days by their date, others by their time of the day.
    pub(super) fn ticks(self) -> Vec<Tick> {
        let most = self.length() / MOST_TIMES;
        let step = TIMES.into_iter().find(|step| *step >= most).unwrap_or(3_650 * DAY);
        let first = self.from_ms.div_euclid(step) + i64::from(self.from_ms.rem_euclid(step) > 0);
        let moments = (first..).map(|at| at * step).take_while(|at| *at <= self.to_ms);
        let name = |at: i64| match at.rem_euclid(DAY) {
            0 if step >= 365 * DAY => Moment(at).day(),
            0 => Moment(at).day().split_off("2026-".len()),
            _ if step < MINUTE => Moment(at).to_string().split_off("2026-01-05 ".len()),
            _ => Moment(at).time(),
        };
        moments.map(|at| Tick { at: self.left(at), name: name(at) }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.name.as_str()).collect()
    }

    #[test]
    fn numbers_are_named_at_round_places() {
        let scale = Scale::around([3.0, 97.0].into_iter());
        assert_eq!(names(&scale.ticks()), ["0", "50", "100"]);
        assert!(scale.top(97.0) < 0.06 && scale.top(3.0) > 0.94);
        assert_eq!((scale.top(1e9), scale.top(f64::NEG_INFINITY)), (0.0, 1.0));
    }

    #[test]
    fn a_constant_and_a_huge_series_have_an_axis() {
        let scale = Scale::around([5.0, 5.0].into_iter());
        assert_eq!(scale.top(5.0), 0.5);
        let scale = Scale::around([-1e308, 1e308].into_iter());
        assert!((scale.top(0.0) - 0.5).abs() < 1e-9);
        assert!(scale.ticks().iter().all(|tick| tick.at.is_finite()));
        assert_eq!(Scale::around([].into_iter()), Scale::around([0.0, 1.0].into_iter()));
    }

    #[test]
    fn one_and_the_highest_score_can_both_be_seen() {
        let scale = Scale::of_scores(1_000.0);
        assert_eq!(names(&scale.ticks()), ["0", "1", "3", "10", "100", "1000"]);
        assert!(scale.top(1.0) < 0.91 && scale.top(1_000.0) < 0.02);
    }

    #[test]
    fn moments_are_named_by_date_or_time() {
        let time = Time { from_ms: 1_767_571_200_000, to_ms: 1_767_571_200_000 + 12 * 60 * MINUTE };
        assert_eq!(names(&time.ticks()), ["01-05", "03:00", "06:00", "09:00", "12:00"]);
        let time = Time { to_ms: time.from_ms + 6 * DAY, ..time };
        assert_eq!(time.ticks().len(), 7);
        assert_eq!((time.ticks()[1].name.as_str(), time.ticks()[6].at), ("01-06", 1.0));
        let time = Time { to_ms: time.from_ms + 5_000, ..time };
        assert_eq!(names(&time.ticks())[1], "00:00:01");
    }
}
