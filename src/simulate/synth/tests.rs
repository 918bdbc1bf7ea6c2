//! The fleet as a whole: what its values promise.

use std::sync::LazyLock;

use super::*;

/// Three days with an anomaly every two hours, and the same days without.
static STRUCK: LazyLock<Recording> = LazyLock::new(|| Recording::of(fleet(2, 2 * HOUR_MS), 3));
static CALM: LazyLock<Recording> = LazyLock::new(|| Recording::of(fleet(2, 0), 3));

const HOUR_MS: i64 = 3_600_000;
const STEP_MS: i64 = 60_000;

fn fleet(seed: u64, every_ms: i64) -> Fleet {
    let plan = Plan { quiet_ms: 24 * HOUR_MS, every_ms, kinds: Kind::OF_SERIES };
    Fleet::new(FleetOptions { seed, instances: 3, start_ms: MONDAY_MS, plan })
}

/// What every series shows each minute: counters as their increase, gauges as they are.
struct Recording {
    fleet: Fleet,
    rows: Vec<Vec<f64>>,
}

impl Recording {
    fn of(mut fleet: Fleet, days: i64) -> Self {
        let mut rows = Vec::new();
        for minute in 0..=days * 24 * 60 {
            fleet.advance_to(MONDAY_MS + minute * STEP_MS);
            let mut row = Vec::new();
            fleet.read(&mut row);
            rows.push(row);
        }
        Self { fleet, rows }
    }

    /// The level of series `at` over `from_ms..to_ms`: a counter's increases, a gauge's values.
    fn levels(&self, at: usize, from_ms: i64, to_ms: i64) -> Vec<f64> {
        let row = |ms: i64| ((ms - MONDAY_MS) / STEP_MS) as usize;
        let counts = self.fleet.series()[at].is_counter();
        (row(from_ms) + 1..=row(to_ms))
            .map(
                |r| {
                    if counts { (self.rows[r][at] - self.rows[r - 1][at]).max(0.0) } else { self.rows[r][at] }
                },
            )
            .collect()
    }

    fn event_of(&self, kind: Kind) -> Event {
        let whole = |event: &&Event| event.kind == kind && event.end_ms < self.fleet.now_ms();
        self.fleet.events().find(whole).cloned().unwrap()
    }

    /// The first series struck whose name begins with one of `names`.
    fn struck(&self, event: &Event, names: &[&str]) -> usize {
        let named = |at: &usize| names.iter().any(|name| self.fleet.series()[*at].name().starts_with(name));
        self.fleet.struck_by(event).find(named).unwrap()
    }
}

/// Series that tell of their channel most plainly.
const PLAIN: [&str; 7] = [
    "node_load1",
    "node_memory_MemAvailable",
    "node_disk_written_bytes",
    "node_network_receive_bytes",
    "http_request_duration_seconds_count",
    "http_request_duration_seconds_sum",
    "kube_pod",
];

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// How far the level of the plainest struck series is from the same hours of a fleet without events, as a
/// ratio of the larger to the smaller.
fn departure(kind: Kind) -> f64 {
    let (struck, calm) = (&*STRUCK, &*CALM);
    let event = struck.event_of(kind);
    let at = match event.channel {
        Channel::Latency => struck.struck(&event, &["http_request_duration_seconds_sum"]),
        _ => struck.struck(&event, &PLAIN),
    };
    // The last quarter: a drift has come far by then, a load average has followed.
    let from_ms = event.end_ms - (event.end_ms - event.start_ms) / 4;
    let level = |recording: &Recording| mean(&recording.levels(at, from_ms, event.end_ms));
    let (a, b) = (level(struck), level(calm));
    a.max(b) / a.min(b)
}

#[test]
fn the_seed_decides_every_value() {
    let at = |seed: u64| {
        let mut fleet = fleet(seed, HOUR_MS);
        fleet.advance_to(MONDAY_MS + 30 * HOUR_MS);
        let mut values = Vec::new();
        fleet.read(&mut values);
        values
    };
    assert_eq!(at(1), at(1));
    assert_ne!(at(1), at(2));
}

#[test]
fn a_value_does_not_depend_on_how_often_it_was_asked_for() {
    let (mut often, mut once) = (fleet(1, HOUR_MS), fleet(1, HOUR_MS));
    let until = MONDAY_MS + 26 * HOUR_MS + 2_345;
    let mut at = MONDAY_MS;
    let (mut a, mut b) = (Vec::new(), Vec::new());
    while at < until {
        at += 7_919;
        often.advance_to(at.min(until));
        often.read(&mut a);
    }
    once.advance_to(until);
    once.read(&mut b);
    assert_eq!(a, b);
}

#[test]
fn time_does_not_go_backwards() {
    let mut fleet = fleet(1, HOUR_MS);
    fleet.advance_to(MONDAY_MS + HOUR_MS);
    fleet.advance_to(MONDAY_MS);
    assert_eq!(fleet.now_ms(), MONDAY_MS + HOUR_MS);
}

#[test]
fn counters_only_grow_outside_restarts() {
    let recording = Recording::of(fleet(7, HOUR_MS), 3);
    let restarts: Vec<Event> =
        recording.fleet.events().filter(|event| event.kind == Kind::PodRestarts).cloned().collect();
    let mut resets = 0;
    for (minute, rows) in recording.rows.windows(2).enumerate() {
        let end_ms = MONDAY_MS + (minute as i64 + 1) * STEP_MS;
        for (at, series) in recording.fleet.series().iter().enumerate() {
            if series.is_counter() && rows[1][at] < rows[0][at] {
                resets += 1;
                let mut events = restarts.iter().filter(|event| series.is_struck_by(event));
                assert!(
                    events.any(|e| (e.start_ms..=e.end_ms + STEP_MS).contains(&end_ms)),
                    "{series} fell at {end_ms}"
                );
            }
        }
    }
    assert!(resets > 0, "restarts reset the counters of their pod");
}

#[test]
fn restarts_are_counted_once_each_and_never_forgotten() {
    let recording = Recording::of(fleet(7, HOUR_MS), 3);
    let event = recording.event_of(Kind::PodRestarts);
    let at = recording.struck(&event, &["kube_pod"]);
    let counted: f64 =
        recording.levels(at, event.start_ms / STEP_MS * STEP_MS, event.end_ms + STEP_MS).iter().sum();
    let expected = (event.end_ms - event.start_ms) / Event::RESTART_EVERY_MS;
    assert!((counted - expected as f64).abs() <= 1.0, "{counted} of {expected}");
    assert!(counted >= 7.0);
}

#[test]
fn the_modes_of_a_processor_sum_to_the_time_that_passed() {
    let mut fleet = fleet(3, HOUR_MS);
    let sum = |fleet: &Fleet| {
        let mut values = Vec::new();
        fleet.read(&mut values);
        let of_cpu = |series: &Series| series.instance == 0 && series.label("cpu") == Some("0");
        let modes = fleet.series().iter().zip(&values).filter(|(series, _)| of_cpu(series));
        modes.map(|(_, value)| (value * 1000.0).round() as i64).sum::<i64>()
    };
    let before = sum(&fleet);
    fleet.advance_to(MONDAY_MS + 30 * HOUR_MS);
    assert_eq!(sum(&fleet) - before, 30 * HOUR_MS);
}

#[test]
fn the_counts_of_a_histogram_agree() {
    let mut fleet = fleet(3, HOUR_MS);
    fleet.advance_to(MONDAY_MS + 30 * HOUR_MS);
    let mut values = Vec::new();
    fleet.read(&mut values);
    let total = |name: &str, label: (&str, &str)| -> f64 {
        let wanted = |s: &Series| s.instance == 1 && s.name() == name && s.label(label.0) == Some(label.1);
        fleet.series().iter().zip(&values).filter(|(series, _)| wanted(series)).map(|(_, value)| value).sum()
    };
    let pod = ("pod", "api-1");
    let count = total("http_request_duration_seconds_count", pod);
    assert!(count > 1e5);
    assert_eq!(count, total("http_requests_total", pod));
    assert_eq!(count, total("http_request_duration_seconds_bucket", ("le", "+Inf")));
    let buckets = ["0.01", "0.05", "0.1", "0.5", "2.5", "+Inf"]
        .map(|le| total("http_request_duration_seconds_bucket", ("le", le)));
    assert!(buckets.is_sorted(), "{buckets:?}");
}

#[test]
fn the_day_is_in_the_data() {
    let recording = &*CALM;
    let at = recording.fleet.series().iter().position(|s| s.name() == "node_network_receive_bytes_total");
    let hour = |day: i64, hour: i64| {
        let from = MONDAY_MS + (day * 24 + hour) * HOUR_MS;
        mean(&recording.levels(at.unwrap(), from, from + HOUR_MS))
    };
    assert!(hour(1, 14) > 4.0 * hour(1, 3));
    assert!((hour(1, 14) / hour(2, 14) - 1.0).abs() < 0.1, "one day is like the next");
}

#[test]
fn a_spike_shows() {
    assert!(departure(Kind::Spike) > 1.8);
}

#[test]
fn a_level_shift_shows() {
    assert!(departure(Kind::LevelShift) > 1.25);
}

#[test]
fn a_drift_shows() {
    assert!(departure(Kind::Drift) > 1.25);
}

#[test]
fn a_seasonal_break_shows() {
    assert!(departure(Kind::SeasonalBreak) > 1.6);
}

#[test]
fn a_flatline_does_not_move() {
    let recording = &*STRUCK;
    let event = recording.event_of(Kind::Flatline);
    let at = recording.struck(&event, &PLAIN);
    let levels = recording.levels(at, event.start_ms + 2 * STEP_MS, event.end_ms - STEP_MS);
    assert!(levels.len() > 20 && levels.windows(2).all(|w| w[0] == w[1]), "{levels:?}");
}

#[test]
fn what_is_not_struck_stays_as_it_was() {
    let total = STRUCK.fleet.series().iter().position(|s| s.name() == "node_filesystem_avail_bytes").unwrap();
    let column = |recording: &Recording| recording.rows.iter().map(|row| row[total]).collect::<Vec<_>>();
    assert_eq!(column(&STRUCK), column(&CALM));
}

#[test]
fn instances_are_held_to_their_bounds() {
    let plan = Plan { quiet_ms: 0, every_ms: 0, kinds: Kind::OF_SERIES };
    let of = |instances| Fleet::new(FleetOptions { seed: 1, instances, start_ms: MONDAY_MS, plan });
    let one = of(0).series().len();
    assert_eq!(of(1).series().len(), one);
    assert_eq!(of(4).series().len(), 4 * one);
}
