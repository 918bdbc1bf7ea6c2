//! The corridor.
