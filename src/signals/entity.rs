//! Entities: series that describe one thing, such as a pod, are looked at together.
//!
//! What a part brings is its own score, so that a part counts by how rare its residual is in its own past, whatever it
//! measures; and a part that often calls counts less than one that seldom does. Of a step, a few numbers are made that are
//! as many for two parts as for fifty ([`Together`]), and the part that weighs most is remembered: that is what one looks
//! at first.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::steps::Closed;
use crate::detect::Together;
use crate::series::labels::SeriesLabels;

/// How large scores of a part are taken to be, in the fourth root of the mean of their fourth powers, before it has shown
/// any; and how many steps that is worth.
const USUAL: f64 = 0.3;
const USUAL_STEPS: f64 = 50.0;
/// Steps that are remembered of how large the scores of a part are. Scores count up to a bound, so that it is no single
/// event that silences a part.
const MEMORY: f64 = 3_000.0;
const LARGEST: f64 = 4.0;
/// No part counts more than one whose scores are this large.
const LEAST: f64 = 0.05;

/// What is remembered of one entity.
#[derive(Debug, Default)]
pub(super) struct Entity {
    /// By their indexes.
    parts: Vec<Part>,
    heaviest: Option<Weight>,
}

#[derive(Clone, Debug)]
struct Part {
    /// None of one that is forgotten.
    labels: Option<Arc<SeriesLabels>>,
    /// The mean of the fourth powers of its scores, over so many steps: it is by its large ones that a part is known.
    fourth: f64,
    steps: f64,
}

/// What one part weighs in the newest step.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Weight {
    part: u32,
    score: f64,
    share: f64,
}

/// The part that weighs most in the newest step of an entity.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Heaviest {
    /// Its labels, the metric name as `__name__`.
    pub series: BTreeMap<String, String>,
    /// Its score.
    pub score: f64,
    /// Its share of the whole, 0 to 1: of the sum of the squares of what parts count.
    pub share: f64,
}

// === impl Entity ===

impl Entity {
    /// A new part at `part`, where another one may have been.
    pub(super) fn join(&mut self, part: u32, labels: &Arc<SeriesLabels>) {
        let at = part as usize;
        self.parts.resize(self.parts.len().max(at + 1), Part::default());
        self.parts[at] = Part { labels: Some(Arc::clone(labels)), ..Part::default() };
        self.heaviest = self.heaviest.filter(|heaviest| heaviest.part != part);
    }

    /// Bytes that lie apart.
    pub(super) fn bytes(&self) -> usize {
        self.parts.capacity() * size_of::<Part>()
    }

    /// The part is forgotten.
    pub(super) fn leave(&mut self, part: u32) {
        if let Some(part) = self.parts.get_mut(part as usize) {
            part.labels = None;
        }
    }

    /// What the parts of a step come to; nothing where none has come. Of equal parts the one that is first by its
    /// fingerprint weighs most.
    pub(super) fn look_at(&mut self, closed: &Closed<'_>) -> Option<Together> {
        let (mut heaviest, mut second, mut squares, mut count) = (None, 0.0_f64, 0.0, 0.0);
        for (_, index, score) in closed.values() {
            let Some(part) = self.parts.get_mut(index as usize) else { continue };
            let counts = part.weight() * score;
            part.learn(score);
            (squares, count) = (squares + counts * counts, count + 1.0);
            match heaviest {
                Some((_, _, largest)) if counts <= largest => second = second.max(counts),
                Some((_, _, largest)) => (heaviest, second) = (Some((index, score, counts)), largest),
                None => heaviest = Some((index, score, counts)),
            }
        }
        let (part, score, largest) = heaviest?;
        let share = if squares > 0.0 { largest * largest / squares } else { 0.0 };
        self.heaviest = Some(Weight { part, score, share });
        let mean = f64::sqrt(squares / count);
        Some(Together {
            largest: largest as f32,
            second: second as f32,
            mean: mean as f32,
            share: share as f32,
        })
    }

    /// The part that weighs most in the newest step, if it weighs anything.
    pub(super) fn heaviest(&self) -> Option<Heaviest> {
        let Weight { score, share, .. } = self.heaviest?;
        let labels = self.heaviest_labels()?;
        let series = labels.scored().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Some(Heaviest { series, score, share })
    }

    /// Its labels.
    pub(super) fn heaviest_labels(&self) -> Option<&Arc<SeriesLabels>> {
        let heaviest = self.heaviest.filter(|heaviest| heaviest.score > 0.0)?;
        self.parts.get(heaviest.part as usize)?.labels.as_ref()
    }
}

// === impl Part ===

impl Default for Part {
    fn default() -> Self {
        Self { labels: None, fourth: USUAL * USUAL * USUAL * USUAL, steps: USUAL_STEPS }
    }
}

impl Part {
    /// What a score of it counts: 1 where its scores are as large as is usual.
    fn weight(&self) -> f64 {
        let usual = (USUAL + LEAST) / (self.fourth.sqrt().sqrt() + LEAST);
        // To the power of 3/8.
        let fourth = usual.sqrt().sqrt();
        fourth * fourth.sqrt()
    }

    fn learn(&mut self, score: f64) {
        let score = score.min(LARGEST);
        self.steps = (self.steps + 1.0).min(MEMORY);
        self.fourth += (score * score * score * score - self.fourth) / self.steps;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::steps::{Pace, Steps};

    /// What the parts of the last of some equal steps come to.
    fn together(scores: &[f64]) -> (Entity, Option<Together>) {
        let mut steps = Steps::new(Pace { step_ms: 0, watermark_ms: 1, parts: None });
        let (mut entity, mut last) = (Entity::default(), None);
        for part in 0..scores.len() as u32 {
            steps.join(u64::from(part), 0);
            entity.parts.push(Part::default());
        }
        for step in 0..4 {
            for (part, score) in scores.iter().enumerate() {
                steps.put(part as u32, step, *score, &mut |closed| last = entity.look_at(closed));
            }
        }
        (entity, last)
    }

    #[test]
    fn a_few_numbers_are_made_of_however_many_parts() {
        let (_, Some(two)) = together(&[0.3, 0.3]) else { panic!("two") };
        assert!((two.largest - 0.3).abs() < 1e-6 && two.second == two.largest && two.mean == two.largest);
        let (_, Some(many)) = together(&[0.3, 0.1, 0.3, 0.0, 0.3]) else { panic!("five") };
        assert_eq!((many.largest, many.second), (two.largest, two.largest));
        assert!(many.mean < many.largest);
        let (_, Some(one)) = together(&[0.3]) else { panic!("one") };
        assert_eq!((one.largest, one.second, one.mean), (two.largest, 0.0, two.largest));
    }

    #[test]
    fn the_heaviest_part_is_the_first_of_the_largest_and_none_where_all_is_nought() {
        let heaviest = |scores: &[f64]| together(scores).0.heaviest;
        assert_eq!(heaviest(&[0.1, 3.0, 3.0]).map(|weight| weight.part), Some(1));
        assert_eq!(heaviest(&[3.0, 3.0]).map(|weight| weight.share), Some(0.5));
        assert!(together(&[0.0, 0.0]).0.heaviest().is_none());
    }

    #[test]
    fn a_part_that_often_calls_counts_less_and_one_event_does_not_silence_it() {
        let weight_after = |scores: &mut dyn Iterator<Item = f64>| {
            let mut part = Part::default();
            scores.for_each(|score| part.learn(score));
            part.weight()
        };
        let usual = weight_after(&mut std::iter::repeat_n(USUAL, 1_000));
        assert!((usual - 1.0).abs() < 1e-9);
        let loud = weight_after(&mut std::iter::repeat_n(1.5, 1_000));
        assert!(loud < 0.65 * usual, "{loud}");
        let once = weight_after(&mut std::iter::repeat_n(USUAL, 1_000).chain([1e6]));
        assert!(once > 0.7 * usual, "{once}");
        assert!(weight_after(&mut std::iter::repeat_n(0.0, 100_000)) < 2.5);
    }
}
