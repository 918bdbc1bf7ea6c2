//! `sidelong convert`: from vmanomaly's configuration to Sidelong's.

mod expr;
mod vmanomaly;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use crate::config::yaml::{Document, MAX_FILE_BYTES, Problem};

/// Translate a configuration of vmanomaly into rules.
///
/// The result is written to the standard output, with everything that could not be translated as a comment
/// at its head, and the same list to the standard error.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  sidelong convert vmanomaly.yaml > sidelong.yml")]
pub struct ConvertArgs {
    /// The configuration of vmanomaly.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Runs `sidelong convert`.
///
/// # Errors
///
/// A file that cannot be read, is not YAML, or holds no queries.
pub fn run(args: &ConvertArgs) -> anyhow::Result<()> {
    let path = args.file.display();
    let size = std::fs::metadata(&args.file).with_context(|| format!("cannot read {path}"))?.len();
    if size > MAX_FILE_BYTES {
        bail!("{path} is larger than {MAX_FILE_BYTES} bytes");
    }
    let text = std::fs::read_to_string(&args.file).with_context(|| format!("cannot read {path}"))?;
    let converted = convert(&text).with_context(|| format!("cannot translate {path}"))?;
    print!("{}", converted.yaml);
    for lost in &converted.lost {
        eprintln!("not translated: {}", super::logging::printable(lost));
    }
    Ok(())
}

/// A translation, and what it lacks.
struct Converted {
    yaml: String,
    lost: Vec<String>,
}

fn convert(text: &str) -> anyhow::Result<Converted> {
    let first = |problems: Vec<Problem>| problems.first().map(Problem::to_string).unwrap_or_default();
    let document = Document::parse(text).map_err(|problem| anyhow::anyhow!("{problem}"))?;
    let file = document.read().map_err(|problems| anyhow::anyhow!("{}", first(problems)))?;
    let translation = vmanomaly::translate(&file)?;
    let mut yaml = String::from("# Translated from a configuration of vmanomaly.\n");
    for lost in &translation.lost {
        yaml.push_str(&format!("# not translated: {}\n", lost.replace(['\n', '\r'], " ")));
    }
    yaml.push_str(&serde_saphyr::to_string(&translation.config)?);
    Ok(Converted { yaml, lost: translation.lost })
}

#[cfg(test)]
mod tests;
