//! Why a calendar file cannot be used.

use super::{MAX_BYTES, MAX_EVENTS};

/// What is wrong with a calendar file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {cause}")]
pub struct IcsError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub cause: Cause,
}

/// What can be wrong with a calendar file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// Another kind of file.
    #[error("the file does not begin with BEGIN:VCALENDAR: it is no iCalendar file")]
    NoCalendar,
    /// More than [`MAX_BYTES`].
    #[error("the file is larger than {MAX_BYTES} bytes; leave old events out")]
    TooLarge,
    /// Bytes that are no text.
    #[error("the line is not UTF-8")]
    NotText,
    /// No name before a colon.
    #[error("the line is no NAME:value")]
    NoProperty,
    /// More than [`MAX_EVENTS`].
    #[error("there are more than {MAX_EVENTS} events; leave old ones out, or use several files")]
    TooManyEvents,
    /// An end without a beginning.
    #[error("END:{0} ends what was not begun")]
    Unbegun(String),
    /// A beginning without an end.
    #[error("BEGIN:{0} has no end")]
    Unended(String),
    /// An event that begins never.
    #[error("the event has no DTSTART")]
    NoStart,
    /// What must be there once.
    #[error("{0} is there twice")]
    Twice(String),
    /// A value of another form.
    #[error("{value:?} is no value of {name}; write {example}")]
    Value {
        /// The property.
        name: String,
        /// What stands there.
        value: String,
        /// What could.
        example: &'static str,
    },
    /// A zone that is called by no IANA name.
    #[error(
        "the time zone {0:?} has no IANA name; say with timezone: at the entry which one is meant, such as Europe/Berlin"
    )]
    Zone(String),
    /// A part of the standard that is not read here.
    #[error("{0} is not supported: {1}")]
    Unsupported(String, &'static str),
    /// An event that goes on for too long to come again.
    #[error("an event that comes again must be over within 31 days")]
    TooLong,
    /// Too many times in a day.
    #[error("the event begins more than {0} times a day; use a cron window")]
    TooOften(usize),
    /// Counts beyond what is walked.
    #[error("the COUNTs of the file reach too far; write UNTIL instead")]
    TooFar,
}
