//! The metrics that pass, kept as Parquet with their scores beside them.
//!
//! A side room: the corridor hands what it has heard to a bounded [`Queue`] and goes on. A thread of its own ([`Keeper`])
//! gathers that by series and writes a file for each [`Partition`], every few minutes and when memory is full. An
//! [`Archive`] is how files are read again, and how the small ones of a day become one.

mod buffer;
mod compact;
mod depot;
mod keeper;
mod merge;
mod metrics;
mod place;
mod queue;
mod read;
mod reader;
mod retention;
mod row;
mod schema;
mod window;
mod write;

pub use compact::Compacted;
pub use depot::{Depot, Kept};
pub use keeper::{Keeper, Options};
pub use merge::Merged;
pub use place::{Day, METRICS, Partition, Place};
pub use queue::Queue;
pub use read::{Contents, FileError, FileRows};
pub use reader::{Archive, ArchiveError, Opened};
pub use retention::Retention;
pub use row::{Row, SeriesKey, TARGET, TENANT};
pub use window::{SeriesRows, Window};
pub use write::FileWriter;

#[cfg(test)]
mod tests;
