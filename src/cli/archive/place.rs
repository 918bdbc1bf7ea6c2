//! Where the archive is.

use std::path::Path;

use anyhow::ensure;
use clap::Args;

use crate::archive::{Archive, Depot};

/// Where the archive is.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct PlaceArgs {
    /// The folder of the archive, as in archive.folder.
    #[arg(value_name = "ARCHIVE")]
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
    let folder = Path::new(place);
    ensure!(folder.is_dir(), "{place} is no folder");
    Ok(Archive::new(Depot::folder(folder)))
}
