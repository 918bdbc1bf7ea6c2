//! Rows into a file.

use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};

use super::row::{Row, SeriesKey};
use super::schema;

/// Rows that are held before they are written: what of a file is in memory at once, here and where it is read.
const ROW_GROUP: usize = 100_000;

/// Writes one file into memory. Rows come in the order of [`Row::order`].
pub struct FileWriter {
    file: SerializedFileWriter<Vec<u8>>,
    columns: Columns,
    rows: u64,
}

/// The columns of one row group.
#[derive(Default)]
struct Columns {
    series: Option<Arc<SeriesKey>>,
    fingerprints: Vec<i64>,
    names: Vec<ByteArray>,
    labels: Vec<ByteArray>,
    timestamps: Vec<i64>,
    values: Vec<f64>,
    said: [Said; 4],
}

/// One column of what was said: where there is something, and what.
#[derive(Default)]
struct Said {
    present: Vec<i16>,
    values: Vec<f64>,
}

// === impl FileWriter ===

impl FileWriter {
    /// A file that stands for those called `replaces`.
    ///
    /// # Errors
    ///
    /// None that depends on what is given.
    pub fn new(replaces: &[String]) -> Result<Self, ParquetError> {
        let properties = Arc::new(schema::properties(replaces));
        let file = SerializedFileWriter::new(Vec::new(), schema::schema()?, properties)?;
        Ok(Self { file, columns: Columns::default(), rows: 0 })
    }

    /// Adds a row.
    ///
    /// # Errors
    ///
    /// None that depends on what is given.
    pub fn push(&mut self, row: &Row) -> Result<(), ParquetError> {
        self.columns.push(row);
        self.rows += 1;
        if self.columns.values.len() >= ROW_GROUP { self.end_group() } else { Ok(()) }
    }

    /// Rows that were added.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The whole file.
    ///
    /// # Errors
    ///
    /// None that depends on what is given.
    pub fn finish(mut self) -> Result<Vec<u8>, ParquetError> {
        if !self.columns.values.is_empty() {
            self.end_group()?;
        }
        self.file.into_inner()
    }

    fn end_group(&mut self) -> Result<(), ParquetError> {
        let columns = std::mem::take(&mut self.columns);
        let mut group = self.file.next_row_group()?;
        columns.write(&mut group)?;
        group.close().map(drop)
    }
}

impl std::fmt::Debug for FileWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileWriter").field("rows", &self.rows).finish_non_exhaustive()
    }
}

// === impl Columns ===

impl Columns {
    fn push(&mut self, row: &Row) {
        let known = self.series.as_ref().is_some_and(|series| Arc::ptr_eq(series, &row.series));
        let before = self.names.last().zip(self.labels.last()).filter(|_| known);
        let (name, labels) = match before {
            Some((name, labels)) => (name.clone(), labels.clone()), // the same bytes, held once
            None => (row.series.name.as_str().into(), row.series.labels.as_str().into()),
        };
        self.series = Some(Arc::clone(&row.series));
        self.names.push(name);
        self.labels.push(labels);
        self.fingerprints.push(row.series.fingerprint.cast_signed()); // as Parquet holds what has no sign
        self.timestamps.push(row.sample.timestamp_ms);
        self.values.push(row.sample.value);
        let judged = &row.judged;
        let all = [judged.score, judged.expected, judged.lower, judged.upper];
        self.said.iter_mut().zip(all).for_each(|(said, value)| said.push(value));
    }

    fn write(self, group: &mut SerializedRowGroupWriter<'_, Vec<u8>>) -> Result<(), ParquetError> {
        put::<Int64Type>(group, &self.fingerprints, None)?;
        put::<ByteArrayType>(group, &self.names, None)?;
        put::<ByteArrayType>(group, &self.labels, None)?;
        put::<Int64Type>(group, &self.timestamps, None)?;
        put::<DoubleType>(group, &self.values, None)?;
        for said in &self.said {
            put::<DoubleType>(group, &said.values, Some(&said.present))?;
        }
        Ok(())
    }
}

// === impl Said ===

impl Said {
    fn push(&mut self, value: f64) {
        self.present.push(i16::from(!value.is_nan()));
        if !value.is_nan() {
            self.values.push(value);
        }
    }
}

fn put<T: parquet::data_type::DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: &[T::T],
    present: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let lacking = || ParquetError::General("the schema lacks a column".to_owned());
    let mut column = group.next_column()?.ok_or_else(lacking)?;
    column.typed::<T>().write_batch(values, present, None)?;
    column.close()
}
