//! The two doors: remote write is pushed in, expositions are pulled in.

pub mod scrape;
mod data_door;
pub mod remote_write;
mod scorers;
mod scores_page;

pub use data_door::{DataDoor, Doors};
pub use scorers::{Busy, Desk, Scorers};
