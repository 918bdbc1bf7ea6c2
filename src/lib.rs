//! Sidelong stands in the path of Prometheus metrics, lets every byte through unchanged, scores each
//! series as it passes and sends the scores along behind the samples.
//!
//! The order of the modules below is the way of the data; `ARCHITECTURE.md` is the map.

mod label_values;
mod prefetch;
mod scatter;
pub mod shard;

// The doors.
pub mod ingest;
pub mod net;
pub mod wire;

// The corridor: synchronous, knows neither protobuf, HTTP, S3 nor Kubernetes.
pub mod batch;
pub mod context;
pub mod detect;
pub mod inject;
pub mod pipeline;
pub mod rules;
pub mod series;
pub mod signals;

// The way out.
pub mod forward;

// Side rooms.
pub mod admin;
#[cfg(feature = "archive")]
pub mod archive;
#[cfg(feature = "s3")]
pub mod aws;
pub mod backtest;
pub mod estimate;
pub mod evaluate;
pub mod model;
pub mod serve;
pub mod simulate;
pub mod state;
pub mod tracking;
#[cfg(feature = "train")]
pub mod train;

// The frame that holds the rooms together.
pub mod app;
pub mod cli;
pub mod config;
pub mod terminal;
