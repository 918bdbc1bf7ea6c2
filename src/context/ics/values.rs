//! Dates, times and durations as calendar files write them.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::error::{Cause, IcsError};
use super::lines::Line;
use crate::context::clock;

/// A `DATE` or a `DATE-TIME` with its zone.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct When {
    pub(super) local: DateTime,
    pub(super) zone: TimeZone,
    /// A whole day.
    pub(super) is_day: bool,
}

/// How long something lasts: days by the clock on the wall, and the rest as it passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Length {
    pub(super) days: i32,
    pub(super) ms: i64,
}

const MOMENT: &str = "20261130, 20261130T220000Z, or 20261130T220000 with a TZID";
const DURATION: &str = "a duration such as PT1H30M, P1D or P1DT12H";
/// No event lasts longer.
const LONGEST_DAYS: i64 = 36_600;

// === impl When ===

impl When {
    /// All moments of a line, of which there may be several with commas between them.
    pub(super) fn all(line: &Line, home: Option<&TimeZone>) -> Result<Vec<Self>, IcsError> {
        if line.parameter("VALUE").is_some_and(|value| value.eq_ignore_ascii_case("PERIOD")) {
            return Err(
                line.error(Cause::Unsupported("VALUE=PERIOD".into(), "write an event for each period"))
            );
        }
        line.value.split(',').map(|text| Self::read(line, text.trim(), home)).collect()
    }

    /// The one moment of a line.
    pub(super) fn one(line: &Line, home: Option<&TimeZone>) -> Result<Self, IcsError> {
        Self::read(line, &line.value, home)
    }

    fn read(line: &Line, text: &str, home: Option<&TimeZone>) -> Result<Self, IcsError> {
        let wrong = || line.wrong(text, MOMENT);
        let (local, is_utc, is_day) = moment(text).ok_or_else(wrong)?;
        let is_said =
            |kind: &str| line.parameter("VALUE").is_some_and(|value| value.eq_ignore_ascii_case(kind));
        if is_day && is_said("DATE-TIME") || !is_day && is_said("DATE") {
            return Err(wrong());
        }
        let zone = match line.parameter("TZID") {
            _ if is_utc => TimeZone::UTC,
            Some(name) => zone(name)
                .or_else(|| home.cloned())
                .ok_or_else(|| line.error(Cause::Zone(name.to_owned())))?,
            None => home.cloned().unwrap_or(TimeZone::UTC),
        };
        Ok(Self { local, zone, is_day })
    }

    pub(super) fn instant(&self) -> Option<i64> {
        clock::instant(&self.zone, self.local)
    }
}

/// The zone called `name`; some programs put their own before the IANA name, as in
/// `/mozilla.org/20050126_1/Europe/Berlin`.
fn zone(name: &str) -> Option<TimeZone> {
    let mut rest = Some(name.trim().trim_start_matches('/'));
    while let Some(name) = rest {
        if let Some(zone) = clock::zone(name) {
            return Some(zone);
        }
        rest = name.split_once('/').map(|(_, behind)| behind);
    }
    None
}

/// A moment, whether it is of UTC, and whether it is a whole day.
pub(super) fn moment(text: &str) -> Option<(DateTime, bool, bool)> {
    let (day, time) = match text.split_once(['T', 't']) {
        Some((day, time)) => (day, Some(time)),
        None => (text, None),
    };
    let day = date(day)?;
    let Some(time) = time else { return Some((day.at(0, 0, 0, 0), false, true)) };
    let (time, is_utc) = time.strip_suffix(['Z', 'z']).map_or((time, false), |time| (time, true));
    let [hour, minute, second] = digits::<3>(time, 2)?.map(|number| number as i8);
    // A leap second is the last one of its minute.
    let time = jiff::civil::Time::new(hour, minute, second.min(59), 0).ok()?;
    Some((day.to_datetime(time), is_utc, false))
}

fn date(text: &str) -> Option<Date> {
    let (year, rest) = text.split_at_checked(4)?;
    let [year] = digits::<1>(year, 4)?;
    let [month, day] = digits::<2>(rest, 2)?.map(|number| number as i8);
    Date::new(year, month, day).ok().filter(|_| year >= 1)
}

/// `N` numbers of `width` digits each, and nothing else.
fn digits<const N: usize>(text: &str, width: usize) -> Option<[i16; N]> {
    let is_right = text.len() == N * width && text.bytes().all(|byte| byte.is_ascii_digit());
    let mut numbers = [0; N];
    for (at, byte) in text.bytes().filter(|_| is_right).enumerate() {
        numbers[at / width] = numbers[at / width] * 10 + i16::from(byte - b'0');
    }
    is_right.then_some(numbers)
}

// === impl Length ===

impl Length {
    /// The duration of a line.
    pub(super) fn read(line: &Line) -> Result<Self, IcsError> {
        Self::parse(&line.value).ok_or_else(|| line.wrong(&line.value, DURATION))
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('+').unwrap_or(text);
        let (days, time) = match text.strip_prefix('P')?.split_once('T') {
            Some((days, time)) => (days, Some(time)),
            None => (text.strip_prefix('P')?, None),
        };
        if days.is_empty() && time.is_none_or(str::is_empty) || time == Some("") {
            return None;
        }
        let whole = amounts(days, &[('W', 7), ('D', 1)])?;
        let ms = amounts(time.unwrap_or_default(), &[('H', 3_600_000), ('M', 60_000), ('S', 1_000)])?;
        let is_possible = whole <= LONGEST_DAYS && ms <= LONGEST_DAYS * 86_400_000;
        is_possible.then_some(Self { days: whole as i32, ms })
    }

    /// So long after `from`.
    pub(super) fn after(self, from: DateTime, zone: &TimeZone) -> Option<i64> {
        if self.days == 0 {
            return clock::instant(zone, from)?.checked_add(self.ms);
        }
        let day = from.date().checked_add(jiff::Span::new().try_days(self.days).ok()?).ok()?;
        clock::instant(zone, day.to_datetime(from.time()))?.checked_add(self.ms)
    }

    /// No longer than this, whatever the clocks do.
    pub(super) fn at_most_ms(self) -> i64 {
        i64::from(self.days).saturating_mul(86_400_000).saturating_add(self.ms).saturating_add(DAY_MS)
    }

    /// Roughly, in days.
    pub(super) fn in_days(self) -> i64 {
        i64::from(self.days) + self.ms / DAY_MS
    }
}

const DAY_MS: i64 = 86_400_000;

/// The sum of amounts such as `1H30M`, whose units come in this order.
fn amounts(text: &str, units: &[(char, i64)]) -> Option<i64> {
    let (mut rest, mut sum) = (text, 0_i64);
    for (unit, worth) in units {
        let Some((number, behind)) = rest.split_once(*unit) else { continue };
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number: i64 = number.parse().ok().filter(|_| is_number)?;
        sum = number.checked_mul(*worth)?.checked_add(sum)?;
        rest = behind;
    }
    rest.is_empty().then_some(sum)
}
