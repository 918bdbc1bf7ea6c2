//! A small fleet of nodes with one pod each, made of arithmetic: every value follows from the seed, the
//! start and the time asked for.
//!
//! The fleet walks forwards in ticks of [`TICK_MS`], so that a counter is the exact sum of what was
//! added to it, and reads between two ticks by straight lines. Nothing here asks a clock, draws from a
//! shared generator or calls a function whose last bit depends on the platform.

mod anomaly;
mod catalog;
mod fleet;
mod node;
mod noise;
mod schedule;
mod season;
#[cfg(test)]
mod tests;

pub use anomaly::{Channel, Event, Kind};
pub use catalog::{FAMILIES, Family, FamilyInfo, MetricType, Series};
pub use fleet::{Fleet, FleetOptions, MAX_INSTANCES};
pub use schedule::{MAX_EVENTS, Plan};

/// The grain of stream time in which the fleet changes, in milliseconds.
pub const TICK_MS: i64 = 5_000;

/// A Monday, 2026-01-05T00:00:00Z, in milliseconds since the Unix epoch: where a stream starts that has
/// no reason to start elsewhere.
pub const MONDAY_MS: i64 = 1_767_571_200_000;
