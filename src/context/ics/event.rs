//! One event of a calendar file.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::error::{Cause, IcsError};
use super::lines::Line;
use super::rule::{Rule, Walked};
use super::values::{Length, When};
use crate::context::calendar::Stretch;
use crate::context::clock;

/// An event, and when it comes again.
#[derive(Clone, Debug)]
pub struct Event {
    start: When,
    length: Length,
    rule: Option<Rule>,
    /// Further beginnings.
    more: Vec<When>,
    /// Beginnings at which it does not come, in order, and days on which it does not come by the clock of its zone.
    except: Vec<i64>,
    except_days: Vec<Date>,
}

/// An event of which not all lines have been read.
#[derive(Debug)]
pub(super) struct Draft {
    line: usize,
    pub(super) uid: String,
    /// The one time of another event of the same name that this one is in the place of.
    pub(super) moves: Option<When>,
    pub(super) is_moved: bool,
    pub(super) is_cancelled: bool,
    start: Option<When>,
    end: Option<When>,
    length: Option<Length>,
    /// Read at the end, when the start is known.
    rule: Option<Line>,
    more: Vec<When>,
    pub(super) except: Vec<When>,
}

/// An event that comes again lasts no longer.
const LONGEST_DAYS: i64 = 31;

// === impl Draft ===

impl Draft {
    pub(super) fn new(line: usize) -> Self {
        Self {
            line,
            uid: String::new(),
            moves: None,
            is_moved: false,
            is_cancelled: false,
            start: None,
            end: None,
            length: None,
            rule: None,
            more: Vec::new(),
            except: Vec::new(),
        }
    }

    /// Takes one line of the event.
    pub(super) fn take(&mut self, line: &Line, home: Option<&TimeZone>) -> Result<(), IcsError> {
        match line.name.as_str() {
            "DTSTART" => once(&mut self.start, When::one(line, home)?, line),
            "DTEND" => once(&mut self.end, When::one(line, home)?, line),
            "DURATION" => once(&mut self.length, Length::read(line)?, line),
            "RRULE" => once(&mut self.rule, line.clone(), line),
            "RDATE" => {
                self.more.extend(When::all(line, home)?);
                Ok(())
            }
            "EXDATE" => {
                self.except.extend(When::all(line, home)?);
                Ok(())
            }
            "EXRULE" => Err(line.error(Cause::Unsupported("EXRULE".into(), "write EXDATE"))),
            "RECURRENCE-ID" if line.parameter("RANGE").is_some() => {
                Err(line
                    .error(Cause::Unsupported("RANGE".into(), "end the series by UNTIL and begin another")))
            }
            "RECURRENCE-ID" => once(&mut self.moves, When::one(line, home)?, line),
            "UID" => {
                self.uid.clone_from(&line.value);
                Ok(())
            }
            "STATUS" => {
                self.is_cancelled = line.value.eq_ignore_ascii_case("CANCELLED");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn finish(self, walked: &mut Walked) -> Result<Event, IcsError> {
        let error = |cause| IcsError { line: self.line, cause };
        let start = self.start.ok_or_else(|| error(Cause::NoStart))?;
        let rule = self.rule.map(|line| Rule::read(&line, &start, walked)).transpose()?;
        let length = match (self.length, &self.end) {
            (Some(length), _) => length,
            (None, Some(end)) => between(&start, end),
            // A day without an end is that day, a moment without one is over as it begins.
            (None, None) => Length { days: i32::from(start.is_day), ms: 0 },
        };
        if (rule.is_some() || !self.more.is_empty()) && length.in_days() > LONGEST_DAYS {
            return Err(error(Cause::TooLong));
        }
        let days = self.except.iter().filter(|except| except.is_day).map(|except| except.local.date());
        let mut except: Vec<_> =
            self.except.iter().filter(|except| !except.is_day).filter_map(When::instant).collect();
        except.sort_unstable();
        Ok(Event { length, rule, more: self.more, except, except_days: days.collect(), start })
    }
}

/// Puts `value` where nothing is.
fn once<T>(place: &mut Option<T>, value: T, line: &Line) -> Result<(), IcsError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(line.error(Cause::Twice(line.name.clone()))),
    }
}

/// From one moment to another: of days in days, of all else as it passes.
fn between(start: &When, end: &When) -> Length {
    if start.is_day && end.is_day {
        let days = start.local.date().duration_until(end.local.date()).as_hours() / 24;
        return Length { days: i32::try_from(days.max(0)).unwrap_or(i32::MAX), ms: 0 };
    }
    let ms = start.instant().zip(end.instant()).map_or(0, |(start, end)| end.saturating_sub(start));
    Length { days: 0, ms: ms.max(0) }
}

// === impl Event ===

impl Event {
    /// Appends when the event goes on between two times.
    pub(in crate::context) fn stretches(&self, [from_ms, until_ms]: [i64; 2], to: &mut Vec<Stretch>) {
        let When { local, zone, .. } = &self.start;
        let mut begin = |local| {
            let stretch = clock::instant(zone, local).zip(self.length.after(local, zone));
            let Some((begins, ends)) = stretch else { return };
            let overlaps = begins < ends && begins < until_ms && ends > from_ms;
            if overlaps && !self.is_excepted(begins, local.date()) {
                to.push(Stretch { from_ms: begins, until_ms: ends });
            }
        };
        match &self.rule {
            Some(rule) => {
                let reach_ms = from_ms.saturating_sub(self.length.at_most_ms());
                let first = clock::local(zone, reach_ms).date();
                let last = clock::local(zone, until_ms).date();
                let days = [first.yesterday().unwrap_or(first), last.tomorrow().unwrap_or(last)];
                rule.times_between(*local, days, &mut |time| {
                    if clock::instant(zone, time).is_some_and(|at_ms| rule.reaches(at_ms)) {
                        begin(time);
                    }
                });
            }
            None => begin(*local),
        }
        for more in &self.more {
            let local = if more.zone == *zone || more.is_day { Some(more.local) } else { self.at_home(more) };
            local.into_iter().for_each(&mut begin);
        }
    }

    /// What the event's own clock says at `when`.
    fn at_home(&self, when: &When) -> Option<jiff::civil::DateTime> {
        Some(clock::local(&self.start.zone, when.instant()?))
    }

    fn is_excepted(&self, begins_ms: i64, day: Date) -> bool {
        self.except.binary_search(&begins_ms).is_ok() || self.except_days.contains(&day)
    }
}
