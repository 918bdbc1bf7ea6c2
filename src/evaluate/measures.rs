//! How well one model did on some series.

use std::collections::BTreeSet;

use serde::Serialize;

use super::alerts::{Tally, finds};
use super::ranges::{Ranges, f1, runs};
use super::vus::{period, vus_pr};
use super::{ANOMALY, Event, Sides, Trial, rank::spearman};

/// How well a model did on some series. What cannot be known is not there: the recall where nothing went wrong, the precision
/// where nobody was alerted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measures {
    /// Incidents, one for each series that it was in.
    pub events: usize,
    /// Those with an alert in them.
    pub found: usize,
    /// The share of them.
    pub recall: Option<f64>,
    /// The share of alerts that were about an incident.
    pub precision: Option<f64>,
    /// The harmonic mean of precision and recall.
    pub f1: Option<f64>,
    /// Range-based precision, recall and their harmonic mean (Tatbul et al. 2018).
    pub range_precision: Option<f64>,
    /// See [`Self::range_precision`].
    pub range_recall: Option<f64>,
    /// See [`Self::range_precision`].
    pub range_f1: Option<f64>,
    /// The volume under the precision-recall surface, the mean over series with incidents.
    pub vus_pr: Option<f64>,
    /// The median time from the beginning of an incident to its first alert, in seconds.
    pub delay_s: Option<f64>,
    /// Alerts.
    pub alerts: usize,
    /// Alerts about nothing that is known.
    pub false_alerts: usize,
    /// Alerts that a series has in a week.
    pub alerts_a_series_week: f64,
    /// False ones of them.
    pub false_a_series_week: f64,
    /// Scores that were no numbers.
    pub not_finite: u64,
}

/// What somebody gets who alerts at another score than 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Working {
    /// The score.
    pub threshold: f32,
    /// The share of incidents that are found.
    pub recall: f64,
    /// False alerts that a series has in a week.
    pub false_a_series_week: f64,
}

const WEEK_MS: f64 = 7.0 * 86_400_000.0;
/// Scores along the curve of [`Working`].
const FROM: f32 = 0.5;
const TO: f32 = 4.0;
const PLACES: usize = 36;

/// Sums up one side of `trials`.
fn measure<'a>(trials: &[&'a Trial], of: impl Fn(&'a Sides<Vec<f32>>) -> &'a Vec<f32>) -> Measures {
    let (mut tally, mut ranges, mut volumes) = (Tally::default(), Ranges::default(), Vec::new());
    for trial in trials {
        let scores = of(&trial.scores);
        tally.add(trial, scores, ANOMALY);
        let real: Vec<_> = trial.events.iter().map(|event| event.samples.clone()).collect();
        ranges.add(&runs(scores, ANOMALY), &real);
        if !trial.events.is_empty() {
            volumes.extend(vus_pr(&trial.labels(), scores, period(&trial.judged)));
        }
    }
    let weeks = series_weeks(trials);
    let a_week = |count: usize| if weeks > 0.0 { count as f64 / weeks } else { 0.0 };
    let volume = volumes.iter().sum::<f64>() / volumes.len().max(1) as f64;
    Measures {
        events: tally.events,
        found: tally.found,
        recall: tally.recall(),
        precision: tally.precision(),
        f1: f1(tally.precision(), tally.recall()),
        range_precision: ranges.precision(),
        range_recall: ranges.recall(),
        range_f1: f1(ranges.precision(), ranges.recall()),
        vus_pr: (!volumes.is_empty()).then_some(volume),
        delay_s: tally.delay_s(),
        alerts: tally.alerts,
        false_alerts: tally.false_alerts,
        alerts_a_series_week: a_week(tally.alerts),
        false_a_series_week: a_week(tally.false_alerts),
        not_finite: 0,
    }
}

/// Sums up both sides of `trials`.
pub(super) fn measures(trials: &[&Trial]) -> Sides<Measures> {
    let not_finite = |of: fn(&Sides<u64>) -> u64| trials.iter().map(|trial| of(&trial.not_finite)).sum();
    Sides {
        champion: Measures {
            not_finite: not_finite(|sides| sides.champion),
            ..measure(trials, |sides| &sides.champion)
        },
        challenger: Measures {
            not_finite: not_finite(|sides| sides.challenger),
            ..measure(trials, |sides| &sides.challenger)
        },
    }
}

/// What both sides give at other scores than 1.
pub(super) fn workings(trials: &[&Trial]) -> Sides<Vec<Working>> {
    let weeks = series_weeks(trials);
    let working = |of: fn(&Sides<Vec<f32>>) -> &Vec<f32>, threshold: f32| {
        let mut tally = Tally::default();
        trials.iter().for_each(|trial| tally.add(trial, of(&trial.scores), threshold));
        let false_a_series_week = if weeks > 0.0 { tally.false_alerts as f64 / weeks } else { 0.0 };
        Some(Working { threshold, recall: tally.recall()?, false_a_series_week })
    };
    // As many to each octave: what is of interest lies near 1.
    let place = |at: usize| FROM * (TO / FROM).powf(at as f32 / (PLACES - 1) as f32);
    let curve = |of| (0..PLACES).filter_map(|at| working(of, place(at))).collect();
    Sides { champion: curve(|sides| &sides.champion), challenger: curve(|sides| &sides.challenger) }
}

/// How alike both sides put the samples of a series in order: the mean over series, each by its samples.
pub(super) fn rank_correlation(trials: &[&Trial]) -> Option<f64> {
    let (mut sum, mut samples) = (0.0, 0);
    for trial in trials {
        let Sides { champion, challenger } = &trial.scores;
        let is_constant = |scores: &[f32]| scores.windows(2).all(|two| two[0] == two[1]);
        // One that says the same of everything where the other one does not is like it in nothing.
        let is_mute = !is_constant(champion) && is_constant(challenger);
        if let Some(alike) = spearman(champion, challenger).or(is_mute.then_some(0.0)) {
            sum += alike * trial.at_ms.len() as f64;
            samples += trial.at_ms.len();
        }
    }
    (samples > 0).then(|| sum / samples as f64)
}

/// Incidents that the champion found in some series and the challenger in none.
pub(super) fn lost(trials: &[&Trial]) -> Vec<usize> {
    let found = |of: fn(&Sides<Vec<f32>>) -> &Vec<f32>| {
        let mut incidents = BTreeSet::new();
        for trial in trials {
            let found = |event: &&Event| finds(event, of(&trial.scores), ANOMALY).is_some();
            incidents.extend(trial.events.iter().filter(found).map(|event| event.incident));
        }
        incidents
    };
    let (before, after) = (found(|sides| &sides.champion), found(|sides| &sides.challenger));
    before.difference(&after).copied().collect()
}

fn series_weeks(trials: &[&Trial]) -> f64 {
    trials.iter().map(|trial| trial.lasts_ms() as f64 / WEEK_MS).sum()
}
