//! Synthetic metrics with labelled anomalies: the exporter, the data set, the demo.
//!
//! [`synth`] makes the values and knows the truth about them; [`exposition`] and [`truth`] write both down;
//! [`serve`] and [`write`](mod@write) are the two ways out. [`verdict`] weighs scores against the truth, and [`demo`]
//! shows all of it at work.

pub mod demo;
pub mod exposition;
pub mod serve;
pub mod synth;
pub mod truth;
pub mod verdict;
pub mod write;
