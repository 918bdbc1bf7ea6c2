//! `sidelong config-reference`: writes `docs/configuration.md`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::config::reference;

/// Write the reference of the configuration file, made from the types that read it.
#[derive(Clone, Debug, Args)]
pub struct ConfigReferenceArgs {
    /// Where to write it; the standard output by default.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Runs `sidelong config-reference`.
///
/// # Errors
///
/// A file that cannot be written.
pub fn run(args: &ConfigReferenceArgs) -> anyhow::Result<()> {
    let text = reference::markdown();
    match &args.file {
        None => print!("{text}"),
        Some(file) => {
            std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
    }
    Ok(())
}
