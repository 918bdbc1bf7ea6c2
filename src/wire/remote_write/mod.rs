//! Remote write, both versions.
