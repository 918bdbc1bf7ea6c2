//! What is shown, made of two readings.

use super::reading::{Explained, Highest, Reading};
use crate::terminal::{Expected, Row};

/// One moment of a running Sidelong. Rates are a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct View {
    /// It is drawn anew and anew, until somebody leaves.
    pub(super) live: bool,
    /// Why there is nothing newer.
    pub(super) trouble: Option<String>,
    pub(super) url: String,
    pub(super) version: String,
    pub(super) model: String,
    pub(super) ready: bool,
    pub(super) uptime_ms: i64,
    pub(super) resident_bytes: f64,
    pub(super) push: Door,
    pub(super) pull: Door,
    pub(super) scoring: Scoring,
    pub(super) scores: Scores,
    pub(super) room: Room,
    pub(super) rows: Vec<Row>,
}

/// What passes a door.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Door {
    pub(super) requests: f64,
    pub(super) samples: f64,
    pub(super) bytes_in: f64,
    pub(super) bytes_out: f64,
    pub(super) refused: f64,
}

/// What becomes of the samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Scoring {
    pub(super) scored: f64,
    pub(super) anomalous: f64,
    pub(super) unselected: f64,
    /// By reason, the most frequent first; reasons that do not occur are left out.
    pub(super) unscored: Vec<(String, f64)>,
}

/// What becomes of the scores.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Scores {
    pub(super) sent: f64,
    pub(super) appended: f64,
    pub(super) dropped: Vec<(String, f64)>,
    pub(super) retries: f64,
    pub(super) queue_bytes: f64,
    pub(super) paused: f64,
    pub(super) returning: f64,
}

/// What is in use, and of how much.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Room {
    pub(super) series: (f64, f64),
    pub(super) score_series: (f64, f64),
    /// Bytes of what series have learned, and of their labels, so far.
    pub(super) state_bytes: (f64, f64),
    pub(super) body_bytes: f64,
    pub(super) backlog_bytes: f64,
    pub(super) tenants: f64,
    pub(super) targets: f64,
}

/// The counters between two readings.
struct Between<'a> {
    before: &'a Reading,
    now: &'a Reading,
    seconds: f64,
}

// === impl View ===

impl View {
    pub(super) fn of(before: &Reading, now: &Reading) -> Self {
        let seconds = now.at.duration_since(before.at).as_secs_f64().max(1e-3);
        let between = Between { before, now, seconds };
        let label = |name: &str, label: &str| now.metrics.label(name, label).unwrap_or("unknown").to_owned();
        let started_s = gauge(now, "process_start_time_seconds");
        Self {
            live: false,
            trouble: None,
            url: now.url.clone(),
            version: label("sidelong_build_info", "version"),
            model: label("sidelong_model_info", "version"),
            ready: now.ready,
            uptime_ms: ((now.now_s - started_s).max(0.0) * 1e3) as i64,
            resident_bytes: gauge(now, "process_resident_memory_bytes"),
            push: between.push(),
            pull: between.pull(),
            scoring: between.scoring(),
            scores: between.scores(),
            room: room(now),
            rows: now.highest.iter().filter_map(row).collect(),
        }
    }
}

// === impl Between ===

impl Between<'_> {
    fn push(&self) -> Door {
        Door {
            requests: self.rate("sidelong_write_requests_total"),
            samples: self.rate("sidelong_write_samples_total"),
            bytes_in: self.rate("sidelong_write_received_bytes_total"),
            bytes_out: self.rate("sidelong_write_forwarded_bytes_total"),
            refused: self.rate("sidelong_write_refused_total"),
        }
    }

    fn pull(&self) -> Door {
        Door {
            requests: self.rate("sidelong_scrape_requests_total"),
            samples: self.rate("sidelong_scrape_samples_total"),
            bytes_in: self.rate("sidelong_scrape_received_bytes_total"),
            bytes_out: self.rate("sidelong_scrape_passed_bytes_total"),
            refused: self.rate("sidelong_scrape_refused_targets_total"),
        }
    }

    fn scoring(&self) -> Scoring {
        let mut unscored = self.by_reason("sidelong_unscored_total");
        let pages = self.by_reason("sidelong_scrape_unscored_pages_total");
        unscored.extend(pages.into_iter().map(|(reason, rate)| (format!("page {reason}"), rate)));
        Scoring {
            scored: self.rate("sidelong_samples_scored_total"),
            anomalous: self.rate("sidelong_samples_anomalous_total"),
            unselected: self.rate("sidelong_samples_unselected_total"),
            unscored,
        }
    }

    fn scores(&self) -> Scores {
        let mut dropped = self.by_reason("sidelong_scores_dropped_total");
        let left_out = self.by_reason("sidelong_scrape_dropped_scores_total");
        dropped.extend(left_out.into_iter().map(|(reason, rate)| (format!("page {reason}"), rate)));
        Scores {
            sent: self.rate("sidelong_scores_sent_total"),
            appended: self.rate("sidelong_scrape_appended_series_total"),
            dropped,
            retries: self.rate("sidelong_score_retries_total"),
            queue_bytes: gauge(self.now, "sidelong_score_queue_bytes"),
            paused: gauge(self.now, "sidelong_score_paused_tenants"),
            returning: gauge(self.now, "sidelong_score_returning_tenants"),
        }
    }

    fn rate(&self, name: &str) -> f64 {
        let sum = |reading: &Reading| reading.metrics.sum(name).unwrap_or_default();
        self.rise(sum(self.before), sum(self.now))
    }

    fn by_reason(&self, name: &str) -> Vec<(String, f64)> {
        let before = self.before.metrics.by(name, "reason");
        let was =
            |reason: &String| before.iter().find(|(of, _)| of == reason).map_or(0.0, |(_, count)| *count);
        let now = self.now.metrics.by(name, "reason").into_iter();
        let rates = now.map(|(reason, count)| (self.rise(was(&reason), count), reason));
        let mut rates: Vec<_> =
            rates.filter(|(rate, _)| *rate > 0.0).map(|(rate, reason)| (reason, rate)).collect();
        rates.sort_by(|a, b| b.1.total_cmp(&a.1));
        rates
    }

    /// A counter that fell began anew: the process did.
    fn rise(&self, before: f64, now: f64) -> f64 {
        (if now >= before { now - before } else { now }) / self.seconds
    }
}

fn gauge(reading: &Reading, name: &str) -> f64 {
    reading.metrics.sum(name).unwrap_or_default()
}

fn room(now: &Reading) -> Room {
    let budget = &now.budget;
    let state = |series: u64| (series * budget.bytes_per_series + budget.label_bytes) as f64;
    Room {
        series: (budget.series as f64, budget.max_series as f64),
        score_series: (gauge(now, "sidelong_score_series"), gauge(now, "sidelong_score_series_limit")),
        state_bytes: (state(budget.series), state(budget.max_series)),
        body_bytes: gauge(now, "sidelong_body_bytes_in_flight"),
        backlog_bytes: gauge(now, "sidelong_scorer_backlog_bytes"),
        tenants: gauge(now, "sidelong_tenants"),
        targets: gauge(now, "sidelong_targets"),
    }
}

fn row(highest: &Highest) -> Option<Row> {
    let Explained { value, score, expected, lower, upper } = highest.explanation?;
    let expected = Expected {
        value: expected,
        lower: lower.unwrap_or(f64::NEG_INFINITY),
        upper: upper.unwrap_or(f64::INFINITY),
    };
    Some(Row {
        series: spelled(highest),
        score,
        value: Some(value),
        expected: Some(expected),
        is_rate: false,
        is_struck: false,
    })
}

/// The series in PromQL's spelling.
fn spelled(highest: &Highest) -> String {
    let name = highest.series.get("__name__").map(String::as_str).unwrap_or_default();
    let labels = highest.series.iter().filter(|(label, _)| *label != "__name__");
    let labels: Vec<_> = labels.map(|(label, value)| format!("{label}={value:?}")).collect();
    format!("{name}{{{}}}", labels.join(","))
}
