use proptest::prelude::*;

use super::*;
use crate::context::zone;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

fn utc(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

fn nightly(lasts_ms: i64) -> Calendar {
    Calendar::cron("0 22 * * *".parse().unwrap(), lasts_ms, zone("Europe/Berlin").unwrap())
}

#[test]
fn a_window_is_open_from_its_first_millisecond_to_its_last() {
    let nightly = nightly(2 * HOUR_MS);
    let opens = utc("2026-11-30T21:00:00Z");
    let check = |at_ms, want| assert_eq!(nightly.open_until(at_ms), want, "{}", at_ms - opens);
    check(opens - 1, None);
    check(opens, Some(opens + 2 * HOUR_MS));
    check(opens + 2 * HOUR_MS - 1, Some(opens + 2 * HOUR_MS));
    check(opens + 2 * HOUR_MS, None);
}

#[test]
fn windows_that_touch_are_one_beyond_the_end_of_a_week_too() {
    // A week ends with Wednesday, in UTC: the epoch was a Thursday.
    let calendar = Calendar::cron("0 20 * * WED".parse().unwrap(), 10 * HOUR_MS, TimeZone::UTC);
    let opens = utc("2026-12-02T20:00:00Z");
    for at_ms in [opens, opens + 4 * HOUR_MS, opens + 10 * HOUR_MS - 1] {
        assert_eq!(calendar.open_until(at_ms), Some(opens + 10 * HOUR_MS));
    }
    let hourly = Calendar::cron("0 8-11 * * *".parse().unwrap(), HOUR_MS, TimeZone::UTC);
    assert_eq!(hourly.open_until(utc("2026-12-01T08:10:00Z")), Some(utc("2026-12-01T12:00:00Z")));
}

#[test]
fn times_that_no_calendar_has_are_closed() {
    for calendar in [nightly(HOUR_MS), Calendar::events(Vec::new())] {
        for at_ms in [i64::MIN, -1, END_MS, i64::MAX] {
            let moment = calendar.at(at_ms);
            assert!(!moment.is_open, "{at_ms}");
            assert!(moment.known.from_ms <= at_ms && at_ms <= moment.known.until_ms, "{at_ms}");
        }
    }
}

#[test]
fn one_window_is_one_window() {
    let once = Calendar::once(Stretch { from_ms: 10, until_ms: 20 });
    assert_eq!([9, 10, 19, 20].map(|at_ms| once.open_until(at_ms)), [None, Some(20), Some(20), None]);
}

proptest! {
    /// What is known of a stretch holds of each of its moments, in whatever order they are asked for.
    #[test]
    fn what_is_said_of_a_stretch_holds_all_through_it(
        moments in proptest::collection::vec((0..60 * 24 * 40_i64, 0.0..1.0_f64), 1..40), lasts in 1..4_000_i64,
    ) {
        let start = utc("2026-10-01T00:00:00Z");
        let asked = nightly(lasts * MINUTE_MS);
        for (minute, share) in moments {
            let at_ms = start + minute * MINUTE_MS;
            let moment = asked.at(at_ms);
            prop_assert!(moment.known.holds(at_ms));
            let width = (moment.known.until_ms - moment.known.from_ms) as f64;
            let other = moment.known.from_ms + (share * width) as i64;
            prop_assert_eq!(nightly(lasts * MINUTE_MS).at(other).is_open, moment.is_open);
            prop_assert_eq!(asked.at(other).is_open, moment.is_open);
        }
    }
}
