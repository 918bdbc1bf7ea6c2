//! The two doors: remote write is pushed in, expositions are pulled in.

mod data_door;
mod kept;
mod page_scorer;
pub mod remote_write;
mod scorers;
mod scores_page;
pub mod scrape;
mod tenant;

pub use data_door::{DataDoor, Doors};
pub use page_scorer::PipelineScorer;
pub use scorers::{Busy, Desk, Scorers};
