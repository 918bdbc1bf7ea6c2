//! Integration tests, in one binary: against Sidelong as it is built, and against the real parts it works with.
//!
//! A test that needs a real part asks for it by `tool!`; where the part is absent the test returns, counted as skipped.

// A test that cannot set itself up has nothing to recover: it says so and ends.
#![allow(clippy::unwrap_used)]

#[macro_use]
mod harness;
#[cfg(all(feature = "s3", feature = "archive", feature = "train"))]
mod archive;
mod cli;
mod context;
mod e2e;
mod exposition;
mod faults;
mod forest;
mod house;
mod loop_back;
#[cfg(all(feature = "s3", feature = "archive", feature = "train"))]
mod models;
mod parts;
mod push;
#[cfg(all(feature = "s3", feature = "archive", feature = "train"))]
mod serve;
mod simulate;
mod state;
mod top;
