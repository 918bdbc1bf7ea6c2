//! Why the newest samples of series were given their scores.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use serde::Serialize;

use super::Pipeline;
use super::settings::Settings;
use crate::batch::Sample;
use crate::context::Held;
use crate::detect::{Explanation, JointExplanation, Judgement, State};
use crate::model::Model;
use crate::rules::Selector;
use crate::series::labels::SeriesLabels;
use crate::series::{Inherited, Scope, ScopeName, Series, SlotId, Standing};
use crate::signals::absence::{Absent, Place};
use crate::signals::{Habit, Origin};

/// A series, and why its newest sample was given its score.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// Its labels, the metric name as `__name__`.
    pub series: BTreeMap<String, String>,
    /// The tenant that it is of, if it was pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The target that it is of, if it was scraped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The rule that decides.
    pub rule: String,
    /// Whose state it went on with, if with another's: what was learned before it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inherited: Option<InheritedFrom>,
    /// The version of the model that judges.
    pub model: String,
    /// What it is made of, if it is made of others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made_of: Option<Origin>,
    /// The contexts that hold at its newest sample.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<Held>,
    /// What is usual for it, if its end would be missed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attendance: Option<Attendance>,
    /// What was said of its newest sample, where no detector judges it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given: Option<Given>,
    /// What the parts of an entity came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joint: Option<JointExplanation>,
    /// Nothing where there is no forecast: the series has ended, or has shown too little.
    pub explanation: Option<Explanation>,
}

/// The score of a sample that was not judged by a detector, but by what its series is made of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Given {
    /// When, in milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// Its value.
    pub value: f64,
    /// Its score.
    pub score: f64,
    /// What it should be, and the band around that.
    pub expected: f64,
    /// The lower edge of the band; `null` in JSON where only rises count.
    pub lower: f64,
    /// The upper edge of the band; `null` in JSON where only falls count.
    pub upper: f64,
}

/// What is usual for a series whose end would be missed, and whether it is absent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attendance {
    /// The usual time between two of its samples; 0 while it is not known.
    pub step_seconds: f64,
    /// For how long it was there, without the times away.
    pub seen_for_seconds: f64,
    /// For how long it is often away; 0 where it never is.
    pub usual_gap_seconds: f64,
    /// Missed samples from which it is absent.
    pub absent_from_steps: u32,
    /// Its absence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent: Option<Absent>,
}

/// The series that another one goes on from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InheritedFrom {
    /// Those of its labels that differ from the heir's.
    pub labels: BTreeMap<String, String>,
    /// When it ended, or was last seen, in milliseconds since the epoch.
    pub ended_ms: i64,
}

/// What is copied of a series, so that nobody waits for it meanwhile.
struct Copied {
    explained: Explained,
    /// Whose it is, and where it stands if it was made of others.
    scope: Arc<Scope>,
    made: Option<SlotId>,
    /// Where its end would be missed.
    watched: Option<Place>,
    rule: u16,
    state: State,
    /// When its newest sample was.
    seen_ms: Option<i64>,
    /// When, and what of the newest sample is judged.
    newest: Option<(i64, f64)>,
}

/// A series by its score.
struct Ranked {
    score: f64,
    copied: Copied,
}

// === impl Pipeline ===

impl Pipeline {
    /// Judges the newest samples of the series that `selector` takes once more, of `limit` series at the most, and
    /// says why they are given their scores. Nothing is learned.
    pub fn explain(&self, selector: &Selector, limit: usize) -> Vec<Explained> {
        let (model, settings) = (self.model.current(), self.settings());
        let mut found = Vec::new();
        for chunk in 0..self.series.chunks() {
            self.series.for_chunk(chunk, |id, series| {
                let is_current = series.generation == settings.generation;
                let labels: Vec<_> = series.labels.scored().collect();
                if found.len() < limit && is_current && selector.matches(&labels) {
                    found.push(Copied::of((id, series), &settings, &model.version));
                }
            });
            if found.len() >= limit {
                break;
            }
        }
        self.explained(found, &model, &settings)
    }

    /// The same of the series with the highest scores now, highest first, `limit` series at the most. What has ended,
    /// was not seen for long or has the score 0 is not among them.
    pub fn highest(&self, limit: usize) -> Vec<Explained> {
        let (model, settings) = (self.model.current(), self.settings());
        let mut highest: BinaryHeap<Reverse<Ranked>> = BinaryHeap::with_capacity(limit + 1);
        for chunk in 0..self.series.chunks() {
            self.series.for_chunk(chunk, |id, series| {
                let Some(score) = present_score(series, &settings) else { return };
                let lowest = highest.peek().map_or(0.0, |Reverse(ranked)| ranked.score);
                // Copied only if it is among the highest so far, which few are.
                if highest.len() < limit || score > lowest {
                    let copied = Copied::of((id, series), &settings, &model.version);
                    highest.push(Reverse(Ranked { score, copied }));
                    if highest.len() > limit {
                        highest.pop();
                    }
                }
            });
        }
        let ranked = highest.into_sorted_vec();
        self.explained(ranked.into_iter().map(|Reverse(ranked)| ranked.copied).collect(), &model, &settings)
    }

    fn explained(&self, copied: Vec<Copied>, model: &Model, settings: &Settings) -> Vec<Explained> {
        let board = settings.board();
        let explain =
            |Copied { mut explained, scope, made, watched, rule, state, seen_ms, newest }: Copied| {
                explained.made_of = made.and_then(|id| scope.groups().origin(id));
                if let Some((attendance, place)) = explained.attendance.as_mut().zip(watched) {
                    attendance.absent = scope.absences().absent_at(place);
                }
                let labels: Vec<_> =
                    explained.series.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                explained.context = seen_ms.map(|at_ms| board.held(&labels, at_ms)).unwrap_or_default();
                let demands = &settings.plan(rule).demands;
                explained.explanation =
                    newest.and_then(|(at_ms, signal)| model.detector.explain(&state, at_ms, signal, demands));
                explained
            };
        copied.into_iter().map(explain).collect()
    }
}

/// The score of a series' newest sample, if it is above 0 and the series is still there.
fn present_score(series: &Series, settings: &Settings) -> Option<f64> {
    let is_there = series.generation == settings.generation && series.standing != Standing::Out;
    // A stale marker is no number, and above nothing.
    series.score.filter(|score| is_there && *score > 0.0)
}

// === impl Given ===

impl Given {
    fn of(given: &Judgement, sample: Sample) -> Self {
        let Judgement { score, expected, lower, upper } = *given;
        Self { timestamp_ms: sample.timestamp_ms, value: sample.value, score, expected, lower, upper }
    }
}

// === impl Attendance ===

impl Attendance {
    fn of(habit: &Habit) -> Self {
        Self {
            step_seconds: habit.step_ms() as f64 / 1e3,
            seen_for_seconds: habit.lived_ms() as f64 / 1e3,
            usual_gap_seconds: habit.usual_gap_ms() as f64 / 1e3,
            absent_from_steps: habit.limit(),
            absent: None,
        }
    }
}

// === impl Ranked ===

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score)
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

// === impl InheritedFrom ===

impl InheritedFrom {
    fn of(inherited: &Inherited, own: &SeriesLabels) -> Self {
        let others = inherited.from.scored().filter(|(name, value)| own.get(name) != Some(value));
        let labels = others.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { labels, ended_ms: inherited.ended_ms }
    }
}

// === impl Copied ===

impl Copied {
    fn of((id, series): (SlotId, &Series), settings: &Settings, model: &str) -> Self {
        let (tenant, target) = match series.scope().name() {
            ScopeName::Tenant(tenant) => (Some(tenant.to_string()), None),
            ScopeName::Target(target) => (None, Some(target.to_string())),
        };
        let labels = series.labels.scored().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let explained = Explained {
            series: labels.collect(),
            tenant,
            target,
            rule: settings.rule_name(series.rule).to_owned(),
            inherited: series.inherited.as_deref().map(|from| InheritedFrom::of(from, &series.labels)),
            model: model.to_owned(),
            made_of: None,
            context: Vec::new(),
            attendance: series.habit.as_deref().map(Attendance::of),
            given: series.given.as_deref().zip(series.newest).map(|(given, sample)| Given::of(given, sample)),
            joint: series.state.joint(),
            explanation: None,
        };
        let made = series.made.then_some(id);
        let watched = series.habit.as_ref().and_then(|habit| habit.place());
        // A stale marker is no number, and has no signal.
        let signal = |newest| Some((newest, series.signal.at(series.taught, newest)?));
        let newest = series
            .newest
            .filter(|_| series.given.is_none())
            .and_then(signal)
            .map(|(newest, signal)| (newest.timestamp_ms, signal));
        let seen_ms = series.newest.map(|newest| newest.timestamp_ms);
        let (scope, state) = (Arc::clone(series.scope()), series.state.clone());
        Self { explained, scope, made, watched, rule: series.rule, state, seen_ms, newest }
    }
}
