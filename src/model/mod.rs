//! The model that is shared by all series, and the slot from which it is hot-swapped.

mod slot;

use crate::detect::{Detector, Hybrid, Parts};

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
        Self::of(Hybrid::default())
    }

    /// The built-in model with parts left out, to see what they are worth.
    pub fn without(parts: Parts) -> Self {
        Self::of(Hybrid { without: parts, ..Hybrid::default() })
    }

    fn of(hybrid: Hybrid) -> Self {
        Self {
            version: "builtin-2".into(),
            sha256: sha256_hex(format!("{hybrid:?}").as_bytes()),
            detector: Detector::Hybrid(Box::new(hybrid)),
        }
    }
}

fn sha256_hex(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
