//! Calendar files (RFC 5545): when their events go on.
//!
//! Read are `VEVENT`s with `DTSTART`, `DTEND` or `DURATION`, `RRULE` (`YEARLY` to `DAILY`, all parts), `RDATE`, `EXDATE`,
//! `RECURRENCE-ID` and `STATUS`. A time zone is found by the IANA name in `TZID`. What would change the times and is not
//! understood is an error that names its line; all else is passed over.

mod error;
mod event;
mod lines;
mod rule;
mod values;

use std::collections::HashMap;

use jiff::tz::TimeZone;

pub use self::error::{Cause, IcsError};
pub use self::event::Event;

use self::event::Draft;
use self::lines::Line;
use self::rule::Walked;

/// The largest file, in bytes.
pub const MAX_BYTES: u64 = 1 << 20;
/// The most events of a file.
pub const MAX_EVENTS: usize = 2_000;

/// The events of the calendar file `bytes`. Times without a zone, and those of zones that are called by no IANA name, are of
/// `home`.
///
/// # Errors
///
/// What in the file is wrong, or cannot be read here.
pub fn events(bytes: &[u8], home: Option<&TimeZone>) -> Result<Vec<Event>, IcsError> {
    let lines = lines::unfold(bytes)?;
    if !lines.first().is_some_and(|line| line.is("BEGIN", "VCALENDAR")) {
        return Err(IcsError { line: 1, cause: Cause::NoCalendar });
    }
    let (mut drafts, mut open): (Vec<Draft>, Vec<&Line>) = (Vec::new(), Vec::new());
    for line in &lines {
        match line.name.as_str() {
            "BEGIN" => {
                if line.value.eq_ignore_ascii_case("VEVENT") {
                    if drafts.len() == MAX_EVENTS {
                        return Err(line.error(Cause::TooManyEvents));
                    }
                    drafts.push(Draft::new(line.number));
                }
                open.push(line);
            }
            "END" => {
                let begun = open.pop().is_some_and(|begin| begin.value.eq_ignore_ascii_case(&line.value));
                if !begun {
                    return Err(line.error(Cause::Unbegun(line.value.clone())));
                }
            }
            // Of the event itself, and not of an alarm within it.
            _ if open.last().is_some_and(|begin| begin.value.eq_ignore_ascii_case("VEVENT")) => {
                if let Some(draft) = drafts.last_mut() {
                    draft.take(line, home)?;
                }
            }
            _ => {}
        }
    }
    if let Some(begin) = open.last() {
        return Err(begin.error(Cause::Unended(begin.value.clone())));
    }
    finished(drafts)
}

/// The events of `drafts`, those that move or cancel one time of another taken out of that.
fn finished(mut drafts: Vec<Draft>) -> Result<Vec<Event>, IcsError> {
    let mut moved: HashMap<String, Vec<_>> = HashMap::new();
    for draft in &mut drafts {
        if let Some(id) = draft.moves.take() {
            moved.entry(draft.uid.clone()).or_default().push(id);
            draft.is_moved = true;
        }
    }
    for draft in drafts.iter_mut().filter(|draft| !draft.is_moved) {
        if let Some(ids) = moved.get(&draft.uid).filter(|_| !draft.uid.is_empty()) {
            draft.except.extend(ids.iter().cloned());
        }
    }
    let mut walked = Walked::default();
    let mut events = Vec::new();
    for draft in drafts.into_iter().filter(|draft| !draft.is_cancelled) {
        events.push(draft.finish(&mut walked)?);
    }
    Ok(events)
}

#[cfg(test)]
mod tests;
