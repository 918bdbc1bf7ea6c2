//! The configuration file: read, checked once, never re-validated later.

pub mod secret;
pub mod units;
pub mod yaml;
