//! A past series through the production corridor: what would have been said of it, sample by sample.
//!
//! [`source`] takes series from a file or a Prometheus, [`Corridor`] leads each through the very pipeline that
//! scores live samples: the scores are those a running Sidelong would have given, to the last bit. [`report`]
//! draws them, [`ScoreWriter`] writes them into a Prometheus.

mod corridor;
mod entity;
pub mod features;
pub mod hindsight;
mod incidents;
mod moment;
pub mod profile;
pub mod report;
mod series;
pub mod source;
mod writer;

pub use corridor::{Corridor, CorridorError, Said};
pub use entity::{Entity, SaidTogether};
pub use incidents::{Incident, Incidents, IncidentsError};
pub use moment::{Moment, MomentError};
pub use series::{Series, SeriesError};
pub use writer::{ScoreWriter, WriteError};
