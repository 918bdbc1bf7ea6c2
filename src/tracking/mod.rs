//! Telling an MLflow server of models: what was trained on what, which version is challenger, which one champion.
//!
//! It is told over its REST API and only tells of what stands elsewhere: the bundle on a disk, the champion in a store. So an
//! MLflow that is down costs nothing but what it does not know, and [`Client::record`] and [`Client::crown`] say the same again
//! later: a candidate is known by the SHA-256 of its manifest, has one run and one version, however often it is told of.

mod api;
mod client;
mod evaluation;
mod git;
mod number;
mod promotion;
mod record;
mod run;

pub use api::{Metric, Run, Version};
pub use client::{Client, TrackingError};
pub use git::commit_of;
pub use promotion::promotion_id;
pub use record::{Recorded, Telling, candidate_of};

/// The tags by which runs and versions say where they come from; `docs/tracking.md` has the table.
pub mod tag {
    /// The SHA-256 of the candidate's manifest: its name in a store.
    pub const CANDIDATE: &str = "sidelong.candidate";
    /// The data that it was trained on, an interval of ISO 8601.
    pub const DATA_WINDOW: &str = "sidelong.data_window";
    /// What it was trained from: its version, and the SHA-256 of its manifest.
    pub const PARENT: &str = "sidelong.parent";
    /// The anomaly that led to it.
    pub const EPISODE: &str = "sidelong.episode";
    /// Which promotion last made a version champion.
    pub const PROMOTION_ID: &str = "sidelong.promotion_id";
    /// Its version in the store, as of that promotion.
    pub const VERSION: &str = "sidelong.version";
    /// The SHA-256 of the evaluation that it was promoted for, as the store has it.
    pub const EVALUATION: &str = "sidelong.evaluation";
    /// What the gate said of a challenger, on its run.
    pub const VERDICT: &str = "sidelong.verdict";
    /// The commit of the folder that it was trained in, in MLflow's own word.
    pub const GIT_COMMIT: &str = "mlflow.source.git.commit";
    /// What all of Sidelong's own begin with.
    pub const OWN: &str = "sidelong.";
}

/// Who serves.
const CHAMPION: &str = "champion";
/// Who was trained last, and never served.
const CHALLENGER: &str = "challenger";
