//! Where a series was anomalous: spans of samples whose score is at least 1.

use super::{LabelledWindow, Point};

/// Samples that are anomalous together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The first and the last of them, by index.
    pub(super) first: usize,
    pub(super) last: usize,
    /// The one with the highest score.
    pub(super) worst: usize,
}

/// What is said of a series in a few words.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Summary {
    pub(super) samples: usize,
    /// The first and the last moment, in milliseconds.
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
    /// The most usual time from sample to sample; 0 for fewer than two samples.
    pub(super) step_ms: i64,
    pub(super) spans: Vec<Span>,
    /// The sample with the highest score.
    pub(super) worst: usize,
}

/// What became of a labelled window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finding<'a> {
    pub(super) window: &'a LabelledWindow,
    /// The first anomalous sample in it, by index.
    pub(super) first: Option<usize>,
    /// The highest score in it; nothing where it holds no sample.
    pub(super) worst: Option<f64>,
}

/// A score of at least this is an anomaly.
pub(super) const ANOMALY: f64 = 1.0;
/// Anomalous samples with fewer ordinary ones between them are one span.
pub(super) const JOINED: usize = 10;

// === impl Summary ===

impl Summary {
    /// The summary of `points`; nothing of no points.
    pub(super) fn of(points: &[Point]) -> Option<Self> {
        let (first, last) = (points.first()?, points.last()?);
        let by_score = |a: &usize, b: &usize| points[*a].said.score.total_cmp(&points[*b].said.score);
        Some(Self {
            samples: points.len(),
            from_ms: first.at_ms,
            to_ms: last.at_ms,
            step_ms: step(points),
            spans: spans(points),
            // The first of equals.
            worst: (0..points.len()).rev().max_by(by_score)?,
        })
    }

    /// The span with the most time between its ends.
    pub(super) fn longest(&self, points: &[Point]) -> Option<&Span> {
        self.spans.iter().max_by_key(|span| span.lasts_ms(points))
    }

    /// The spans with the highest score first.
    pub(super) fn by_score(&self, points: &[Point]) -> Vec<Span> {
        let mut spans = self.spans.clone();
        spans.sort_by(|a, b| points[b.worst].said.score.total_cmp(&points[a.worst].said.score));
        spans
    }

    /// Spans that no labelled window explains.
    pub(super) fn unexplained(&self, points: &[Point], windows: &[LabelledWindow]) -> usize {
        let touches = |span: &Span, window: &LabelledWindow| {
            points[span.first].at_ms <= window.end_ms && window.start_ms <= points[span.last].at_ms
        };
        self.spans.iter().filter(|span| !windows.iter().any(|window| touches(span, window))).count()
    }
}

/// What became of each of `windows`.
pub(super) fn findings<'a>(points: &[Point], windows: &'a [LabelledWindow]) -> Vec<Finding<'a>> {
    let finding = |window: &'a LabelledWindow| {
        let from = points.partition_point(|point| point.at_ms < window.start_ms);
        let to = points.partition_point(|point| point.at_ms <= window.end_ms);
        let first = (from..to).find(|at| points[*at].said.score >= ANOMALY);
        let worst = points[from..to].iter().map(|point| point.said.score).max_by(f64::total_cmp);
        Finding { window, first, worst }
    };
    windows.iter().map(finding).collect()
}

fn spans(points: &[Point]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for (at, point) in points.iter().enumerate().filter(|(_, point)| point.said.score >= ANOMALY) {
        match spans.last_mut() {
            Some(span) if at - span.last <= JOINED => {
                span.last = at;
                if point.said.score > points[span.worst].said.score {
                    span.worst = at;
                }
            }
            _ => spans.push(Span { first: at, last: at, worst: at }),
        }
    }
    spans
}

/// The median of the times between samples.
fn step(points: &[Point]) -> i64 {
    let mut steps: Vec<i64> = points.windows(2).map(|two| two[1].at_ms - two[0].at_ms).collect();
    let middle = steps.len() / 2;
    if steps.is_empty() { 0 } else { *steps.select_nth_unstable(middle).1 }
}

// === impl Span ===

impl Span {
    /// Time from its first sample to its last, in milliseconds.
    pub(super) fn lasts_ms(&self, points: &[Point]) -> i64 {
        points[self.last].at_ms - points[self.first].at_ms
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::points;
    use super::*;

    #[test]
    fn anomalous_samples_close_together_are_one_span() {
        let scores = |at| if matches!(at, 20 | 25 | 26 | 50) { 1.0 + at as f64 } else { 0.0 };
        let points = points(60, scores);
        let summary = Summary::of(&points).unwrap();
        let span = |first, last, worst| Span { first, last, worst };
        assert_eq!(summary.spans, [span(20, 26, 26), span(50, 50, 50)]);
        assert_eq!(summary.by_score(&points)[0], span(50, 50, 50));
        assert_eq!(summary.longest(&points), Some(&span(20, 26, 26)));
        assert_eq!((summary.step_ms, summary.worst, summary.samples), (60_000, 50, 60));
    }

    #[test]
    fn windows_are_found_or_missed_and_spans_explained_or_not() {
        let points = points(60, |at| if at == 20 || at == 50 { 2.0 } else { 0.5 });
        let window = |from: i64, to: i64| LabelledWindow {
            start_ms: points[0].at_ms + from * 60_000,
            end_ms: points[0].at_ms + to * 60_000,
            kind: String::new(),
        };
        let windows = [window(18, 22), window(30, 40), window(100, 110)];
        let found: Vec<_> = findings(&points, &windows).iter().map(|f| (f.first, f.worst)).collect();
        assert_eq!(found, [(Some(20), Some(2.0)), (None, Some(0.5)), (None, None)]);
        assert_eq!(Summary::of(&points).unwrap().unexplained(&points, &windows), 1);
    }

    #[test]
    fn nothing_is_summed_up_of_nothing() {
        assert_eq!(Summary::of(&[]), None);
    }
}
