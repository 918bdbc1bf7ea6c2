//! `context`: what is known beforehand of some series and some times.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Findings, SectionError};
use crate::config::secret::{Secret, SecretFile};
use crate::config::units::PromDuration;
use crate::context::ics::{self, IcsError};
use crate::context::{
    self, Board, Calendar, Cron, Effect, LONGEST_WINDOW_MS, MAX_CALENDARS, MAX_NAME, Stretch, TooWide,
    WindowError, narrow,
};
use crate::rules::Selector;
use crate::rules::config::OneOrMany;

/// What is known beforehand of some series and some times: maintenance, changes, holidays. While a context holds, the scores
/// of its series are 0, or `/api/v1/explain` names it. It goes by the timestamps of the samples.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Context {
    /// Windows that are known from the start, 1,000 at the most.
    pub calendars: Vec<CalendarEntry>,
    /// What others may announce while Sidelong runs.
    pub announce: Announce,
}

/// One context: which series, when, and what is done with their scores. When is one of `cron` with `for`, `ics`, and `start`
/// with `end`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CalendarEntry {
    /// What `explain` and metrics call it. Required.
    pub name: String,
    /// Selectors of its series. Each must say what a label or the name is: one that takes nearly every series is refused.
    /// Required.
    #[serde(rename = "match")]
    pub matches: OneOrMany,
    /// When a window opens: minute, hour, day of the month, month and day of the week, as in a crontab: `30 2 * * SUN`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// How long a window by `cron` stays open, 31d at the most.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<PromDuration>,
    /// A calendar file (iCalendar), whose events are the windows. Read at the start and at a reload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ics: Option<PathBuf>,
    /// When the one window opens: `2026-11-30T22:00:00Z`, or with an offset such as `+01:00`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// When it closes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// The IANA name of the zone whose clock `cron` goes by, and those times of a calendar file that have no zone or one
    /// without an IANA name. Default: UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// What is done with scores: `suppress` sends 0 and learns nothing, `learn` sends 0 and learns, `annotate` sends them as
    /// they are and names the context in `explain`.
    pub effect: Effect,
}

/// What may be announced by `POST /api/v1/context` on the admin listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Announce {
    /// Whoever announces shows this bearer token. Without it, or `token_file`, nothing can be announced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// The same in a file of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<SecretFile>,
    /// Announced contexts that are kept, those that are over among them for a day.
    pub max_announced: u32,
    /// The longest that one may last.
    pub max_duration: PromDuration,
}

/// Why a calendar cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CalendarError {
    /// What stands in the configuration; it was checked when that was read.
    #[error("context.calendars[{0}] is wrong: {1}")]
    Entry(usize, EntryError),
    /// The file cannot be read.
    #[error("context.calendars[{index}].ics: cannot read {path}")]
    Read {
        /// Whose it is.
        index: usize,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is no calendar, or one that is not understood.
    #[error("context.calendars[{index}].ics: {path}: {cause}")]
    File {
        /// Whose it is.
        index: usize,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: IcsError,
    },
}

/// What can be wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// No series, or all.
    #[error(transparent)]
    TooWide(#[from] TooWide),
    /// A pattern that is none.
    #[error(transparent)]
    Cron(#[from] context::CronError),
    /// None, or several, of the three ways to say when.
    #[error("say when: one of cron with for, ics, and start with end")]
    When,
    /// A window without a length, or a longer one than is possible.
    #[error("write how long the window stays open, above 0 and 31d at the most")]
    Lasts,
    /// Two times that are no window.
    #[error(transparent)]
    Window(#[from] WindowError),
    /// A zone that does not exist.
    #[error("there is no time zone {0:?}; write an IANA name such as Europe/Berlin")]
    Zone(String),
}

// === impl Context ===

impl Context {
    pub(in crate::config) fn check(&self, findings: &mut Findings) {
        let count = self.calendars.len();
        let below = || SectionError::Below(MAX_CALENDARS.to_string(), count.to_string());
        findings.require(count <= MAX_CALENDARS, "context.calendars", below());
        for (index, entry) in self.calendars.iter().enumerate() {
            let path = format!("context.calendars[{index}]");
            let is_name =
                !entry.name.is_empty() && entry.name.len() <= MAX_NAME && entry.name != Board::RESERVED;
            findings.require(is_name, format!("{path}.name"), SectionError::ContextName(entry.name.clone()));
            let same = self.calendars[..index].iter().any(|before| before.name == entry.name);
            findings.require(!same, format!("{path}.name"), SectionError::SameName(entry.name.clone()));
            entry.check(&path, findings);
        }
        let announce = &self.announce;
        let two = announce.token.is_some() && announce.token_file.is_some();
        if two {
            findings.add("context.announce.token_file", "there is a token, too; write one of the two");
        }
        let is_empty = announce.token.as_ref().is_some_and(Secret::is_empty);
        let long = SectionError::Nothing("a long random text that only those know who may announce");
        findings.require(!is_empty, "context.announce.token", long);
        let most = 10_000;
        let above = SectionError::Below(most.to_string(), announce.max_announced.to_string());
        findings.require(announce.max_announced <= most, "context.announce.max_announced", above);
        let has_duration = !announce.max_duration.is_zero();
        findings.require(has_duration, "context.announce.max_duration", SectionError::Zero);
    }

    /// The contexts of the calendars, whose files are read now.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or is no calendar.
    pub fn contexts(&self) -> Result<Vec<context::Context>, CalendarError> {
        self.calendars.iter().enumerate().map(|(index, entry)| entry.context(index)).collect()
    }
}

// === impl CalendarEntry ===

impl CalendarEntry {
    fn check(&self, path: &str, findings: &mut Findings) {
        if self.matches.0.is_empty() {
            findings.add(format!("{path}.match"), SectionError::Nothing("a series selector"));
            return;
        }
        let mut add = |option: &str, cause: EntryError| findings.add(format!("{path}.{option}"), cause);
        if let Err(cause) = self.selectors() {
            add("match", cause.into());
        }
        if let Err(cause) = self.zone() {
            add("timezone", cause);
        }
        let (is_cron, is_once) = (self.cron.is_some(), self.start.is_some() || self.end.is_some());
        if [is_cron, self.ics.is_some(), is_once].iter().filter(|is_it| **is_it).count() != 1 {
            return add("name", EntryError::When);
        }
        if let Some(Err(cause)) = self.cron.as_ref().map(|cron| cron.parse::<Cron>()) {
            add("cron", cause.into());
        }
        if is_cron != self.lasts.is_some() || is_cron && self.length_ms().is_none() {
            add("for", EntryError::Lasts);
        }
        if is_once && let Err(cause) = self.window() {
            add(if self.end.is_none() { "start" } else { "end" }, cause);
        }
    }

    fn context(&self, index: usize) -> Result<context::Context, CalendarError> {
        let wrong = |cause: EntryError| CalendarError::Entry(index, cause);
        let selectors = self.selectors().map_err(|cause| wrong(cause.into()))?;
        let zone = self.zone().map_err(wrong)?;
        let calendar = match (&self.cron, &self.ics) {
            (Some(cron), None) => {
                let pattern = cron.parse().map_err(|cause: context::CronError| wrong(cause.into()))?;
                let length_ms = self.length_ms().ok_or_else(|| wrong(EntryError::Lasts))?;
                Calendar::cron(pattern, length_ms, zone.unwrap_or(TimeZone::UTC))
            }
            (None, Some(path)) => {
                let bytes =
                    read(path).map_err(|source| CalendarError::Read { index, path: path.clone(), source })?;
                let events = ics::events(&bytes, zone.as_ref());
                Calendar::events(events.map_err(|cause| CalendarError::File {
                    index,
                    path: path.clone(),
                    cause,
                })?)
            }
            (None, None) => Calendar::once(self.window().map_err(wrong)?),
            (Some(_), Some(_)) => return Err(wrong(EntryError::When)),
        };
        Ok(context::Context::new(self.name.as_str(), selectors, self.effect, calendar))
    }

    fn selectors(&self) -> Result<Vec<Selector>, TooWide> {
        self.matches.0.iter().map(|text| narrow(text)).collect()
    }

    fn zone(&self) -> Result<Option<TimeZone>, EntryError> {
        let found = |name: &String| context::zone(name).ok_or_else(|| EntryError::Zone(name.clone()));
        self.timezone.as_ref().map(found).transpose()
    }

    fn length_ms(&self) -> Option<i64> {
        let lasts = i64::try_from(self.lasts?.as_millis()).ok()?;
        (1..=LONGEST_WINDOW_MS).contains(&lasts).then_some(lasts)
    }

    fn window(&self) -> Result<Stretch, EntryError> {
        let (Some(start), Some(end)) = (&self.start, &self.end) else { return Err(EntryError::When) };
        Ok(Stretch::between(start, end)?)
    }
}

/// A calendar file, and one byte more than one may have: that one is too large is said where it is read.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(ics::MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

// === impl Announce ===

impl Default for Announce {
    fn default() -> Self {
        Self {
            token: None,
            token_file: None,
            max_announced: 1_000,
            max_duration: PromDuration::from_secs(7 * 24 * 3_600),
        }
    }
}
