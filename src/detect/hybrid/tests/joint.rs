//! Several series together.

use super::*;
use crate::detect::{Detector, State as WholeState};

/// An entity on its way.
struct Entity {
    detector: Detector,
    state: WholeState,
    at_ms: i64,
}

impl Entity {
    fn new() -> Self {
        let detector = Detector::Hybrid(Box::default());
        Self { detector, state: WholeState::default(), at_ms: START }
    }

    fn step(&mut self, largest: f32, second: f32, mean: f32, demands: &Demands) -> f64 {
        let parts = Together { largest, second, mean, share: 0.5 };
        let judged = self.detector.judge_together(&mut self.state, self.at_ms, &parts, demands);
        self.at_ms += MINUTE_MS;
        judged.score
    }

    /// Ordinary steps of three parts.
    fn calm(&mut self, steps: usize) {
        for step in 0..steps {
            let parts: [f64; 3] =
                std::array::from_fn(|part| -0.2 * (1.0 - unit((3 * step + part) as u64)).ln());
            let mut sorted = parts.map(|score| score as f32);
            sorted.sort_by(|a, b| b.total_cmp(a));
            let mean = (sorted.iter().map(|score| score * score).sum::<f32>() / 3.0).sqrt();
            self.step(sorted[0], sorted[1], mean, &Demands::default());
        }
    }
}

#[test]
fn nothing_is_said_before_sixteen_steps_but_what_the_range_says() {
    let mut entity = Entity::new();
    let range = Demands { data_range: Some([0.0, 5.0]), ..Demands::default() };
    for _ in 0..15 {
        assert_eq!(entity.step(0.1, 0.1, 0.1, &Demands::default()), 0.0);
    }
    assert_eq!(entity.step(9.0, 9.0, 9.0, &range), OUTSIDE_DATA_RANGE);
}

#[test]
fn what_is_larger_is_never_less_of_an_anomaly() {
    let mut entity = Entity::new();
    entity.calm(3_000);
    let score = |mean: f32| {
        let Entity { detector, state, at_ms } = &entity;
        let parts = Together { largest: 1.5 * mean, second: mean, mean, share: 0.5 };
        detector.judge_together(&mut state.clone(), *at_ms, &parts, &Demands::default()).score
    };
    let scores: Vec<f64> = (1..200).map(|tenth| score(tenth as f32 * 0.1)).collect();
    assert!(scores.windows(2).all(|two| two[0] <= two[1]), "{scores:?}");
    assert!(scores[0] < 0.5 && scores[9] > 1.0, "{scores:?}");
}

#[test]
fn what_has_often_been_so_counts_for_less() {
    let score = |often: bool| {
        let mut entity = Entity::new();
        for _ in 0..300 {
            entity.calm(4);
            let of_the_fifth = if often { [3.0, 2.0, 2.0] } else { [0.3, 0.2, 0.2] };
            entity.step(of_the_fifth[0], of_the_fifth[1], of_the_fifth[2], &Demands::default());
        }
        entity.calm(4);
        entity.step(3.0, 2.0, 2.0, &Demands::default())
    };
    let (first, often) = (score(false), score(true));
    assert!(first > 1.0 && often < 0.7 * first, "{first} {often}");
}

#[test]
fn the_past_of_an_entity_is_kept_and_recalled() {
    let mut entity = Entity::new();
    entity.calm(500);
    let mut kept = Vec::new();
    entity.state.keep(&mut kept);
    let state = WholeState::recall(&mut kept.as_slice()).expect("a state");
    let mut recalled = Entity { state, ..Entity::new() };
    recalled.at_ms = entity.at_ms;
    let demands = Demands::default();
    let both = [&mut entity, &mut recalled].map(|entity| entity.step(1.0, 0.8, 0.7, &demands));
    assert!(both[0] > 0.0 && both[0].to_bits() == both[1].to_bits(), "{both:?}");
}
