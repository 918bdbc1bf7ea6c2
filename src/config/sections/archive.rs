//! `archive`: the metrics that pass, kept as Parquet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Findings, SectionError};
use crate::config::units::{ByteSize, PromDuration};
use crate::model::store::Store;

/// The metrics that pass, kept as Parquet with their scores beside them. Read at the start; a reload changes nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Archive {
    /// Where the archive is kept: a folder (an absolute path), which must exist, or `s3://BUCKET/PREFIX` with
    /// `?endpoint=URL&region=NAME` for what is not of AWS. Credentials come from where the tools of AWS look for them. Without it
    /// nothing is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// How often files are written; sooner where half of `memory_limit` is full.
    pub flush_interval: PromDuration,
    /// Among how many files the series of a day are shared out, by their fingerprint.
    pub shards: u32,
    /// Days that ended longer ago are deleted.
    pub retention: PromDuration,
    /// Of a larger archive the oldest days are deleted, but never the one that has not ended.
    pub max_size: ByteSize,
    /// Memory of all that waits to be written. What does not fit is given up, the oldest first, and counted.
    pub memory_limit: ByteSize,
}

/// More files at once than a day needs.
const MAX_SHARDS: u32 = 1_000;
/// Less memory holds no batch.
const MIN_MEMORY: ByteSize = ByteSize::from_mib(1);

// === impl Archive ===

impl Default for Archive {
    fn default() -> Self {
        Self {
            store: None,
            flush_interval: PromDuration::from_secs(15 * 60),
            shards: 8,
            retention: PromDuration::from_secs(30 * 24 * 3_600),
            max_size: ByteSize::from_mib(20 << 10),
            memory_limit: ByteSize::from_mib(128),
        }
    }
}

impl Archive {
    pub(in crate::config) fn check(&self, findings: &mut Findings) {
        let zero = [
            ("flush_interval", self.flush_interval.is_zero()),
            ("shards", self.shards == 0),
            ("retention", self.retention.is_zero()),
        ];
        for (option, is_zero) in zero {
            findings.require(!is_zero, format!("archive.{option}"), SectionError::Zero);
        }
        if let Some(Err(error)) = self.store.as_deref().map(Store::open) {
            findings.add("archive.store", error);
        }
        let too_many = SectionError::Above(self.shards.to_string(), (MAX_SHARDS + 1).to_string());
        findings.require(self.shards <= MAX_SHARDS, "archive.shards", too_many);
        let too_little = SectionError::Below(self.memory_limit.to_string(), MIN_MEMORY.to_string());
        findings.require(self.memory_limit >= MIN_MEMORY, "archive.memory_limit", too_little);
    }
}
