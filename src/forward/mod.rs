//! The way out: the original request verbatim, and the scores in requests of their own.

pub mod config;
