//! Rows of a Parquet file: the columns `timestamp` and `value`.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type as Physical};
use parquet::errors::ParquetError as FormatError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row as Record};
use parquet::schema::types::Type;

use super::{Row, milliseconds};
use crate::batch::Sample;

/// Reads a file row group by row group.
#[derive(Debug)]
pub struct ParquetRows {
    records: Records,
    unit: Unit,
    rows: u64,
    row: u64,
}

/// The iterator of the file, which cannot be shown.
struct Records(RowIter<'static>);

/// What a number in the column `timestamp` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// Seconds or milliseconds, told apart by size.
    Plain,
    /// So many in a millisecond.
    PerMillisecond(i64),
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ParquetError {
    /// The file itself.
    #[error("cannot open the file")]
    Open(#[source] std::io::Error),
    /// A file that is no Parquet, or is damaged.
    #[error("the file is no Parquet, or damaged")]
    Format(#[from] FormatError),
    /// No such column.
    #[error("there is no column {wanted:?}; the file has {found:?}")]
    NoColumn {
        /// What is looked for.
        wanted: &'static str,
        /// The columns of the file.
        found: Vec<String>,
    },
    /// A column of another type.
    #[error("the column {column:?} is of type {found}; it must be {wanted}")]
    Type {
        /// Its name.
        column: &'static str,
        /// What it is.
        found: String,
        /// What it could be.
        wanted: &'static str,
    },
    /// A row without a time.
    #[error("row {0} has no timestamp")]
    NoTimestamp(u64),
}

const TIMESTAMP: &str = "timestamp";
const VALUE: &str = "value";

// === impl ParquetRows ===

impl ParquetRows {
    /// The rows of the file at `path`.
    ///
    /// # Errors
    ///
    /// A file that is no Parquet, or whose columns `timestamp` (64-bit integers, timestamps among them) and
    /// `value` (numbers) are absent or of other types.
    pub fn open(path: &Path) -> Result<Self, ParquetError> {
        let file = File::open(path).map_err(ParquetError::Open)?;
        let reader = SerializedFileReader::new(file)?;
        let metadata = reader.metadata().file_metadata();
        let rows = u64::try_from(metadata.num_rows()).unwrap_or(0);
        let schema = metadata.schema();
        let (timestamp, value) = (column(schema, TIMESTAMP)?, column(schema, VALUE)?);
        let unit = unit_of(&timestamp)?;
        require_number(&value)?;
        let projection =
            Type::group_type_builder(schema.name()).with_fields(vec![timestamp, value]).build()?;
        let records = Records(RowIter::from_file_into(Box::new(reader)).project(Some(projection))?);
        Ok(Self { records, unit, rows, row: 0 })
    }

    /// How many rows the file says it has.
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

impl Iterator for ParquetRows {
    type Item = Result<Row, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.records.0.next()?;
        self.row += 1;
        let row = |record: Record| row(&record, self.unit).ok_or(ParquetError::NoTimestamp(self.row));
        Some(record.map_err(ParquetError::from).and_then(row))
    }
}

fn column(schema: &Type, wanted: &'static str) -> Result<Arc<Type>, ParquetError> {
    let fields = schema.get_fields();
    let found = || fields.iter().map(|field| field.name().to_owned()).collect();
    let field = fields.iter().find(|field| field.name() == wanted);
    field.cloned().ok_or_else(|| ParquetError::NoColumn { wanted, found: found() })
}

fn unit_of(timestamp: &Type) -> Result<Unit, ParquetError> {
    let wrong = || ParquetError::Type {
        column: TIMESTAMP,
        found: describe(timestamp),
        wanted: "a 64-bit integer, or a timestamp in milliseconds, microseconds or nanoseconds",
    };
    if !timestamp.is_primitive() || timestamp.get_physical_type() != Physical::INT64 {
        return Err(wrong());
    }
    let info = timestamp.get_basic_info();
    match (info.logical_type_ref(), info.converted_type()) {
        (Some(LogicalType::Timestamp(time)), _) => Ok(Unit::PerMillisecond(match time.unit {
            TimeUnit::MILLIS => 1,
            TimeUnit::MICROS => 1_000,
            TimeUnit::NANOS => 1_000_000,
        })),
        (_, ConvertedType::TIMESTAMP_MILLIS) => Ok(Unit::PerMillisecond(1)),
        (_, ConvertedType::TIMESTAMP_MICROS) => Ok(Unit::PerMillisecond(1_000)),
        (_, ConvertedType::NONE | ConvertedType::INT_64) => Ok(Unit::Plain),
        _ => Err(wrong()),
    }
}

fn require_number(value: &Type) -> Result<(), ParquetError> {
    let numbers = [Physical::DOUBLE, Physical::FLOAT, Physical::INT64, Physical::INT32];
    if value.is_primitive() && numbers.contains(&value.get_physical_type()) {
        return Ok(());
    }
    Err(ParquetError::Type { column: VALUE, found: describe(value), wanted: "a 64-bit float" })
}

fn describe(column: &Type) -> String {
    if column.is_primitive() { column.get_physical_type().to_string() } else { "a group".to_owned() }
}

fn row(record: &Record, unit: Unit) -> Option<Row> {
    let (mut timestamp, mut value) = (None, f64::NAN);
    for (name, field) in record.get_column_iter() {
        match (name.as_str(), field) {
            (TIMESTAMP, Field::Long(at) | Field::TimestampMillis(at) | Field::TimestampMicros(at)) => {
                timestamp = Some(*at);
            }
            (VALUE, field) => value = number(field),
            _ => {}
        }
    }
    let timestamp = timestamp?;
    let timestamp_ms = match unit {
        Unit::Plain => milliseconds(timestamp as f64),
        Unit::PerMillisecond(count) => timestamp.div_euclid(count),
    };
    Some(Row::of(Sample { timestamp_ms, value }))
}

/// The number in `field`; null is not a number.
fn number(field: &Field) -> f64 {
    match field {
        Field::Double(value) => *value,
        Field::Float(value) => f64::from(*value),
        Field::Long(value) => *value as f64,
        Field::Int(value) => f64::from(*value),
        _ => f64::NAN,
    }
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Records")
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::PathBuf;

    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FloatType, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::*;

    /// What a column of a file is filled with.
    enum Filling<'a> {
        Longs(&'a [i64]),
        Doubles(&'a [f64], Option<&'a [i16]>),
        Floats(&'a [f32]),
        Texts(&'a [&'a str]),
    }

    fn write(dir: &tempfile::TempDir, schema: &str, row_groups: &[&[Filling<'_>]]) -> PathBuf {
        let path = dir.path().join("series.parquet");
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let compression = parquet::basic::Compression::SNAPPY;
        let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
        let mut file = SerializedFileWriter::new(File::create(&path).unwrap(), schema, properties).unwrap();
        for fillings in row_groups {
            let mut group = file.next_row_group().unwrap();
            for filling in *fillings {
                let mut column = group.next_column().unwrap().unwrap();
                match filling {
                    Filling::Longs(values) => {
                        column.typed::<Int64Type>().write_batch(values, None, None).unwrap();
                    }
                    Filling::Doubles(values, present) => {
                        column.typed::<DoubleType>().write_batch(values, *present, None).unwrap();
                    }
                    Filling::Floats(values) => {
                        column.typed::<FloatType>().write_batch(values, None, None).unwrap();
                    }
                    Filling::Texts(values) => {
                        let values: Vec<ByteArray> = values.iter().map(|text| (*text).into()).collect();
                        column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
                    }
                }
                column.close().unwrap();
            }
            group.close().unwrap();
        }
        file.close().unwrap();
        path
    }

    fn samples(path: &Path) -> Vec<(i64, f64)> {
        let rows = ParquetRows::open(path).unwrap();
        rows.map(|row| row.unwrap().sample).map(|sample| (sample.timestamp_ms, sample.value)).collect()
    }

    #[test]
    fn timestamps_of_every_unit_are_understood() {
        let dir = tempfile::tempdir().unwrap();
        let check = |kind: &str, at: i64| {
            let schema = format!("message m {{ required double value; required int64 timestamp{kind}; }}");
            let values = Filling::Doubles(&[1.5], None);
            let path = write(&dir, &schema, &[&[values, Filling::Longs(&[at])]]);
            assert_eq!(samples(&path), [(1_500_000_000_250, 1.5)], "{kind}");
        };
        check("", 1_500_000_000_250);
        check(" (TIMESTAMP_MILLIS)", 1_500_000_000_250);
        check(" (TIMESTAMP(MILLIS,true))", 1_500_000_000_250);
        check(" (TIMESTAMP(MICROS,false))", 1_500_000_000_250_999);
        check(" (TIMESTAMP(NANOS,true))", 1_500_000_000_250_999_999);
    }

    #[test]
    fn rows_go_on_over_row_groups_and_a_null_is_no_number() {
        let dir = tempfile::tempdir().unwrap();
        let schema =
            "message m { required binary host (UTF8); required int64 timestamp; optional double value; }";
        let hosts = || Filling::Texts(&["a", "a"]);
        let path = write(
            &dir,
            schema,
            &[
                &[
                    hosts(),
                    Filling::Longs(&[1_500_000_000, 1_500_000_060]),
                    Filling::Doubles(&[7.0], Some(&[0, 1])),
                ],
                &[
                    hosts(),
                    Filling::Longs(&[1_500_000_120, 1_500_000_180]),
                    Filling::Doubles(&[8.0, 9.0], Some(&[1, 1])),
                ],
            ],
        );
        let rows = samples(&path);
        assert_eq!(ParquetRows::open(&path).unwrap().rows(), 4);
        assert!(rows[0].1.is_nan() && rows[0].0 == 1_500_000_000_000);
        assert_eq!(rows[1..], [(1_500_000_060_000, 7.0), (1_500_000_120_000, 8.0), (1_500_000_180_000, 9.0)]);
    }

    #[test]
    fn what_holds_no_series_is_refused_with_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let error = |schema: &str, fillings: &[Filling<'_>]| {
            ParquetRows::open(&write(&dir, schema, &[fillings])).unwrap_err().to_string()
        };
        let lacking = error(
            "message m { required float load; required int64 timestamp; }",
            &[Filling::Floats(&[1.0]), Filling::Longs(&[1])],
        );
        assert_eq!(lacking, "there is no column \"value\"; the file has [\"load\", \"timestamp\"]");
        let typed = error(
            "message m { required binary value (UTF8); required int64 timestamp; }",
            &[Filling::Texts(&["1"]), Filling::Longs(&[1])],
        );
        assert!(typed.contains("\"value\" is of type BYTE_ARRAY"), "{typed}");
        let path = dir.path().join("no.parquet");
        std::fs::write(&path, "timestamp,value\n1,2\n").unwrap();
        assert!(matches!(ParquetRows::open(&path), Err(ParquetError::Format(_))));
    }
}
