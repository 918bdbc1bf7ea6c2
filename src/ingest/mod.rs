//! The two doors: remote write is pushed in, expositions are pulled in.

pub mod scrape;
pub mod remote_write;
mod scorers;

pub use scorers::{Busy, Desk, Scorers};
