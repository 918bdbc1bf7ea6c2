//! What of the configuration the corridor needs, replaced as a whole at a reload.

use std::sync::atomic::AtomicUsize;

use super::Visit;
use crate::detect::{Demands, Direction};
use crate::inject::{Injected, Names, Replica};
use crate::rules::{self, Emit, Kind, Rule, RuleId, RuleSet};
use crate::series::labels::SeriesLabels;
use crate::series::{Scope, ScopeLimits, ScopeName};
use crate::signals::Signal;

/// Name templates of earlier configurations by which score series may still be ended.
const REMEMBERED_NAMES: usize = 16;

/// One configuration of the corridor.
#[derive(Debug)]
pub struct Settings {
    /// Which series are scored.
    pub rules: RuleSet,
    /// What each rule means, by its index.
    pub(super) plans: Vec<Plan>,
    /// What the injected series are called.
    pub names: Names,
    /// Limits of the corridor.
    pub limits: Limits,
    /// Labels that tell the replicas of a highly available pair apart.
    pub ha_labels: Vec<String>,
    /// Other names that were in force, each until the generation it stands with.
    earlier_names: Vec<(u16, Names)>,
    /// Counts up with every configuration, to tell which series were selected by an older one.
    pub(super) generation: u16,
}

/// Limits of the corridor.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Scored series in all.
    pub max_series: usize,
    /// Scored series of one tenant or target.
    pub max_series_per_scope: usize,
    /// Tenants and targets whose series are kept apart.
    pub scopes: ScopeLimits,
    /// Score series that may be sent at the same time, over all rules.
    pub max_injected: usize,
    /// Seconds without a sample after which a series may be evicted for another.
    pub idle_after_s: u32,
    /// How far ahead of the clock a sample may be, in milliseconds.
    pub max_future_ms: i64,
}

/// What a rule means in the corridor.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) demands: Demands,
    pub(super) kind: Kind,
    pub(super) emit: Emit,
    /// Whether more than the score is sent.
    pub(super) band: bool,
    pub(super) outputs: rules::Outputs,
    pub(super) priority: i32,
    /// Series that the rule has in the table, and anomalies found among them: what a finding costs.
    pub(super) series: AtomicUsize,
    pub(super) findings: AtomicUsize,
}

// === impl Settings ===

impl Settings {
    /// The settings for `rules`.
    pub fn new(rules: RuleSet, names: Names, limits: Limits) -> Self {
        let plans = rules.iter().map(|(_, rule)| Plan::new(rule)).collect();
        Self { rules, plans, names, limits, ha_labels: Vec::new(), earlier_names: Vec::new(), generation: 0 }
    }

    /// The same with replicas that are told apart by `ha_labels`.
    pub fn with_ha_labels(self, ha_labels: Vec<String>) -> Self {
        Self { ha_labels, ..self }
    }

    /// Follows `before`: counts on, and remembers what its series are called.
    pub(super) fn follow(&mut self, before: &Self) {
        self.generation = before.generation.wrapping_add(1);
        self.earlier_names.clone_from(&before.earlier_names);
        if !before.names.are(&self.names) {
            self.earlier_names.push((before.generation, before.names));
        }
        let forgotten = self.earlier_names.len().saturating_sub(REMEMBERED_NAMES);
        self.earlier_names.drain(..forgotten);
    }

    /// What the score series of a series that was selected by `generation` are called.
    pub(super) fn names_of(&self, generation: u16) -> Names {
        let then = self.earlier_names.iter().find(|(until, _)| generation <= *until);
        then.map_or(self.names, |(_, names)| *names)
    }

    /// The replica that a series of `scope` comes from. A page has none: who scrapes is not on it.
    pub(super) fn replica_of(&self, scope: &Scope, labels: &SeriesLabels) -> Replica {
        match scope.name() {
            ScopeName::Tenant(_) => Replica::of(&self.ha_labels, |name| labels.get(name).unwrap_or_default()),
            ScopeName::Target(_) => Replica::default(),
        }
    }

    /// The replica that a batch comes from, by its first series: as a receiver decides it.
    pub(super) fn replica_of_batch(&self, visit: &Visit<'_>) -> Replica {
        let (ScopeName::Tenant(_), Some(first)) = (visit.scope.name(), visit.batch.series.first()) else {
            return Replica::default();
        };
        let mut found = vec![String::new(); self.ha_labels.len()];
        visit.labels.for_each_label(&first.labels, &mut |name, value| {
            for (label, place) in self.ha_labels.iter().zip(&mut found) {
                if label.as_bytes() == name {
                    *place = String::from_utf8_lossy(value).into_owned();
                }
            }
        });
        found.into_iter().collect()
    }

    #[inline]
    pub(super) fn plan(&self, rule: u16) -> &Plan {
        &self.plans[usize::from(rule)]
    }

    pub(super) fn select(&self, labels: &[(&str, &str)]) -> Option<u16> {
        self.rules.select(labels).map(RuleId::index).and_then(|index| u16::try_from(index).ok())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_series: 200_000,
            max_series_per_scope: 200_000,
            scopes: ScopeLimits::default(),
            max_injected: 200_000,
            idle_after_s: 600,
            max_future_ms: 2 * 3_600_000,
        }
    }
}

// === impl Plan ===

impl Plan {
    fn new(rule: &Rule) -> Self {
        Self {
            demands: demands(rule),
            kind: rule.kind,
            emit: rule.emit,
            band: rule.provide_series.iter().any(|output| output != rules::Output::AnomalyScore),
            outputs: rule.provide_series,
            priority: rule.priority,
            series: AtomicUsize::new(0),
            findings: AtomicUsize::new(0),
        }
    }

    /// What is judged of a series called `name`.
    #[inline]
    pub(super) fn signal(&self, name: &str) -> Signal {
        if self.kind.is_counter(name) { Signal::Rate } else { Signal::Value }
    }
}

fn demands(rule: &Rule) -> Demands {
    let sides = |sides: rules::Sides| [sides.lower, sides.upper];
    Demands {
        method: rule.detector,
        data_range: rule.data_range.map(|range| [range.lower, range.upper]),
        direction: match rule.detection_direction {
            rules::Direction::Both => Direction::Both,
            rules::Direction::AboveExpected => Direction::AboveExpected,
            rules::Direction::BelowExpected => Direction::BelowExpected,
        },
        min_dev: sides(rule.min_dev_from_expected),
        min_rel_dev: sides(rule.min_rel_dev_from_expected),
        coverage: rule.coverage,
        scale: sides(rule.scale),
        clip_predictions: rule.clip_predictions,
        min_samples: rule.min_n_samples_seen,
        threshold: rule.z_threshold,
        budget: rule.alert_budget,
        zone: rule.timezone.clone(),
    }
}

impl From<rules::Output> for Injected {
    fn from(output: rules::Output) -> Self {
        match output {
            rules::Output::AnomalyScore => Self::AnomalyScore,
            rules::Output::Yhat => Self::Yhat,
            rules::Output::YhatLower => Self::YhatLower,
            rules::Output::YhatUpper => Self::YhatUpper,
            rules::Output::AnomalyConfidence => Self::AnomalyConfidence,
            rules::Output::AnomalyPart => Self::AnomalyPart,
        }
    }
}
