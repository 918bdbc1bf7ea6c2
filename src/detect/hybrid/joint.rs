//! Several series that describe one thing, judged together by how rare each of them is.
//!
//! What comes of a part is its own score, in which 1 is worth an alert whatever the part measures. Four numbers are made
//! of these, as many whatever the number of parts: the largest, the second, the root of the mean of their squares, and
//! that over some steps. An isolation forest says by their squares how far apart from ordinary steps they lie together; far
//! out, where its trees end, the mean goes on. What both come to is calibrated in the past of the entity, as an error is
//! in that of a series ([`super::calibration`]).

use serde::Serialize;

use super::calibration::{Histogram, Tail, all_above, bin, half_log2, rarity};
use super::clock::{Clock, Pace};
use super::state::WARM_UP;
use super::{Hybrid, PAST_DAYS};
use crate::detect::kept::kept;
use crate::detect::{Demands, Judgement, MAX_SCORE, OUTSIDE_DATA_RANGE};

/// Scores above say no more of how rare a part is.
const LARGEST: f32 = 16.0;
/// The forest is asked only where one part is at least this far on its way to an alert.
const ASK_FROM: f32 = 0.2;
/// The longest mean path that is told apart.
const LONGEST_PATH: f32 = 12.0;
/// How much the forest is heeded, beside the mean.
const FOREST: f32 = 0.25;
/// What is worth an alert must come to this, and be rarer than this share of what is rare in a single series: the parts
/// are calibrated already, and what happens to a thing often may still be an anomaly of it.
const LARGE: f64 = 1.0;
const RARE: f64 = 0.65;
/// The weight of the newest step among those of late.
const NEWS: f32 = 0.2;
/// Octaves from the lower end of the scale of calibration to a whole of 1.
const SCALE: f32 = 3.0;
/// In so many steps the fit of the past is renewed: the earliest ones, and all others.
const TURNS: [u32; 2] = [4, 32];
const EARLY: u32 = 128;

/// What the parts of an entity have come to in one step: their scores, without their names.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Together {
    /// The largest score.
    pub largest: f32,
    /// The second; 0 where there is but one.
    pub second: f32,
    /// The root of the mean of their squares.
    pub mean: f32,
    /// The share of the largest in the sum of the squares.
    pub share: f32,
}

/// What was made of the newest step of an entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JointExplanation {
    /// The largest score of a part.
    pub largest: f32,
    /// The second largest.
    pub second: f32,
    /// The root of the mean of the squares of all of them.
    pub mean: f32,
    /// The same over some steps.
    pub late: f32,
    /// The forest's answer, the mean length of paths: the shorter, the more isolated. Nothing where it was not asked.
    pub path: Option<f32>,
    /// What all of it comes to.
    pub whole: f32,
    /// How rare that is in the past of the entity, in orders of magnitude.
    pub rarity: f32,
    /// The share of the part that weighs most, 0 to 1.
    pub share: f32,
    /// How many steps had taught before.
    pub steps_seen: u32,
}

/// What the steps of one entity have taught.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::detect) struct Joint {
    steps: u32,
    clock: Clock,
    /// The square of the mean, over some steps.
    late: f32,
    past: Past,
    /// What was made of the newest step.
    said: JointExplanation,
}

/// The past of one number.
#[derive(Clone, Copy, Debug, Default)]
struct Past {
    /// The weight of the newest step: it grows, which is as if older ones shrank.
    weight: f32,
    total: f32,
    tail: Tail,
    held: Histogram,
}

// === impl Hybrid ===

impl Hybrid {
    /// Judges a step by those before it, and lets it teach. `value` is what the rule's range is for.
    pub(in crate::detect) fn judge_together(
        &self,
        joint: &mut Joint,
        at_ms: i64,
        parts: &Together,
        demands: &Demands,
    ) -> Judgement {
        let pace = joint.clock.pace(at_ms);
        let [largest, second, mean] =
            [parts.largest, parts.second, parts.mean].map(|score| score.min(LARGEST));
        let late = joint.late + pace.weight(f64::from(NEWS)) as f32 * (mean * mean - joint.late);
        let (path, whole) = self.whole([largest, second, mean], late);
        let place = half_log2(whole * whole) + SCALE;
        let rarity = joint.past.rarity(place);
        let mut score = 0.0;
        if joint.steps >= demands.min_samples.max(WARM_UP) {
            let (rare, large) = (f64::from(rarity) / self.joint_unit(&pace), f64::from(whole) / LARGE);
            score = (rare.min(large) / demands.budget.unit).min(MAX_SCORE);
        }
        if demands.outside_range(f64::from(parts.mean)) {
            score = score.max(OUTSIDE_DATA_RANGE);
        }
        let (late_mean, share, steps_seen) = (late.sqrt(), parts.share, joint.steps);
        joint.said = JointExplanation {
            largest,
            second,
            mean,
            late: late_mean,
            path,
            whole,
            rarity,
            share,
            steps_seen,
        };
        joint.learn(at_ms, late, place, &pace);
        Judgement { score, expected: f64::NAN, lower: f64::NAN, upper: f64::NAN }
    }

    /// What `parts` come to in one step by itself, as if those before had been like it: 1 and above is large enough for an
    /// alert. How rare that is only the past of an entity could tell.
    pub(in crate::detect) fn weigh_together(&self, parts: &Together) -> f64 {
        let numbers = [parts.largest, parts.second, parts.mean].map(|score| score.min(LARGEST));
        let (_, whole) = self.whole(numbers, numbers[2] * numbers[2]);
        f64::from(whole) / LARGE
    }

    /// The forest's answer, if it is asked, and what it comes to with the mean.
    fn whole(&self, [largest, second, mean]: [f32; 3], late: f32) -> (Option<f32>, f32) {
        let squares = [largest * largest, second * second, mean * mean, late];
        let path = (largest >= ASK_FROM).then(|| self.joint_forest.path(&squares));
        let isolation = path.map_or(0.0, |path| (1.0 - path / LONGEST_PATH).max(0.0));
        (path, FOREST * isolation + mean)
    }

    /// From how many orders of magnitude on something is rare.
    fn joint_unit(&self, pace: &Pace) -> f64 {
        let decades = f64::from(pace.decades);
        let unit =
            self.state_unit + self.unit_a_decade * decades.min(0.0) + self.state_a_decade * decades.max(0.0);
        RARE * unit
    }
}

// === impl Joint ===

impl Joint {
    /// What was made of the newest step.
    pub(in crate::detect) fn said(&self) -> JointExplanation {
        self.said
    }

    fn learn(&mut self, at_ms: i64, late: f32, place: f32, pace: &Pace) {
        let fade = (std::f64::consts::LN_2 * pace.share_of_days(PAST_DAYS)) as f32;
        self.past.learn(place, fade, self.steps);
        self.late = late;
        self.clock.learn(at_ms);
        self.steps = self.steps.saturating_add(1);
    }
}

// === impl Past ===

impl Past {
    fn rarity(&self, at: f32) -> f32 {
        rarity(&self.held, self.total, Some(&self.tail), at)
    }

    fn learn(&mut self, at: f32, fade: f32, seen: u32) {
        self.weight = if self.weight > 0.0 { self.weight * (1.0 + fade) } else { 1.0 };
        self.total += self.weight;
        self.held[bin(at).0] += self.weight;
        if self.weight > 1e20 {
            let by = 1.0 / self.weight;
            self.held.iter_mut().for_each(|count| *count *= by);
            (self.total, self.weight) = (self.total * by, 1.0);
        }
        if seen.is_multiple_of(TURNS[usize::from(seen >= EARLY)]) {
            self.tail = Tail::of(&all_above(&self.held), self.total, self.weight);
        }
    }
}

// === kept ===

// What was said is said again with the next step.
kept!(Joint { steps, clock, late, past } without said);
kept!(Past { weight, total, tail, held });
