//! The network room: listeners with their limits and timers, TLS, authentication, and the client that
//! every outgoing request goes through.
//!
//! Doors put their services behind [`server::Server`]; `forward` and the pull door send through
//! [`client::HttpClient`].

pub mod body;
pub mod client;
pub mod headers;
pub mod server;
