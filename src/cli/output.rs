//! Where a command writes its table.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

/// An output, which may go to another thread.
pub(super) type Output = Box<dyn Write + Send>;

/// Options of a command that writes rows of one series or of several.
#[derive(Clone, Debug, Args)]
pub(super) struct OutputArgs {
    /// The file to write; the standard output by default.
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Write the column series even if the first series comes alone.
    #[arg(long)]
    pub(super) series_column: bool,
}

// === impl OutputArgs ===

impl OutputArgs {
    /// Opens it; what was in the file is gone.
    ///
    /// # Errors
    ///
    /// A file that cannot be written.
    pub(super) fn open(&self) -> anyhow::Result<Output> {
        let out: Output = match &self.out {
            None => Box::new(io::stdout()),
            Some(path) => {
                Box::new(File::create(path).with_context(|| format!("cannot write {}", path.display()))?)
            }
        };
        Ok(Box::new(BufWriter::with_capacity(1 << 16, out)))
    }
}
