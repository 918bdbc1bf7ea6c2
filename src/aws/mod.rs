//! The AWS side room: the only place that knows the AWS SDK.
//!
//! Requests to Amazon Managed Service for Prometheus are signed here, with the SDK's credential chain; and objects of S3 are read
//! and written.

mod s3;
mod signer;

pub use s3::S3Store;
pub use signer::{Signer, SignerError};
