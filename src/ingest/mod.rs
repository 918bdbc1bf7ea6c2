//! The two doors: remote write is pushed in, expositions are pulled in.

pub mod scrape;
