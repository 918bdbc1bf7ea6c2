//! Golden vectors: inputs, and the scores that a model gave to them when it was made.
//!
//! Who loads the model replays them. That finds what no checksum can: a Sidelong that computes otherwise than the one that
//! trained, and a model that was written wrong.

use std::time::Duration;

use crate::detect::{Demands, Detector, State, Together};
use crate::scatter::scatter;

/// Scores may differ by this, or by this share of themselves where they are larger than 1 (safety C-3).
pub const TOLERANCE: f64 = 1e-6;
/// Samples of each case, and steps of the entity.
const SAMPLES: u32 = 600;
/// When cases begin: an ordinary Monday, in milliseconds since the epoch.
const BEGIN_MS: i64 = 1_700_438_400_000;

/// Inputs and scores.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Golden {
    /// Single series.
    pub cases: Vec<Case>,
    /// The steps of an entity.
    pub joint: Vec<(Together, f64)>,
}

/// One series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Case {
    /// Seconds between two samples.
    pub step_s: u32,
    /// Its values.
    pub values: Vec<f64>,
    /// The score of each.
    pub scores: Vec<f64>,
}

/// The first score that is another one.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("sample {sample} of case {case} was scored {expected}, and is scored {found} here")]
pub struct Mismatch {
    /// Which case, from 0; the entity's steps are behind the last.
    pub case: usize,
    /// Which sample, from 0.
    pub sample: usize,
    /// The score when the model was made.
    pub expected: f64,
    /// The score here.
    pub found: f64,
}

// === impl Golden ===

impl Golden {
    /// The vectors of `detector`: noise about a level, a day's rhythm with a spike, a counter's rate that shifts, a value that
    /// never changes until it does, and an entity of which one part fails.
    pub fn of(detector: &Detector) -> Self {
        let case = |step_s, value: fn(u32) -> f64| {
            let values: Vec<f64> = (0..SAMPLES).map(value).collect();
            let scores = scores(detector, step_s, &values);
            Case { step_s, values, scores }
        };
        let cases = vec![
            case(60, |at| 100.0 + 5.0 * noise(at)),
            case(300, |at| {
                let day = (f64::from(at) * std::f64::consts::TAU / 288.0).sin();
                20.0 + 8.0 * day + noise(at) + if at == 580 { 40.0 } else { 0.0 }
            }),
            case(15, |at| if at < 500 { 10.0 + noise(at) } else { 25.0 + noise(at) }),
            case(60, |at| if at < 590 { 1.0 } else { 0.0 }),
        ];
        let steps = (0..SAMPLES).map(|at| {
            let largest = if at < 580 { 0.4 + 0.3 * noise(at) } else { 6.0 } as f32;
            Together { largest, second: largest / 2.0, mean: 0.7 * largest, share: 0.6 }
        });
        let steps: Vec<Together> = steps.collect();
        let joint = steps.iter().copied().zip(joint_scores(detector, &steps)).collect();
        Self { cases, joint }
    }

    /// Samples in all.
    pub fn samples(&self) -> usize {
        self.cases.iter().map(|case| case.values.len()).sum::<usize>() + self.joint.len()
    }

    /// Whether `detector` gives these scores.
    ///
    /// # Errors
    ///
    /// The first one that is another.
    pub fn replay(&self, detector: &Detector) -> Result<(), Mismatch> {
        for (case, Case { step_s, values, scores: expected }) in self.cases.iter().enumerate() {
            compare(case, expected.iter().copied(), &scores(detector, *step_s, values))?;
        }
        let steps: Vec<Together> = self.joint.iter().map(|(step, _)| *step).collect();
        compare(self.cases.len(), self.joint.iter().map(|(_, score)| *score), &joint_scores(detector, &steps))
    }
}

fn compare(case: usize, expected: impl Iterator<Item = f64>, found: &[f64]) -> Result<(), Mismatch> {
    for (sample, (expected, found)) in expected.zip(found.iter().copied()).enumerate() {
        let allowed = TOLERANCE * expected.abs().max(1.0);
        let is_close = (expected - found).abs() <= allowed; // which no NaN is
        if !is_close {
            return Err(Mismatch { case, sample, expected, found });
        }
    }
    Ok(())
}

fn scores(detector: &Detector, step_s: u32, values: &[f64]) -> Vec<f64> {
    let (mut state, demands) = (State::default(), Demands::default());
    let score = |(at, value): (usize, &f64)| {
        let at_ms = BEGIN_MS + at as i64 * i64::from(step_s) * 1_000;
        let judged = detector.judge(&mut state, at_ms, *value, &demands);
        detector.learn(&mut state, at_ms, *value, &demands);
        judged.map_or(0.0, |judged| judged.score)
    };
    values.iter().enumerate().map(score).collect()
}

fn joint_scores(detector: &Detector, steps: &[Together]) -> Vec<f64> {
    let (mut state, demands) = (State::default(), Demands::default());
    let score = |(at, step): (usize, &Together)| {
        let at_ms = BEGIN_MS + at as i64 * Duration::from_secs(60).as_millis() as i64;
        detector.judge_together(&mut state, at_ms, step, &demands).score
    };
    steps.iter().enumerate().map(score).collect()
}

/// Between -1 and 1, the same on every machine.
fn noise(at: u32) -> f64 {
    scatter(u64::from(at).wrapping_mul(0x9e37_79b9_7f4a_7c15)) as f64 / u64::MAX as f64 * 2.0 - 1.0
}
