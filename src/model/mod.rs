//! The model that is shared by all series, and the slot from which it is hot-swapped.

mod slot;

use crate::detect::{Detector, Hybrid, Method, Parts, Seasonal};

pub use slot::{ModelHandle, ModelSlot};

/// What all series share: an immutable, versioned detector.
#[derive(Debug)]
pub struct Model {
    /// Names the model in status pages and in `sidelong_model_info`.
    pub version: String,
    /// Hex digest of what the model was built from.
    pub sha256: String,
    /// What judges.
    pub detector: Detector,
}

impl Model {
    /// The model that is built into the binary.
    pub fn builtin() -> Self {
        let seasonal = Seasonal::default();
        Self {
            version: "builtin-1".into(),
            sha256: sha256_hex(format!("{seasonal:?}").as_bytes()),
            detector: Detector::Seasonal(seasonal),
        }
    }

    /// The hybrid with `method` to speak, and parts left out. `sidelong backtest` plays it; the sidecar will have it
    /// once what it costs there is known.
    pub fn hybrid(method: Method, without: Parts) -> Self {
        let hybrid = Hybrid { method, without, ..Hybrid::default() };
        Self {
            version: "hybrid-1".into(),
            sha256: sha256_hex(format!("{hybrid:?}").as_bytes()),
            detector: Detector::Hybrid(Box::new(hybrid)),
        }
    }
}

fn sha256_hex(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
