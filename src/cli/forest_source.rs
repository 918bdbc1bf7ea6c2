//! `sidelong forest-source`: writes the source of a built-in forest.

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
    /// The forest for entities in place of the one for single series, by which it is grown.
    #[arg(long)]
    joint: bool,
}

/// Runs `sidelong forest-source`.
///
/// # Errors
///
/// A file that cannot be written.
pub fn run(args: &ForestSourceArgs) -> anyhow::Result<()> {
    let recipe = Recipe::default();
    let forest = if args.joint { recipe.joint_forest()? } else { recipe.forest() };
    let text = builtin_source(&forest);
    match &args.file {
        None => print!("{text}"),
        Some(file) => {
            std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
    }
    Ok(())
}
