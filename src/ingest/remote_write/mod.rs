//! The push door: takes remote write, hands it on as it came, and has it scored once the downstream has
//! said yes.

mod compare;
mod door;
mod metrics;
mod observe;
mod receive;
mod refusal;

pub use door::{PushDoor, PushDoorParts};
pub use metrics::PushMetrics;
pub use observe::Observer;

/// Paths under which remote write is taken (R29).
pub const PATHS: [&str; 3] = ["/api/v1/write", "/api/v1/push", "/api/v1/receive"];
