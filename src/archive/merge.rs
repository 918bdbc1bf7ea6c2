//! Several files of one partition as one, each sample once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::read::{FileError, FileRows};
use super::row::{Row, SeriesKey};

/// The rows of several files in the order of one.
///
/// The same sample may stand in two files: one that was sent again after a restart, or files whose merged one was made
/// twice. It comes once; other values of the same time come, too.
#[derive(Debug)]
pub struct Merged {
    files: Vec<FileRows>,
    next: BinaryHeap<Reverse<Next>>,
    series: Option<Arc<SeriesKey>>,
    moment: Option<i64>,
    /// The values that came for that moment.
    values: Vec<u64>,
    failed: Option<FileError>,
}

/// The next row of a file.
#[derive(Debug)]
struct Next {
    row: Row,
    file: usize,
}

// === impl Merged ===

impl Merged {
    /// The rows of `files`.
    ///
    /// # Errors
    ///
    /// A file whose first rows cannot be read.
    pub fn new(files: Vec<FileRows>) -> Result<Self, FileError> {
        let next = BinaryHeap::with_capacity(files.len());
        let mut merged = Self { files, next, series: None, moment: None, values: Vec::new(), failed: None };
        for file in 0..merged.files.len() {
            merged.advance(file)?;
        }
        Ok(merged)
    }

    fn advance(&mut self, file: usize) -> Result<(), FileError> {
        if let Some(row) = self.files[file].next().transpose()? {
            self.next.push(Reverse(Next { row, file }));
        }
        Ok(())
    }

    /// Whether `row` was not there yet. What is of one series shares its key from here on.
    fn is_news(&mut self, row: &mut Row) -> bool {
        match &self.series {
            Some(series) if *series == row.series => row.series = Arc::clone(series),
            _ => {
                self.series = Some(Arc::clone(&row.series));
                self.moment = None;
            }
        }
        if self.moment != Some(row.sample.timestamp_ms) {
            self.moment = Some(row.sample.timestamp_ms);
            self.values.clear();
        }
        let value = row.sample.value.to_bits();
        let is_news = !self.values.contains(&value);
        if is_news {
            self.values.push(value);
        }
        is_news
    }
}

impl Iterator for Merged {
    type Item = Result<Row, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(error) = self.failed.take() {
                self.next.clear();
                return Some(Err(error));
            }
            let Reverse(Next { mut row, file }) = self.next.pop()?;
            self.failed = self.advance(file).err();
            if self.is_news(&mut row) {
                return Some(Ok(row));
            }
        }
    }
}

// === impl Next ===

impl Ord for Next {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.row.order(&other.row).then(self.file.cmp(&other.file))
    }
}

impl PartialOrd for Next {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Next {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Next {}
