//! Whether a bundle may serve. The checks come in the order of safety C-3: signature, version, expiry, hashes, sizes, parsing,
//! golden vectors. The first one that fails says why, and the model that serves goes on.

use std::time::{Duration, Instant};

use super::golden::{Golden, Mismatch};
use super::keys::{Trust, Worth};
use super::manifest::{Digest, FORMAT, Kind, MAX_MANIFEST_BYTES, Manifest, schema};
use super::{Blobs, SIGNED_AS, Signed};
use crate::detect::Detector;
use crate::model::{Model, Source};
use crate::wire::model::{
    Malformed, decode_forest, decode_golden, decode_manifest, decode_parameters, decode_priors, decode_signed,
};

/// A model may be so many times slower than the one that is built in, which is far more than noise on a busy machine.
const SLOWEST: u32 = 20;
/// Below this time a sample no model is called slow.
const QUICK: Duration = Duration::from_micros(20);

/// By what a bundle is measured.
#[derive(Clone, Debug)]
pub struct Measure<'a> {
    /// Which model it must be a version of.
    pub model: &'a str,
    /// Whose signatures count.
    pub trust: &'a Trust,
    /// The newest version that was ever trusted here: no older one is taken up.
    pub newest: u64,
    /// The time, in milliseconds since the epoch.
    pub now_ms: i64,
    /// Bytes that all blobs may have.
    pub max_bytes: u64,
    /// Whether it served here before: it may have expired since, and be older than the newest.
    pub served: bool,
}

/// Why a bundle is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Nobody has promoted it.
    #[error("it is a candidate, signed by nobody; `sidelong model promote` signs it")]
    Unsigned,
    /// The key that signed it is not trusted.
    #[error("it is signed by the key {0}, which is not among model.trusted_keys")]
    UnknownKey(String),
    /// The key that signed it was revoked.
    #[error("it is signed by the key {0}, which model.revoked_keys names")]
    RevokedKey(String),
    /// The signature is not of these bytes.
    #[error("its signature is not one of its manifest: somebody has changed it")]
    Signature,
    /// The manifest cannot be read.
    #[error("its manifest cannot be used")]
    Manifest(#[source] Malformed),
    /// It is too large to be read.
    #[error("its manifest has {0} bytes; {MAX_MANIFEST_BYTES} are allowed")]
    ManifestSize(usize),
    /// It is a version of something else.
    #[error("it is a version of the model {0:?}; model.name asks for another one")]
    OtherModel(String),
    /// Another layout.
    #[error("its layout is {0}; this Sidelong reads {FORMAT}")]
    Format(u32),
    /// A newer one was trusted already.
    #[error(
        "its version {version} is older than {newest}, which was trusted before; to go back, `sidelong model rollback`"
    )]
    Older {
        /// Its version.
        version: u64,
        /// The newest that was ever trusted.
        newest: u64,
    },
    /// It has expired.
    #[error("it expired before it was taken up; train and promote a new one")]
    Expired,
    /// This version of Sidelong may not load it.
    #[error("it is for Sidelong {0:?} to {1:?}, and this is {version}", version = env!("CARGO_PKG_VERSION"))]
    Runtime(String, String),
    /// Its forests look at something else.
    #[error("it was trained for a detector that sees other inputs; train it again with this version")]
    Schema,
    /// A blob is not there.
    #[error("a blob of it is not there: {}", .0.name())]
    Missing(Kind),
    /// A blob is not what the manifest says.
    #[error("a blob of it is not what its manifest says: {}", .0.name())]
    Hash(Kind),
    /// It is too large.
    #[error("its blobs have {bytes} bytes; model.max_size allows {allowed}")]
    Size {
        /// Of all blobs.
        bytes: u64,
        /// That are allowed.
        allowed: u64,
    },
    /// A blob cannot be read.
    #[error("a blob of it cannot be used: {}", .0.name())]
    Blob(Kind, #[source] Malformed),
    /// It scores otherwise than where it was trained.
    #[error("it scores otherwise here than where it was made")]
    Golden(#[from] Mismatch),
    /// It is too slow.
    #[error("it takes {taken:?} a sample, the built-in model {builtin:?}")]
    Slow {
        /// By this model.
        taken: Duration,
        /// By the built-in one.
        builtin: Duration,
    },
}

/// Checks what comes before the blobs, and gives the manifest.
///
/// # Errors
///
/// [`Refusal`].
pub fn check_manifest(bytes: &[u8], measure: &Measure<'_>) -> Result<Manifest, Refusal> {
    if bytes.len() > MAX_MANIFEST_BYTES {
        return Err(Refusal::ManifestSize(bytes.len()));
    }
    let Signed { manifest, key_id, signature } = decode_signed(bytes).map_err(Refusal::Manifest)?;
    if signature.is_empty() {
        return Err(Refusal::Unsigned);
    }
    match measure.trust.weigh(&key_id, &[SIGNED_AS, &manifest].concat(), &signature) {
        Worth::Good => {}
        Worth::UnknownKey => return Err(Refusal::UnknownKey(key_id)),
        Worth::RevokedKey => return Err(Refusal::RevokedKey(key_id)),
        Worth::Wrong => return Err(Refusal::Signature),
    }
    let manifest = decode_manifest(&manifest).map_err(Refusal::Manifest)?;
    check_content(&manifest, measure)?;
    Ok(manifest)
}

/// Checks what a manifest says; who says it was looked at before.
pub(super) fn check_content(manifest: &Manifest, measure: &Measure<'_>) -> Result<(), Refusal> {
    if manifest.format != FORMAT {
        return Err(Refusal::Format(manifest.format));
    }
    if manifest.model != measure.model {
        return Err(Refusal::OtherModel(manifest.model.clone()));
    }
    if manifest.version < measure.newest && !measure.served {
        return Err(Refusal::Older { version: manifest.version, newest: measure.newest });
    }
    if manifest.expires_ms != 0 && manifest.expires_ms <= measure.now_ms && !measure.served {
        return Err(Refusal::Expired);
    }
    let [oldest, newest] = &manifest.runtime;
    if !is_within(env!("CARGO_PKG_VERSION"), oldest, newest) {
        return Err(Refusal::Runtime(oldest.clone(), newest.clone()));
    }
    if manifest.schema != schema() {
        return Err(Refusal::Schema);
    }
    if manifest.bytes() > measure.max_bytes {
        return Err(Refusal::Size { bytes: manifest.bytes(), allowed: measure.max_bytes });
    }
    Ok(())
}

/// Checks the blobs of `manifest`, which was checked, and makes the model of them.
///
/// # Errors
///
/// [`Refusal`].
pub fn check_blobs(manifest: &Manifest, sha256: Digest, blobs: &Blobs) -> Result<Model, Refusal> {
    let bytes = |kind| {
        let file = manifest.file(kind).ok_or(Refusal::Missing(kind))?;
        let bytes = blobs.get(&file.sha256).ok_or(Refusal::Missing(kind))?;
        // Of bytes that came from elsewhere, the size is not what the manifest says until this is.
        let is_it = bytes.len() as u64 == file.size && Digest::of(bytes) == file.sha256;
        if is_it { Ok(bytes.as_slice()) } else { Err(Refusal::Hash(kind)) }
    };
    let [parameters, forest, joint, golden] =
        [bytes(Kind::Parameters)?, bytes(Kind::Forest)?, bytes(Kind::JointForest)?, bytes(Kind::Golden)?];
    let read = |kind| move |malformed| Refusal::Blob(kind, malformed);
    let mut hybrid = decode_parameters(parameters).map_err(read(Kind::Parameters))?;
    hybrid.forest = decode_forest(forest).map_err(read(Kind::Forest))?;
    hybrid.joint_forest = decode_forest(joint).map_err(read(Kind::JointForest))?;
    let golden = decode_golden(golden).map_err(read(Kind::Golden))?;
    if manifest.file(Kind::Priors).is_some() {
        hybrid.priors = decode_priors(bytes(Kind::Priors)?).map_err(read(Kind::Priors))?;
    }
    let detector = Detector::Hybrid(Box::new(hybrid));
    check_speed(&golden, &detector)?;
    let version = match manifest.version {
        0 => "candidate".to_owned(),
        number => number.to_string(),
    };
    Ok(Model {
        version,
        number: manifest.version,
        sha256: sha256.to_string(),
        source: Source::Store,
        created_ms: manifest.created_ms,
        detector,
    })
}

/// Replays the golden vectors, and looks at the time that it takes beside that of the built-in model.
fn check_speed(golden: &Golden, detector: &Detector) -> Result<(), Refusal> {
    let a_sample = |since: Instant| since.elapsed() / (golden.samples().max(1) as u32);
    let started = Instant::now();
    golden.replay(detector)?;
    let taken = a_sample(started);
    if taken <= QUICK {
        return Ok(());
    }
    let started = Instant::now();
    // Whatever the built-in model says of them.
    golden.replay(&Model::builtin().detector).unwrap_or_default();
    compare_speed(taken, a_sample(started))
}

/// Whether a model that takes so long a sample may serve beside the built-in one.
fn compare_speed(taken: Duration, builtin: Duration) -> Result<(), Refusal> {
    let is_slow = taken > QUICK && taken > builtin * SLOWEST;
    if is_slow { Err(Refusal::Slow { taken, builtin }) } else { Ok(()) }
}

/// Whether a version of the form 1.2.3 is between two others; an empty one is no bound.
fn is_within(version: &str, oldest: &str, newest: &str) -> bool {
    let numbers = |text: &str| -> Vec<u64> { text.split('.').filter_map(|part| part.parse().ok()).collect() };
    let is_from = oldest.is_empty() || numbers(version) >= numbers(oldest);
    is_from && (newest.is_empty() || numbers(version) <= numbers(newest))
}

// === impl Refusal ===

impl Refusal {
    /// All that [`Self::reason`] gives; `local` for one of these in the local folder, and `quarantined` for what went back by itself.
    pub const REASONS: [&'static str; 18] = [
        "unsigned",
        "unknown_key",
        "revoked_key",
        "signature",
        "manifest",
        "other_model",
        "older",
        "expired",
        "runtime",
        "schema",
        "missing",
        "hash",
        "size",
        "blob",
        "golden",
        "slow",
        "local",
        "quarantined",
    ];

    /// The `reason` of `sidelong_model_refused_total`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::UnknownKey(_) => "unknown_key",
            Self::RevokedKey(_) => "revoked_key",
            Self::Signature => "signature",
            Self::Manifest(_) | Self::ManifestSize(_) | Self::Format(_) => "manifest",
            Self::OtherModel(_) => "other_model",
            Self::Older { .. } => "older",
            Self::Expired => "expired",
            Self::Runtime(..) => "runtime",
            Self::Schema => "schema",
            Self::Missing(_) => "missing",
            Self::Hash(_) => "hash",
            Self::Size { .. } => "size",
            Self::Blob(..) => "blob",
            Self::Golden(_) => "golden",
            Self::Slow { .. } => "slow",
        }
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
