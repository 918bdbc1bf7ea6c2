//! The AWS side room: the only place that knows the AWS SDK.
//!
//! Requests to Amazon Managed Service for Prometheus are signed here, with the SDK's credential chain.

mod signer;

pub use signer::{Signer, SignerError};
