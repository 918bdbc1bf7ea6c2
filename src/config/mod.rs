//! The configuration file: read, checked once, never re-validated later.
