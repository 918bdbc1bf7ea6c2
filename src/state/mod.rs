//! What series have learned, kept beyond the life of a process.
//!
//! A snapshot is one file ([`mod@file`]) of records ([`record`]), one for each series. The [`Keeper`] writes it every few
//! minutes and at the end, atomically, and reads it at the start. A snapshot that cannot be read, in whole or in
//! part, costs what it held and nothing else: those series begin anew.

pub mod file;
mod keeper;
pub mod record;

pub use keeper::{Keeper, Restored};

/// The name of the snapshot in its folder.
pub const SNAPSHOT: &str = "series.snapshot";
