//! What of the configuration the corridor needs, replaced as a whole at a reload.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::Visit;
use super::absence::is_up;
use super::context::Place;
use super::replicas::HaPair;
use crate::context::{Board, Context};
use crate::detect::{Demands, Direction, Horizons};
use crate::inject::{Fans, Injected, Names, Replica};
use crate::rules::{self, Emit, Inheritance, Kind, Outputs, Rule, RuleId, RuleSet};
use crate::series::labels::{Interner, METRIC_NAME, SeriesLabels};
use crate::series::{Scope, ScopeLimits, ScopeName};
use crate::signals::absence::Wishes;
use crate::signals::{Asked, Signal, Specs};

/// Name templates of earlier configurations by which score series may still be ended.
const REMEMBERED_NAMES: usize = 16;
/// Plans behind those of the rules, which stand for one: of a part, of a part whose score is a part, of a series that is
/// made of others.
pub(super) const STAND_INS: usize = 3;

/// One configuration of the corridor.
#[derive(Debug)]
pub struct Settings {
    /// Which series are scored.
    pub rules: RuleSet,
    /// What each rule means, by its index; behind the rules, what stands for a rule where there is none: for parts that
    /// are not judged, for parts that are, and for what is made.
    pub(super) plans: Vec<Plan>,
    /// What is made of several series.
    pub(super) signals: Specs,
    /// What is known beforehand. It changes when something is announced.
    pub(super) board: Place,
    /// What the injected series are called.
    pub names: Names,
    /// Limits of the corridor.
    pub limits: Limits,
    /// Labels that tell the replicas of a highly available pair apart.
    pub ha_labels: Vec<String>,
    /// Whether the end of any series would be missed.
    pub(super) watches: bool,
    /// How one replica of a pair is elected, if one is.
    pub(super) ha_pair: Option<HaPair>,
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
    /// Whether its series are judged, and whether that is told, or for the sake of others alone.
    pub(super) judged: bool,
    pub(super) told: bool,
    /// What the rule is called.
    pub(super) name: Box<str>,
    pub(super) inheritance: Option<Inheritance>,
    pub(super) demands: Demands,
    pub(super) kind: Kind,
    pub(super) emit: Emit,
    /// Whether more than the score is sent.
    pub(super) band: bool,
    pub(super) outputs: rules::Outputs,
    /// How far ahead each series is forecast, and what that is called.
    pub(super) horizons: Horizons,
    /// What is asked for where its series stop.
    pub(super) absence: Option<Arc<Wishes>>,
    pub(super) fans: Arc<Fans>,
    pub(super) priority: i32,
    /// Series that the rule has in the table, and anomalies found among them: what a finding costs.
    pub(super) series: AtomicUsize,
    pub(super) findings: AtomicUsize,
}

// === impl Settings ===

impl Settings {
    /// The settings for `rules`.
    pub fn new(rules: RuleSet, names: Names, limits: Limits) -> Self {
        let made = Plan::of_made(rules::Emit::default());
        let plans: Vec<_> = rules
            .iter()
            .map(|(_, rule)| Plan::new(rule))
            .chain([Plan::of_part(false), Plan::of_part(true), made])
            .collect();
        let watches = plans.iter().any(|plan| plan.absence.is_some());
        Self {
            rules,
            watches,
            plans,
            signals: Specs::default(),
            board: Place::default(),
            names,
            limits,
            ha_labels: Vec::new(),
            ha_pair: None,
            earlier_names: Vec::new(),
            generation: 0,
        }
    }

    /// The same where `signals` are made of several series; where no rule says when their scores are sent, `emit` does.
    pub fn with_signals(mut self, signals: Specs, emit: Emit) -> Self {
        self.plans.pop();
        self.plans.push(Plan::of_made(emit));
        Self { signals, ..self }
    }

    /// The same where `contexts` are known beforehand.
    pub fn with_contexts(self, contexts: Vec<Context>) -> Self {
        Self { board: Place::new(Arc::new(Board::new(contexts))), ..self }
    }

    /// The contexts in force.
    pub(super) fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board.read())
    }

    /// The same with replicas that are told apart by `ha_labels`.
    pub fn with_ha_labels(self, ha_labels: Vec<String>) -> Self {
        Self { ha_labels, ..self }
    }

    /// The same with one replica of each pair heard: which it is stands in `label`, one of the replica labels. After
    /// `failover_ms` without it another takes over.
    pub fn with_one_replica(mut self, label: &str, failover_ms: i64) -> Self {
        let at = self.ha_labels.iter().position(|name| name == label);
        self.ha_pair = at.map(|at| HaPair { at, failover_ms });
        self
    }

    /// Has forecasts called by the names of this configuration.
    pub(super) fn name_forecasts(&mut self, interner: &Interner) {
        for plan in self.plans.iter_mut().filter(|plan| !plan.horizons.is_empty()) {
            plan.fans = Arc::new(self.names.fans(&plan.horizons, interner));
        }
    }

    /// Follows `before`: counts on, and remembers what its series are called.
    pub(super) fn follow(&mut self, before: &Self) {
        self.generation = before.generation.wrapping_add(1);
        self.signals.follow(&before.signals);
        if let Some(board) = Arc::get_mut(self.board.get_mut()) {
            board.follow(&before.board());
        }
        for plan in &mut self.plans {
            // Those that are told already count, whatever the reload has changed.
            let same = before.plans.iter().find(|other| other.name == plan.name);
            let told = same.and_then(|same| same.absence.as_ref()).map(|wishes| Arc::clone(&wishes.told));
            let wishes = plan.absence.as_mut().and_then(Arc::get_mut);
            wishes.zip(told).into_iter().for_each(|(wishes, told)| wishes.told = told);
        }
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

    /// The rule that decides about a series; where none does but a signal needs it, what stands for one.
    pub(super) fn select(&self, labels: &[(&str, &str)]) -> Option<u16> {
        let rule = self.rules.select(labels).map(RuleId::index);
        let part = || {
            if self.rules.owns(labels) {
                return None;
            }
            match self.signals.asked_of(labels) {
                Some(Asked::Score) => Some(self.plans.len() - 2),
                Some(Asked::Quantity) => Some(self.plans.len() - STAND_INS),
                None => (self.watches && says_up(labels)).then_some(self.plans.len() - STAND_INS),
            }
        };
        rule.or_else(part).and_then(|index| u16::try_from(index).ok())
    }

    /// What stands for the rule of a series with native histograms, if something is made of these. Whatever rule
    /// selects its labels, there is no sample to score.
    pub(super) fn select_histograms(&self, labels: &[(&str, &str)]) -> Option<u16> {
        let part = !self.rules.owns(labels) && self.signals.claim_histograms(labels);
        part.then_some(self.plans.len() - STAND_INS).and_then(|index| u16::try_from(index).ok())
    }

    /// What is made of several series.
    pub fn specs(&self) -> &Specs {
        &self.signals
    }

    /// Whether something is made of native histograms.
    pub fn take_histograms(&self) -> bool {
        self.signals.take_histograms()
    }

    /// The rule that decides about a series that was made of others: any made series is scored.
    pub(super) fn select_made(&self, labels: &[(&str, &str)]) -> Option<u16> {
        let rule = self.rules.select(labels).map_or(self.plans.len() - 1, RuleId::index);
        u16::try_from(rule).ok()
    }

    /// Whether no series is ever looked at.
    pub fn select_nothing(&self) -> bool {
        self.rules.is_empty() && self.signals.is_empty()
    }

    /// What the rule of this index is called.
    pub(super) fn rule_name(&self, rule: u16) -> &str {
        let behind = usize::from(rule).checked_sub(self.plans.len() - STAND_INS);
        match behind {
            Some(0 | 1) => "(part of a signal)",
            Some(_) => "(signal)",
            None => self.rules.iter().nth(usize::from(rule)).map_or("", |(_, rule)| &rule.name),
        }
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
            judged: true,
            told: true,
            name: rule.name.as_str().into(),
            inheritance: rule.inheritance.clone(),
            demands: demands(rule),
            kind: rule.kind,
            emit: rule.emit,
            band: rule.provide_series.iter().any(|output| output != rules::Output::AnomalyScore),
            outputs: rule.provide_series,
            horizons: rule.forecast_at.clone(),
            absence: rule
                .absence
                .as_ref()
                .map(|absence| Arc::new(Wishes::of(absence, rule.alert_budget.a_week()))),
            fans: Arc::default(),
            priority: rule.priority,
            series: AtomicUsize::new(0),
            findings: AtomicUsize::new(0),
        }
    }

    /// Stands for the rule of a series that no rule selects, but that a signal is made of: of what it is, or how rare
    /// it was `judged` to be.
    fn of_part(judged: bool) -> Self {
        Self { judged, told: false, outputs: Outputs::NONE, ..Self::new(&Rule::default()) }
    }

    /// Stands for the rule of a series that was made of others and that no rule selects.
    fn of_made(emit: Emit) -> Self {
        Self::new(&Rule { emit, kind: Kind::Gauge, ..Rule::default() })
    }

    /// What is judged of a series called `name`: of one that was made of others always its value, since rates were taken of
    /// its parts.
    #[inline]
    pub(super) fn signal(&self, name: &str, made: bool) -> Signal {
        if !made && self.kind.is_counter(name) { Signal::Rate } else { Signal::Value }
    }
}

/// Whether a series of these labels says of a target whether it could be scraped.
fn says_up(labels: &[(&str, &str)]) -> bool {
    labels.iter().any(|(name, value)| *name == METRIC_NAME && is_up(value))
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
