//! Whether a model that has just been swapped in does well: for a while it is watched, and goes back by itself (safety C-8).
//!
//! It goes back where the series alert more often than both three times as often as before and the rules' budget, by more than chance would have it;
//! where the scores are distributed otherwise than before; and where a score is no number.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Model;
use super::bundle::Digest;
use crate::pipeline::Counts;

/// Watches what comes of the model that serves.
#[derive(Debug)]
pub struct Bake {
    lasts: Duration,
    /// What had come by moments of the last hour.
    history: VecDeque<(Instant, Counts)>,
    baking: Option<Baking>,
}

/// A model that is watched.
#[derive(Debug)]
struct Baking {
    since: Instant,
    begun: Counts,
    /// What came in the hour before; nothing where that was too short to be a measure.
    before: Option<Counts>,
    previous: Previous,
}

/// What is gone back to.
#[derive(Clone, Debug)]
pub struct Previous {
    /// The model that served before.
    pub model: Arc<Model>,
    /// What the one consists of that serves now.
    pub content: Digest,
}

/// What is wrong with a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// It alerts too often.
    Alerts {
        /// Alerts since it serves.
        alerts: u64,
        /// As many as were to be expected.
        expected: f64,
    },
    /// Its scores are distributed otherwise than those before.
    Distribution(f64),
    /// Scores that are no numbers.
    NotFinite(u64),
}

/// The time before a swap with which the time behind it is compared.
const HISTORY: Duration = Duration::from_secs(3_600);
/// How much more often than before series may alert.
const MORE: f64 = 3.0;
/// A shorter time before a swap is no measure.
const MEASURE: Duration = Duration::from_secs(600);
/// The distribution of scores is compared from so long after a swap on.
const SETTLES: Duration = Duration::from_secs(180);
/// A number of alerts that chance gives less often than this is none of chance's. It is asked a hundred times in a bake.
const CHANCE: f64 = 1e-6;
/// The largest difference between the shares of scores below any height (Kolmogorov and Smirnov's statistic).
const DISTANCE: f64 = 0.25;
/// Of fewer scores the distribution says nothing.
const ENOUGH: u64 = 2_000;
const WEEK_MS: f64 = 7.0 * 86_400_000.0;

// === impl Bake ===

impl Bake {
    /// Watches each model for as long as `lasts`.
    pub fn new(lasts: Duration) -> Self {
        Self { lasts, history: VecDeque::new(), baking: None }
    }

    /// Notes what has come by `now`.
    pub fn note(&mut self, now: Instant, counts: Counts) {
        while self.history.front().is_some_and(|(then, _)| now.duration_since(*then) > HISTORY) {
            self.history.pop_front();
        }
        self.history.push_back((now, counts));
    }

    /// Begins to watch a model that took the place of `previous`. One that somebody went back to is `known`: that it does
    /// otherwise than the one before is why it is wanted, and only a score that is no number speaks against it.
    pub fn begin(&mut self, now: Instant, counts: Counts, previous: Previous, known: bool) {
        let is_measure = |then: &Instant| now.duration_since(*then) >= MEASURE;
        let measure = self.history.front().filter(|(then, _)| is_measure(then));
        let measure = measure.map(|(_, then)| counts.since(then));
        // From now on another one serves.
        self.history.clear();
        let unproven = self.baking.take();
        if self.lasts.is_zero() {
            return;
        }
        // What was being watched itself has not shown yet that one may go back to it, and is no measure.
        let (before, previous) = match unproven {
            Some(Baking { before, previous: Previous { model, .. }, .. }) => {
                (before, Previous { model, ..previous })
            }
            None => (measure, previous),
        };
        let before = before.filter(|_| !known);
        self.baking = Some(Baking { since: now, begun: counts, before, previous });
    }

    /// Whether a model is being watched.
    pub fn is_on(&self) -> bool {
        self.baking.is_some()
    }

    /// What to go back to and why, if the model that is watched does not do well. Whoever is told is told once.
    pub fn judge(&mut self, now: Instant, counts: Counts) -> Option<(Fault, Previous)> {
        let baking = self.baking.as_ref()?;
        let since = counts.since(&baking.begun);
        let passed = now.duration_since(baking.since);
        if let Some(fault) = fault(baking.before.as_ref(), &since, passed) {
            // What came of the bad one is no measure for the next.
            self.history.clear();
            return self.baking.take().map(|baking| (fault, baking.previous));
        }
        if passed >= self.lasts {
            self.baking = None;
        }
        None
    }
}

fn fault(before: Option<&Counts>, since: &Counts, passed: Duration) -> Option<Fault> {
    if since.not_finite > 0 {
        return Some(Fault::NotFinite(since.not_finite));
    }
    let before = before?;
    let weeks = |counts: &Counts| counts.allowed_ms as f64 / WEEK_MS;
    // One a week is what the rules allow, in the time that is counted here.
    let a_week = if before.allowed_ms > 0 { MORE * before.alerts as f64 / weeks(before) } else { 0.0 };
    let expected = a_week.max(1.0) * weeks(since);
    if since.alerts as f64 > expected && chance_of(since.alerts, expected) < CHANCE {
        return Some(Fault::Alerts { alerts: since.alerts, expected });
    }
    // Until every target was scraped a few times, those that came first stand for all.
    let has_enough = before.scored() >= ENOUGH && since.scored() >= ENOUGH && passed >= SETTLES;
    let distance = distance(before, since);
    (has_enough && distance > DISTANCE).then_some(Fault::Distribution(distance))
}

/// How likely it is that so many or more come where as many as `expected` come on average, by Poisson's distribution.
fn chance_of(count: u64, expected: f64) -> f64 {
    // 1 less the chance of fewer, each from the one before, in logarithms so that none of them vanishes too early.
    let mut term = -expected;
    let mut fewer = 0.0;
    for number in 0..count {
        fewer += term.exp();
        term += expected.ln() - ((number + 1) as f64).ln();
    }
    (1.0 - fewer).max(0.0)
}

fn distance(one: &Counts, other: &Counts) -> f64 {
    let (of_one, of_other) = (one.scored().max(1) as f64, other.scored().max(1) as f64);
    let (mut below_one, mut below_other, mut largest) = (0.0, 0.0, 0.0_f64);
    for (one, other) in one.scores.iter().zip(&other.scores) {
        below_one += *one as f64 / of_one;
        below_other += *other as f64 / of_other;
        largest = largest.max((below_one - below_other).abs());
    }
    largest
}

// === impl Fault ===

impl Fault {
    /// Every reason.
    pub const REASONS: [&'static str; 3] = ["alerts", "distribution", "not_finite"];

    /// The `reason` of `sidelong_model_rollbacks_total`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Alerts { .. } => "alerts",
            Self::Distribution(_) => "distribution",
            Self::NotFinite(_) => "not_finite",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alerts { alerts, expected } => {
                write!(
                    f,
                    "{alerts} alerts since it serves, where {expected:.1} were to be expected at the most"
                )
            }
            Self::Distribution(distance) => {
                write!(f, "its scores are distributed otherwise than before, by {distance:.2}")
            }
            Self::NotFinite(count) => write!(f, "{count} scores are no numbers"),
        }
    }
}

#[cfg(test)]
#[path = "bake_tests.rs"]
mod tests;
