//! The demo.

pub mod board;
pub mod render;
