//! Scores weighed against the truth.
//!
//! An event is *found* when a score of 1 or more appears on one of its series between its start and a
//! grace after its end. A run of such scores on one series that begins outside the window of every event
//! of that series is one *false alert*, however long it lasts.

use std::collections::HashMap;

/// The score from which on a sample is an anomaly.
pub const THRESHOLD: f64 = 1.0;

/// What was injected, as far as the verdict needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Injected {
    /// The event's number.
    pub id: u64,
    /// Its first moment, Unix milliseconds.
    pub start_ms: i64,
    /// The first moment after it, Unix milliseconds.
    pub end_ms: i64,
    /// The numbers of the series it strikes.
    pub series: Vec<usize>,
}

/// One score of one series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// The number of the series.
    pub series: usize,
    /// When, Unix milliseconds.
    pub timestamp_ms: i64,
    /// How anomalous.
    pub score: f64,
}

/// When an event was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The event's number.
    pub id: u64,
    /// The series that gave it away.
    pub series: usize,
    /// Milliseconds of stream time from the start of the event to the sample that was scored 1 or more.
    pub delay_ms: i64,
    /// How many samples of that series since the start had passed before.
    pub delay_samples: u32,
}

/// What one score brought to light.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruling {
    /// Events that it found.
    pub found: Vec<Found>,
    /// Whether it began a false alert.
    pub is_false: bool,
}

/// The balance so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Events found, in the order of finding.
    pub found: Vec<Found>,
    /// Events over, grace included, that nobody noticed.
    pub missed: Vec<u64>,
    /// Events neither found nor over.
    pub pending: Vec<u64>,
    /// Runs of alerts that no event explains.
    pub false_alerts: u64,
}

/// Weighs scores as they come, each series in order of time.
#[derive(Clone, Debug)]
pub struct Judge {
    grace_ms: i64,
    open: Vec<Case>,
    /// Whether the newest score of a series was an alert.
    alerting: HashMap<usize, bool>,
    found: Vec<Found>,
    missed: Vec<u64>,
    false_alerts: u64,
}

/// An event whose window may still be open.
#[derive(Clone, Debug)]
struct Case {
    event: Injected,
    is_found: bool,
    samples: HashMap<usize, u32>,
}

// === impl Verdict ===

impl Verdict {
    /// The median delay of what was found: samples and milliseconds of stream time, each by itself. `None`
    /// where nothing was found.
    pub fn median_delay(&self) -> Option<(u32, i64)> {
        let mut samples: Vec<u32> = self.found.iter().map(|found| found.delay_samples).collect();
        let mut times: Vec<i64> = self.found.iter().map(|found| found.delay_ms).collect();
        samples.sort_unstable();
        times.sort_unstable();
        let middle = samples.len() / 2;
        Some((*samples.get(middle)?, *times.get(middle)?))
    }
}

/// Weighs `scores`, which are in order of time, against `events`, as seen at `now_ms`. An event is over
/// `grace_ms` after its end.
pub fn judge(events: &[Injected], scores: &[Scored], grace_ms: i64, now_ms: i64) -> Verdict {
    let mut judge = Judge::new(grace_ms);
    events.iter().cloned().for_each(|event| judge.expect(event));
    for &scored in scores {
        judge.close_until(scored.timestamp_ms);
        judge.weigh(scored);
    }
    judge.close_until(now_ms);
    judge.verdict()
}

// === impl Judge ===

impl Judge {
    /// A judge who has seen nothing. Alerts up to `grace_ms` after an event's end belong to it.
    pub fn new(grace_ms: i64) -> Self {
        Self {
            grace_ms,
            open: Vec::new(),
            alerting: HashMap::new(),
            found: Vec::new(),
            missed: Vec::new(),
            false_alerts: 0,
        }
    }

    /// Announces an event, before its first scores.
    pub fn expect(&mut self, event: Injected) {
        self.open.push(Case { event, is_found: false, samples: HashMap::new() });
    }

    /// From now on there is also `series`; it is one of those that the events strike of which `is_struck` says so.
    pub fn meet(&mut self, series: usize, is_struck: impl Fn(u64) -> bool) {
        let struck = self.open.iter_mut().filter(|case| is_struck(case.event.id));
        struck.for_each(|case| case.event.series.push(series));
    }

    /// Takes the next score of a series. A NaN is no alert.
    pub fn weigh(&mut self, scored: Scored) -> Ruling {
        let alert = scored.score >= THRESHOLD;
        let grace_ms = self.grace_ms;
        let mut ruling = Ruling::default();
        let mut explained = false;
        for case in self.open.iter_mut().filter(|case| case.covers(&scored, grace_ms)) {
            explained = true;
            ruling.found.extend(case.weigh(&scored, alert));
        }
        let was_alert = self.alerting.insert(scored.series, alert).unwrap_or(false);
        ruling.is_false = alert && !was_alert && !explained;
        self.false_alerts += u64::from(ruling.is_false);
        self.found.extend_from_slice(&ruling.found);
        ruling
    }

    /// Closes the events whose window has ended before `now_ms`, and returns those that nobody noticed.
    pub fn close_until(&mut self, now_ms: i64) -> Vec<u64> {
        let grace_ms = self.grace_ms;
        let (open, over): (Vec<Case>, Vec<Case>) =
            self.open.drain(..).partition(|case| case.event.end_ms + grace_ms >= now_ms);
        self.open = open;
        let missed: Vec<u64> = over.iter().filter(|case| !case.is_found).map(|case| case.event.id).collect();
        self.missed.extend_from_slice(&missed);
        missed
    }

    /// The balance so far.
    pub fn verdict(&self) -> Verdict {
        Verdict {
            found: self.found.clone(),
            missed: self.missed.clone(),
            pending: self.open.iter().filter(|case| !case.is_found).map(|case| case.event.id).collect(),
            false_alerts: self.false_alerts,
        }
    }
}

// === impl Case ===

impl Case {
    fn covers(&self, scored: &Scored, grace_ms: i64) -> bool {
        let window = self.event.start_ms..=self.event.end_ms + grace_ms;
        window.contains(&scored.timestamp_ms) && self.event.series.contains(&scored.series)
    }

    fn weigh(&mut self, scored: &Scored, alert: bool) -> Option<Found> {
        let samples = self.samples.entry(scored.series).or_insert(0);
        let delay_samples = *samples;
        *samples += 1;
        if self.is_found || !alert {
            return None;
        }
        self.is_found = true;
        let delay_ms = scored.timestamp_ms - self.event.start_ms;
        Some(Found { id: self.event.id, series: scored.series, delay_ms, delay_samples })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE_MS: i64 = 20;

    fn event(id: u64, start_ms: i64, end_ms: i64, series: &[usize]) -> Injected {
        Injected { id, start_ms, end_ms, series: series.to_vec() }
    }

    /// Scores of one series at 0, 10, 20, ...: `.` is 0.2, `!` is 1.5, `n` is a NaN.
    fn scores(series: usize, drawing: &str) -> Vec<Scored> {
        let score = |c| match c {
            '!' => 1.5,
            'n' => f64::NAN,
            _ => 0.2,
        };
        let scored = |(at, c)| Scored { series, timestamp_ms: at as i64 * 10, score: score(c) };
        drawing.chars().enumerate().map(scored).collect()
    }

    fn judged(events: &[Injected], drawing: &str) -> Verdict {
        judge(events, &scores(0, drawing), GRACE_MS, drawing.len() as i64 * 10)
    }

    #[test]
    fn an_event_is_found_by_the_first_alert_in_its_window() {
        let verdict = judged(&[event(7, 20, 50, &[0])], "....!!....");
        assert_eq!(verdict.found, [Found { id: 7, series: 0, delay_ms: 20, delay_samples: 2 }]);
        assert_eq!((verdict.missed.len(), verdict.pending.len(), verdict.false_alerts), (0, 0, 0));
    }

    #[test]
    fn an_alert_in_the_grace_still_finds() {
        assert_eq!(judged(&[event(1, 20, 50, &[0])], ".......!..").found.len(), 1);
        let late = judged(&[event(1, 20, 50, &[0])], "........!.");
        assert_eq!((late.found.len(), late.missed, late.false_alerts), (0, vec![1], 1));
    }

    #[test]
    fn an_event_without_an_alert_is_pending_and_then_missed() {
        assert_eq!(judged(&[event(1, 20, 50, &[0])], "....").pending, [1]);
        assert_eq!(judged(&[event(1, 20, 50, &[0])], "..........").missed, [1]);
    }

    #[test]
    fn false_alerts_are_counted_by_run() {
        assert_eq!(judged(&[], ".!!!..!.!!").false_alerts, 3);
        let other_series = judged(&[event(1, 0, 90, &[5])], ".!!!......");
        assert_eq!(other_series.false_alerts, 1, "an event explains its own series only");
    }

    #[test]
    fn a_run_that_began_before_the_event_is_false_and_finds_it_all_the_same() {
        let verdict = judged(&[event(1, 20, 50, &[0])], ".!!!......");
        assert_eq!((verdict.false_alerts, verdict.found.len()), (1, 1));
    }

    #[test]
    fn a_run_that_outlasts_its_event_is_not_false() {
        let verdict = judged(&[event(1, 20, 30, &[0])], "..!!!!!!!!");
        assert_eq!((verdict.false_alerts, verdict.found.len()), (0, 1));
    }

    #[test]
    fn runs_of_different_series_are_different_runs() {
        let mut all = scores(0, ".!!.");
        all.extend(scores(1, ".!!."));
        all.sort_by_key(|scored| scored.timestamp_ms);
        assert_eq!(judge(&[], &all, GRACE_MS, 100).false_alerts, 2);
    }

    #[test]
    fn a_nan_is_no_alert() {
        assert_eq!(judged(&[], ".nnn.").false_alerts, 0);
    }

    #[test]
    fn the_median_delay_is_of_what_was_found() {
        let events = [event(1, 0, 10, &[0]), event(2, 50, 60, &[0])];
        assert_eq!(judged(&events, ".!......!.").median_delay(), Some((3, 30)));
        assert_eq!(judged(&[], "....").median_delay(), None);
    }
}
