//! Scores on request: features of an entity, or series with their past, are sent by HTTP and answered with scores.
//!
//! Nothing is kept between two requests, and nothing is heard of the metrics that pass. A request loads the model that serves
//! once. What is scored, and how, are pure functions: [`predict`] has the joint forest look at the features of an entity,
//! [`score`] leads each series through a corridor of its own, [`invocations`] reads the tables of MLflow's protocol for both.
//! `door` is HTTP: limits first, and the work on a thread where nobody waits for it. [`openapi`] says all of it to machines.

mod door;
mod failure;
pub mod gauss;
pub mod invocations;
mod metrics;
pub mod openapi;
pub mod predict;
pub mod rule;
pub mod score;
pub mod table;

pub use door::Api;
pub use failure::{ErrorAnswer, Failure};
pub use metrics::ServingMetrics;

/// Reads the JSON of a body.
///
/// # Errors
///
/// [`Failure::Json`] for what is none, [`Failure::Wrong`] for what does not have the form that is asked for.
pub fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Failure::Wrong(error.to_string()),
        _ => Failure::Json(error.to_string()),
    })
}

/// What is a number, and nothing of what is none.
fn finite(number: f64) -> Option<f64> {
    number.is_finite().then_some(number)
}
