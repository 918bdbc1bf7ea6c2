//! The volume under the precision-recall surface: a figure that needs no threshold (Paparrizos et al., Volume Under the Surface,
//! VLDB 2022; the same number as the implementation that TSB-AD uses).
//!
//! Precision and recall are taken at 250 thresholds, for incidents that are widened by 0 to `buffer` samples whose worth falls
//! with their distance; the surface is the mean over the widths.

use std::ops::Range;

/// Thresholds along a curve.
const THRESHOLDS: usize = 250;
/// The width where a series has no period, as TSB-AD has it.
const APERIODIC: usize = 125;
/// What a period is looked for in.
const LONGEST: usize = 20_000;
const LAGS: usize = 401;
const SHORTEST_PERIOD: usize = 3;
const LONGEST_PERIOD: usize = 300;

/// The volume of scores where `labels` say what was wrong; nothing where that is nothing or everything.
pub(super) fn vus_pr(labels: &[bool], scores: &[f32], buffer: usize) -> Option<f64> {
    let real = runs(labels);
    let positive = labels.iter().filter(|label| **label).count();
    if positive == 0 || positive == labels.len() {
        return None;
    }
    let surface = Surface::new(labels, scores, &real, buffer);
    let total: f64 = (0..=buffer).map(|width| surface.area(width)).sum();
    Some(total / (buffer + 1) as f64)
}

/// How far incidents of a series are widened: by its period, which is the lag at which it is most like itself.
pub(super) fn period(values: &[f32]) -> usize {
    let values = values.get(..LONGEST).unwrap_or(values);
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len().max(1) as f64;
    let centred: Vec<f64> = values.iter().map(|value| f64::from(*value) - mean).collect();
    let likeness = |lag: usize| -> f64 { centred.iter().zip(&centred[lag..]).map(|(a, b)| a * b).sum() };
    let likenesses: Vec<f64> = (0..LAGS.min(centred.len())).map(likeness).collect();
    if likenesses.first().is_none_or(|own| !own.is_finite() || *own <= 0.0) {
        return APERIODIC;
    }
    let peaks = (SHORTEST_PERIOD + 1..likenesses.len().saturating_sub(1))
        .filter(|lag| likenesses[*lag] > likenesses[lag - 1] && likenesses[*lag] > likenesses[lag + 1]);
    let highest = peaks.max_by(|a, b| likenesses[*a].total_cmp(&likenesses[*b]));
    // A peak counts from the first lag that may be one.
    highest
        .filter(|lag| (2 * SHORTEST_PERIOD..=LONGEST_PERIOD + SHORTEST_PERIOD).contains(lag))
        .unwrap_or(APERIODIC)
}

/// What is the same for all widths.
struct Surface<'a> {
    labels: &'a [bool],
    scores: &'a [f32],
    real: &'a [Range<usize>],
    positive: f64,
    /// The thresholds, falling, and the samples that reach each.
    cuts: Vec<f32>,
    reached: Vec<usize>,
    /// Samples that are in an incident at the largest width, the highest scores first; and how many of them reach each threshold.
    region: Vec<usize>,
    reached_inside: Vec<usize>,
}

// === impl Surface ===

impl<'a> Surface<'a> {
    fn new(labels: &'a [bool], scores: &'a [f32], real: &'a [Range<usize>], buffer: usize) -> Self {
        let mut ranked: Vec<f32> = scores.to_vec();
        ranked.sort_unstable_by(|a, b| b.total_cmp(a));
        let place = |number: usize| number * (scores.len() - 1) / (THRESHOLDS - 1);
        let cuts: Vec<f32> = (0..THRESHOLDS).map(|number| ranked[place(number)]).collect();
        let reached = cuts.iter().map(|cut| ranked.partition_point(|score| score >= cut)).collect();
        let mut region: Vec<usize> = widened(real, buffer / 2, scores.len()).into_iter().flatten().collect();
        region.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let inside = |cut: &f32| region.partition_point(|at| scores[*at] >= *cut);
        let reached_inside = cuts.iter().map(inside).collect();
        let positive = labels.iter().filter(|label| **label).count() as f64;
        Self { labels, scores, real, positive, cuts, reached, region, reached_inside }
    }

    /// The area under the curve of one width.
    fn area(&self, width: usize) -> f64 {
        let worth = self.worth(width);
        // Sums over the region by falling score: of what an alert there is worth, and of the part of it beside incidents.
        let (mut hits, mut beside) = (vec![0.0; self.region.len() + 1], vec![0.0; self.region.len() + 1]);
        for (number, at) in self.region.iter().enumerate() {
            let is_inside = self.labels[*at];
            hits[number + 1] = hits[number] + if is_inside { 1.0 } else { worth[*at] };
            beside[number + 1] = beside[number] + if is_inside { 0.0 } else { worth[*at] };
        }
        let widened = widened(self.real, width / 2, self.scores.len());
        let highest: Vec<f32> = widened
            .iter()
            .map(|range| self.scores[range.clone()].iter().copied().fold(f32::MIN, f32::max))
            .collect();
        let (mut area, mut before) = (0.0, 0.0);
        for ((cut, reached), inside) in self.cuts.iter().zip(&self.reached).zip(&self.reached_inside) {
            let found = highest.iter().filter(|highest| *highest >= cut).count() as f64;
            let exists = found / widened.len() as f64;
            let positive = (2.0 * self.positive + beside[*inside]) / 2.0;
            let recall = (hits[*inside] / positive).min(1.0) * exists;
            let precision = hits[*inside] / *reached as f64;
            area += (recall - before) * precision;
            before = recall;
        }
        area
    }

    /// What an alert at each sample is worth: 1 in an incident, less beside one.
    fn worth(&self, width: usize) -> Vec<f64> {
        let mut worth: Vec<f64> = self.labels.iter().map(|label| f64::from(u8::from(*label))).collect();
        let at_distance = |distance: usize| (1.0 - distance as f64 / width.max(1) as f64).sqrt();
        for range in self.real {
            let last = range.end - 1;
            for at in range.end..(last + width / 2 + 1).min(worth.len()) {
                worth[at] += at_distance(at - last);
            }
            for (at, worth) in
                worth.iter_mut().enumerate().take(range.start).skip(range.start.saturating_sub(width / 2))
            {
                *worth += at_distance(range.start - at);
            }
        }
        worth.iter_mut().for_each(|worth| *worth = worth.min(1.0));
        worth
    }
}

fn runs(labels: &[bool]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for at in (0..labels.len()).filter(|at| labels[*at]) {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end += 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

/// Ranges that reach `by` samples further on either side; those that then touch are one.
fn widened(ranges: &[Range<usize>], by: usize, samples: usize) -> Vec<Range<usize>> {
    let mut wide: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        let from = range.start.saturating_sub(by);
        let to = (range.end + by).min(samples);
        match wide.last_mut() {
            Some(before) if from < before.end => before.end = to,
            _ => wide.push(from..to),
        }
    }
    wide
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// What the packages of tests/oracle/evaluate.py say.
    #[derive(Deserialize)]
    struct Case {
        labels: Vec<u8>,
        scores: Vec<f32>,
        values: Vec<f32>,
        buffer: usize,
        period: usize,
        vus_pr: f64,
    }

    #[test]
    fn it_is_the_number_of_the_reference_implementation() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../tests/data/evaluate/vus.json")).unwrap();
        assert!(cases.len() >= 10);
        for case in cases {
            let labels: Vec<bool> = case.labels.iter().map(|label| *label == 1).collect();
            let ours = vus_pr(&labels, &case.scores, case.buffer).unwrap();
            assert!((ours - case.vus_pr).abs() < 1e-9, "{ours} {}", case.vus_pr);
            assert_eq!(period(&case.values), case.period);
        }
    }

    #[test]
    fn nothing_is_said_where_nothing_or_everything_is_wrong() {
        assert_eq!(vus_pr(&[false; 9], &[1.0; 9], 3), None);
        assert_eq!(vus_pr(&[true; 9], &[1.0; 9], 3), None);
        assert_eq!(vus_pr(&[], &[], 3), None);
        assert_eq!(period(&[]), APERIODIC);
        assert_eq!(period(&[3.0; 500]), APERIODIC);
    }

    #[test]
    fn a_score_that_knows_the_truth_is_better_than_one_that_does_not() {
        let labels: Vec<bool> = (0..1_000).map(|at| (400..450).contains(&at)).collect();
        let knows: Vec<f32> = labels.iter().map(|label| f32::from(u8::from(*label))).collect();
        let does_not: Vec<f32> = (0..1_000).map(|at| (at * 7919 % 1_000) as f32).collect();
        let (knows, does_not) =
            (vus_pr(&labels, &knows, 20).unwrap(), vus_pr(&labels, &does_not, 20).unwrap());
        assert!(knows > 0.9 && does_not < 0.2, "{knows} {does_not}");
    }
}
