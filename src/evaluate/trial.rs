//! One series with what both models said of it.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::backtest::Series;

/// Something of the champion's, and the same of the challenger's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sides<T> {
    /// Of the model that serves.
    pub champion: T,
    /// Of the one that would like to.
    pub challenger: T,
}

/// One series with what both models said of it.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    /// What it is called.
    pub series: Series,
    /// When its samples came, in milliseconds since the epoch, rising.
    pub at_ms: Vec<i64>,
    /// The values that were judged; of a counter its rate.
    pub judged: Vec<f32>,
    /// The scores; each side has one for each sample.
    pub scores: Sides<Vec<f32>>,
    /// Scores that are no numbers, which stand as 0 in [`Self::scores`].
    pub not_finite: Sides<u64>,
    /// What is known to have gone wrong, in order of time.
    pub events: Vec<Event>,
}

/// An incident, where a series has samples in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which incident.
    pub incident: usize,
    /// Its samples, by index; at least one.
    pub samples: Range<usize>,
}

// === impl Sides ===

impl<T> Sides<T> {
    /// Both sides by `of`.
    pub fn map<'a, U>(&'a self, mut of: impl FnMut(&'a T) -> U) -> Sides<U> {
        Sides { champion: of(&self.champion), challenger: of(&self.challenger) }
    }
}

// === impl Trial ===

impl Trial {
    /// Notes a sample, and the score of each side.
    pub fn hear(&mut self, at_ms: i64, judged: f64, scores: Sides<f64>) {
        self.at_ms.push(at_ms);
        self.judged.push(judged as f32);
        let note = |score: f64, scores: &mut Vec<f32>, not_finite: &mut u64| {
            *not_finite += u64::from(!score.is_finite());
            scores.push(if score.is_finite() { score as f32 } else { 0.0 });
        };
        note(scores.champion, &mut self.scores.champion, &mut self.not_finite.champion);
        note(scores.challenger, &mut self.scores.challenger, &mut self.not_finite.challenger);
    }

    /// Forgets what came before `from_ms`: it taught, and is not judged.
    pub fn judge_from(&mut self, from_ms: i64) {
        let taught = self.at_ms.partition_point(|at_ms| *at_ms < from_ms);
        self.at_ms.drain(..taught);
        self.judged.drain(..taught);
        self.scores.champion.drain(..taught);
        self.scores.challenger.drain(..taught);
    }

    /// Notes an incident, if there are samples in it. One that had begun before the first sample is none: nobody could have
    /// seen it begin.
    pub fn mark(&mut self, incident: usize, from_ms: i64, to_ms: i64) {
        if self.at_ms.first().is_none_or(|first_ms| from_ms < *first_ms) {
            return;
        }
        let at = |moment_ms: i64| self.at_ms.partition_point(|at_ms| *at_ms < moment_ms);
        let samples = at(from_ms)..at(to_ms);
        if !samples.is_empty() {
            self.events.push(Event { incident, samples });
            self.events.sort_by_key(|event| (event.samples.start, event.samples.end));
        }
    }

    /// What came from `from_ms` on and before `to_ms`. An incident is of the day in which it begins.
    pub(super) fn between(&self, from_ms: i64, to_ms: i64) -> Self {
        let at = |moment_ms: i64| self.at_ms.partition_point(|at_ms| *at_ms < moment_ms);
        let (from, to) = (at(from_ms), at(to_ms));
        let begins = |event: &&Event| (from..to).contains(&event.samples.start);
        let event = |event: &Event| Event {
            samples: event.samples.start - from..event.samples.end.min(to) - from,
            ..event.clone()
        };
        Self {
            series: self.series.clone(),
            at_ms: self.at_ms[from..to].to_vec(),
            judged: self.judged[from..to].to_vec(),
            scores: self.scores.map(|scores| scores[from..to].to_vec()),
            not_finite: Sides::default(),
            events: self.events.iter().filter(begins).map(event).collect(),
        }
    }

    /// For each sample whether something is known to have been wrong.
    pub fn labels(&self) -> Vec<bool> {
        let mut labels = vec![false; self.at_ms.len()];
        self.events.iter().for_each(|event| labels[event.samples.clone()].fill(true));
        labels
    }

    /// The time that was judged, in milliseconds.
    pub fn lasts_ms(&self) -> i64 {
        match (self.at_ms.first(), self.at_ms.last()) {
            (Some(first), Some(last)) => last - first,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(samples: i64) -> Trial {
        let mut trial = Trial::default();
        (0..samples)
            .for_each(|at| trial.hear(at * 1_000, 0.0, Sides { champion: 0.5, challenger: f64::NAN }));
        trial
    }

    #[test]
    fn incidents_are_marked_where_there_are_samples() {
        let mut trial = trial(10);
        trial.mark(4, 5_000, 7_000);
        trial.mark(3, 2_500, 3_500);
        trial.mark(2, 4_100, 4_900);
        trial.mark(1, -5_000, 2_000);
        trial.mark(0, 20_000, 30_000);
        let events: Vec<_> =
            trial.events.iter().map(|event| (event.incident, event.samples.clone())).collect();
        assert_eq!(events, [(3, 3..4), (4, 5..7)]);
        let labelled: Vec<usize> = (0..10).filter(|at| trial.labels()[*at]).collect();
        assert_eq!(labelled, [3, 5, 6]);
    }

    #[test]
    fn a_score_that_is_no_number_is_counted() {
        let mut trial = trial(10);
        assert_eq!(trial.not_finite, Sides { champion: 0, challenger: 10 });
        assert_eq!(trial.scores.challenger, [0.0; 10]);
        trial.judge_from(6_500);
        assert_eq!((trial.at_ms.len(), trial.scores.champion.len(), trial.lasts_ms()), (3, 3, 2_000));
    }
}
