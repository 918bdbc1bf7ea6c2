//! Moments as people write and read them, in UTC.

use std::fmt;

use crate::config::units::PromDuration;

/// A moment in milliseconds since the Unix epoch; shown as `2026-01-05 07:30:00`, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

/// A moment that is no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a moment; write now, -7d, Unix seconds, or a date with or without a time, in UTC, \
     such as 2026-01-05T07:30:00"
)]
pub struct MomentError(String);

const DAY_MS: i64 = 86_400_000;
/// From the first of March of the year 0 to the epoch.
const DAYS_TO_EPOCH: i64 = 719_468;
const DAYS_IN_400_YEARS: i64 = 146_097;

// === impl Moment ===

impl Moment {
    /// Reads `now`, `-7d` (before `now`), Unix seconds, or a date with or without a time.
    ///
    /// # Errors
    ///
    /// Any other text.
    pub fn read(text: &str, now: Self) -> Result<Self, MomentError> {
        let found = match text.strip_prefix('-') {
            _ if text == "now" => Some(now.0),
            Some(ago) => ago.parse().ok().and_then(|ago: PromDuration| before(now.0, ago)),
            None => text.parse().ok().and_then(of_seconds).or_else(|| of_date(text)),
        };
        found.map(Self).ok_or_else(|| MomentError(text.to_owned()))
    }

    /// Year, month and day, and milliseconds of the day.
    fn civil(self) -> ([i64; 3], i64) {
        (civil_of(self.0.div_euclid(DAY_MS)), self.0.rem_euclid(DAY_MS))
    }

    /// The day, such as `2026-01-05`.
    pub fn day(self) -> String {
        let ([year, month, day], _) = self.civil();
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// The time of the day in hours and minutes, such as `07:30`.
    pub fn time(self) -> String {
        let minute = self.civil().1 / 60_000;
        format!("{:02}:{:02}", minute / 60, minute % 60)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, ms) = self.civil();
        write!(f, "{} {}:{:02}", self.day(), self.time(), ms / 1_000 % 60)?;
        if ms % 1_000 == 0 { Ok(()) } else { write!(f, ".{:03}", ms % 1_000) }
    }
}

fn before(now: i64, ago: PromDuration) -> Option<i64> {
    now.checked_sub(i64::try_from(ago.as_millis()).ok()?)
}

fn of_seconds(seconds: f64) -> Option<i64> {
    (seconds.is_finite() && seconds.abs() < 1e12).then(|| (seconds * 1e3).round() as i64)
}

/// `2026-01-05`, `2026-01-05T07:30`, `2026-01-05 07:30:00Z`.
fn of_date(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00"));
    let [year, month, day] = numbers(date, '-')?.try_into().ok()?;
    let (hour, minute, second) = match *numbers(time, ':')? {
        [hour, minute] => (hour, minute, 0),
        [hour, minute, second] => (hour, minute, second),
        _ => return None,
    };
    let in_range = year >= 1 && hour < 24 && minute < 60 && second < 60;
    let days = days_of(year, month, day);
    // A day that its month does not have comes back as another.
    (in_range && civil_of(days) == [year, month, day])
        .then(|| days * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1_000)
}

fn numbers(text: &str, between: char) -> Option<Vec<i64>> {
    let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?;
    text.split(between).map(number).map(|n| n.filter(|n| *n < 10_000)).collect()
}

/// Days from the epoch to a date of the Gregorian calendar. Years are counted from March, so that the leap day
/// is the last of its year (Hinnant, chrono-compatible low-level date algorithms).
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * DAYS_IN_400_YEARS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - DAYS_TO_EPOCH
}

/// The date of so many days from the epoch: the inverse of [`days_of`].
fn civil_of(days: i64) -> [i64; 3] {
    let days = days + DAYS_TO_EPOCH;
    let (era, of_era) = (days.div_euclid(DAYS_IN_400_YEARS), days.rem_euclid(DAYS_IN_400_YEARS));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    [year + era * 400 + i64::from(month <= 2), month, day]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment(1_767_598_200_000);

    #[test]
    fn moments_are_read_in_every_spelling() {
        let check = |text, want| assert_eq!(Moment::read(text, NOW), Ok(Moment(want)), "{text}");
        check("now", NOW.0);
        check("-1d12h", NOW.0 - 36 * 3_600_000);
        check("1767598200", NOW.0);
        check("1767598200.25", NOW.0 + 250);
        check("2026-01-05T07:30:00Z", NOW.0);
        check("2026-01-05 07:30", NOW.0);
        check("2026-01-05", 1_767_571_200_000);
        check("2024-02-29", 1_709_164_800_000);
        check("1969-12-31", -86_400_000);
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in ["", "then", "-7", "2026-02-30", "2023-02-29", "2026-13-01", "2026-01-05T25:00", "NaN"] {
            assert!(Moment::read(text, NOW).is_err(), "{text}");
        }
    }

    #[test]
    fn a_moment_is_shown_in_utc() {
        assert_eq!(NOW.to_string(), "2026-01-05 07:30:00");
        assert_eq!(Moment(NOW.0 + 1_250).to_string(), "2026-01-05 07:30:01.250");
        assert_eq!((NOW.day(), NOW.time()), ("2026-01-05".into(), "07:30".into()));
    }

    proptest::proptest! {
        #[test]
        fn every_day_is_read_back_as_it_is_shown(days in -700_000i64..2_900_000) {
            let moment = Moment(days * DAY_MS + 3_661_000);
            proptest::prop_assert_eq!(Moment::read(&moment.to_string(), NOW), Ok(moment));
        }
    }
}
