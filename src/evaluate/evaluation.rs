//! Everything that is found of a challenger beside the champion.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::alerts::finds;
use super::measures::{lost, measures, rank_correlation, workings};
use super::{Check, Gate, Measures, Sides, Trial, Verdict, Working};
use crate::backtest::{Incidents, Moment};
use crate::detect::Detector;
use crate::model::bundle::{Digest, Golden};
use crate::series::labels::METRIC_NAME;

/// Everything that is found of a challenger beside the champion.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evaluation {
    /// The layout of this document.
    pub format: u32,
    /// The version of Sidelong that judged.
    pub sidelong: &'static str,
    /// What comes of it.
    pub verdict: Verdict,
    /// Who was judged.
    pub models: Sides<Party>,
    /// On what.
    pub data: Data,
    /// By what.
    pub gate: Gate,
    /// Question by question.
    pub checks: Vec<Check>,
    /// How well each did.
    pub measures: Sides<Measures>,
    /// What each gives at other scores than 1.
    pub workings: Sides<Vec<Working>>,
    /// How alike both put the samples of a series in order.
    pub rank_correlation: Option<f64>,
    /// Time a sample, in nanoseconds, on the machine that judged.
    pub time_ns: Sides<f64>,
    /// Day by day, from the first moment that was judged.
    pub days: Vec<Day>,
    /// Metric by metric, or by what else series were put together; the one that changes most comes first.
    pub families: Vec<Family>,
    /// Incidents that the champion finds and the challenger does not.
    pub lost: Vec<String>,
    /// What became of each incident that was judged.
    pub incidents: Vec<Outcome>,
}

/// A model that was judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Party {
    /// How it was asked for.
    pub name: String,
    /// Its name as a candidate: the digest of its manifest, signed by nobody.
    pub candidate: String,
    /// The digest of all it consists of, whoever signed it under what number.
    pub content: String,
    /// Whether it is the one that is built in, which is trained on synthetic metrics alone.
    pub is_builtin: bool,
    /// The data that it was trained on, in milliseconds since the epoch, where it says so.
    pub trained_on_ms: Option<[i64; 2]>,
}

/// What was judged on.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Data {
    /// Where it came from.
    pub source: String,
    /// The digest of the incidents.
    pub incidents_sha256: String,
    /// By which rule and context, as far as that was asked for.
    pub asked: BTreeMap<String, String>,
    /// Series that were judged.
    pub series: usize,
    /// Samples of them.
    pub samples: usize,
    /// The first and the last that were judged, in milliseconds since the epoch.
    pub judged_ms: Option<[i64; 2]>,
    /// Models that were trained on a part of that, as told to people.
    #[serde(skip)]
    trained_within: Option<String>,
}

/// A day that was judged.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Day {
    /// When it begins, in milliseconds since the epoch.
    pub from_ms: i64,
    /// How well each did in it.
    pub measures: Sides<Measures>,
}

/// Series that belong together.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Family {
    /// What they have in common.
    pub name: String,
    /// How many they are.
    pub series: usize,
    /// How well each did on them.
    pub measures: Sides<Measures>,
    /// How alike both put their samples in order.
    pub rank_correlation: Option<f64>,
}

/// What became of an incident.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// What it is called.
    pub name: String,
    /// Series with samples in it.
    pub series: usize,
    /// Those of them in which each found it.
    pub found: Sides<usize>,
}

/// The layout of the document.
pub(super) const FORMAT: u32 = 1;
const DAY_MS: i64 = 86_400_000;
/// How often each model is timed; the quickest time counts.
const TIMINGS: usize = 5;

// === impl Evaluation ===

impl Evaluation {
    /// Judges `models` on `trials`. `by` is the label by which series are put together.
    pub fn new(
        models: Sides<Party>,
        detectors: Sides<&Detector>,
        trials: &[Trial],
        incidents: &Incidents,
        data: Data,
        gate: Gate,
        by: &str,
    ) -> Self {
        let all: Vec<&Trial> = trials.iter().collect();
        let data = data.of(&all, &models);
        let called = |number: &usize| name_of(incidents, *number);
        let mut evaluation = Self {
            format: FORMAT,
            sidelong: env!("CARGO_PKG_VERSION"),
            verdict: Verdict::Refuse,
            days: days(&all, data.judged_ms),
            data,
            models,
            gate,
            checks: Vec::new(),
            measures: measures(&all),
            workings: workings(&all),
            rank_correlation: rank_correlation(&all),
            time_ns: time_a_sample(detectors),
            families: families(&all, by),
            lost: lost(&all).iter().map(called).collect(),
            incidents: outcomes(&all, incidents),
        };
        evaluation.checks = gate.judge(&evaluation);
        evaluation.verdict = Verdict::of(&evaluation.checks);
        evaluation
    }

    /// Time a sample beside the champion's.
    pub fn time_ratio(&self) -> Option<f64> {
        let Sides { champion, challenger } = self.time_ns;
        (champion > 0.0).then(|| challenger / champion)
    }
}

/// The least time that each takes for its golden vectors, in turns, so that whatever else the machine does meets both.
fn time_a_sample(detectors: Sides<&Detector>) -> Sides<f64> {
    let once = |detector: &Detector| {
        let started = Instant::now();
        let golden = Golden::of(detector);
        started.elapsed().as_nanos() as f64 / golden.samples().max(1) as f64
    };
    let mut least = Sides { champion: f64::MAX, challenger: f64::MAX };
    for _ in 0..TIMINGS {
        least.champion = least.champion.min(once(detectors.champion));
        least.challenger = least.challenger.min(once(detectors.challenger));
    }
    least
}

fn days(trials: &[&Trial], judged_ms: Option<[i64; 2]>) -> Vec<Day> {
    let Some([first_ms, _]) = judged_ms else { return Vec::new() };
    let day = |number: i64| {
        let from_ms = first_ms + number * DAY_MS;
        let slices: Vec<Trial> =
            trials.iter().map(|trial| trial.between(from_ms, from_ms + DAY_MS)).collect();
        let slices: Vec<&Trial> = slices.iter().filter(|trial| !trial.at_ms.is_empty()).collect();
        Day { from_ms, measures: measures(&slices) }
    };
    // Only days that there are: a stray sample must not make ten thousand of them.
    let numbers = trials.iter().flat_map(|trial| trial.at_ms.iter().map(|at_ms| (at_ms - first_ms) / DAY_MS));
    numbers.collect::<BTreeSet<i64>>().into_iter().map(day).collect()
}

fn families(trials: &[&Trial], by: &str) -> Vec<Family> {
    let mut members: BTreeMap<String, Vec<&Trial>> = BTreeMap::new();
    for trial in trials {
        let label = trial.series.labels().find(|(name, _)| *name == by).map_or("", |(_, value)| value);
        let name = match (label, by) {
            ("", METRIC_NAME) => "(no name)".to_owned(),
            ("", by) => format!("(no {by})"),
            (label, _) => label.to_owned(),
        };
        members.entry(name).or_default().push(trial);
    }
    let family = |(name, members): (String, Vec<&Trial>)| Family {
        name,
        series: members.len(),
        measures: measures(&members),
        rank_correlation: rank_correlation(&members),
    };
    let mut families: Vec<Family> = members.into_iter().map(family).collect();
    families.sort_by(|a, b| b.worsens().total_cmp(&a.worsens()).then_with(|| a.name.cmp(&b.name)));
    families
}

/// Each incident in which a series has samples.
fn outcomes(trials: &[&Trial], incidents: &Incidents) -> Vec<Outcome> {
    let mut outcomes: BTreeMap<usize, Outcome> = BTreeMap::new();
    for trial in trials {
        for event in &trial.events {
            let is_found =
                trial.scores.map(|scores| usize::from(finds(event, scores, super::ANOMALY).is_some()));
            let outcome = outcomes.entry(event.incident).or_insert_with(|| Outcome {
                name: name_of(incidents, event.incident),
                series: 0,
                found: Sides::default(),
            });
            outcome.series += 1;
            outcome.found.champion += is_found.champion;
            outcome.found.challenger += is_found.challenger;
        }
    }
    outcomes.into_values().collect()
}

fn name_of(incidents: &Incidents, number: usize) -> String {
    let Some(incident) = incidents.all().get(number) else { return String::new() };
    format!("{} {}", Moment(incident.from_ms), incident.name).trim_end().to_owned()
}

// === impl Family ===

impl Family {
    /// How much worse the challenger is on it: by recall, then by false alerts.
    fn worsens(&self) -> f64 {
        let Sides { champion, challenger } = &self.measures;
        let recall = champion.recall.unwrap_or(0.0) - challenger.recall.unwrap_or(0.0);
        let alerts = (challenger.false_alerts as f64 + 1.0) / (champion.false_alerts as f64 + 1.0);
        recall + 0.1 * alerts.ln()
    }
}

// === impl Data ===

impl Data {
    /// Data of `source`, and what is known to have gone wrong by the text of a file.
    pub fn new(source: String, incidents: &[u8], asked: Vec<(&'static str, String)>) -> Self {
        let asked = asked.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { source, incidents_sha256: Digest::of(incidents).to_string(), asked, ..Self::default() }
    }

    fn of(self, trials: &[&Trial], models: &Sides<Party>) -> Self {
        let first = trials.iter().filter_map(|trial| trial.at_ms.first()).min();
        let last = trials.iter().filter_map(|trial| trial.at_ms.last()).max();
        let judged_ms = first.zip(last).map(|(first, last)| [*first, *last]);
        let within = |(side, party): (&str, &Party)| {
            let [judged_from, judged_to] = judged_ms?;
            match party.trained_on_ms {
                Some([from, until]) if from <= judged_to && until > judged_from => {
                    Some(format!("the {side} was trained on data until {}", Moment(until)))
                }
                None if !party.is_builtin => Some(format!("the {side} does not say what it was trained on")),
                _ => None,
            }
        };
        let trained_within =
            [("champion", &models.champion), ("challenger", &models.challenger)].into_iter().find_map(within);
        let samples = trials.iter().map(|trial| trial.at_ms.len()).sum();
        Self { series: trials.len(), samples, judged_ms, trained_within, ..self }
    }

    /// How long what was judged lasts.
    pub fn judged_hours(&self) -> f64 {
        let lasts_ms = self.judged_ms.map_or(0, |[first, last]| last - first);
        Duration::from_millis(lasts_ms.unsigned_abs()).as_secs_f64() / 3_600.0
    }

    /// Who was trained on a part of what was judged.
    pub(super) fn trained_within(&self) -> Option<&str> {
        self.trained_within.as_deref()
    }
}
