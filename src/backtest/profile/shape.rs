//! What the values of a series are like.

use serde::Serialize;

use crate::batch::Sample;

/// What the values are like.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shape {
    /// The smallest, the median and the largest value.
    pub min: f64,
    /// Half of the values are no larger.
    pub median: f64,
    /// The largest value.
    pub max: f64,
    /// Different values.
    pub distinct: usize,
    /// Share of the samples that are 0.
    pub zeros: f64,
    /// Share of the steps upwards, and of those downwards.
    pub rises: f64,
    /// Share of the steps downwards.
    pub falls: f64,
    /// How far the largest hundredth lies above the median, in distances from the median to the nine-tenths.
    pub tail: f64,
    /// How far the middle of the last quarter is from that of the first, in spreads within a quarter.
    pub trend: f64,
    /// What it is called for that.
    pub traits: Vec<Trait>,
}

/// What a series may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trait {
    /// One value.
    Constant,
    /// One value in 99 of 100 samples.
    NearlyConstant,
    /// Whole numbers.
    Integer,
    /// 0 in most samples.
    MostlyZero,
    /// From 0 to 1.
    UnitInterval,
    /// Never negative.
    NonNegative,
    /// Grows, and falls only to begin again.
    Counter,
    /// Seldom far above the usual.
    Bursty,
    /// Goes somewhere.
    Trending,
}

/// Bounds of the traits.
const NEARLY: f64 = 0.99;
const MOSTLY: f64 = 0.8;
const BURSTY: f64 = 6.0;
const TRENDING: f64 = 2.0;
/// A counter rises at least this often, and what it falls to is at most this share of what it was.
const COUNTS: f64 = 0.05;
const RESET: f64 = 0.5;
/// Fewer steps say nothing of a counter.
const LEAST_STEPS: usize = 10;

// === impl Shape ===

impl Shape {
    /// The shape of `samples`.
    pub(super) fn of(samples: &[Sample]) -> Self {
        let values: Vec<f64> = samples.iter().map(|sample| sample.value).collect();
        let mut sorted = values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let steps = values.windows(2).count().max(1) as f64;
        let share = |is: fn(&[f64]) -> bool| values.windows(2).filter(|two| is(two)).count() as f64 / steps;
        let count = values.len().max(1) as f64;
        let median = at(&sorted, 0.5);
        let usual = (at(&sorted, 0.9) - median).max(median - at(&sorted, 0.1));
        let mut shape = Self {
            min: at(&sorted, 0.0),
            median,
            max: at(&sorted, 1.0),
            distinct: sorted.chunk_by(|a, b| a == b).count(),
            zeros: values.iter().filter(|value| **value == 0.0).count() as f64 / count,
            rises: share(|two| two[1] > two[0]),
            falls: share(|two| two[1] < two[0]),
            tail: finite((at(&sorted, 0.99) - median) / usual),
            trend: trend(&values),
            traits: Vec::new(),
        };
        shape.traits = shape.find_traits(&values, &sorted);
        shape
    }

    /// Whether it is called so.
    pub fn has(&self, name: Trait) -> bool {
        self.traits.contains(&name)
    }

    fn find_traits(&self, values: &[f64], sorted: &[f64]) -> Vec<Trait> {
        let is_constant = self.min == self.max;
        let is_nearly = !is_constant && most_usual(sorted) >= NEARLY;
        let is_integer = values.iter().all(|value| value.fract() == 0.0);
        let is_counter = self.is_counter(values);
        let is_unit = self.min >= 0.0 && self.max <= 1.0 && !(is_integer && is_constant);
        let all = [
            (Trait::Constant, is_constant),
            (Trait::NearlyConstant, is_nearly),
            (Trait::Integer, is_integer),
            (Trait::MostlyZero, !is_constant && self.zeros >= MOSTLY),
            (Trait::UnitInterval, is_unit),
            (Trait::NonNegative, self.min >= 0.0),
            (Trait::Counter, is_counter),
            (Trait::Bursty, !is_counter && self.tail >= BURSTY),
            (Trait::Trending, !is_counter && self.trend.abs() >= TRENDING),
        ];
        all.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect()
    }

    /// Rises time and again, and falls only to begin near 0 again.
    fn is_counter(&self, values: &[f64]) -> bool {
        let is_fall = |two: &&[f64]| two[1] < two[0];
        let mut falls = values.windows(2).filter(is_fall);
        let few = self.falls <= COUNTS * self.rises;
        values.len() > LEAST_STEPS
            && self.min >= 0.0
            && self.rises >= COUNTS
            && few
            && falls.all(|two| two[1] <= RESET * two[0])
    }
}

/// The value below which `share` of the `sorted` ones lie.
fn at(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((share * last as f64).round() as usize).copied().unwrap_or(0.0)
}

/// Share of the value that occurs most often.
fn most_usual(sorted: &[f64]) -> f64 {
    let longest = sorted.chunk_by(|a, b| a == b).map(<[f64]>::len).max().unwrap_or(0);
    longest as f64 / sorted.len().max(1) as f64
}

/// How far the last quarter is from the first, in spreads within the quarters.
fn trend(values: &[f64]) -> f64 {
    let quarter = values.len() / 4;
    if quarter == 0 {
        return 0.0;
    }
    let middle_and_spread = |values: &[f64]| {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        (at(&sorted, 0.5), at(&sorted, 0.9) - at(&sorted, 0.1))
    };
    let (first, spread) = middle_and_spread(&values[..quarter]);
    let (last, other) = middle_and_spread(&values[values.len() - quarter..]);
    finite((last - first) / spread.max(other))
}

/// A quotient that says nothing (of nothing by nothing, or beyond all numbers) is 0.
fn finite(number: f64) -> f64 {
    if number.is_finite() { number } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traits(values: impl Iterator<Item = f64>) -> Vec<Trait> {
        let sample = |(at, value): (usize, f64)| Sample { timestamp_ms: at as i64 * 1_000, value };
        Shape::of(&values.enumerate().map(sample).collect::<Vec<_>>()).traits
    }

    #[test]
    fn series_are_called_by_what_their_values_are() {
        use Trait::*;
        let wave = |at: i32| 5.5 + f64::from(at % 7);
        let check = |values: &dyn Fn(i32) -> f64, want: &[Trait]| {
            assert_eq!(traits((0..1_000).map(values)), want);
        };
        check(&|_| 3.5, &[Constant, NonNegative]);
        check(&|at| if at == 500 { 4.0 } else { 3.0 }, &[NearlyConstant, Integer, NonNegative]);
        check(&|at| f64::from(at % 7), &[Integer, NonNegative]);
        check(&|at| wave(at) - 6.0, &[]);
        check(&|at| f64::from(at % 7) / 7.0, &[UnitInterval, NonNegative]);
        check(&|at| if at % 10 == 0 { wave(at) } else { 0.0 }, &[MostlyZero, NonNegative]);
        check(&|at| wave(at) + if at % 60 == 0 { 90.0 } else { 0.0 }, &[NonNegative, Bursty]);
        check(&|at| wave(at) + 0.1 * f64::from(at), &[NonNegative, Trending]);
        check(&|at| f64::from(at % 400) * 3.0, &[Integer, NonNegative, Counter]);
    }

    #[test]
    fn what_falls_a_little_is_no_counter() {
        assert!(
            !traits((0..1_000).map(|at| f64::from(at) - 5.0 * f64::from(at / 100))).contains(&Trait::Counter)
        );
        assert!(!traits((0..5).map(f64::from)).contains(&Trait::Counter), "too few to tell");
    }
}
