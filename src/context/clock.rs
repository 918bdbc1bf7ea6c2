//! From the clock on a wall to moments and back.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};

/// Calendars say nothing of times beyond this year.
pub(super) const LAST_YEAR: i16 = 2199;
/// 2200 begins, in milliseconds since the epoch.
pub(super) const END_MS: i64 = 7_258_118_400_000;

/// The time zone of this IANA name, from the database that is built in.
pub fn zone(name: &str) -> Option<TimeZone> {
    jiff::tz::db().get(name).ok()
}

/// What the clock says in `zone` at `at_ms`.
pub(super) fn local(zone: &TimeZone, at_ms: i64) -> DateTime {
    let at = Timestamp::from_millisecond(at_ms.clamp(0, END_MS)).unwrap_or(Timestamp::UNIX_EPOCH);
    zone.to_datetime(at)
}

/// When the clock says `local` in `zone`. As in iCalendar and in `cron` for fixed times: a time that is passed over in spring is
/// where it would have been without the change, one that comes twice in autumn is the first.
pub(super) fn instant(zone: &TimeZone, local: DateTime) -> Option<i64> {
    let at = zone.to_ambiguous_timestamp(local).compatible().ok()?;
    Some(at.as_millisecond())
}

/// When the clock says `local` for the second time, if it does.
pub(super) fn second_instant(zone: &TimeZone, local: DateTime) -> Option<i64> {
    let at = zone.to_ambiguous_timestamp(local);
    match at.offset() {
        AmbiguousOffset::Fold { .. } => at.later().ok().map(|at| at.as_millisecond()),
        _ => None,
    }
}

/// The days from the one on which `zone` is at `from_ms` to that at `until_ms`, and one more on either side.
pub(super) fn days(zone: &TimeZone, from_ms: i64, until_ms: i64) -> impl Iterator<Item = Date> {
    let [first, last] = [from_ms, until_ms].map(|at_ms| local(zone, at_ms).date());
    let (first, last) = (first.yesterday().unwrap_or(first), last.tomorrow().unwrap_or(last));
    std::iter::successors(Some(first), |day| day.tomorrow().ok()).take_while(move |day| *day <= last)
}

/// `at_ms` as people write it: `2026-11-30T22:00:00Z`.
pub fn written(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).map_or_else(|_| "never".to_owned(), |at| at.to_string())
}
