//! `sidelong model quarantine`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::model::local::Local;

/// List what went back by itself on a sidecar, or let it serve again.
///
/// A new model that alerts too often, or scores otherwise than the one before, goes back by itself within minutes, and does not serve there
/// again, whatever number it comes under.
#[derive(Clone, Debug, Args)]
pub(super) struct Quarantine {
    /// The model.folder of the sidecar.
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,
    /// Let all of it serve again, from the next start of the sidecar on.
    #[arg(long)]
    lift: bool,
}

// === impl Quarantine ===

impl Quarantine {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let mut local = Local::open(&self.folder).context("--folder")?;
        let quarantined = local.state().quarantined.clone();
        if self.lift && !quarantined.is_empty() {
            local.lift_quarantine()?;
        }
        for content in &quarantined {
            println!("content {content}{}", if self.lift { " may serve again" } else { "" });
        }
        if quarantined.is_empty() {
            println!("nothing went back by itself");
        }
        Ok(())
    }
}
