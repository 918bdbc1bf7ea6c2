//! `model`: where models come from, and whose are trusted.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Findings, SectionError};
use crate::config::units::{ByteSize, PromDuration};
use crate::model::bundle::{KeyId, PublicKey, Trust};
use crate::model::store::Store;

/// Where models come from, and whose are trusted. Read at the start; a reload changes nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSection {
    /// The store that is followed: a folder (an absolute path), or `s3://BUCKET/PREFIX` with `?endpoint=URL&region=NAME` for what is
    /// not of AWS. Credentials come from where the tools of AWS look for them. Without it the built-in model serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Which of the store's models.
    pub name: String,
    /// The folder in which the last two good models are kept, so that a start needs no store; it must exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Public keys, as `sidelong model keygen` prints them. What none of them has signed never serves. Several make rotation
    /// possible.
    pub trusted_keys: Vec<String>,
    /// Names of keys that count no more, whatever `trusted_keys` says.
    pub revoked_keys: Vec<String>,
    /// How often the store is looked at, give or take a fifth.
    pub poll_interval: PromDuration,
    /// How long one look may take, with all that it fetches.
    pub timeout: PromDuration,
    /// How long a model is watched after it was swapped in. If its series alert more than three times as often as before and than
    /// their rules allow, or its scores are distributed otherwise, the model before serves again, and this one no more; 0s does not
    /// watch.
    pub bake: PromDuration,
    /// The blobs of a model together are not larger.
    pub max_size: ByteSize,
}

// === impl ModelSection ===

impl Default for ModelSection {
    fn default() -> Self {
        Self {
            store: None,
            name: "sidelong".to_owned(),
            folder: None,
            trusted_keys: Vec::new(),
            revoked_keys: Vec::new(),
            poll_interval: PromDuration::from_secs(30),
            timeout: PromDuration::from_secs(60),
            bake: PromDuration::from_secs(15 * 60),
            max_size: ByteSize::from_mib(16),
        }
    }
}

impl ModelSection {
    pub(in crate::config) fn check(&self, findings: &mut Findings) {
        for (option, is_zero) in [
            ("poll_interval", self.poll_interval.is_zero()),
            ("timeout", self.timeout.is_zero()),
            ("max_size", self.max_size.as_usize() == 0),
        ] {
            findings.require(!is_zero, format!("model.{option}"), SectionError::Zero);
        }
        for (index, key) in self.trusted_keys.iter().enumerate() {
            if let Err(error) = key.parse::<PublicKey>() {
                findings.add(format!("model.trusted_keys[{index}]"), error);
            }
        }
        for (index, key) in self.revoked_keys.iter().enumerate() {
            if let Err(error) = key.parse::<KeyId>() {
                findings.add(format!("model.revoked_keys[{index}]"), error);
            }
        }
        if let Some(store) = &self.store {
            if let Err(error) = Store::open(store) {
                findings.add("model.store".to_owned(), error);
            }
            let is_found = store.contains("://") || Path::new(store).is_absolute();
            findings.require(is_found, "model.store".to_owned(), SectionError::NotAbsolute(store.clone()));
            // Nothing from the store would ever be taken up.
            findings.require(
                !self.trusted_keys.is_empty(),
                "model.store".to_owned(),
                SectionError::Missing("model.trusted_keys"),
            );
        }
    }

    /// The keys whose signature counts.
    pub fn trust(&self) -> Trust {
        let keys = self.trusted_keys.iter().filter_map(|key| key.parse().ok());
        Trust::new(keys, self.revoked_keys.iter().filter_map(|key| key.parse().ok()))
    }
}
