//! Time zones by their IANA names, from the database that is built in: the same on every machine.

use jiff::tz::{Offset, db};
use jiff::{Timestamp, ToSpan as _};

use crate::detect::Zone;

/// Changes are known up to this year; later ones are taken for the last.
const YEARS: i32 = 150;

/// The zone of this IANA name, such as `Europe/Berlin`; `None` where there is none.
pub(super) fn named(name: &str) -> Option<Zone> {
    let zone = db().get(name).ok()?;
    let begin = Timestamp::UNIX_EPOCH;
    let end = begin.checked_add((i64::from(YEARS) * 365 * 24).hours()).ok()?;
    let offset_ms = |offset: Offset| i64::from(offset.seconds()) * 1_000;
    let changes = zone
        .following(begin)
        .take_while(|change| change.timestamp() < end)
        .map(|change| (change.timestamp().as_millisecond(), offset_ms(change.offset())));
    Some(Zone::new(offset_ms(zone.to_offset(begin)), changes))
}

/// The name most like `name`, for an error text.
pub(super) fn nearest(name: &str) -> String {
    let distance = |known: &String| strsim::damerau_levenshtein(&known.to_lowercase(), &name.to_lowercase());
    db().available().map(|known| known.to_string()).min_by_key(distance).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    /// Milliseconds of a time in UTC.
    fn utc(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn summer_time_begins_and_ends_when_it_does_there() {
        let berlin = named("Europe/Berlin").unwrap();
        let ahead = |text: &str| (berlin.local_ms(utc(text)) - utc(text)) / HOUR_MS;
        assert_eq!(ahead("2026-01-15T12:00:00Z"), 1);
        assert_eq!((ahead("2026-03-29T00:59:59Z"), ahead("2026-03-29T01:00:00Z")), (1, 2));
        assert_eq!((ahead("2026-10-25T00:59:59Z"), ahead("2026-10-25T01:00:00Z")), (2, 1));
        assert_eq!(ahead("2099-07-01T00:00:00Z"), 2, "by the rule that holds today");
    }

    #[test]
    fn a_zone_without_changes_has_one_offset() {
        let kolkata = named("Asia/Kolkata").unwrap();
        assert_eq!(
            kolkata.local_ms(utc("2026-06-01T00:00:00Z")) - utc("2026-06-01T00:00:00Z"),
            11 * HOUR_MS / 2
        );
        assert!(named("Mars/Olympus").is_none() && nearest("europe/Berln") == "Europe/Berlin");
    }
}
