//! Samples of some series and some time.

use std::iter::Peekable;
use std::sync::Arc;

use super::merge::Merged;
use super::place::{Day, Partition};
use super::read::FileError;
use super::reader::{Archive, ArchiveError};
use super::row::{Row, SeriesKey};
use crate::rules::Selector;

/// Which samples are asked for.
#[derive(Clone, Debug)]
pub struct Window {
    /// Series that it selects; all without it.
    pub selector: Option<Selector>,
    /// From this moment on.
    pub from_ms: i64,
    /// Until before this one.
    pub to_ms: i64,
}

/// The rows of one series on one day, in the order of time.
pub struct SeriesRows<'a> {
    partition: Partition,
    series: Arc<SeriesKey>,
    rows: &'a mut Peekable<Merged>,
    window: &'a Window,
}

// === impl Window ===

impl Window {
    fn selects(&self, series: &SeriesKey) -> bool {
        let Some(selector) = &self.selector else { return true };
        if !selector.may_match_name(&series.name) {
            return false;
        }
        let labels = series.all_labels();
        let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        selector.matches(&labels)
    }

    fn has_day(&self, day: Day) -> bool {
        let (from_ms, to_ms) = day.bounds_ms();
        from_ms < self.to_ms && self.from_ms < to_ms
    }

    fn has(&self, row: &Row) -> bool {
        (self.from_ms..self.to_ms).contains(&row.sample.timestamp_ms)
    }
}

// === impl Archive ===

impl Archive {
    /// Hands all rows in `window` to `take`, by series: those of a series come day by day.
    ///
    /// # Errors
    ///
    /// A store or a file that cannot be read, or what `take` says.
    pub fn for_each_series(
        &self,
        window: &Window,
        take: &mut dyn FnMut(&SeriesKey, &mut SeriesRows<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for (partition, files) in self.partitions()? {
            if !window.has_day(partition.day) {
                continue;
            }
            let mut rows = self.rows(partition, &files)?.peekable();
            while let Some(row) = rows.peek() {
                let Ok(row) = row else {
                    let error = rows.next().and_then(Result::err);
                    return error
                        .map_or(Ok(()), |error| Err(ArchiveError::Partition(partition, error).into()));
                };
                let series = Arc::clone(&row.series);
                let mut of_series =
                    SeriesRows { partition, series: Arc::clone(&series), rows: &mut rows, window };
                if window.selects(&series) && of_series.is_there() {
                    take(&series, &mut of_series)?;
                }
                of_series.try_for_each(|row| row.map(drop))?; // what was not taken
            }
        }
        Ok(())
    }
}

// === impl SeriesRows ===

impl SeriesRows<'_> {
    /// Whether there is a row of this series in the window; what is before it is passed over.
    fn is_there(&mut self) -> bool {
        let (series, window) = (&self.series, self.window);
        let passed = |row: &Result<Row, FileError>| matches!(row, Ok(row) if row.series == *series && !window.has(row));
        while self.rows.next_if(passed).is_some() {}
        self.rows.peek().is_some_and(|row| row.as_ref().is_ok_and(|row| row.series == *series))
    }
}

impl Iterator for SeriesRows<'_> {
    type Item = Result<Row, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let series = &self.series;
            let row = self.rows.next_if(|row| row.as_ref().map_or(true, |row| row.series == *series))?;
            match row {
                Ok(row) if self.window.has(&row) => return Some(Ok(row)),
                Ok(_) => {}
                Err(error) => return Some(Err(ArchiveError::Partition(self.partition, error))),
            }
        }
    }
}

impl std::fmt::Debug for SeriesRows<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SeriesRows").field("series", &self.series).finish_non_exhaustive()
    }
}
