//! `sidelong model pin`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::model::local::Local;

/// Have a sidecar serve a version that is on its own disk, whatever the store says.
///
/// It counts from the next start of the sidecar whose model.folder it is, and needs neither the store nor a key.
#[derive(Clone, Debug, Args)]
pub(super) struct Pin {
    /// The model.folder of the sidecar.
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,
    /// The version. Without it the folder's versions are listed.
    #[arg(value_name = "VERSION", conflicts_with = "release")]
    version: Option<u64>,
    /// Follow the store again.
    #[arg(long)]
    release: bool,
}

// === impl Pin ===

impl Pin {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let mut local = Local::open(&self.folder).context("--folder")?;
        if self.version.is_some() || self.release {
            local.pin(self.version)?;
            eprintln!(
                "a sidecar that runs stops following, or follows again, at its next look; it serves what is pinned from its next start on"
            );
        }
        let state = local.state();
        for version in local.versions()? {
            let is = |one: Option<u64>, word: &'static str| if one == Some(version) { word } else { "" };
            let words =
                [is(state.serving, " serves"), is(state.before, " before"), is(state.pinned, " pinned")];
            println!("version {version}{}", words.concat());
        }
        Ok(())
    }
}
