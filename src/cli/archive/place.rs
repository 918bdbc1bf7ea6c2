//! Where the archive is.

use anyhow::{Context, ensure};
use clap::Args;
use std::path::Path;

use crate::archive::{Archive, Depot};
use crate::model::store::Store;

/// Where the archive is.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct PlaceArgs {
    /// The archive, as in archive.store: a folder, or s3://BUCKET/PREFIX, with ?endpoint=URL&region=NAME for what is not of
    /// AWS.
    #[arg(value_name = "FOLDER|URL")]
    archive: String,
}

// === impl PlaceArgs ===

impl PlaceArgs {
    pub(in crate::cli) fn open(&self) -> anyhow::Result<Archive> {
        open(&self.archive)
    }
}

/// The archive that is called `place`.
pub(in crate::cli) fn open(place: &str) -> anyhow::Result<Archive> {
    ensure!(place.starts_with("s3://") || Path::new(place).is_dir(), "{place} is no folder");
    Ok(Archive::new(Depot::new(Store::open(place)?).context("cannot start a thread for the store")?))
}
