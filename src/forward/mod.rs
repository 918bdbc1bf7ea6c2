//! The way out: the original request verbatim, and the scores in requests of their own.

mod downstream;
mod media;
pub mod scores;
#[cfg(test)]
mod testing;

pub use downstream::{Answer, Downstream, DownstreamError};
pub use media::{MediaError, Version};
