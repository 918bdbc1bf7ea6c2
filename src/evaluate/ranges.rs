//! Range-based precision and recall (Tatbul et al., Precision and Recall for Time Series, NeurIPS 2018).
//!
//! Where counting alerts asks whether somebody was called, ranges ask how much of an incident was covered, and by how many
//! pieces. Flat positional bias; a range that is met by x others counts 1/x; half of recall is for being met at all.

use std::ops::Range;

/// The part of recall that an incident gives for being met at all.
const EXISTENCE: f64 = 0.5;

/// Sums over ranges, of one series or of many.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ranges {
    precision: Sum,
    recall: Sum,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    total: f64,
    count: usize,
}

// === impl Ranges ===

impl Ranges {
    /// Adds a series, where `predicted` were anomalous and `real` was wrong. Both are in order, and none of `predicted` touches another.
    pub(super) fn add(&mut self, predicted: &[Range<usize>], real: &[Range<usize>]) {
        for range in real {
            let met = met(range, predicted);
            let exists = if met.pieces > 0 { EXISTENCE } else { 0.0 };
            self.recall.add(exists + (1.0 - EXISTENCE) * met.share());
        }
        for range in predicted {
            self.precision.add(met(range, real).share());
        }
    }

    pub(super) fn precision(&self) -> Option<f64> {
        self.precision.mean()
    }

    pub(super) fn recall(&self) -> Option<f64> {
        self.recall.mean()
    }
}

/// Samples of which a condition holds, as ranges.
pub(super) fn runs(scores: &[f32], threshold: f32) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for at in (0..scores.len()).filter(|at| scores[*at] >= threshold) {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end += 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

/// The harmonic mean of two.
pub(super) fn f1(precision: Option<f64>, recall: Option<f64>) -> Option<f64> {
    let (precision, recall) = (precision?, recall?);
    let sum = precision + recall;
    Some(if sum > 0.0 { 2.0 * precision * recall / sum } else { 0.0 })
}

/// How a range is met by others.
struct Met {
    samples: usize,
    pieces: usize,
    of: usize,
}

fn met(range: &Range<usize>, others: &[Range<usize>]) -> Met {
    let common = |other: &Range<usize>| {
        let (from, to) = (range.start.max(other.start), range.end.min(other.end));
        to.saturating_sub(from)
    };
    let pieces = others.iter().map(common).filter(|samples| *samples > 0);
    let (pieces, samples) = pieces.fold((0, 0), |(pieces, sum), samples| (pieces + 1, sum + samples));
    // Incidents may overlap: what lies in two of them is covered once.
    Met { samples: samples.min(range.len()), pieces, of: range.len() }
}

// === impl Met ===

impl Met {
    /// The share of it that is covered, less where it is by many pieces.
    fn share(&self) -> f64 {
        self.samples as f64 / self.of as f64 / self.pieces.max(1) as f64
    }
}

// === impl Sum ===

impl Sum {
    fn add(&mut self, value: f64) {
        self.total += value;
        self.count += 1;
    }

    fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.total / self.count as f64)
    }
}

#[cfg(test)]
// One range is meant, not what is in it.
#[allow(clippy::single_range_in_vec_init)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(predicted: &[Range<usize>], real: &[Range<usize>]) -> (Option<f64>, Option<f64>) {
        let mut ranges = Ranges::default();
        ranges.add(predicted, real);
        (ranges.precision(), ranges.recall())
    }

    #[test]
    fn what_is_covered_in_pieces_counts_less() {
        assert_eq!(of(&[10..20], &[10..20]), (Some(1.0), Some(1.0)));
        assert_eq!(of(&[10..15], &[10..20]), (Some(1.0), Some(0.75)));
        assert_eq!(of(&[10..12, 14..16, 18..19], &[10..20]).1, Some(0.5 + 0.5 * 0.5 / 3.0));
        assert_eq!(of(&[5..25], &[10..12, 20..22]), (Some(0.1), Some(1.0)));
        assert_eq!(of(&[], &[10..20]), (None, Some(0.0)));
        assert_eq!(f1(Some(0.5), Some(0.5)), Some(0.5));
        assert_eq!((f1(Some(0.0), Some(0.0)), f1(None, Some(1.0))), (Some(0.0), None));
    }

    /// What the packages of tests/oracle/evaluate.py say.
    #[derive(serde::Deserialize)]
    struct Case {
        labels: Vec<f32>,
        anomalous: Vec<f32>,
        precision: f64,
        recall: f64,
    }

    #[test]
    fn they_are_the_numbers_of_the_reference_implementation() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../tests/data/evaluate/ranges.json")).unwrap();
        assert!(cases.len() >= 10);
        for case in cases {
            let (precision, recall) = of(&runs(&case.anomalous, 1.0), &runs(&case.labels, 1.0));
            let is_near = |ours: Option<f64>, theirs: f64| (ours.unwrap() - theirs).abs() < 1e-12;
            assert!(
                is_near(precision, case.precision) && is_near(recall, case.recall),
                "{precision:?} {recall:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn they_are_shares_and_whole_only_where_nothing_is_missed(scores in prop::collection::vec(0.0f32..2.0, 1..80), truth in prop::collection::vec(0.0f32..2.0, 80)) {
            let (predicted, real) = (runs(&scores, 1.0), runs(&truth[..scores.len()], 1.0));
            let (precision, recall) = of(&predicted, &real);
            for share in [precision, recall].into_iter().flatten() {
                prop_assert!((0.0..=1.0).contains(&share));
            }
            let is_same = predicted == real && !real.is_empty();
            prop_assert_eq!(is_same, precision == Some(1.0) && recall == Some(1.0));
        }
    }
}
