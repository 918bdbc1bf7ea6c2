//! What a bundle says of itself.

use std::collections::BTreeMap;
use std::fmt;

use crate::detect::forest;

/// The layout of manifests and blobs that this version writes and reads.
pub const FORMAT: u32 = 1;
/// A manifest is never larger.
pub const MAX_MANIFEST_BYTES: usize = 64 << 10;
/// What is signed begins with this, so that no signature for anything else is one for a manifest.
pub(super) const SIGNED_AS: &[u8] = b"sidelong model manifest v1\n";

/// What the forests look at, in this order. Who changes it changes the schema of models.
const SEEN: &str = "hybrid/1: rarities of the errors of autoregression, season and distance, and of the energy, in orders of \
                    magnitude; joint/1: largest, second, mean and share of the scores of parts";

/// The SHA-256 of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// What a bundle says of itself. Its signature is over its bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The layout of the bundle.
    pub format: u32,
    /// Which model it is a version of.
    pub model: String,
    /// Rises with every promotion; 0 of a candidate.
    pub version: u64,
    /// See [`schema`].
    pub schema: String,
    /// The oldest and the newest version of Sidelong that may load it; empty: any.
    pub runtime: [String; 2],
    /// When it was made, in milliseconds since the epoch.
    pub created_ms: i64,
    /// When it should not be taken up any more; 0: never.
    pub expires_ms: i64,
    /// What it was trained from, or is a return to.
    pub parent: Option<Parent>,
    /// The data that it was trained on, in milliseconds since the epoch, the end not included.
    pub window_ms: Option<[i64; 2]>,
    /// Its blobs.
    pub files: Vec<File>,
    /// What a score of 1 stands for.
    pub calibration: Calibration,
    /// Free text by name.
    pub lineage: BTreeMap<String, String>,
}

/// Another version of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its version.
    pub version: u64,
    /// Of its manifest.
    pub sha256: Digest,
}

/// One blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File {
    /// What it holds.
    pub kind: Kind,
    /// Of its bytes.
    pub sha256: Digest,
    /// In bytes.
    pub size: u64,
}

/// What a blob holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The constants of the hybrid detector.
    Parameters,
    /// The forest of single series.
    Forest,
    /// The forest of entities.
    JointForest,
    /// Inputs, and the scores that the model gave to them when it was made.
    Golden,
    /// Where new series begin. Not every model has them.
    Priors,
}

/// What a score of 1 stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Calibration {
    /// The score that is an alert.
    pub threshold: f64,
    /// False alerts of a series in a week.
    pub alerts_a_week: f64,
}

/// The schema of what this version's forests look at: models of another one are not loaded.
pub fn schema() -> String {
    let text = format!("{SEEN}; inputs {}, depth {}", forest::INPUTS, forest::DEPTH);
    Digest::of(text.as_bytes()).to_string()
}

// === impl Digest ===

impl Digest {
    /// Its first digits: enough to name one of some candidates.
    pub fn short(&self) -> String {
        self.to_string().chars().take(12).collect()
    }

    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut digest = [0; 32];
        digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
        Self(digest)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// === impl Manifest ===

impl Manifest {
    /// Its blob of this kind.
    pub fn file(&self, kind: Kind) -> Option<&File> {
        self.files.iter().find(|file| file.kind == kind)
    }

    /// The digest of all that the model consists of: the same for a candidate, for the version that it becomes, and for a return
    /// to it.
    pub fn content(&self) -> Digest {
        let mut files: Vec<(Kind, Digest)> = self.files.iter().map(|file| (file.kind, file.sha256)).collect();
        files.sort_unstable();
        let of = |(kind, digest): (Kind, Digest)| format!("{} {digest}\n", kind.name());
        Digest::of(files.into_iter().map(of).collect::<String>().as_bytes())
    }

    /// Bytes of all its blobs.
    pub fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }
}

// === impl Kind ===

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Parameters, Self::Forest, Self::JointForest, Self::Golden, Self::Priors];

    /// As it is told to people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parameters => "parameters",
            Self::Forest => "forest",
            Self::JointForest => "joint forest",
            Self::Golden => "golden vectors",
            Self::Priors => "priors",
        }
    }
}
