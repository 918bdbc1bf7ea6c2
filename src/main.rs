//! The `sidelong` binary.

fn main() {}
