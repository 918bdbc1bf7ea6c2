//! Features as Parquet.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FloatType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;

use super::{Cell, cells};
use crate::backtest::Series;
use crate::detect::Explanation;

/// Why features cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the Parquet file cannot be written")]
pub struct FeatureFileError(#[from] ParquetError);

/// Writes a row group for so many rows. The schema follows from the first row.
pub struct ParquetFeatures<W: Write + Send> {
    state: State<W>,
    /// Whether a column names the series.
    names_series: bool,
    rows: Vec<Vec<(&'static str, Cell)>>,
}

enum State<W: Write + Send> {
    /// Nothing is known of the columns yet.
    Waiting(W),
    Writing(SerializedFileWriter<W>),
    /// Something went wrong, or all is written.
    Done,
}

/// Rows of a row group: they are held in memory until it is written.
const ROW_GROUP: usize = 1 << 14;
const SERIES: &str = "series";
const TIMESTAMP: &str = "timestamp";

// === impl ParquetFeatures ===

impl<W: Write + Send> ParquetFeatures<W> {
    /// A file in `out`, with a column for the series where `names_series` is set.
    pub fn new(out: W, names_series: bool) -> Self {
        Self { state: State::Waiting(out), names_series, rows: Vec::new() }
    }

    /// Adds a row.
    ///
    /// # Errors
    ///
    /// Whatever the output refuses to take.
    pub fn write(&mut self, series: &Series, seen: &Explanation) -> Result<(), FeatureFileError> {
        let mut row = cells(seen);
        if self.names_series {
            row.push((SERIES, Cell::Word(series.to_string())));
        }
        self.rows.push(row);
        if self.rows.len() >= ROW_GROUP { self.write_group() } else { Ok(()) }
    }

    /// Writes what is left, and the end of the file. A file without a row is left empty: it would have no columns.
    ///
    /// # Errors
    ///
    /// As [`ParquetFeatures::write`].
    pub fn finish(mut self) -> Result<(), FeatureFileError> {
        self.write_group()?;
        if let State::Writing(file) = self.state {
            file.close()?;
        }
        Ok(())
    }

    fn write_group(&mut self) -> Result<(), FeatureFileError> {
        let rows = std::mem::take(&mut self.rows);
        let Some(first) = rows.first() else { return Ok(()) };
        let mut file = match std::mem::replace(&mut self.state, State::Done) {
            State::Waiting(out) => {
                let compression = Compression::ZSTD(ZstdLevel::default());
                let properties = WriterProperties::builder().set_compression(compression).build();
                SerializedFileWriter::new(out, Arc::new(schema(first)?), Arc::new(properties))?
            }
            State::Writing(file) => file,
            State::Done => return Ok(()),
        };
        let mut group = file.next_row_group()?;
        let mut at = 0;
        while let Some(mut column) = group.next_column()? {
            write_column(&mut column, rows.iter().map(|row| &row[at].1))?;
            column.close()?;
            at += 1;
        }
        group.close()?;
        self.state = State::Writing(file);
        Ok(())
    }
}

impl<W: Write + Send> std::fmt::Debug for ParquetFeatures<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetFeatures").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

fn schema(row: &[(&'static str, Cell)]) -> Result<Type, ParquetError> {
    let column = |(name, cell): &(&'static str, Cell)| {
        let (physical, logical, repetition) = match cell {
            Cell::Integer(_) if *name == TIMESTAMP => {
                (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS)), Repetition::REQUIRED)
            }
            Cell::Integer(_) => (Physical::INT64, None, Repetition::REQUIRED),
            Cell::Double(_) => (Physical::DOUBLE, None, Repetition::REQUIRED),
            Cell::Single(_) => (Physical::FLOAT, None, Repetition::OPTIONAL),
            Cell::Word(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String), Repetition::REQUIRED),
        };
        let column = Type::primitive_type_builder(name, physical);
        column.with_logical_type(logical).with_repetition(repetition).build().map(Arc::new)
    };
    let columns = row.iter().map(column).collect::<Result<_, _>>()?;
    Type::group_type_builder("features").with_fields(columns).build()
}

/// Writes one column. A column holds one kind of cell, since each row comes of the same function.
fn write_column<'a>(
    column: &mut SerializedColumnWriter<'_>,
    cells: impl Iterator<Item = &'a Cell>,
) -> Result<(), ParquetError> {
    let (mut integers, mut doubles, mut words) = (Vec::new(), Vec::new(), Vec::new());
    let (mut singles, mut present) = (Vec::new(), Vec::new());
    for cell in cells {
        match cell {
            Cell::Integer(number) => integers.push(*number),
            Cell::Double(number) => doubles.push(*number),
            Cell::Word(word) => words.push(ByteArray::from(word.as_str())),
            Cell::Single(number) => {
                present.push(i16::from(number.is_some()));
                singles.extend(*number);
            }
        }
    }
    if !present.is_empty() {
        column.typed::<FloatType>().write_batch(&singles, Some(&present), None)?;
    } else if !integers.is_empty() {
        column.typed::<Int64Type>().write_batch(&integers, None, None)?;
    } else if !doubles.is_empty() {
        column.typed::<DoubleType>().write_batch(&doubles, None, None)?;
    } else {
        column.typed::<ByteArrayType>().write_batch(&words, None, None)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::{Field, Row};

    use super::super::tests::seen;
    use super::*;
    use crate::backtest::source::ParquetRows;

    #[test]
    fn what_is_written_is_read_back_bit_by_bit_and_can_be_replayed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("features.parquet");
        let mut file = ParquetFeatures::new(std::fs::File::create(&path).unwrap(), true);
        let series: Series = "up{a=\"b\"}".parse().unwrap();
        let all: Vec<_> = [2, 30, 400].map(seen).into();
        all.iter().for_each(|seen| file.write(&series, seen).unwrap());
        file.finish().unwrap();

        let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
        let rows: Vec<Row> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows.len(), all.len());
        for (row, seen) in rows.iter().zip(&all) {
            let wanted = cells(seen).into_iter().chain([("series", Cell::Word(series.to_string()))]);
            for ((name, field), (wanted_name, cell)) in row.get_column_iter().zip(wanted) {
                let is_same = match (field, &cell) {
                    (Field::Long(number) | Field::TimestampMillis(number), Cell::Integer(wanted)) => {
                        number == wanted
                    }
                    (Field::Double(number), Cell::Double(wanted)) => number.to_bits() == wanted.to_bits(),
                    (Field::Float(number), Cell::Single(Some(wanted))) => {
                        number.to_bits() == wanted.to_bits()
                    }
                    (Field::Null, Cell::Single(None)) => true,
                    (Field::Str(word), Cell::Word(wanted)) => word == wanted,
                    _ => false,
                };
                assert!(is_same && name == wanted_name, "{name}: {field:?} is not {cell:?}");
            }
        }
        let replayed: Vec<_> = ParquetRows::open(&path).unwrap().map(|row| row.unwrap().sample).collect();
        assert_eq!((replayed[2].timestamp_ms, replayed[2].value), (all[2].timestamp_ms, 99.0));
    }
}
