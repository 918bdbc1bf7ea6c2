//! Recurrence rules: on which days, and at which times, something comes again.

use std::ops::ControlFlow;

use jiff::civil::{Date, DateTime, Time, Weekday};

use super::error::{Cause, IcsError};
use super::lines::Line;
use super::values::{When, moment};
use crate::context::clock::{self, LAST_YEAR};

/// A recurrence rule, read for the event that it is of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rule {
    every: Every,
    interval: i64,
    months: Vec<i16>,
    weeks: Vec<i16>,
    year_days: Vec<i16>,
    month_days: Vec<i16>,
    /// With their place in the month or year; 0 is every one.
    weekdays: Vec<(i16, Weekday)>,
    times: Vec<Time>,
    /// Which of a period's times count; nothing is all.
    positions: Vec<i16>,
    week_begins: Weekday,
    /// The last time that may be, in milliseconds since the epoch.
    until_ms: Option<i64>,
    /// The last time by the clock on the wall, where the rule counts.
    last: Option<DateTime>,
}

/// The period from which a rule's times are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Every {
    Year,
    Month,
    Week,
    Day,
}

/// Days of a file that were walked for the sake of `COUNT`.
#[derive(Debug, Default)]
pub(super) struct Walked(u32);

/// The most times a day.
const MOST_TIMES: usize = 288;
const MOST_COUNTED: u32 = 100_000;
const MOST_WALKED: u32 = 2_000_000;
const EXAMPLE: &str = "parts such as FREQ=WEEKLY;BYDAY=SU;UNTIL=20271231T230000Z";
const WEEKDAYS: [(&str, Weekday); 7] = [
    ("MO", Weekday::Monday),
    ("TU", Weekday::Tuesday),
    ("WE", Weekday::Wednesday),
    ("TH", Weekday::Thursday),
    ("FR", Weekday::Friday),
    ("SA", Weekday::Saturday),
    ("SU", Weekday::Sunday),
];

// === impl Rule ===

impl Rule {
    /// The rule of `line`, for an event that begins at `start`.
    pub(super) fn read(line: &Line, start: &When, walked: &mut Walked) -> Result<Self, IcsError> {
        let wrong = |part: &str| line.wrong(part, EXAMPLE);
        let [mut hours, mut minutes, mut seconds] = [const { Vec::new() }; 3];
        let (mut every, mut count, mut until) = (None, None, None);
        let mut rule = Self::of(Every::Day);
        for part in line.value.split(';').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| wrong(part))?;
            let list =
                |numbers: std::ops::RangeInclusive<i16>| list(value, &numbers).ok_or_else(|| wrong(part));
            let signed = |most: i16| signed(value, most).ok_or_else(|| wrong(part));
            match name.trim().to_ascii_uppercase().as_str() {
                "FREQ" => every = Some(Every::read(line, value)?),
                "INTERVAL" => {
                    rule.interval = value
                        .parse::<u16>()
                        .ok()
                        .filter(|number| *number > 0)
                        .ok_or_else(|| wrong(part))?
                        .into();
                }
                "COUNT" => {
                    count = Some(
                        value.parse::<u32>().ok().filter(|count| *count > 0).ok_or_else(|| wrong(part))?,
                    )
                }
                "UNTIL" => until = Some(last_moment(value, start).ok_or_else(|| wrong(part))?),
                "BYMONTH" => rule.months = list(1..=12)?,
                "BYWEEKNO" => rule.weeks = signed(53)?,
                "BYYEARDAY" => rule.year_days = signed(366)?,
                "BYMONTHDAY" => rule.month_days = signed(31)?,
                "BYDAY" => rule.weekdays = weekdays(value).ok_or_else(|| wrong(part))?,
                "BYHOUR" => hours = list(0..=23)?,
                "BYMINUTE" => minutes = list(0..=59)?,
                "BYSECOND" => seconds = list(0..=59)?,
                "BYSETPOS" => rule.positions = signed(366)?,
                "WKST" => rule.week_begins = weekday(value).ok_or_else(|| wrong(part))?,
                _ => return Err(line.error(Cause::Unsupported(part.to_owned(), "leave it out"))),
            }
        }
        rule.every = every.ok_or_else(|| wrong("a rule without FREQ"))?;
        let has_place = rule.weekdays.iter().any(|(place, _)| *place != 0);
        if has_place && matches!(rule.every, Every::Week | Every::Day) {
            return Err(wrong("BYDAY with a number"));
        }
        rule.times =
            if start.is_day { vec![Time::MIN] } else { times([hours, minutes, seconds], start.local) };
        if rule.times.len() > MOST_TIMES {
            return Err(line.error(Cause::TooOften(MOST_TIMES)));
        }
        rule.fill_in(start.local);
        rule.until_ms = until;
        if let Some(count) = count {
            rule.last = Some(rule.last_of(count, start.local, walked).map_err(|cause| line.error(cause))?);
        }
        Ok(rule)
    }

    fn of(every: Every) -> Self {
        Self {
            every,
            interval: 1,
            months: Vec::new(),
            weeks: Vec::new(),
            year_days: Vec::new(),
            month_days: Vec::new(),
            weekdays: Vec::new(),
            times: Vec::new(),
            positions: Vec::new(),
            week_begins: Weekday::Monday,
            until_ms: None,
            last: None,
        }
    }

    /// What the rule does not say is as at the start.
    fn fill_in(&mut self, start: DateTime) {
        let says_day = !(self.weeks.is_empty()
            && self.year_days.is_empty()
            && self.month_days.is_empty()
            && self.weekdays.is_empty());
        match self.every {
            _ if says_day => {}
            Every::Year => {
                if self.months.is_empty() {
                    self.months.push(start.month().into());
                }
                self.month_days.push(start.day().into());
            }
            Every::Month => self.month_days.push(start.day().into()),
            Every::Week => self.weekdays.push((0, start.weekday())),
            Every::Day => {}
        }
    }

    /// The time of the last of `count`; the start where none comes.
    fn last_of(&self, count: u32, start: DateTime, walked: &mut Walked) -> Result<DateTime, Cause> {
        if count > MOST_COUNTED {
            return Err(Cause::TooFar);
        }
        let (mut left, mut last) = (count, start);
        let too_far = self.walk(start, start.date(), Date::MAX, walked, &mut |time| {
            if left == 0 {
                return ControlFlow::Break(());
            }
            (left, last) = (left - 1, time);
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if too_far { Err(Cause::TooFar) } else { Ok(last) }
    }

    /// Tells `each` the times from `from` to `to` at which an event that began at `start` comes again.
    pub(super) fn times_between(
        &self,
        start: DateTime,
        [from, to]: [Date; 2],
        each: &mut dyn FnMut(DateTime),
    ) {
        let to = self.last.map_or(to, |last| to.min(last.date()));
        self.walk(start, from, to, &mut Walked::default(), &mut |time| {
            if time.date() >= from && self.last.is_none_or(|last| time <= last) {
                each(time);
            }
            ControlFlow::Continue(())
        });
    }

    /// Whether `at_ms` is not behind `UNTIL`.
    pub(super) fn reaches(&self, at_ms: i64) -> bool {
        self.until_ms.is_none_or(|until| at_ms <= until)
    }

    /// Tells `each` the times of every period that touches the days from `from` to `to`, from `start` on; whether that was
    /// given up for its length.
    fn walk(
        &self,
        start: DateTime,
        from: Date,
        to: Date,
        walked: &mut Walked,
        each: &mut dyn FnMut(DateTime) -> ControlFlow<()>,
    ) -> bool {
        let mut period =
            self.every.number(from.max(start.date()), self) - self.every.number(start.date(), self);
        period = period.div_euclid(self.interval).max(0) * self.interval;
        loop {
            let Some((first, days)) = self.every.period(start.date(), period, self) else { return false };
            if first > to || first.year() > LAST_YEAR {
                return false;
            }
            walked.0 += days as u32;
            if walked.0 > MOST_WALKED {
                return true;
            }
            for time in self.times_of(first, days) {
                if time >= start && time.date() <= to && each(time).is_break() {
                    return false;
                }
            }
            period += self.interval;
        }
    }

    /// The times of the period of `days` from `first` on.
    fn times_of(&self, first: Date, days: usize) -> Vec<DateTime> {
        let all = std::iter::successors(Some(first), |day| day.tomorrow().ok()).take(days);
        let taken = all.filter(|day| self.takes(*day));
        let times: Vec<_> =
            taken.flat_map(|day| self.times.iter().map(move |time| day.to_datetime(*time))).collect();
        if self.positions.is_empty() {
            return times;
        }
        let mut chosen: Vec<_> = self.positions.iter().filter_map(|place| nth(&times, *place)).collect();
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }

    /// Whether something comes on `day`, as far as its period does not matter.
    fn takes(&self, day: Date) -> bool {
        let holds = |list: &[i16], number: i16, of: i16| list.is_empty() || has(list, number, of);
        (self.months.is_empty() || self.months.contains(&day.month().into()))
            && holds(&self.month_days, day.day().into(), day.days_in_month().into())
            && holds(&self.year_days, day.day_of_year(), day.days_in_year())
            && (self.weeks.is_empty() || self.is_in_week(day))
            && (self.weekdays.is_empty() || self.is_on_weekday(day))
    }

    fn is_in_week(&self, day: Date) -> bool {
        // A week is of the year in which its fourth day is, and the 28th of December is in the last one.
        let Some(middle) = self.middle_of_week(day) else { return false };
        let last = Date::new(middle.year(), 12, 28).ok().and_then(|day| self.middle_of_week(day));
        let number = |middle: Date| (middle.day_of_year() - 1) / 7 + 1;
        has(&self.weeks, number(middle), last.map_or(52, number))
    }

    fn middle_of_week(&self, day: Date) -> Option<Date> {
        day.checked_sub(days(self.days_into_week(day))).ok()?.checked_add(days(3)).ok()
    }

    fn days_into_week(&self, day: Date) -> i64 {
        day.weekday().since(self.week_begins).into()
    }

    fn is_on_weekday(&self, day: Date) -> bool {
        let of_year = self.every == Every::Year && self.months.is_empty();
        let (number, of) = match of_year {
            true => (day.day_of_year(), day.days_in_year()),
            false => (day.day().into(), day.days_in_month().into()),
        };
        let places = [(number - 1) / 7 + 1, -((of - number) / 7 + 1)];
        let is_it = |(place, weekday): &(i16, Weekday)| {
            *weekday == day.weekday() && (*place == 0 || places.contains(place))
        };
        self.weekdays.iter().any(is_it)
    }
}

/// Whether `list` has `number`, of which there are `of`, counted from either end.
fn has(list: &[i16], number: i16, of: i16) -> bool {
    list.contains(&number) || list.contains(&(number - of - 1))
}

fn nth(times: &[DateTime], place: i16) -> Option<DateTime> {
    let at = if place > 0 { i64::from(place) - 1 } else { times.len() as i64 + i64::from(place) };
    times.get(usize::try_from(at).ok()?).copied()
}

fn days(number: i64) -> jiff::Span {
    // Weeks and intervals are far smaller than what a span holds.
    jiff::Span::new().try_days(number).unwrap_or_default()
}

/// Hours, minutes and seconds as they are told, or else as at the start.
fn times([hours, minutes, seconds]: [Vec<i16>; 3], start: DateTime) -> Vec<Time> {
    let or = |list: Vec<i16>, at: i8| if list.is_empty() { vec![at.into()] } else { list };
    let (hours, minutes, seconds) =
        (or(hours, start.hour()), or(minutes, start.minute()), or(seconds, start.second()));
    let mut times: Vec<_> = hours
        .iter()
        .flat_map(|hour| minutes.iter().map(move |minute| (hour, minute)))
        .flat_map(|(hour, minute)| {
            seconds.iter().map(move |second| (*hour as i8, *minute as i8, *second as i8))
        })
        .filter_map(|(hour, minute, second)| Time::new(hour, minute, second, 0).ok())
        .collect();
    times.sort_unstable();
    times.dedup();
    times
}

/// The last moment that `UNTIL` allows: the end of a day that it names.
fn last_moment(text: &str, start: &When) -> Option<i64> {
    let (local, is_utc, is_day) = moment(text)?;
    match (is_utc, is_day) {
        (true, _) => clock::instant(&jiff::tz::TimeZone::UTC, local),
        (false, true) => Some(clock::instant(&start.zone, local.date().tomorrow().ok()?.at(0, 0, 0, 0))? - 1),
        (false, false) => clock::instant(&start.zone, local),
    }
}

fn list(text: &str, numbers: &std::ops::RangeInclusive<i16>) -> Option<Vec<i16>> {
    text.split(',').map(|number| number.parse().ok().filter(|number| numbers.contains(number))).collect()
}

/// Numbers from 1 to `most`, or as far from the end.
fn signed(text: &str, most: i16) -> Option<Vec<i16>> {
    list(text, &(-most..=most)).filter(|list| !list.contains(&0))
}

fn weekday(text: &str) -> Option<Weekday> {
    WEEKDAYS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, day)| *day)
}

fn weekdays(text: &str) -> Option<Vec<(i16, Weekday)>> {
    let one = |text: &str| {
        let (place, name) = text.split_at_checked(text.len().checked_sub(2)?)?;
        let place = if place.is_empty() { 0 } else { *signed(place, 53)?.first()? };
        Some((place, weekday(name)?))
    };
    text.split(',').map(one).collect()
}

// === impl Every ===

impl Every {
    fn read(line: &Line, value: &str) -> Result<Self, IcsError> {
        Ok(match value.to_ascii_uppercase().as_str() {
            "YEARLY" => Self::Year,
            "MONTHLY" => Self::Month,
            "WEEKLY" => Self::Week,
            "DAILY" => Self::Day,
            "HOURLY" | "MINUTELY" | "SECONDLY" => {
                return Err(line.error(Cause::Unsupported(
                    format!("FREQ={value}"),
                    "use DAILY with BYHOUR and BYMINUTE, or a cron window",
                )));
            }
            _ => return Err(line.wrong(value, EXAMPLE)),
        })
    }

    /// Which period `day` is in, counted from a fixed one.
    fn number(self, day: Date, rule: &Rule) -> i64 {
        let (year, month) = (i64::from(day.year()), i64::from(day.month()));
        match self {
            Self::Year => year,
            Self::Month => year * 12 + month - 1,
            Self::Week => (day_number(day) - rule.days_into_week(day)).div_euclid(7),
            Self::Day => day_number(day),
        }
    }

    /// The first day of the period `behind` the one of `start`, and how many it has.
    fn period(self, start: Date, behind: i64, rule: &Rule) -> Option<(Date, usize)> {
        match self {
            Self::Year => {
                let year = i16::try_from(i64::from(start.year()) + behind).ok()?;
                let first = Date::new(year, 1, 1).ok()?;
                Some((first, first.days_in_year() as usize))
            }
            Self::Month => {
                let month = i64::from(start.year()) * 12 + i64::from(start.month()) - 1 + behind;
                let year = i16::try_from(month.div_euclid(12)).ok()?;
                let first = Date::new(year, month.rem_euclid(12) as i8 + 1, 1).ok()?;
                Some((first, first.days_in_month() as usize))
            }
            Self::Week => {
                let first = start.checked_sub(days(rule.days_into_week(start))).ok()?;
                Some((first.checked_add(days_far(behind.checked_mul(7)?)?).ok()?, 7))
            }
            Self::Day => Some((start.checked_add(days_far(behind)?).ok()?, 1)),
        }
    }
}

fn days_far(number: i64) -> Option<jiff::Span> {
    jiff::Span::new().try_days(i32::try_from(number).ok()?).ok()
}

/// Days since the epoch.
fn day_number(day: Date) -> i64 {
    Date::constant(1970, 1, 1).duration_until(day).as_hours().div_euclid(24)
}
