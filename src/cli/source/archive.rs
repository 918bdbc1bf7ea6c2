//! Series of an archive.

use anyhow::{Context, ensure};

use super::{SourceArgs, Take, now};
use crate::archive::Window;
use crate::backtest::source::Row;
use crate::backtest::{Moment, Series};
use crate::cli::archive::open;

// === impl SourceArgs ===

impl SourceArgs {
    /// Hands the rows of each series to `taker`, day by day.
    pub(super) fn replay_archive(&self, taker: &mut dyn Take) -> anyhow::Result<()> {
        let moment = |text: &str, option| Moment::read(text, now()).context(option).map(|moment| moment.0);
        let window = Window {
            selector: self.query.as_deref().map(str::parse).transpose().context("--query")?,
            from_ms: moment(&self.from, "--from")?,
            to_ms: moment(&self.to, "--to")?.saturating_add(1), // as of a query, the end is in it
        };
        let mut is_empty = true;
        taker.expect_several(); // which an archive has
        open(&self.input)?.for_each_series(&window, &mut |key, rows| {
            is_empty = false;
            let series: Series = key.all_labels().into_iter().collect();
            taker.take(&series, &mut rows.map(|row| Ok(Row::of(row?.sample))))
        })?;
        ensure!(!is_empty, "the archive has no such sample from {} to {}", self.from, self.to);
        Ok(())
    }
}
