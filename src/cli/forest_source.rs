//! `sidelong forest-source`: writes the source of the built-in forest.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::train::{Recipe, builtin_source};

/// Write the source of the isolation forest that is built in, grown anew from synthetic metrics.
#[derive(Clone, Debug, Args)]
pub struct ForestSourceArgs {
    /// Where to write it; the standard output by default.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Runs `sidelong forest-source`.
///
/// # Errors
///
/// A file that cannot be written.
pub fn run(args: &ForestSourceArgs) -> anyhow::Result<()> {
    let text = builtin_source(&Recipe::default());
    match &args.file {
        None => print!("{text}"),
        Some(file) => {
            std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
    }
    Ok(())
}
