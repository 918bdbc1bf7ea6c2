//! What the demo's table shows, before it is drawn.

use crate::simulate::synth::{Channel, Kind};
use crate::terminal::Row;

/// One moment of the demo.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Board {
    /// The seed of the stream.
    pub seed: u64,
    /// How many nodes are scraped.
    pub instances: u32,
    /// Where the stream is, Unix milliseconds.
    pub stream_ms: i64,
    /// Seconds of stream time in a second of ours.
    pub speed: f64,
    /// What it does: learns, with the share done, or runs, with the seconds past and in all.
    pub phase: Phase,
    /// Series on the page.
    pub series: usize,
    /// Series that are scored.
    pub scored: usize,
    /// Samples scored since the beginning.
    pub samples: u64,
    /// The balance so far.
    pub balance: Balance,
    /// What is under way.
    pub under_way: Vec<UnderWay>,
    /// The series with the highest scores, highest first.
    pub top: Vec<Row>,
    /// What happened lately, newest first.
    pub lately: Vec<Notice>,
}

/// What the demo is doing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Phase {
    /// It lives through quiet days at full speed, so that the detector knows them; the share done, 0 to 1.
    Learning(f64),
    /// It runs at the speed asked for: seconds past, and seconds in all.
    Live(f64, f64),
}

/// Events by what became of them, and false alerts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Events that have begun.
    pub injected: usize,
    /// Of them, found.
    pub found: usize,
    /// Of them, over without having been found.
    pub missed: usize,
    /// Of them, neither.
    pub pending: usize,
    /// Runs of alerts that no event explains.
    pub false_alerts: u64,
}

/// What an event is called in the table and in notices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title {
    /// Its shape.
    pub kind: Kind,
    /// What it strikes.
    pub channel: Channel,
    /// The node or pod that it strikes.
    pub target: String,
}

/// How long it took to find an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delay {
    /// Samples of the series that passed before.
    pub samples: u32,
    /// Milliseconds of stream time since the start.
    pub ms: i64,
    /// The series that gave it away.
    pub series: String,
}

/// An event that is going on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// Which.
    pub title: Title,
    /// When it began, Unix milliseconds.
    pub since_ms: i64,
    /// How it was found, if it was.
    pub found: Option<Delay>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// When, Unix milliseconds of stream time.
    pub at_ms: i64,
    /// What.
    pub what: Happening,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// An event began.
    Began(Title),
    /// An event was found.
    Found(Title, Delay),
    /// An event was over, its grace too, and nobody had noticed.
    Missed(Title),
    /// An alert that no event explains began on a series.
    False(String),
}

// === impl Phase ===

impl Default for Phase {
    fn default() -> Self {
        Self::Learning(0.0)
    }
}

// === impl Title ===

impl std::fmt::Display for Title {
    /// For example `level_shift on network of node-1:9100`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {} of {}", self.kind.name(), self.channel.name(), self.target)
    }
}
