//! The two doors: remote write is pushed in, expositions are pulled in.

mod data_door;
pub mod remote_write;
mod scorers;
mod scores_page;
pub mod scrape;

pub use data_door::{DataDoor, Doors};
pub use scorers::{Busy, Desk, Scorers};
