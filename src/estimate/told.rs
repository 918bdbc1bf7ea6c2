//! What is told of the cost, as JSON or as text.

use std::fmt;

use serde::Serialize;

use super::census::Census;
use super::rehearsal::Rehearsed;
use crate::pipeline::{Holding, Reason};
use crate::rules::preset::Preset;

/// What it would cost to score the series that were read.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Estimate {
    /// Where the series were read.
    pub source: String,
    /// Series that were read.
    pub series: usize,
    /// Those of them that are native histograms.
    pub native_histograms: usize,
    /// Time from one sample of a series to the next, in seconds.
    pub interval_seconds: f64,
    /// What each rule takes and costs, in the order in which they decide.
    pub rules: Vec<RuleCost>,
    /// The sums of the rules of each preset.
    pub presets: Vec<PresetCost>,
    /// What each entry of `signals` makes.
    pub signals: Vec<SignalCost>,
    /// What no rule and no signal takes.
    pub unselected: Unselected,
    /// All of it.
    pub total: Total,
    /// What would be more than is allowed.
    pub over: Vec<Over>,
    /// Where signals were not tried out for long enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsettled: Option<Unsettled>,
}

/// Signals were not tried out for long enough: what they make, and its bytes, may be more than is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unsettled {
    /// Samples that each series had.
    pub samples: u32,
    /// Samples after which all is made that would be made.
    pub needed: u32,
}

/// What a rule takes and costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleCost {
    /// What it is called.
    pub rule: String,
    /// The preset that it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// Series that it takes, made ones among them, if there is room for all.
    pub series: usize,
    /// Series that are sent for them.
    pub sent: usize,
    /// Whether they are sent only while something is found.
    pub at_most: bool,
    /// Absent series that are told besides, at the most.
    pub absences: usize,
    /// Samples that are sent a second.
    pub samples_per_second: f64,
    /// Bytes that the series take without their labels.
    pub bytes: usize,
    /// Nanoseconds for each sample, where the rule takes any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nanos_per_sample: Option<f64>,
    /// Seconds of a CPU that they take each second.
    pub cpu: f64,
}

/// What the rules of a preset take and cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PresetCost {
    /// Which.
    pub preset: Preset,
    /// Series that its rules take.
    pub series: usize,
    /// Series that are sent for them.
    pub sent: usize,
    /// Samples that are sent a second.
    pub samples_per_second: f64,
    /// Bytes that the series take without their labels.
    pub bytes: usize,
    /// Seconds of a CPU that they take each second.
    pub cpu: f64,
}

/// What an entry of `signals` makes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SignalCost {
    /// Its name, or its first selector.
    pub entry: String,
    /// What kind of signal it is.
    pub signal: &'static str,
    /// Series that it is made of.
    pub parts: usize,
    /// Groups of them.
    pub groups: usize,
    /// Series that it makes, if there is room for all and there are enough parts.
    pub series: usize,
    /// Series that it made when it was tried out.
    pub made: usize,
    /// Series that it may make at the most (`max_series`).
    pub max_series: usize,
    /// Bytes of its groups.
    pub bytes: usize,
}

/// What nothing takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unselected {
    /// Series that no rule takes.
    pub series: usize,
    /// Series that a rule excludes.
    pub excluded: usize,
    /// Series of Sidelong's own.
    pub own: usize,
    /// The metrics with most of the series that no rule takes, and how many each has.
    pub most: Vec<(String, usize)>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Total {
    /// Series that are scored, made ones among them.
    pub scored: usize,
    /// Series that are kept only because others are made of them.
    pub parts: usize,
    /// Series that are made of others.
    pub made: usize,
    /// Series that are sent, those of workloads among them.
    pub sent: usize,
    /// Absent series that are told besides, at the most.
    pub absences: usize,
    /// Two for each workload.
    pub of_workloads: usize,
    /// `sent` over the series that were read.
    pub added_share: f64,
    /// Samples that are sent a second.
    pub samples_per_second: f64,
    /// Bytes of all series with their labels, and of groups.
    pub bytes: usize,
    /// Nanoseconds for each sample that is looked at.
    pub nanos_per_sample: f64,
    /// Seconds of a CPU each second.
    pub cpu: f64,
    /// Those of them that `signals` take.
    pub cpu_of_signals: f64,
}

/// More than an option allows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Over {
    /// The option.
    pub option: String,
    /// What it allows.
    pub limit: usize,
    /// What there would be.
    pub wanted: usize,
}

/// Samples of a workload's counts come once in so many seconds at the most.
const WORKLOAD_SECONDS: f64 = 15.0;
/// Metrics that are named of those that nothing takes.
const NAMED: usize = 10;

// === impl Estimate ===

impl Estimate {
    /// What a census and a rehearsal found of the series of `source`. `plain` is a rehearsal without signals, by which it
    /// is known what the rules cost alone; `preset` says of which preset a rule is.
    pub fn new(
        source: String,
        interval_seconds: f64,
        census: &Census,
        rehearsed: &Rehearsed,
        plain: &Rehearsed,
        preset: impl Fn(usize) -> Option<Preset>,
    ) -> Self {
        let cpu = |seconds: &[f64]| seconds.iter().sum::<f64>() / interval_seconds;
        let rule = |holding: &Holding| RuleCost::of(holding, census, plain, interval_seconds, &preset);
        let rules: Vec<_> = rehearsed.holdings.iter().filter_map(rule).collect();
        let signals: Vec<_> = signals(census, rehearsed);
        let bytes = |list: &[RuleCost]| list.iter().map(|rule| rule.bytes).sum::<usize>();
        let of_workloads = 2 * rehearsed.budget.workloads;
        let sent = rules.iter().map(|rule| rule.sent).sum::<usize>() + of_workloads;
        let parts = rehearsed.holdings.iter().filter(|holding| holding.rule.is_none());
        let parts_bytes: usize = parts.map(|holding| holding.bytes).sum();
        let looked_at = rehearsed.holdings.iter().map(|holding| holding.series - holding.made).sum::<usize>();
        let all_cpu = cpu(&rehearsed.seconds);
        let by_rules = rules.iter().map(|rule| rule.samples_per_second).sum::<f64>();
        let total = Total {
            scored: rules.iter().map(|rule| rule.series).sum(),
            parts: census.parts,
            made: rehearsed.holdings.iter().map(|holding| holding.made).sum(),
            sent,
            absences: rules.iter().map(|rule| rule.absences).sum(),
            of_workloads,
            added_share: sent as f64 / census.series.max(1) as f64,
            samples_per_second: by_rules + of_workloads as f64 / interval_seconds.max(WORKLOAD_SECONDS),
            bytes: bytes(&rules)
                + parts_bytes
                + rehearsed.label_bytes
                + signals.iter().map(|signal| signal.bytes).sum::<usize>(),
            nanos_per_sample: all_cpu * interval_seconds * 1e9 / looked_at.max(1) as f64,
            cpu: all_cpu,
            cpu_of_signals: (all_cpu - cpu(&plain.seconds)).max(0.0),
        };
        let over = over(census, rehearsed, &signals, &total);
        Self {
            source,
            series: census.series,
            native_histograms: census.histograms,
            interval_seconds,
            presets: Preset::ALL.into_iter().filter_map(|preset| PresetCost::of(preset, &rules)).collect(),
            rules,
            signals,
            unselected: Unselected::of(census),
            total,
            over,
            unsettled: (rehearsed.rounds < rehearsed.rounds_needed)
                .then_some(Unsettled { samples: rehearsed.rounds, needed: rehearsed.rounds_needed }),
        }
    }
}

fn signals(census: &Census, rehearsed: &Rehearsed) -> Vec<SignalCost> {
    let specs = census.settings().specs().iter().zip(&census.signals).enumerate();
    let cost =
        |(number, (spec, prospects)): (usize, (&std::sync::Arc<crate::signals::Spec>, &super::Prospects))| {
            let held = rehearsed.held.get(&(number as u16)).copied().unwrap_or_default();
            SignalCost {
                entry: spec.name().to_owned(),
                signal: spec.signal(),
                parts: prospects.parts,
                groups: prospects.groups(),
                series: prospects.series,
                made: held.made,
                max_series: spec.max_series(),
                bytes: held.bytes,
            }
        };
    specs.map(cost).collect()
}

/// What would be more than is allowed, had every series room that asks for it.
fn over(census: &Census, rehearsed: &Rehearsed, signals: &[SignalCost], total: &Total) -> Vec<Over> {
    let limits = &census.settings().limits;
    let taken: usize = census.by_rule.iter().sum();
    let made = signals.iter().map(|signal| signal.series.min(signal.max_series)).sum::<usize>();
    let series = taken + census.parts + made;
    let mut all = vec![
        ("limits.max_series".to_owned(), limits.max_series, series),
        ("limits.max_series_per_tenant".to_owned(), limits.max_series_per_scope, series),
        (
            "scores.max_series".to_owned(),
            limits.max_injected,
            wanted_scores(rehearsed, total) + total.absences,
        ),
        (
            "signals.max_groups".to_owned(),
            rehearsed.budget.max_groups,
            signals.iter().map(|signal| signal.groups).sum(),
        ),
    ];
    for signal in signals {
        all.push((format!("max_series of the signal {}", signal.entry), signal.max_series, signal.series));
    }
    let over = all.into_iter().filter(|(_, limit, wanted)| wanted > limit);
    over.map(|(option, limit, wanted)| Over { option, limit, wanted }).collect()
}

/// Score series that would be sent at the same time.
fn wanted_scores(rehearsed: &Rehearsed, total: &Total) -> usize {
    let refused = rehearsed.last.unscored_for(Reason::ScoreLimit) as usize;
    if refused == 0 { rehearsed.budget.injected } else { total.sent - total.of_workloads }
}

// === impl RuleCost ===

impl RuleCost {
    /// What is told of a rule; nothing of what only signals are made of.
    fn of(
        holding: &Holding,
        census: &Census,
        plain: &Rehearsed,
        interval_seconds: f64,
        preset: impl Fn(usize) -> Option<Preset>,
    ) -> Option<Self> {
        let taken = holding.rule.map_or(0, |rule| census.by_rule[rule]);
        let excludes = holding.rule.is_some_and(|rule| {
            census.settings().rules.iter().nth(rule).is_some_and(|(_, rule)| rule.exclude)
        });
        if excludes || (holding.rule.is_none() && holding.sent == 0) {
            return None;
        }
        // Where there is no room for all that it takes, each is as dear as those that had it.
        let (had, wanted) = (holding.series.max(1) as f64, (taken + holding.made) as f64);
        let scaled = |of_held: f64| if holding.series == 0 { 0.0 } else { of_held * (wanted / had).max(1.0) };
        let seconds = holding.rule.map_or(0.0, |rule| plain.seconds[rule]);
        let held =
            plain.holdings.iter().find(|other| other.rule == holding.rule).map_or(0, |other| other.series);
        let each = (held > 0 && holding.rule.is_some()).then(|| seconds * 1e9 / held as f64);
        Some(Self {
            rule: holding.name.clone(),
            preset: holding.rule.and_then(preset),
            series: taken.max(holding.series - holding.made) + holding.made,
            sent: scaled(holding.sent as f64).round() as usize,
            at_most: holding.at_most,
            absences: holding.max_absences.min(taken),
            samples_per_second: scaled(holding.samples_per_second),
            bytes: scaled(holding.bytes as f64).round() as usize,
            nanos_per_sample: each,
            cpu: each.map_or(0.0, |each| each / 1e9 * taken as f64 / interval_seconds),
        })
    }
}

// === impl PresetCost ===

impl PresetCost {
    /// The sums of those `rules` that are of `preset`, if any is.
    fn of(preset: Preset, rules: &[RuleCost]) -> Option<Self> {
        let mut of_preset = rules.iter().filter(|rule| rule.preset == Some(preset)).peekable();
        of_preset.peek()?;
        let nothing = Self { preset, series: 0, sent: 0, samples_per_second: 0.0, bytes: 0, cpu: 0.0 };
        Some(of_preset.fold(nothing, |sum, rule| Self {
            preset,
            series: sum.series + rule.series,
            sent: sum.sent + rule.sent,
            samples_per_second: sum.samples_per_second + rule.samples_per_second,
            bytes: sum.bytes + rule.bytes,
            cpu: sum.cpu + rule.cpu,
        }))
    }
}

// === impl Unselected ===

impl Unselected {
    fn of(census: &Census) -> Self {
        let mut most: Vec<_> = census.unselected.iter().map(|(name, count)| (name.clone(), *count)).collect();
        most.sort_by(|(name, count), (other, than)| than.cmp(count).then_with(|| name.cmp(other)));
        let series = most.iter().map(|(_, count)| count).sum();
        most.truncate(NAMED);
        Self { series, excluded: census.excluded.values().sum(), own: census.own, most }
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::text::write(self, f)
    }
}
