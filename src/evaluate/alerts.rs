//! Alerts as people get them, beside what is known to have gone wrong.

use std::ops::Range;

use super::{Event, Trial};

/// What came of the alerts of some series at one threshold.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Incidents that these series had.
    pub(super) events: usize,
    /// Those in which there was an alert.
    pub(super) found: usize,
    /// Alerts, and those that had no incident; one that goes on counts again.
    pub(super) alerts: usize,
    pub(super) false_alerts: usize,
    /// Times from the beginning of an incident to its first alert, in milliseconds.
    pub(super) delays_ms: Vec<i64>,
}

/// Anomalous samples with so many ordinary ones between them, or fewer, are one alert.
const JOINED: usize = 10;
/// An alert so many samples beside an incident is about it.
const NEAR: usize = 5;
/// An alert that goes on where nothing is wrong counts again each so many samples: else one that never ends would find
/// everything.
const AGAIN: usize = 30;

// === impl Tally ===

impl Tally {
    /// Adds a series with the scores of one side.
    pub(super) fn add(&mut self, trial: &Trial, scores: &[f32], threshold: f32) {
        self.events += trial.events.len();
        for event in &trial.events {
            if let Some(first) = finds(event, scores, threshold) {
                self.found += 1;
                self.delays_ms.push(trial.at_ms[first] - trial.at_ms[event.samples.start]);
            }
        }
        let near = near(trial, scores.len());
        for alert in alerts(scores, threshold) {
            let lonely = alert.clone().filter(|at| !near[*at]).count();
            let is_false = lonely == alert.len();
            let false_alerts = lonely / AGAIN + usize::from(is_false);
            self.false_alerts += false_alerts;
            self.alerts += false_alerts + usize::from(!is_false);
        }
    }

    /// The share of incidents that were found.
    pub(super) fn recall(&self) -> Option<f64> {
        share(self.found, self.events)
    }

    /// The share of alerts that had an incident.
    pub(super) fn precision(&self) -> Option<f64> {
        share(self.alerts - self.false_alerts, self.alerts)
    }

    /// The median time to the first alert, in seconds.
    pub(super) fn delay_s(&self) -> Option<f64> {
        let mut delays = self.delays_ms.clone();
        delays.sort_unstable();
        delays.get(delays.len() / 2).map(|delay_ms| *delay_ms as f64 / 1_000.0)
    }
}

/// Samples that are anomalous together.
fn alerts(scores: &[f32], threshold: f32) -> Vec<Range<usize>> {
    let mut alerts: Vec<Range<usize>> = Vec::new();
    for at in (0..scores.len()).filter(|at| scores[*at] >= threshold) {
        match alerts.last_mut() {
            Some(alert) if at - (alert.end - 1) <= JOINED => alert.end = at + 1,
            _ => alerts.push(at..at + 1),
        }
    }
    alerts
}

/// The first sample by which somebody would have heard of an incident.
pub(super) fn finds(event: &Event, scores: &[f32], threshold: f32) -> Option<usize> {
    let until = (event.samples.end + NEAR).min(scores.len());
    (event.samples.start..until).find(|at| scores[*at] >= threshold)
}

/// For each sample whether it is in an incident or beside one.
fn near(trial: &Trial, samples: usize) -> Vec<bool> {
    let mut near = vec![false; samples];
    for Event { samples: within, .. } in &trial.events {
        near[within.start.saturating_sub(NEAR)..(within.end + NEAR).min(samples)].fill(true);
    }
    near
}

/// `part` of `whole`; nothing of nothing.
fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
// One range is meant, not what is in it.
#[allow(clippy::single_range_in_vec_init)]
mod tests {
    use super::super::ANOMALY;
    use super::*;

    fn tally(samples: usize, anomalous: &[Range<usize>], events: &[Range<usize>]) -> Tally {
        let mut scores = vec![0.2; samples];
        anomalous.iter().for_each(|range| scores[range.clone()].fill(1.5));
        let events =
            events.iter().enumerate().map(|(incident, samples)| Event { incident, samples: samples.clone() });
        let at_ms = (0..samples as i64).map(|at| at * 60_000).collect();
        let trial = Trial { at_ms, events: events.collect(), ..Trial::default() };
        let mut tally = Tally::default();
        tally.add(&trial, &scores, ANOMALY);
        tally
    }

    #[test]
    fn an_alert_in_an_incident_finds_it_after_a_delay() {
        let tally = tally(1_000, &[103..110, 115..116, 400..401], &[100..120, 700..720]);
        assert_eq!((tally.events, tally.found, tally.alerts, tally.false_alerts), (2, 1, 2, 1));
        assert_eq!((tally.recall(), tally.precision(), tally.delay_s()), (Some(0.5), Some(0.5), Some(180.0)));
    }

    #[test]
    fn an_alert_just_after_an_incident_is_about_it_and_one_later_is_not() {
        let near = tally(1_000, &[121..122], &[100..120]);
        assert_eq!((near.found, near.false_alerts), (1, 0));
        let later = tally(1_000, &[130..131], &[100..120]);
        assert_eq!((later.found, later.false_alerts), (0, 1));
    }

    #[test]
    fn an_alert_that_never_ends_is_no_way_to_find_everything() {
        let tally = tally(1_000, &[0..1_000], &[500..510]);
        assert_eq!((tally.found, tally.false_alerts), (1, 980 / 30));
        assert!(tally.precision().unwrap() < 0.1);
    }

    #[test]
    fn of_nothing_there_is_no_share() {
        let calm = tally(100, &[], &[]);
        assert_eq!((calm.recall(), calm.precision(), calm.delay_s()), (None, None, None));
    }
}
