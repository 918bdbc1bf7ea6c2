//! A file into rows.

use std::collections::{BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};

use super::row::{Row, SeriesKey};
use super::schema::{self, COLUMNS, FINGERPRINT, LABELS, NAME, REPLACES, SCORE, TIMESTAMP, VALUE};
use crate::batch::Sample;
use crate::detect::Judgement;

/// More rows in a row group than any of ours has by far: a file that says so is not read.
const MOST_ROWS: usize = 10_000_000;

/// A whole file in memory, read row group by row group.
pub struct FileRows {
    file: SerializedFileReader<Bytes>,
    next_group: usize,
    rows: VecDeque<Row>,
    series: Option<Arc<SeriesKey>>,
}

/// Why a file of the archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// No Parquet, or damaged.
    #[error("it is no Parquet, or damaged")]
    Format(#[from] ParquetError),
    /// So damaged that the reader of Parquet broke on it.
    #[error("it is so damaged that reading it broke")]
    Broken,
    /// Parquet, but not of an archive.
    #[error("it has not the columns of an archive ({})", COLUMNS.join(", "))]
    Columns,
    /// Columns that do not belong together.
    #[error("its columns are not of one length")]
    Uneven,
    /// Names that are no text.
    #[error("it names a series by what is no UTF-8")]
    Text,
    /// More in one row group than may be.
    #[error("a row group of it says it has more than {MOST_ROWS} rows")]
    TooLong,
}

/// Which series a file has, how many samples and from when to when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The fingerprints of its series.
    pub series: BTreeSet<u64>,
    /// Its samples.
    pub samples: u64,
    /// The time of the oldest and of the newest sample, if there is any.
    pub span: Option<(i64, i64)>,
}

// === impl FileRows ===

impl FileRows {
    /// The rows of the file `bytes`.
    ///
    /// # Errors
    ///
    /// Whatever is not a file of an archive.
    pub fn open(bytes: Bytes) -> Result<Self, FileError> {
        let file = guarded(|| Ok(SerializedFileReader::new(bytes)?))?;
        let (ours, its) = (schema::schema()?, file.metadata().file_metadata().schema());
        let same = ours.get_fields().len() == its.get_fields().len()
            && ours.get_fields().iter().zip(its.get_fields()).all(|(ours, its)| {
                its.is_primitive()
                    && ours.name() == its.name()
                    && ours.get_physical_type() == its.get_physical_type()
                    && ours.get_basic_info().repetition() == its.get_basic_info().repetition()
            });
        if !same {
            return Err(FileError::Columns);
        }
        Ok(Self { file, next_group: 0, rows: VecDeque::new(), series: None })
    }

    /// The names of the files that this one stands for.
    pub fn replaces(&self) -> Vec<String> {
        let footer = self.file.metadata().file_metadata().key_value_metadata();
        let names = footer.into_iter().flatten().find(|pair| pair.key == REPLACES);
        let names = names.and_then(|pair| pair.value.as_deref()).unwrap_or_default();
        names.lines().map(str::to_owned).collect()
    }

    /// What it has, from two of its columns.
    ///
    /// # Errors
    ///
    /// A file that is damaged.
    pub fn contents(&self) -> Result<Contents, FileError> {
        guarded(|| self.count())
    }

    fn count(&self) -> Result<Contents, FileError> {
        let mut contents = Contents::default();
        for group in 0..self.file.num_row_groups() {
            let (group, rows) = self.group(group)?;
            let series = column::<Int64Type>(&*group, FINGERPRINT, rows)?;
            contents.series.extend(series.into_iter().map(i64::cast_unsigned));
            for at in column::<Int64Type>(&*group, TIMESTAMP, rows)? {
                let (first, last) = contents.span.unwrap_or((at, at));
                contents.span = Some((first.min(at), last.max(at)));
            }
            contents.samples += rows as u64;
        }
        Ok(contents)
    }

    fn group(&self, index: usize) -> Result<(Box<dyn RowGroupReader + '_>, usize), FileError> {
        let group = self.file.get_row_group(index)?;
        let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(usize::MAX);
        if rows > MOST_ROWS { Err(FileError::TooLong) } else { Ok((group, rows)) }
    }

    fn read_group(&mut self, index: usize) -> Result<VecDeque<Row>, FileError> {
        let (group, rows) = self.group(index)?;
        let names = column::<ByteArrayType>(&*group, NAME, rows)?;
        let labels = column::<ByteArrayType>(&*group, LABELS, rows)?;
        let timestamps = column::<Int64Type>(&*group, TIMESTAMP, rows)?;
        let values = column::<DoubleType>(&*group, VALUE, rows)?;
        let mut said = Vec::with_capacity(4);
        for index in SCORE..COLUMNS.len() {
            said.push(optional(&*group, index, rows)?);
        }
        drop(group);
        let mut all = VecDeque::with_capacity(rows);
        for at in 0..rows {
            let series = self.series(&names[at], &labels[at])?;
            let sample = Sample { timestamp_ms: timestamps[at], value: values[at] };
            let [score, expected, lower, upper] = [0, 1, 2, 3].map(|output: usize| said[output][at]);
            all.push_back(Row { series, sample, judged: Judgement { score, expected, lower, upper } });
        }
        Ok(all)
    }

    /// The series of a row: most often that of the row before.
    fn series(&mut self, name: &ByteArray, labels: &ByteArray) -> Result<Arc<SeriesKey>, FileError> {
        let same = |series: &&Arc<SeriesKey>| {
            series.name.as_bytes() == name.data() && series.labels.as_bytes() == labels.data()
        };
        if let Some(series) = self.series.as_ref().filter(same) {
            return Ok(Arc::clone(series));
        }
        let text = |bytes: &ByteArray| bytes.as_utf8().map(str::to_owned).map_err(|_| FileError::Text);
        let series = Arc::new(SeriesKey::written(text(name)?, text(labels)?));
        self.series = Some(Arc::clone(&series));
        Ok(series)
    }
}

impl Iterator for FileRows {
    type Item = Result<Row, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.rows.is_empty() && self.next_group < self.file.num_row_groups() {
            let group = self.next_group;
            self.next_group += 1;
            match guarded(|| self.read_group(group)) {
                Ok(rows) => self.rows = rows,
                Err(error) => {
                    self.next_group = usize::MAX; // what is behind it is not ours to guess
                    return Some(Err(error));
                }
            }
        }
        self.rows.pop_front().map(Ok)
    }
}

impl std::fmt::Debug for FileRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileRows").field("next_group", &self.next_group).finish_non_exhaustive()
    }
}

/// Does `work`, in which the reader of Parquet may panic: it does on some files in which bytes were changed.
fn guarded<T>(work: impl FnOnce() -> Result<T, FileError>) -> Result<T, FileError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(FileError::Broken))
}

/// All values of a column that has one in each row.
fn column<T: DataType>(
    group: &dyn RowGroupReader,
    index: usize,
    rows: usize,
) -> Result<Vec<T::T>, FileError> {
    let mut values = Vec::new();
    let mut reader = get_typed_column_reader::<T>(group.get_column_reader(index)?);
    loop {
        let (read, _, _) = reader.read_records(rows.max(1), None, None, &mut values)?;
        if read == 0 {
            break;
        }
    }
    if values.len() == rows { Ok(values) } else { Err(FileError::Uneven) }
}

/// All values of a column that may lack some; not a number where it does.
fn optional(group: &dyn RowGroupReader, index: usize, rows: usize) -> Result<Vec<f64>, FileError> {
    let (mut present, mut values) = (Vec::new(), Vec::new());
    let mut reader = get_typed_column_reader::<DoubleType>(group.get_column_reader(index)?);
    loop {
        let (read, _, _) = reader.read_records(rows.max(1), Some(&mut present), None, &mut values)?;
        if read == 0 {
            break;
        }
    }
    let held = present.iter().filter(|level| **level > 0).count();
    if present.len() != rows || held != values.len() {
        return Err(FileError::Uneven);
    }
    let mut values = values.into_iter();
    let of = |level: &i16| if *level > 0 { values.next().unwrap_or(f64::NAN) } else { f64::NAN };
    Ok(present.iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::archive::write::FileWriter;
    use crate::batch::STALE_MARKER_BITS;
    use crate::series::labels::METRIC_NAME;

    fn rows(samples: &[(u8, i64, u64, [u64; 4])]) -> Vec<Row> {
        let series = |number: u8| {
            Arc::new(SeriesKey::of([(METRIC_NAME, "load"), ("instance", number.to_string().as_str())]))
        };
        let mut rows: Vec<Row> = samples
            .iter()
            .map(|(number, timestamp_ms, bits, said)| {
                let [score, expected, lower, upper] = said.map(f64::from_bits);
                let sample = Sample { timestamp_ms: *timestamp_ms, value: f64::from_bits(*bits) };
                Row { series: series(*number), sample, judged: Judgement { score, expected, lower, upper } }
            })
            .collect();
        rows.sort_by(Row::order);
        rows
    }

    fn file(rows: &[Row], replaces: &[String]) -> Bytes {
        let mut writer = FileWriter::new(replaces).unwrap();
        rows.iter().for_each(|row| writer.push(row).unwrap());
        assert_eq!(writer.rows(), rows.len() as u64);
        writer.finish().unwrap().into()
    }

    /// A row as what can be compared: no number is like another.
    fn bits(row: &Row) -> (SeriesKey, i64, u64, [Option<u64>; 4]) {
        let said = [row.judged.score, row.judged.expected, row.judged.lower, row.judged.upper];
        let said = said.map(|value| (!value.is_nan()).then(|| value.to_bits()));
        ((*row.series).clone(), row.sample.timestamp_ms, row.sample.value.to_bits(), said)
    }

    fn any_bits() -> impl Strategy<Value = u64> {
        let special = [
            STALE_MARKER_BITS,
            f64::NAN.to_bits(),
            0x7ff8_0000_dead_beef,
            (-0.0_f64).to_bits(),
            0,
            f64::NEG_INFINITY.to_bits(),
            1.0_f64.to_bits(),
            (2.0_f64.powi(53) - 1.0).to_bits(),
            1, // the smallest number there is
        ];
        prop_oneof![prop::sample::select(special.to_vec()), any::<u64>()]
    }

    proptest! {
        #[test]
        fn every_row_comes_back_bit_for_bit(
            samples in prop::collection::vec(
                (0_u8..4, any::<i64>(), any_bits(), prop::array::uniform4(any_bits())), 0..300,
            ),
        ) {
            let rows = rows(&samples);
            let read: Vec<Row> = FileRows::open(file(&rows, &[])).unwrap().map(Result::unwrap).collect();
            prop_assert_eq!(rows.iter().map(bits).collect::<Vec<_>>(), read.iter().map(bits).collect::<Vec<_>>());
        }

        #[test]
        fn what_is_damaged_is_refused_or_read_and_never_more(
            at in any::<prop::sample::Index>(), flip in 1_u8.., cut in any::<prop::sample::Index>(),
        ) {
            let samples: Vec<_> = (0..50).map(|step| (step as u8 % 3, step, step as u64, [0; 4])).collect();
            let whole = file(&rows(&samples), &[]).to_vec();
            let mut flipped = whole.clone();
            flipped[at.index(whole.len())] ^= flip;
            for bytes in [flipped, whole[..cut.index(whole.len())].to_vec()] {
                if let Ok(rows) = FileRows::open(bytes.into()) {
                    prop_assert!(rows.count() <= 51);
                }
            }
        }
    }

    #[test]
    fn a_file_says_what_it_has_and_stands_for() {
        let samples = [(1, 5, 0, [0; 4]), (2, 3, 0, [0; 4]), (1, 9, 0, [0; 4])];
        let replaces = vec!["one".to_owned(), "two".to_owned()];
        let read = FileRows::open(file(&rows(&samples), &replaces)).unwrap();
        let contents = read.contents().unwrap();
        assert_eq!((contents.series.len(), contents.samples, contents.span), (2, 3, Some((3, 9))));
        assert_eq!(read.replaces(), replaces);
        let first = read.map(Result::unwrap).next().unwrap();
        assert!(contents.series.contains(&first.series.fingerprint));
    }

    #[test]
    fn what_is_longer_than_a_row_group_is_read_in_order() {
        let samples: Vec<_> = (0..230_000).map(|step| (0, step, step as u64, [0; 4])).collect();
        let read = FileRows::open(file(&rows(&samples), &[])).unwrap();
        let times = read.map(|row| row.unwrap().sample.timestamp_ms);
        assert!(times.eq(0..230_000));
    }

    #[test]
    fn other_files_are_refused() {
        assert!(matches!(FileRows::open(Bytes::from_static(b"PAR1")), Err(FileError::Format(_))));
        let schema = parquet::schema::parser::parse_message_type("message m { required double value; }");
        let properties = Arc::default();
        let writer = parquet::file::writer::SerializedFileWriter::new(
            Vec::new(),
            Arc::new(schema.unwrap()),
            properties,
        );
        let bytes = writer.unwrap().into_inner().unwrap();
        assert!(matches!(FileRows::open(bytes.into()), Err(FileError::Columns)));
    }
}
