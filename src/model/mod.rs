//! The model that is shared by all series: how it is kept, how it comes, and the slot from which it is hot-swapped.
//!
//! A model is kept as a [`bundle`] in a [`store`]. The [`registry`] is what people do with a store: publish, promote, roll back.
//! A sidecar's [`watcher`] follows it, checks what comes and puts it into the [`ModelSlot`]; what was good lately lies on the
//! local disk ([`local`]), so that a start needs nobody.

pub mod bake;
pub mod bundle;
pub mod local;
pub mod metrics;
pub mod registry;
mod slot;
pub mod store;
pub mod watcher;

use crate::detect::{Detector, Hybrid, Parts};

use bundle::Digest;
pub use slot::{ModelHandle, ModelSlot};

/// What all series share: an immutable, versioned detector.
#[derive(Debug)]
pub struct Model {
    /// Names the model in status pages and in `sidelong_model_info`.
    pub version: String,
    /// The same as a number; 0 of what was never promoted.
    pub number: u64,
    /// Hex digest of what the model was built from.
    pub sha256: String,
    /// Where it came from.
    pub source: Source,
    /// When it was made, in milliseconds since the epoch; 0 of the one that is built in.
    pub created_ms: i64,
    /// What judges.
    pub detector: Detector,
}

/// Where a model came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// It is part of the binary.
    Builtin,
    /// The folder of this process.
    Local,
    /// The store.
    Store,
}

// === impl Model ===

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
            number: 0,
            sha256: Digest::of(format!("{hybrid:?}").as_bytes()).to_string(),
            source: Source::Builtin,
            created_ms: 0,
            detector: Detector::Hybrid(Box::new(hybrid)),
        }
    }
}

// === impl Source ===

impl Source {
    /// As it stands in labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Builtin => "builtin",
            Self::Local => "local",
            Self::Store => "store",
        }
    }
}
