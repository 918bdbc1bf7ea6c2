use proptest::prelude::*;

use super::*;
use crate::context::{Calendar, Stretch, zone};

fn utc(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// A file of events, each by its lines.
fn file(events: &[&str]) -> String {
    let event = |lines: &&str| format!("BEGIN:VEVENT\n{}\nEND:VEVENT\n", lines.trim());
    format!("BEGIN:VCALENDAR\nVERSION:2.0\n{}END:VCALENDAR\n", events.iter().map(event).collect::<String>())
}

/// When the events go on between two times, as the clock in UTC has it.
fn between(text: &str, [from, until]: [&str; 2]) -> Vec<String> {
    let events = events(text.as_bytes(), zone("Europe/Berlin").as_ref()).unwrap();
    let mut found = Vec::new();
    events.iter().for_each(|event| event.stretches([utc(from), utc(until)], &mut found));
    found.sort_unstable();
    let told = |at_ms| crate::context::written(at_ms);
    found.iter().map(|stretch| format!("{}/{}", told(stretch.from_ms), told(stretch.until_ms))).collect()
}

const YEAR: [&str; 2] = ["2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"];

fn error(text: &str) -> String {
    events(text.as_bytes(), None).unwrap_err().to_string()
}

#[test]
fn an_event_goes_on_from_its_start_to_its_end() {
    let check = |lines: &str, want: &[&str]| assert_eq!(between(&file(&[lines]), YEAR), want, "{lines}");
    check("DTSTART:20261130T220000Z\nDTEND:20261130T233000Z", &["2026-11-30T22:00:00Z/2026-11-30T23:30:00Z"]);
    check(
        "DTSTART;TZID=America/New_York:20261130T220000\nDURATION:PT1H30M",
        &["2026-12-01T03:00:00Z/2026-12-01T04:30:00Z"],
    );
    check(
        "DTSTART;TZID=\"/a.org/1/Europe/Berlin\":20260701T000000\nDURATION:PT1S",
        &["2026-06-30T22:00:00Z/2026-06-30T22:00:01Z"],
    );
    // Without a zone: at home.
    check("DTSTART:20260701T000000\nDURATION:P1W", &["2026-06-30T22:00:00Z/2026-07-07T22:00:00Z"]);
    check(
        "DTSTART;TZID=W. Europe Standard Time:20260701T000000\nDURATION:PT1H",
        &["2026-06-30T22:00:00Z/2026-06-30T23:00:00Z"],
    );
    check("DTSTART:20261130T220000Z", &[]);
    check("DTSTART:20261130T220000Z\nDTEND:20261130T210000Z", &[]);
    check("DTSTART:20261130T220000Z\nDURATION:PT1H\nSTATUS:CANCELLED", &[]);
}

#[test]
fn a_day_is_one_by_the_clock_on_the_wall() {
    let check = |lines: &str, want: &[&str]| assert_eq!(between(&file(&[lines]), YEAR), want, "{lines}");
    check(
        "DTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20261227",
        &["2026-12-23T23:00:00Z/2026-12-26T23:00:00Z"],
    );
    check("DTSTART;VALUE=DATE:20260101", &["2025-12-31T23:00:00Z/2026-01-01T23:00:00Z"]);
    // The day on which summer time begins has 23 hours, a duration of 24 hours has not.
    check("DTSTART;VALUE=DATE:20260329", &["2026-03-28T23:00:00Z/2026-03-29T22:00:00Z"]);
    check("DTSTART:20260329T000000\nDURATION:P1D", &["2026-03-28T23:00:00Z/2026-03-29T22:00:00Z"]);
    check("DTSTART:20260329T000000\nDURATION:PT24H", &["2026-03-28T23:00:00Z/2026-03-29T23:00:00Z"]);
}

#[test]
fn a_rule_comes_again_at_the_same_time_by_the_clock_on_the_wall() {
    let sunday = "DTSTART;TZID=Europe/Berlin:20260315T023000\nDTEND;TZID=Europe/Berlin:20260315T033000\nRRULE:FREQ=WEEKLY;COUNT=4";
    // On the 29th of March 02:30 is missing: it is an hour after 01:30, and lasts an hour.
    assert_eq!(
        between(&file(&[sunday]), YEAR),
        [
            "2026-03-15T01:30:00Z/2026-03-15T02:30:00Z",
            "2026-03-22T01:30:00Z/2026-03-22T02:30:00Z",
            "2026-03-29T01:30:00Z/2026-03-29T02:30:00Z",
            "2026-04-05T00:30:00Z/2026-04-05T01:30:00Z",
        ]
    );
    // What comes twice in autumn is the first.
    let autumn = "DTSTART;TZID=Europe/Berlin:20261025T023000\nDURATION:PT1H";
    assert_eq!(between(&file(&[autumn]), YEAR), ["2026-10-25T00:30:00Z/2026-10-25T01:30:00Z"]);
}

#[test]
fn what_is_taken_out_does_not_come_and_what_is_added_does() {
    let daily = "DTSTART;TZID=Europe/Berlin:20260601T120000\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=5";
    let starts = |more: &str| {
        let found = between(&file(&[&format!("{daily}\n{more}")]), YEAR);
        found.iter().map(|stretch| stretch.get(5..16).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        starts("EXDATE;TZID=Europe/Berlin:20260602T120000,20260604T120000"),
        ["06-01T10:00", "06-03T10:00", "06-05T10:00"]
    );
    assert_eq!(
        starts("EXDATE:20260601T100000Z\nEXDATE;VALUE=DATE:20260605"),
        ["06-02T10:00", "06-03T10:00", "06-04T10:00"]
    );
    assert_eq!(
        starts("RDATE:20260701T100000Z\nEXDATE:20260603T100000Z"),
        ["06-01T10:00", "06-02T10:00", "06-04T10:00", "06-05T10:00", "07-01T10:00"]
    );
}

#[test]
fn one_time_of_a_series_may_be_moved_or_cancelled() {
    let series = "UID:a\nDTSTART:20260601T120000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3";
    let moved = "UID:a\nRECURRENCE-ID:20260602T120000Z\nDTSTART:20260602T180000Z\nDURATION:PT2H";
    let cancelled = "UID:a\nRECURRENCE-ID:20260603T120000Z\nDTSTART:20260603T120000Z\nSTATUS:CANCELLED";
    let of_another = "UID:b\nRECURRENCE-ID:20260601T120000Z\nDTSTART:20260801T120000Z\nDURATION:PT1H";
    assert_eq!(
        between(&file(&[moved, series, cancelled, of_another]), YEAR),
        [
            "2026-06-01T12:00:00Z/2026-06-01T13:00:00Z",
            "2026-06-02T18:00:00Z/2026-06-02T20:00:00Z",
            "2026-08-01T12:00:00Z/2026-08-01T13:00:00Z",
        ]
    );
}

#[test]
fn a_rule_ends_with_the_last_time_that_it_allows() {
    let count = |lines: &str| between(&file(&[lines]), YEAR).len();
    let daily = "DTSTART:20260601T120000\nDURATION:PT1H\nRRULE:FREQ=DAILY";
    assert_eq!(count(&format!("{daily};UNTIL=20260605T100000Z")), 5, "noon in Berlin is 10:00 in summer");
    assert_eq!(count(&format!("{daily};UNTIL=20260605T095959Z")), 4);
    assert_eq!(count(&format!("{daily};UNTIL=20260605")), 5, "all of the day");
    assert_eq!(count(&format!("{daily};UNTIL=20260605T120000")), 5, "by the clock of the start");
    assert_eq!(count(&format!("{daily};COUNT=7")), 7);
    // What is taken out was counted.
    assert_eq!(count(&format!("{daily};COUNT=7\nEXDATE:20260602T120000")), 6);
    assert_eq!(count("DTSTART:19970601T120000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY"), 365, "from long ago");
}

#[test]
fn lines_are_unfolded_and_what_is_within_an_event_is_not_of_it() {
    let text = "\u{feff}begin:VCALENDAR\r\nX-A;B=\"c:d;e\":f\r\nBEGIN:VEVENT\r\nSUMMARY:Wartung f\r\n ür alle\r\nDTST\r\n\tART:20260601T\r\n 120000Z\r\n\
        DURATION:PT1H\r\nATTENDEE;RSVP;CN=\"a: b\":mailto:c\r\nX_ODD;:1\r\nBEGIN:VALARM\r\nTRIGGER:-PT15M\r\nDURATION:PT15M\r\nEND:VALARM\r\nEND:VEVENT\r\nBEGIN:VTODO\r\n\
        DTSTART:nonsense\r\nEND:VTODO\r\nEND:VCALENDAR\r\n";
    assert_eq!(between(text, YEAR), ["2026-06-01T12:00:00Z/2026-06-01T13:00:00Z"]);
}

#[test]
fn what_is_wrong_names_its_line() {
    let event = |lines: &str| error(&file(&[lines]));
    assert!(error("hello: world").starts_with("line 1: the file does not begin with BEGIN:VCALENDAR"));
    assert!(error("").contains("no iCalendar file"));
    assert_eq!(error("BEGIN:VCALENDAR\nhello"), "line 2: the line is no NAME:value");
    assert_eq!(error("BEGIN:VCALENDAR\nBEGIN:VEVENT"), "line 2: BEGIN:VEVENT has no end");
    assert_eq!(error("BEGIN:VCALENDAR\nEND:VEVENT"), "line 2: END:VEVENT ends what was not begun");
    assert_eq!(event("UID:a"), "line 3: the event has no DTSTART");
    assert_eq!(event("DTSTART:20260101\nDTSTART:20260101"), "line 5: DTSTART is there twice");
    for (lines, words) in [
        ("DTSTART:20261301T000000Z", "line 4: \"20261301T000000Z\" is no value of DTSTART; write 20261130"),
        ("DTSTART:20260101T250000Z", "is no value of DTSTART"),
        ("DTSTART;VALUE=DATE-TIME:20260101", "is no value of DTSTART"),
        ("DTSTART:20260101\nDURATION:P", "is no value of DURATION; write a duration such as PT1H30M"),
        ("DTSTART:20260101\nDURATION:-PT1H", "is no value of DURATION"),
        ("DTSTART:20260101\nDURATION:P1M", "is no value of DURATION"),
        (
            "DTSTART;TZID=W. Europe Standard Time:20260101T000000",
            "say with timezone: at the entry which one is meant",
        ),
        ("DTSTART;TZID:20260101T000000", "the time zone \"\" has no IANA name"),
        ("DTSTART:20260101\nRRULE:BYDAY=MO", "without FREQ"),
        ("DTSTART:20260101\nRRULE:FREQ=HOURLY", "use DAILY with BYHOUR"),
        ("DTSTART:20260101\nRRULE:FREQ=DAILY;INTERVAL=0", "\"INTERVAL=0\" is no value of RRULE"),
        ("DTSTART:20260101\nRRULE:FREQ=DAILY;COUNT=0", "\"COUNT=0\" is no value"),
        ("DTSTART:20260101\nRRULE:FREQ=DAILY;BYMONTHDAY=0", "is no value of RRULE"),
        ("DTSTART:20260101\nRRULE:FREQ=WEEKLY;BYDAY=1MO", "BYDAY with a number"),
        ("DTSTART:20260101\nRRULE:FREQ=WEEKLY;BYDAY=XX", "is no value of RRULE"),
        ("DTSTART:20260101\nRRULE:FREQ=YEARLY;BYEASTER=0", "BYEASTER=0 is not supported"),
        ("DTSTART:20260101\nRRULE:FREQ=DAILY;COUNT=999999", "COUNTs of the file reach too far"),
        ("DTSTART:20260101\nRDATE;VALUE=PERIOD:20260101T000000Z/PT1H", "write an event for each period"),
        ("DTSTART:20260101\nEXRULE:FREQ=DAILY", "EXRULE is not supported"),
        ("DTSTART:20260101\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260101", "RANGE is not supported"),
        ("DTSTART:20260101\nDURATION:P40D\nRRULE:FREQ=YEARLY", "must be over within 31 days"),
        (
            "DTSTART:20260101T000000\nRRULE:FREQ=DAILY;BYHOUR=0,1,2,3,4,5;BYMINUTE=0,1,2,3,4,5,6,7;BYSECOND=0,1,2,3,4,5,6",
            "more than 288 times a day",
        ),
    ] {
        assert!(event(lines).contains(words), "{lines}: {}", event(lines));
    }
}

#[test]
fn a_file_is_bounded() {
    let many = vec!["DTSTART:20260101"; MAX_EVENTS + 1];
    assert!(
        error(&file(&many))
            .ends_with("there are more than 2000 events; leave old ones out, or use several files")
    );
    let large = " ".repeat(MAX_BYTES as usize + 1);
    assert!(error(&large).contains("larger than 1048576 bytes"));
    // Each of them is walked for its count: together they reach too far.
    let far = vec!["DTSTART:20260101\nRRULE:FREQ=YEARLY;BYMONTHDAY=31;BYMONTH=2;COUNT=9"; 100];
    assert!(error(&file(&far)).contains("write UNTIL instead"));
}

#[test]
fn a_calendar_of_events_is_open_while_one_goes_on() {
    let text = file(&["DTSTART:20260601T120000Z\nDURATION:PT1H", "DTSTART:20260601T123000Z\nDURATION:PT2H"]);
    let calendar = Calendar::events(events(text.as_bytes(), None).unwrap());
    let noon = utc("2026-06-01T12:00:00Z");
    assert_eq!(calendar.open_until(noon), Some(utc("2026-06-01T14:30:00Z")));
    assert_eq!(calendar.open_until(noon - 1), None);
}

#[derive(serde::Deserialize)]
struct Told {
    rule: String,
    start: String,
    zone: String,
    moments: Vec<i64>,
}

/// `tests/oracle/calendars.py` asked dateutil and zoneinfo.
#[test]
fn rules_come_again_when_dateutil_says_so() {
    let all: Vec<Told> =
        serde_json::from_str(include_str!("../../../tests/data/calendars/recurrences.json")).unwrap();
    assert_eq!(all.len(), 300);
    let mut moments_in_all = 0;
    for Told { rule, start, zone, moments } in all {
        let text = file(&[&format!("DTSTART;TZID={zone}:{start}\nDURATION:PT1S\nRRULE:{rule}")]);
        let events = events(text.as_bytes(), None).unwrap_or_else(|error| panic!("{rule}: {error}"));
        let until = if moments.len() == 24 { *moments.last().unwrap() + 1 } else { 2_145_830_400 };
        let mut found: Vec<Stretch> = Vec::new();
        events[0].stretches([1_700_000_000_000, until * 1_000], &mut found);
        let found: Vec<_> = found.iter().map(|stretch| stretch.from_ms / 1_000).collect();
        let want: Vec<_> = moments.iter().copied().filter(|at| *at < until).collect();
        assert_eq!(found, want, "{rule} from {start} in {zone}");
        moments_in_all += want.len();
    }
    assert!(moments_in_all > 4_000, "{moments_in_all}");
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        drop(events(&bytes, None));
    }

    #[test]
    fn no_line_makes_the_reader_panic(name in "(DTSTART|DTEND|DURATION|RRULE|RDATE|EXDATE)(;[A-Z]{1,5}=[\"a-zA-Z/]{0,9})?", value in "[-+=;,A-Z0-9]{0,60}") {
        let text = file(&[&format!("DTSTART:20260101T000000Z\n{name}:{value}")]);
        if let Ok(events) = events(text.as_bytes(), None) {
            Calendar::events(events).open_until(utc("2026-06-01T00:00:00Z"));
        }
    }

    /// A week is the same whether it is looked at alone or in a year.
    #[test]
    fn times_do_not_depend_on_how_the_time_is_cut(
        every in 0..4_usize, interval in 1..4_u8, hours in 1..200_i64, zone in 0..3_usize, days in 1..60_i64,
    ) {
        let every = ["DAILY", "WEEKLY;BYDAY=MO,SU", "MONTHLY;BYDAY=-1FR", "YEARLY;BYMONTH=3,10"][every];
        let zone = ["UTC", "Europe/Berlin", "Australia/Lord_Howe"][zone];
        let text = file(&[&format!("DTSTART;TZID={zone}:20240105T023000\nDURATION:PT{hours}H\nRRULE:FREQ={every};INTERVAL={interval}")]);
        let events = events(text.as_bytes(), None).unwrap();
        let within = |from: i64, until: i64| {
            let mut found = Vec::new();
            events[0].stretches([from, until], &mut found);
            found
        };
        let [from, until, step] = [utc(YEAR[0]), utc(YEAR[1]), days * 86_400_000];
        let mut cuts: Vec<_> =
            (from..until).step_by(step as usize).flat_map(|from| within(from, (from + step).min(until))).collect();
        let mut whole = within(from, until);
        cuts.sort_unstable();
        whole.sort_unstable();
        cuts.dedup();
        prop_assert_eq!(cuts, whole);
    }
}
