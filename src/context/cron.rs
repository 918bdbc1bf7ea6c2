//! The pattern of five fields by which a crontab says when something begins.

use std::ops::RangeInclusive;
use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::calendar::Stretch;
use super::clock;

/// The longest window that a pattern opens: 31 days.
pub const LONGEST_WINDOW_MS: i64 = 31 * 86_400_000;

/// When windows open: minute, hour, day of the month, month and day of the week, as in `crontab(5)`.
///
/// ```
/// use sidelong::context::Cron;
///
/// assert!("30 2 * * MON-FRI".parse::<Cron>().is_ok());
/// assert!("0 0 30 2 *".parse::<Cron>().is_err(), "there is no 30th of February");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether a day is one by its number or by its weekday: where both fields name some. Else it must be both.
    either: bool,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five fields.
    #[error(
        "{0:?} has {1} fields; write five: minute, hour, day of the month, month and day of the week, such as 30 2 * * SUN"
    )]
    Fields(String, usize),
    /// A part of a field that is none.
    #[error("{part:?} is no {field}; write {example}")]
    Part {
        /// What was written.
        part: String,
        /// What it stands for.
        field: &'static str,
        /// What could stand there.
        example: &'static str,
    },
    /// A day that never comes.
    #[error("no month has the days of {0:?}: the window would never open")]
    Never(String),
}

/// One field: what it is, the numbers that are possible, what could be written, and names for numbers from the first.
struct Field {
    name: &'static str,
    numbers: RangeInclusive<u32>,
    example: &'static str,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", numbers: 0..=59, example: "0 to 59, */5, 0-30/10 or 0,30", names: &[] },
    Field { name: "hour", numbers: 0..=23, example: "0 to 23, */2, 9-17 or 6,18", names: &[] },
    Field { name: "day of the month", numbers: 1..=31, example: "1 to 31, */2, 1-7 or 1,15", names: &[] },
    Field {
        name: "month",
        numbers: 1..=12,
        example: "1 to 12, JAN to DEC, */3 or 6-8",
        names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    },
    Field {
        name: "day of the week",
        numbers: 0..=7,
        example: "0 to 7 (0 and 7 are Sunday), SUN to SAT, MON-FRI or SAT,SUN",
        names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    },
];

/// Words for whole patterns.
const WORDS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// The most days of each month.
const LONGEST: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const ALL_HOURS: u64 = (1 << 24) - 1;

// === impl Cron ===

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        let pattern =
            WORDS.iter().find(|(word, _)| *word == text.trim()).map_or(text, |(_, pattern)| pattern);
        let fields: Vec<&str> = pattern.split_ascii_whitespace().collect();
        let Ok([minute, hour, day, month, weekday]) = <[&str; 5]>::try_from(fields) else {
            return Err(CronError::Fields(text.to_owned(), pattern.split_ascii_whitespace().count()));
        };
        let [minutes, hours, days, months, weekdays] = &FIELDS;
        let weekdays = weekdays.read(weekday)?;
        let cron = Self {
            minutes: minutes.read(minute)?,
            hours: hours.read(hour)?,
            days: days.read(day)?,
            months: months.read(month)?,
            // Sunday is 0 and 7.
            weekdays: (weekdays | weekdays >> 7) & 0x7f,
            // As Vixie's cron has it: a field that begins with a star narrows, but does not widen.
            either: !day.starts_with('*') && !weekday.starts_with('*'),
        };
        if cron.comes() { Ok(cron) } else { Err(CronError::Never(text.to_owned())) }
    }
}

impl Cron {
    /// Whether there is a day that it names.
    fn comes(&self) -> bool {
        let has_day = |month: usize| {
            let within = (1_u64 << (LONGEST[month] + 1)) - 1;
            has(self.months, month + 1) && self.days & within != 0
        };
        self.either || (0..12).any(has_day)
    }

    fn is_on(&self, day: Date) -> bool {
        let by_number = has(self.days, day.day() as usize);
        let by_weekday = has(self.weekdays, day.weekday().to_sunday_zero_offset() as usize);
        let is_day = if self.either { by_number || by_weekday } else { by_number && by_weekday };
        has(self.months, day.month() as usize) && is_day
    }

    /// Appends the windows of `length_ms` that are open between `from_ms` and `until_ms`, by the clock of `zone`.
    pub(super) fn windows(
        &self,
        zone: &TimeZone,
        length_ms: i64,
        [from_ms, until_ms]: [i64; 2],
        to: &mut Vec<Stretch>,
    ) {
        let mut open = |at_ms: i64| {
            let window = Stretch { from_ms: at_ms, until_ms: at_ms.saturating_add(length_ms) };
            if window.from_ms < until_ms && window.until_ms > from_ms {
                to.push(window);
            }
        };
        for day in
            clock::days(zone, from_ms.saturating_sub(length_ms), until_ms).filter(|day| self.is_on(*day))
        {
            for local in self.times(day) {
                clock::instant(zone, local).into_iter().for_each(&mut open);
                // What opens in every hour opens in the one that comes twice, too.
                if self.hours == ALL_HOURS {
                    clock::second_instant(zone, local).into_iter().for_each(&mut open);
                }
            }
        }
    }

    fn times(&self, day: Date) -> impl Iterator<Item = DateTime> {
        let hours = (0..24_i8).filter(|hour| has(self.hours, *hour as usize));
        hours.flat_map(move |hour| {
            let minutes = (0..60_i8).filter(|minute| has(self.minutes, *minute as usize));
            minutes.map(move |minute| day.at(hour, minute, 0, 0))
        })
    }
}

fn has(set: u64, number: usize) -> bool {
    set >> number & 1 == 1
}

// === impl Field ===

impl Field {
    /// The numbers that `text` names, each as a bit.
    fn read(&self, text: &str) -> Result<u64, CronError> {
        text.split(',').try_fold(0, |set, part| {
            let wrong = || CronError::Part { part: part.to_owned(), field: self.name, example: self.example };
            Ok(set | self.part(part).ok_or_else(wrong)?)
        })
    }

    /// `*`, `5`, `1-5`, and `*/2` or `1-5/2`.
    fn part(&self, part: &str) -> Option<u64> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(number(step).filter(|step| *step > 0)?)),
            None => (part, None),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (*self.numbers.start(), *self.numbers.end()),
            Some((first, last)) => match (self.number(first)?, self.number(last)?) {
                // FRI-SUN: Sunday is 7 behind another day.
                (first, 0) if first > 0 && *self.numbers.start() == 0 && !self.names.is_empty() => (first, 7),
                both => both,
            },
            None if step.is_some() => return None,
            None => (self.number(range)?, self.number(range)?),
        };
        (first <= last)
            .then(|| (first..=last).step_by(step.unwrap_or(1) as usize).fold(0, |set, at| set | 1 << at))
    }

    fn number(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let number = named.map_or_else(|| number(text), |at| Some(at as u32 + self.numbers.start()))?;
        self.numbers.contains(&number).then_some(number)
    }
}

/// Digits alone.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
#[path = "cron_tests.rs"]
mod tests;
