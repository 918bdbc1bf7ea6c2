//! Bytes of the outside world: remote write, exposition formats, compression. Decoders borrow, encoders append.

pub mod compression;
pub mod exposition;
pub mod generated;
pub mod model;
pub mod remote_write;
mod varint;
