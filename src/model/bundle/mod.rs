//! A model as it is kept and sent: a signed manifest, and the blobs that it names.
//!
//! A bundle is data only, and immutable: another model is another version. Training makes unsigned candidates; who promotes one
//! signs it with a key of their own ([`keys`]). Before one serves it is checked ([`check`]), golden vectors and all
//! ([`golden`]).

pub mod check;
pub mod golden;
pub mod keys;
pub mod manifest;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use crate::detect::{AlertBudget, Hybrid};
use crate::model::Model;
use crate::model::store::put_in_place;
use crate::wire::model::{
    Malformed, decode_manifest, decode_signed, encode_forest, encode_golden, encode_manifest,
    encode_parameters, encode_priors, encode_signed,
};

pub use check::{Measure, Refusal, check_blobs, check_manifest};
pub use golden::{Case, Golden};
pub use keys::{KeyError, KeyId, PublicKey, SigningKey, Trust};
pub use manifest::{Calibration, Digest, File, Kind, Manifest, Parent, schema};

use check::check_content;
use manifest::{FORMAT, MAX_MANIFEST_BYTES, SIGNED_AS};

/// The file of a folder that holds the manifest; blobs are called by their digests.
const MANIFEST: &str = "manifest";
/// No blob of a folder is read that is larger.
const MAX_BLOB_BYTES: u64 = 64 << 20;

/// Blobs by their digests.
pub type Blobs = BTreeMap<Digest, Vec<u8>>;

/// The bytes of a manifest, and who answers for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// A manifest as it was signed.
    pub manifest: Vec<u8>,
    /// The name of the key; empty where there is no signature.
    pub key_id: String,
    /// Empty of a candidate.
    pub signature: Vec<u8>,
}

/// A model as it is kept and sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// The signed manifest, as it is kept.
    pub signed: Vec<u8>,
    /// What it says.
    pub manifest: Manifest,
    /// What it names.
    pub blobs: Blobs,
}

/// What is told of a model that is not in it.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Which model it is a version of.
    pub model: String,
    /// When it was made, in milliseconds since the epoch.
    pub created_ms: i64,
    /// When it should not be taken up any more; 0: never.
    pub expires_ms: i64,
    /// The data that it was trained on.
    pub window_ms: Option<[i64; 2]>,
    /// What it was trained from.
    pub parent: Option<Parent>,
    /// Free text by name.
    pub lineage: BTreeMap<String, String>,
}

/// Why a folder holds no bundle.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file cannot be read.
    #[error("cannot read {0}")]
    Io(String, #[source] io::Error),
    /// A file is too large.
    #[error("{0} is larger than any file of a model")]
    TooLarge(String),
    /// The manifest cannot be read.
    #[error("the manifest cannot be used")]
    Manifest(#[from] Malformed),
}

// === impl Bundle ===

impl Bundle {
    /// A candidate: the bundle of `hybrid`, signed by nobody.
    pub fn candidate(hybrid: &Hybrid, origin: Origin) -> Self {
        let detector = crate::detect::Detector::Hybrid(Box::new(hybrid.clone()));
        let mut blobs = vec![
            (Kind::Parameters, encode_parameters(hybrid)),
            (Kind::Forest, encode_forest(&hybrid.forest)),
            (Kind::JointForest, encode_forest(&hybrid.joint_forest)),
            (Kind::Golden, encode_golden(&Golden::of(&detector))),
        ];
        if !hybrid.priors.groups.is_empty() {
            blobs.push((Kind::Priors, encode_priors(&hybrid.priors)));
        }
        let file = |(kind, bytes): &(Kind, Vec<u8>)| File {
            kind: *kind,
            sha256: Digest::of(bytes),
            size: bytes.len() as u64,
        };
        let manifest = Manifest {
            format: FORMAT,
            model: origin.model,
            version: 0,
            schema: schema(),
            runtime: [env!("CARGO_PKG_VERSION").to_owned(), String::new()],
            created_ms: origin.created_ms,
            expires_ms: origin.expires_ms,
            parent: origin.parent,
            window_ms: origin.window_ms,
            files: blobs.iter().map(file).collect(),
            calibration: Calibration { threshold: 1.0, alerts_a_week: AlertBudget::default().a_week() },
            lineage: origin.lineage,
        };
        let blobs = blobs.into_iter().map(|(_, bytes)| (Digest::of(&bytes), bytes)).collect();
        Self::of(manifest, blobs, None)
    }

    /// The same blobs under `manifest`, signed by `key`.
    pub fn of(manifest: Manifest, blobs: Blobs, key: Option<&SigningKey>) -> Self {
        let bytes = encode_manifest(&manifest);
        let (key_id, signature) = match key {
            Some(key) => (key.public().id().to_string(), key.sign(&[SIGNED_AS, &bytes].concat())),
            None => Default::default(),
        };
        let signed = encode_signed(&Signed { manifest: bytes, key_id, signature });
        Self { signed, manifest, blobs }
    }

    /// The digest of the manifest as it is kept: what names this bundle and no other.
    pub fn sha256(&self) -> Digest {
        Digest::of(&self.signed)
    }

    /// Makes the model of it, whoever signed it, if it can be one: for those who look at candidates.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub fn inspect(&self, measure: &Measure<'_>) -> Result<Model, Refusal> {
        check_content(&self.manifest, measure)?;
        check_blobs(&self.manifest, self.sha256(), &self.blobs)
    }

    /// Checks everything, and makes the model of it.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub fn check(&self, measure: &Measure<'_>) -> Result<Model, Refusal> {
        let manifest = check_manifest(&self.signed, measure)?;
        check_blobs(&manifest, self.sha256(), &self.blobs)
    }

    /// Reads a manifest without asking who signed it.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn manifest_of(signed: &[u8]) -> Result<(Manifest, Signed), Malformed> {
        let signed = decode_signed(signed)?;
        Ok((decode_manifest(&signed.manifest)?, signed))
    }

    /// Whether a bundle is in `folder`.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(MANIFEST).exists()
    }

    /// Reads the bundle in `folder`. Nothing of it is believed yet.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn read(folder: &Path) -> Result<Self, ReadError> {
        let signed = read_file(&folder.join(MANIFEST), MAX_MANIFEST_BYTES as u64)?;
        let (manifest, _) = Self::manifest_of(&signed)?;
        let blob = |file: &File| {
            let path = folder.join(file.sha256.to_string());
            Ok((file.sha256, read_file(&path, MAX_BLOB_BYTES)?))
        };
        let blobs = manifest.files.iter().map(blob).collect::<Result<_, ReadError>>()?;
        Ok(Self { signed, manifest, blobs })
    }

    /// Writes the bundle into `folder`, which is made: blobs first, the manifest last.
    ///
    /// # Errors
    ///
    /// The disk is full, read-only or gone.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        for (digest, bytes) in &self.blobs {
            put_in_place(&folder.join(digest.to_string()), bytes)?;
        }
        put_in_place(&folder.join(MANIFEST), &self.signed)
    }
}

fn read_file(path: &Path, allowed: u64) -> Result<Vec<u8>, ReadError> {
    use std::io::Read as _;
    let cannot = |error| ReadError::Io(path.display().to_string(), error);
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(cannot)?;
    file.take(allowed + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > allowed {
        return Err(ReadError::TooLarge(path.display().to_string()));
    }
    Ok(bytes)
}
