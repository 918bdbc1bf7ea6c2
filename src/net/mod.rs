//! The network room: listeners with their limits and timers, TLS, authentication, and the client that
//! every outgoing request goes through.
//!
//! Doors put their services behind [`server::Server`]; `forward` and the pull door send through
//! [`client::HttpClient`].

pub mod body;
pub mod budget;
pub mod client;
pub mod headers;
pub mod server;
#[cfg(test)]
pub(crate) mod testing;
pub mod tls;
pub mod web;

/// An error with its causes, for one line of a log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}
