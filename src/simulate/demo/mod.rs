//! The demo: a synthetic exporter, scraped through the production parser and the production pipeline in
//! accelerated time, and a table of what was found of what was injected.
//!
//! [`engine`] goes from scrape to scrape and knows no clock, [`render`] draws what [`board`] holds,
//! [`witness`] says which signal is there for which event, [`summary`] what came of it, and [`run`] brings them to a terminal at the speed asked for.

pub mod board;
mod corridor;
pub mod engine;
pub mod render;
pub mod run;
pub mod summary;
pub mod witness;
