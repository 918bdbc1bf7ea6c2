use proptest::prelude::*;

use super::*;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

fn utc(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// When windows of a minute open by `pattern` in `zone`, from one time to another, as the clock in UTC has it.
fn opens(pattern: &str, zone: &str, [from, until]: [&str; 2]) -> Vec<String> {
    let cron: Cron = pattern.parse().unwrap();
    let mut windows = Vec::new();
    cron.windows(&clock::zone(zone).unwrap(), MINUTE_MS, [utc(from), utc(until)], &mut windows);
    windows.sort_unstable();
    windows.iter().map(|window| clock::written(window.from_ms)).collect()
}

#[test]
fn a_pattern_is_read_as_crontabs_are() {
    let check = |text: &str, same: &str| {
        assert_eq!(text.parse::<Cron>(), same.parse::<Cron>(), "{text}");
        assert!(text.parse::<Cron>().is_ok(), "{text}");
    };
    check("@daily", "0 0 * * *");
    check("0 0 * * SUN", "0 0 * * 7");
    check("0 0 * * 0", "0 0 * * 7");
    check("0 0 * * FRI-SUN", "0 0 * * 0,5,6");
    check("0 0 * * mon-FRI", "0 0 * * 1-5");
    check("0 0 1 jan,DEC *", "0 0 1 1,12 *");
    check("*/20 9-17/4 * * *", "0,20,40 9,13,17 * * *");
    check(" 5  4 * * * ", "5 4 * * *");
}

#[test]
fn what_is_no_pattern_says_what_could_be_written() {
    let check = |text: &str, words: &str| {
        let error = text.parse::<Cron>().unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    };
    check("", "has 0 fields; write five");
    check("0 0 * * * *", "has 6 fields");
    check("@reboot", "has 1 fields");
    check("60 0 * * *", "\"60\" is no minute; write 0 to 59");
    check("0 24 * * *", "is no hour");
    check("0 0 0 * *", "is no day of the month");
    check("0 0 * FOO *", "JAN to DEC");
    check("0 0 * * 8", "is no day of the week");
    check("5/2 * * * *", "is no minute");
    check("30-10 * * * *", "is no minute");
    check("*/0 * * * *", "is no minute");
    check("1,,2 * * * *", "\"\" is no minute");
    check("+1 * * * *", "is no minute");
    check("0 0 30 2 *", "would never open");
    check("0 0 31 4,6,9,11 *", "would never open");
    assert!("0 0 29 2 *".parse::<Cron>().is_ok() && "0 0 30 2 MON".parse::<Cron>().is_ok());
}

#[test]
fn two_fields_of_days_are_either_unless_one_begins_with_a_star() {
    let week = ["2026-11-01T00:00:00Z", "2026-11-15T00:00:00Z"];
    let days = |pattern: &str| {
        let all = opens(pattern, "UTC", week);
        all.iter().map(|day| day.split(&['-', 'T'][..]).nth(2).unwrap().parse().unwrap()).collect::<Vec<u8>>()
    };
    assert_eq!(days("0 0 13 * FRI"), [6, 13], "the 13th, which is a Friday, and the other one");
    assert_eq!(days("0 0 */2 * SUN"), [1], "Sundays that are odd; the 8th is even");
    assert_eq!(days("0 0 13 * *"), [13]);
}

#[test]
fn a_window_in_the_hour_that_spring_takes_is_where_it_would_have_been() {
    // In Berlin 02:00 to 03:00 is missing on the 29th of March 2026.
    let days = ["2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z"];
    assert_eq!(
        opens("30 2 * * *", "Europe/Berlin", days),
        ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]
    );
}

#[test]
fn a_window_in_the_hour_that_autumn_repeats_opens_once_but_what_opens_every_hour_twice() {
    let night = ["2026-10-24T23:00:00Z", "2026-10-25T03:00:00Z"];
    assert_eq!(opens("30 2 * * *", "Europe/Berlin", night), ["2026-10-25T00:30:00Z"]);
    let hourly: Vec<_> = (0..4)
        .map(|hour| {
            format!("{}:30:00Z", ["2026-10-24T23", "2026-10-25T00", "2026-10-25T01", "2026-10-25T02"][hour])
        })
        .collect();
    assert_eq!(opens("30 * * * *", "Europe/Berlin", night), hourly);
}

#[test]
fn a_window_lasts_as_long_as_it_says_whatever_the_clocks_do() {
    let cron: Cron = "0 0 * * *".parse().unwrap();
    let mut windows = Vec::new();
    let day = [utc("2026-03-29T12:00:00Z"), utc("2026-03-29T12:00:01Z")];
    cron.windows(&clock::zone("Europe/Berlin").unwrap(), 24 * HOUR_MS, day, &mut windows);
    let from_ms = utc("2026-03-28T23:00:00Z");
    assert_eq!(windows, [Stretch { from_ms, until_ms: from_ms + 24 * HOUR_MS }]);
}

#[derive(serde::Deserialize)]
struct Fires {
    pattern: String,
    after: i64,
    moments: Vec<i64>,
}

/// `tests/oracle/calendars.py` asked croniter.
#[test]
fn patterns_fire_when_croniter_says_so() {
    let all: Vec<Fires> =
        serde_json::from_str(include_str!("../../tests/data/calendars/crons.json")).unwrap();
    assert!(all.len() == 200);
    for Fires { pattern, after, moments } in all {
        let cron: Cron = pattern.parse().unwrap();
        let mut windows = Vec::new();
        let until = moments.last().unwrap() + 1;
        cron.windows(&TimeZone::UTC, 1, [after * 1_000, until * 1_000], &mut windows);
        let found: Vec<_> = windows.iter().map(|window| window.from_ms / 1_000).collect();
        assert_eq!(found, moments, "{pattern}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[-0-9*/, a-zA-Z@]{0,40}") {
        drop(text.parse::<Cron>());
    }

    /// However the time is cut, each window is found in every cut that it is open in.
    #[test]
    fn windows_do_not_depend_on_how_the_time_is_cut(
        hour in 0..24_u8, minute in 0..60_u8, length in 1..3_000_i64, cut in 1..20_000_i64, zone in 0..3_usize,
    ) {
        let cron: Cron = format!("{minute} {hour} * * *").parse().unwrap();
        let zone = clock::zone(["UTC", "Europe/Berlin", "Australia/Lord_Howe"][zone]).unwrap();
        let [from, until] = [utc("2026-03-20T00:00:00Z"), utc("2026-04-20T00:00:00Z")];
        let within = |from: i64, until: i64| {
            let mut windows = Vec::new();
            cron.windows(&zone, length * MINUTE_MS, [from, until], &mut windows);
            windows
        };
        let mut cuts: Vec<_> = (from..until)
            .step_by((cut * MINUTE_MS) as usize)
            .flat_map(|from| within(from, (from + cut * MINUTE_MS).min(until)))
            .collect();
        let mut whole = within(from, until);
        cuts.sort_unstable();
        whole.sort_unstable();
        cuts.dedup();
        prop_assert_eq!(cuts, whole);
    }
}
