//! Time that does not pass evenly, and counters that begin anew.

use super::*;
use crate::batch::Sample;
use crate::detect::Zone;
use crate::signals::Signal;

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn after_a_gap_the_series_goes_on(gap_s in 120_i64..40 * 86_400, lot in 0_usize..1_000_000) {
        let mut walk = Walk::new();
        walk.steps(calm_of(lot, 2 * DAY));
        walk.at_ms += gap_s * 1_000;
        let after = walk.steps(calm_of(lot + 2 * DAY, 200));
        prop_assert!(alerts(&after) <= 2, "{}", alerts(&after));
        prop_assert!(walk.judge(160.0).score > 1.0);
    }

    #[test]
    fn uneven_steps_and_missing_samples_are_no_anomaly(lot in 0_usize..1_000_000, missing in 0.0..0.5) {
        let mut walk = Walk::new();
        let mut scores = Vec::new();
        for i in lot..lot + 4 * DAY {
            walk.step_ms = MINUTE_MS - 2_000 + (4_000.0 * unit(i as u64 ^ 0x5eed)) as i64;
            if unit(i as u64 ^ 0xfeed) < missing {
                walk.at_ms += walk.step_ms;
                continue;
            }
            scores.push(walk.step(100.0 + 10.0 * noise(i)));
        }
        let late = calls(&scores[scores.len() / 4..]);
        prop_assert!(late <= 6, "{late}");
        prop_assert!(walk.judge(160.0).score > 1.0);
    }

    #[test]
    fn a_counter_that_begins_anew_is_no_anomaly(every in 20_usize..2_000, lot in 0_usize..1_000_000) {
        let mut walk = Walk::new();
        let (mut count, mut before, mut at_resets) = (0.0, None, Vec::new());
        for i in 0..3 * DAY {
            let is_reset = i % every == every - 1;
            count = if is_reset { 0.0 } else { count } + (600.0 + 60.0 * noise(lot + i)).floor();
            let sample = Sample { timestamp_ms: walk.at_ms, value: count };
            match Signal::Rate.at(before.replace(sample), sample) {
                Some(rate) => {
                    let score = walk.step(rate);
                    at_resets.extend((is_reset && i > DAY).then_some(score));
                }
                None => walk.at_ms += walk.step_ms,
            }
        }
        let found = alerts(&at_resets);
        prop_assert!(found <= 1 + at_resets.len() / 50, "{found} of {}", at_resets.len());
    }
}

#[test]
fn a_time_that_is_repeated_or_goes_back_breaks_nothing() {
    let mut walk = Walk::new();
    walk.steps(calm(DAY));
    for step_ms in [0, -3_600_000, i64::MIN / 4, i64::MAX / 4, 1] {
        walk.step_ms = step_ms;
        assert!(walk.step(100.0).is_finite());
    }
}

/// Office hours in Berlin, which puts its clocks forward on 29 March 2026 at one in the morning, UTC.
const CLOCK_CHANGE: i64 = 1_774_746_000_000;
const HOUR_MS: i64 = 3_600_000;

fn berlin() -> Zone {
    Zone::new(HOUR_MS, [(CLOCK_CHANGE, 2 * HOUR_MS)])
}

/// Calls in the two days after the clocks change, of a series that keeps office hours there.
fn calls_after_the_clocks_change(zone: Option<Zone>) -> usize {
    let mut walk = Walk { at_ms: CLOCK_CHANGE - 21 * 86_400_000, ..Walk::new() };
    walk.demands.zone = zone.map(std::sync::Arc::new);
    let mut after = Vec::new();
    for i in 0..23 * DAY {
        let hour = berlin().local_ms(walk.at_ms).rem_euclid(24 * HOUR_MS) / HOUR_MS;
        let is_after = walk.at_ms >= CLOCK_CHANGE;
        let score = walk.step(if (9..17).contains(&hour) { 200.0 } else { 100.0 } + 10.0 * noise(i));
        after.extend(is_after.then_some(score));
    }
    calls(&after)
}

#[test]
fn with_its_time_zone_a_series_keeps_its_hours_when_the_clocks_change() {
    let (at_home, in_utc) =
        (calls_after_the_clocks_change(Some(berlin())), calls_after_the_clocks_change(None));
    assert!(at_home == 0 && in_utc > 0, "{at_home} {in_utc}");
}

#[test]
fn an_hourly_job_is_no_anomaly_and_its_absence_is() {
    for step_s in [5, 15, 60] {
        let mut walk = Walk { step_ms: 1_000 * step_s, ..Walk::new() };
        let of_day = |at_ms: i64| at_ms.rem_euclid(HOUR_MS) < 240_000;
        let day = (86_400 / step_s) as usize;
        let mut late = Vec::new();
        for i in 0..3 * day {
            let value = if of_day(walk.at_ms) { 80.0 } else { 20.0 } + 4.0 * noise(i);
            let score = walk.step(value);
            late.extend((i > 2 * day).then_some(score));
        }
        assert!(calls(&late) <= 1, "{step_s}: {}", calls(&late));
        let absent: Vec<f64> = (0..240 / step_s).map(|i| walk.step(20.0 + 4.0 * noise(i as usize))).collect();
        assert!(alerts(&absent) > 0, "{step_s}: {absent:?}");
    }
}
