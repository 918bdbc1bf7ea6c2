//! What somebody announces: that something is done to some series from one time to another.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::board::{Announced, Context};
use super::calendar::{Calendar, Stretch};
use super::effect::Effect;
use super::narrow::{TooWide, narrow};
use super::{MAX_NAME, written};

/// An announcement as it is written: in a request, in a list, and in the file that keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announcement {
    /// By which it is withdrawn. Sidelong gives it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// What it is called.
    pub name: String,
    /// Selectors of the series that it is for.
    #[serde(rename = "match")]
    pub matches: Selectors,
    /// When it begins, in RFC 3339.
    pub start: String,
    /// When it ends.
    pub end: String,
    /// What is done with scores.
    pub effect: Effect,
}

/// A selector, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Selectors {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

/// What can be wrong with an announcement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnnouncementError {
    /// No name, or a long one.
    #[error("name: write 1 to {MAX_NAME} bytes")]
    Name,
    /// No series.
    #[error("match: write 1 to {MAX_SELECTORS} selectors")]
    Selectors,
    /// All series.
    #[error("match: {0}")]
    TooWide(#[from] TooWide),
    /// No window.
    #[error(transparent)]
    Window(#[from] WindowError),
}

/// Why two times are no window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// No moment.
    #[error("{0:?} is no time; write for example 2026-11-30T22:00:00Z")]
    Time(String),
    /// A window that closes before it opens.
    #[error("the end must be later than the start")]
    Backwards,
}

/// Selectors of one announcement.
const MAX_SELECTORS: usize = 16;

// === impl Announcement ===

impl Announcement {
    /// What `announced` was when it was announced.
    pub fn of(announced: &Announced) -> Self {
        let Announced { id, window, context } = announced;
        Self {
            id: id.to_string(),
            name: context.name.to_string(),
            matches: Selectors::Many(context.selectors.iter().map(ToString::to_string).collect()),
            start: written(window.from_ms),
            end: written(window.until_ms),
            effect: context.effect,
        }
    }

    /// The window, and the context that holds in it.
    ///
    /// # Errors
    ///
    /// What is wrong with the announcement.
    pub fn context(&self) -> Result<(Stretch, Context), AnnouncementError> {
        if self.name.is_empty() || self.name.len() > MAX_NAME {
            return Err(AnnouncementError::Name);
        }
        let texts = self.matches.texts();
        if texts.is_empty() || texts.len() > MAX_SELECTORS {
            return Err(AnnouncementError::Selectors);
        }
        let selectors = texts.iter().map(|text| narrow(text)).collect::<Result<_, _>>()?;
        let window = Stretch::between(&self.start, &self.end)?;
        Ok((window, Context::new(self.name.as_str(), selectors, self.effect, Calendar::once(window))))
    }

    /// Whether both say the same.
    pub fn says(&self, other: &Self) -> bool {
        let said = |of: &Self| Self { id: String::new(), ..of.clone() };
        said(self) == said(other)
    }
}

// === impl Selectors ===

impl Default for Selectors {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Selectors {
    fn texts(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

// === impl Stretch ===

impl Stretch {
    /// The window from one time to another, both in RFC 3339.
    ///
    /// # Errors
    ///
    /// A text that is no time, or a window that closes before it opens.
    pub fn between(start: &str, end: &str) -> Result<Self, WindowError> {
        let moment = |text: &str| {
            let at: Result<Timestamp, _> = text.parse();
            at.map(Timestamp::as_millisecond).map_err(|_| WindowError::Time(text.to_owned()))
        };
        let window = Self { from_ms: moment(start)?, until_ms: moment(end)? };
        if window.from_ms < window.until_ms { Ok(window) } else { Err(WindowError::Backwards) }
    }
}
