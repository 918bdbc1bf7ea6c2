//! What people do with a store: publish a candidate, promote it, go back.
//!
//! | object | what |
//! |---|---|
//! | `blobs/<sha256>` | blobs of all models |
//! | `models/<name>/candidates/<sha256>` | manifests that nobody has signed |
//! | `models/<name>/versions/<20 digits>` | signed manifests |
//! | `models/<name>/champion` | the version that is to serve: its number, as text |
//! | `models/<name>/evaluations/<sha256>` | what candidates were promoted for, as JSON |
//! | `models/<name>/log/<20 digits>` | who became champion, when and why; never changed |
//!
//! Only the last step of each can be seen by a sidecar, and it is one write with a condition: whoever is interrupted before it
//! has changed nothing, and of two who promote at once one is told to look again.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::bundle::manifest::MAX_MANIFEST_BYTES;
use super::bundle::{
    Blobs, Bundle, Digest, Manifest, Measure, Parent, Refusal, SigningKey, Trust, check_manifest,
};
use super::store::{ETag, Got, NameError, ObjectName, Store, StoreError, When};
use crate::wire::model::Malformed;

/// No pointer and no line of the log is larger.
const MAX_TEXT_BYTES: u64 = 64 << 10;
/// The name in a bundle's lineage of the anomaly that led to it.
pub const EPISODE: &str = "episode";
/// How often a write that somebody else was faster with is tried again.
const TRIES: usize = 8;

/// The versions of one model in a store.
#[derive(Clone, Debug)]
pub struct Registry {
    store: Store,
    model: String,
    max_bytes: u64,
}

/// A line of the promotion log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The version that became champion.
    pub version: u64,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// The name of the key that signed it.
    pub key_id: String,
    /// The candidate that was promoted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<String>,
    /// The version that it is a return to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub returns_to: Option<u64>,
    /// The version that was champion before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// The SHA-256 of the evaluation that it was promoted for; none where somebody went without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<String>,
    /// The anomaly that led to it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub episode: Option<String>,
    /// In the words of whoever did it.
    pub reason: String,
}

/// Why something cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A bundle.
    #[error("the model cannot be used")]
    Refused(#[from] Refusal),
    /// A manifest in the store cannot be read.
    #[error("the manifest {0} cannot be read")]
    Manifest(String, #[source] Malformed),
    /// There is no such object.
    #[error("the store has no {0}")]
    Absent(String),
    /// A pointer or a line of the log is not what it should be.
    #[error("{0} is not what Sidelong writes")]
    Foreign(String),
    /// What stands there is not what its name says.
    #[error(
        "candidate {named} was changed in the store after it was published: it is {found} now; nothing was signed. \
         Look at who can write there, and publish again"
    )]
    Swapped {
        /// The candidate that was asked for.
        named: String,
        /// The digest of what is there.
        found: Digest,
    },
    /// A signed manifest stands where another one should.
    #[error(
        "what the store has as version {0} is not that version; nothing was signed. Look at who can write there"
    )]
    OtherVersion(u64),
    /// There is no such version.
    #[error("the store has no version {0}; `sidelong model ls` lists those that it has")]
    NoVersion(u64),
    /// There is no such candidate.
    #[error("the store has no candidate that begins with {0:?}; `sidelong model ls` lists those that it has")]
    NoCandidate(String),
    /// There is no number left.
    #[error("the store has a version of the largest number there is; remove it, nobody promoted it")]
    NoNumber,
    /// Others are always faster.
    #[error("others change {0} at the same time; look at what they did and try again")]
    Busy(String),
    /// More than one candidate begins so.
    #[error("{0} candidates begin with {1:?}; give more digits")]
    Ambiguous(usize, String),
}

/// What a store says of who is to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pointer {
    /// This version; and what tells this answer from others.
    To(u64, ETag),
    /// The answer that is known.
    AsBefore,
    /// Nobody was ever champion here.
    ToNobody,
}

type Result<T> = std::result::Result<T, RegistryError>;

/// What is to be signed, and by whom.
#[derive(Clone, Copy, Debug)]
pub struct Promotion<'a> {
    /// Who answers for it.
    pub key: &'a SigningKey,
    /// In their words.
    pub reason: &'a str,
    /// The evaluation that speaks for it, as JSON; whether it does is for who promotes to say.
    pub evaluation: Option<&'a [u8]>,
    /// The champion that the evaluation is beside: once there is another one, it says nothing.
    pub beside: Option<u64>,
    /// The time, in milliseconds since the epoch.
    pub now_ms: i64,
}

// === impl Registry ===

impl Registry {
    /// The versions of `model` in `store`; bundles of more than `max_bytes` are not looked at.
    ///
    /// # Errors
    ///
    /// A name that cannot be one.
    pub fn new(store: Store, model: &str, max_bytes: u64) -> Result<Self> {
        ObjectName::of(&[model])?;
        Ok(Self { store, model: model.to_owned(), max_bytes })
    }

    /// Which model it is.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Puts a candidate into the store, and gives its name there. To publish it again changes nothing.
    ///
    /// # Errors
    ///
    /// A bundle that could not serve, or the store.
    pub async fn publish(&self, bundle: &Bundle, now_ms: i64) -> Result<Digest> {
        bundle.inspect(&self.measure(&Trust::default(), now_ms))?;
        let candidate = Bundle::of(bundle.manifest.clone(), bundle.blobs.clone(), None);
        self.put_blobs(&candidate.blobs).await?;
        let name = candidate.sha256();
        self.put_once(&self.name(&["candidates", &name.to_string()])?, candidate.signed.into()).await?;
        Ok(name)
    }

    /// Signs a candidate, and makes it champion. Gives its version.
    ///
    /// # Errors
    ///
    /// A candidate that is not there or could not serve, or the store.
    pub async fn promote(&self, candidate: Digest, promotion: Promotion<'_>) -> Result<u64> {
        let bundle = self.candidate_called(&candidate.to_string()).await?;
        bundle.inspect(&self.measure(&Trust::default(), promotion.now_ms))?;
        let evaluation = match promotion.evaluation {
            Some(json) => Some(self.keep_evaluation(json).await?.to_string()),
            None => None,
        };
        let entry = Entry { candidate: Some(candidate.to_string()), evaluation, ..Entry::of(&promotion) };
        self.enthrone(bundle, entry, promotion).await
    }

    /// Makes what version `to` was champion again, as a new version. Gives its number. It must have been signed by a key of
    /// `trust`: whoever can write into the store could have put something else there since.
    ///
    /// # Errors
    ///
    /// A version that is not there, was not signed by who is trusted or could not serve; or the store.
    pub async fn roll_back(&self, to: u64, trust: &Trust, promotion: Promotion<'_>) -> Result<u64> {
        let mut bundle = self.version(to).await?;
        bundle.check(&Measure { served: true, ..self.measure(trust, promotion.now_ms) })?;
        if bundle.manifest.version != to {
            return Err(RegistryError::OtherVersion(to));
        }
        bundle.manifest.parent = Some(Parent { version: to, sha256: bundle.sha256() });
        // What is wanted back is wanted, however old it is.
        bundle.manifest.expires_ms = 0;
        let entry = Entry { returns_to: Some(to), ..Entry::of(&promotion) };
        self.enthrone(bundle, entry, promotion).await
    }

    async fn keep_evaluation(&self, json: &[u8]) -> Result<Digest> {
        let digest = Digest::of(json);
        let name = self.name(&["evaluations", &digest.to_string()])?;
        self.put_once(&name, Bytes::copy_from_slice(json)).await?;
        Ok(digest)
    }

    async fn enthrone(&self, bundle: Bundle, entry: Entry, promotion: Promotion<'_>) -> Result<u64> {
        let Bundle { mut manifest, blobs, .. } = bundle;
        manifest.lineage.insert("reason".to_owned(), promotion.reason.to_owned());
        for _ in 0..TRIES {
            let pointer = self.pointer(None).await?;
            let serving = if let Pointer::To(version, _) = &pointer { Some(*version) } else { None };
            if promotion.evaluation.is_some() && serving != promotion.beside {
                return Err(RegistryError::Busy(self.model.clone()));
            }
            let newest = self.versions().await?.last().copied().unwrap_or(0);
            manifest.version = newest.checked_add(1).ok_or(RegistryError::NoNumber)?;
            let signed = Bundle::of(manifest.clone(), blobs.clone(), Some(promotion.key));
            let name = self.version_name(manifest.version)?;
            match self.store.put(&name, signed.signed.into(), When::Absent).await {
                Err(StoreError::Conflict(_)) => continue, // somebody else took the number
                put => put?,
            };
            let (before, when) = match &pointer {
                Pointer::To(before, etag) => (Some(*before), When::Unchanged(etag)),
                Pointer::AsBefore | Pointer::ToNobody => (None, When::Absent),
            };
            let episode = manifest.lineage.get(EPISODE).cloned();
            let entry = Entry { version: manifest.version, before, episode, ..entry.clone() };
            let line = serde_json::to_vec(&entry).map_err(|error| StoreError::failed("the log", error))?;
            let log = self.name(&["log", &digits(manifest.version)])?;
            self.store.put(&log, line.into(), When::Absent).await?;
            let text = Bytes::from(manifest.version.to_string());
            match self.store.put(&self.name(&["champion"])?, text, when).await {
                // Somebody else became champion meanwhile: a number that has passed by is never one.
                Err(StoreError::Conflict(_)) => continue,
                put => put?,
            };
            return Ok(manifest.version);
        }
        Err(RegistryError::Busy(self.model.clone()))
    }

    /// The version that is to serve; none where nobody was ever champion.
    ///
    /// # Errors
    ///
    /// The store, or a pointer that is none.
    pub async fn champion(&self) -> Result<Option<u64>> {
        match self.pointer(None).await? {
            Pointer::To(version, _) => Ok(Some(version)),
            Pointer::AsBefore | Pointer::ToNobody => Ok(None),
        }
    }

    /// The manifest of the version that is to serve; none where nobody was ever champion. It must have been signed by a key of `trust`.
    ///
    /// # Errors
    ///
    /// The store, or something there that was not signed by who is trusted.
    pub async fn champion_manifest(&self, trust: &Trust) -> Result<Option<Manifest>> {
        let Some(version) = self.champion().await? else { return Ok(None) };
        let signed = self.manifest(version).await?;
        let manifest = check_manifest(&signed, &Measure { served: true, ..self.measure(trust, 0) })?;
        if manifest.version == version {
            Ok(Some(manifest))
        } else {
            Err(RegistryError::OtherVersion(version))
        }
    }

    /// What the store says of who is to serve.
    pub(super) async fn pointer(&self, known: Option<&ETag>) -> Result<Pointer> {
        let name = self.name(&["champion"])?;
        match self.store.get(&name, MAX_TEXT_BYTES, known).await? {
            Got::Found(text, etag) => {
                let version = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
                let version = version.ok_or_else(|| RegistryError::Foreign(name.to_string()))?;
                Ok(Pointer::To(version, etag))
            }
            Got::NotModified => Ok(Pointer::AsBefore),
            Got::Absent => Ok(Pointer::ToNobody),
        }
    }

    /// The numbers of all versions, rising.
    ///
    /// # Errors
    ///
    /// The store.
    pub async fn versions(&self) -> Result<Vec<u64>> {
        let names = self.store.list(&self.name(&["versions"])?).await?;
        let mut versions: Vec<u64> = names.iter().filter_map(|name| name.last().parse().ok()).collect();
        versions.sort_unstable();
        Ok(versions)
    }

    /// The names of all candidates.
    ///
    /// # Errors
    ///
    /// The store.
    pub async fn candidates(&self) -> Result<Vec<String>> {
        let names = self.store.list(&self.name(&["candidates"])?).await?;
        Ok(names.iter().map(|name| name.last().to_owned()).collect())
    }

    /// The candidate whose name begins with `start`.
    ///
    /// # Errors
    ///
    /// None or several begin so, or the store.
    pub async fn candidate(&self, start: &str) -> Result<Bundle> {
        let candidates = self.candidates().await?;
        let mut found = candidates.iter().filter(|name| name.starts_with(start));
        match (found.next(), found.count()) {
            (None, _) => Err(RegistryError::NoCandidate(start.to_owned())),
            (Some(name), 0) => self.candidate_called(name).await,
            (Some(_), more) => Err(RegistryError::Ambiguous(more + 1, start.to_owned())),
        }
    }

    /// A candidate by its whole name, which is the digest of what it must be.
    async fn candidate_called(&self, name: &str) -> Result<Bundle> {
        let bundle = self.fetch(&self.name(&["candidates", name])?).await?;
        let found = bundle.sha256();
        if found.to_string() == name {
            Ok(bundle)
        } else {
            Err(RegistryError::Swapped { named: name.to_owned(), found })
        }
    }

    /// The bundle of a version. Who signed it is not looked at.
    ///
    /// # Errors
    ///
    /// It is not there, or the store.
    pub async fn version(&self, version: u64) -> Result<Bundle> {
        self.fetch(&self.version_name(version)?).await.map_err(|error| match error {
            RegistryError::Absent(name) if name.contains("/versions/") => RegistryError::NoVersion(version),
            error => error,
        })
    }

    /// The signed manifest of a version, without its blobs.
    pub(super) async fn manifest(&self, version: u64) -> Result<Bytes> {
        self.get(&self.version_name(version)?, MAX_MANIFEST_BYTES as u64).await
    }

    /// The promotion log, oldest first.
    ///
    /// # Errors
    ///
    /// The store, or a line that is none.
    pub async fn log(&self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for name in self.store.list(&self.name(&["log"])?).await? {
            let line = self.get(&name, MAX_TEXT_BYTES).await?;
            let entry = serde_json::from_slice(&line);
            entries.push(entry.map_err(|_| RegistryError::Foreign(name.to_string()))?);
        }
        Ok(entries)
    }

    /// A blob, of `size` bytes as its manifest says.
    pub(super) async fn blob(&self, digest: Digest, size: u64) -> Result<Bytes> {
        self.get(&ObjectName::of(&["blobs", &digest.to_string()])?, size.min(self.max_bytes)).await
    }

    async fn fetch(&self, name: &ObjectName) -> Result<Bundle> {
        let signed = self.get(name, MAX_MANIFEST_BYTES as u64).await?.to_vec();
        let (manifest, _) =
            Bundle::manifest_of(&signed).map_err(|error| RegistryError::Manifest(name.to_string(), error))?;
        if manifest.bytes() > self.max_bytes {
            return Err(Refusal::Size { bytes: manifest.bytes(), allowed: self.max_bytes }.into());
        }
        let mut blobs = Blobs::new();
        for file in &manifest.files {
            blobs.insert(file.sha256, self.blob(file.sha256, file.size).await?.to_vec());
        }
        Ok(Bundle { signed, manifest, blobs })
    }

    async fn get(&self, name: &ObjectName, allowed: u64) -> Result<Bytes> {
        match self.store.get(name, allowed, None).await? {
            Got::Found(content, _) => Ok(content),
            Got::NotModified | Got::Absent => Err(RegistryError::Absent(name.to_string())),
        }
    }

    async fn put_blobs(&self, blobs: &Blobs) -> Result<()> {
        for (digest, bytes) in blobs {
            let name = ObjectName::of(&["blobs", &digest.to_string()])?;
            self.put_once(&name, Bytes::copy_from_slice(bytes)).await?;
        }
        Ok(())
    }

    /// Writes an object that is called by what it holds: if one is there it is this one.
    async fn put_once(&self, name: &ObjectName, content: Bytes) -> Result<()> {
        match self.store.put(name, content, When::Absent).await {
            Ok(_) | Err(StoreError::Conflict(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn measure<'a>(&'a self, trust: &'a Trust, now_ms: i64) -> Measure<'a> {
        Measure { model: &self.model, trust, newest: 0, now_ms, max_bytes: self.max_bytes, served: false }
    }

    fn version_name(&self, version: u64) -> Result<ObjectName> {
        self.name(&["versions", &digits(version)])
    }

    fn name(&self, parts: &[&str]) -> Result<ObjectName> {
        Ok(ObjectName::of(&[&["models", self.model.as_str()], parts].concat())?)
    }
}

// === impl Entry ===

impl Entry {
    fn of(promotion: &Promotion<'_>) -> Self {
        Self {
            version: 0,
            at_ms: promotion.now_ms,
            key_id: promotion.key.public().id().to_string(),
            candidate: None,
            returns_to: None,
            before: None,
            evaluation: None,
            episode: None,
            reason: promotion.reason.to_owned(),
        }
    }
}

/// The candidate that `version` came of: its own, or that of the version that it is a return to.
pub fn promoted(log: &[Entry], mut version: u64) -> Option<&str> {
    loop {
        let entry = log.iter().find(|entry| entry.version == version)?;
        if let Some(candidate) = &entry.candidate {
            return Some(candidate);
        }
        // Whoever returns, returns to an earlier one.
        version = entry.returns_to.filter(|to| *to < version)?;
    }
}

/// A number so that names sort as numbers do.
fn digits(number: u64) -> String {
    format!("{number:020}")
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
