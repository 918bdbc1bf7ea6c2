//! The sections of the configuration file, and what must hold between their options.

mod archive;
mod auth;
mod context;
mod downstream;
mod limits;
mod model;
mod scores;
mod scrape;
mod server;
mod serving;
mod signals;
mod state;
mod values;

use std::fmt::Display;

pub use self::archive::Archive;
pub use self::context::{Announce, CalendarEntry, CalendarError, Context, EntryError};
pub use self::downstream::{Downstream, Protocol, Tenants};
pub use self::limits::Limits;
pub use self::model::ModelSection;
pub use self::scores::Scores;
pub use self::scrape::{Allow, Scheme, Scrape, Target};
pub use self::server::Server;
pub use self::serving::Serving;
pub use self::signals::Signals;
pub use self::state::State;
pub use self::values::{Header, HttpUrl, ListenAddress, NameTemplate, ValueError};

/// Collects what is wrong with one section, each with its path from the root.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<(String, String)>);

/// What can be wrong between the options of a section, or with an option in its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SectionError {
    /// A number or duration that must be greater than zero.
    #[error("0 would stop everything; write a value greater than 0")]
    Zero,
    /// A folder that would be looked for wherever Sidelong was started.
    #[error("{0:?} is neither a URL nor an absolute path; write one that begins with /")]
    NotAbsolute(String),
    /// An option that another one needs.
    #[error("{0} is missing; set it, too")]
    Missing(&'static str),
    /// Two options that must differ.
    #[error("{0} is already used by {1}; choose another")]
    Same(String, String),
    /// A name that must be one of a list.
    #[error("{0:?} is not in {1}; add it there, too")]
    NotAmong(String, &'static str),
    /// A value that must not be below another one.
    #[error("{0} must be at least {1}")]
    Below(String, String),
    /// A value that must stay below another one.
    #[error("{0} must be less than {1}")]
    Above(String, String),
    /// A header that Sidelong sets itself.
    #[error("the header {0:?} is not for headers; {1}")]
    ReservedHeader(String, &'static str),
    /// A name that stands in URLs.
    #[error("{0:?} cannot be a target's name; use letters, digits, '-', '_' and '.'")]
    TargetName(String),
    /// An allow-list entry that allows nothing, or everything.
    #[error("an entry of the allow-list needs hosts or networks; name what may be scraped")]
    AllowsNothing,
    /// A network that is not written as address/bits.
    #[error("{0:?} is not a network; write for example 10.0.0.0/8")]
    BadNetwork(String),
    /// An option that is there and says nothing.
    #[error("it is empty; write {0}")]
    Nothing(&'static str),
    /// What cannot be the name of a metric.
    #[error("{0:?} cannot be a metric name; use letters, digits, '_' and ':'")]
    MetricName(String),
    /// Two entries that would make series of the same name.
    #[error("{0:?} is asked for twice; give the entries different names")]
    SameName(String),
    /// A quantile that is none.
    #[error("{0} is not a quantile; write a number between 0 and 1, such as 0.99")]
    Quantile(String),
    /// A selector that cannot be read.
    #[error("the selector {0:?} cannot be read: {1}")]
    Selector(String, String),
    /// What cannot be the name of a context.
    #[error("{0:?} cannot be the name of a context; write up to 100 bytes, and not the word announced")]
    ContextName(String),
    /// A port that cannot be connected to.
    #[error("port 0 cannot be scraped; write the port, or leave ports out for 80 and 443")]
    PortZero,
}

// === impl Findings ===

impl Findings {
    pub(super) fn add(&mut self, path: impl Into<String>, cause: impl Display) {
        self.0.push((path.into(), cause.to_string()));
    }

    pub(super) fn require(&mut self, holds: bool, path: impl Into<String>, cause: SectionError) {
        if !holds {
            self.add(path, cause);
        }
    }
}
