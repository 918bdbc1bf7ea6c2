//! The columns of a file, and how each is written.
//!
//! The rows of a series stand together, in the order of time. So the three columns that say which series it is are a
//! dictionary and a few runs; timestamps are differences that repeat. Values are written as they are, as numbers of a
//! dictionary where few different ones come, and else with the bytes of equal weight side by side, which is what zstd
//! makes most of. What was said of a sample is written so, too. `docs/archive.md` has what that comes to.

use std::sync::{Arc, LazyLock};

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, TypePtr};

/// The columns, in their order.
pub(super) const COLUMNS: [&str; 9] =
    ["fingerprint", "name", "labels", "timestamp_ms", "value", "score", "expected", "lower", "upper"];
pub(super) const FINGERPRINT: usize = 0;
pub(super) const NAME: usize = 1;
pub(super) const LABELS: usize = 2;
pub(super) const TIMESTAMP: usize = 3;
pub(super) const VALUE: usize = 4;
/// The first of what was said.
pub(super) const SCORE: usize = 5;

const MESSAGE: &str = "message sidelong_metrics {
    required int64 fingerprint (INTEGER(64,false));
    required binary name (UTF8);
    required binary labels (JSON);
    required int64 timestamp_ms (TIMESTAMP(MILLIS,true));
    required double value;
    optional double score;
    optional double expected;
    optional double lower;
    optional double upper;
}";
/// Names of the files that one stands for; separated by line ends, in its footer.
pub(super) const REPLACES: &str = "sidelong.replaces";

/// Different numbers of a column beyond which its dictionary is given up, by their bytes.
const NUMBERS: usize = 64 << 10;

static SCHEMA: LazyLock<Result<TypePtr, ParquetError>> =
    LazyLock::new(|| parse_message_type(MESSAGE).map(Arc::new));

/// The columns as Parquet knows them.
pub(super) fn schema() -> Result<TypePtr, ParquetError> {
    SCHEMA.as_ref().map(Arc::clone).map_err(|error| ParquetError::General(error.to_string()))
}

/// How the columns of a file are written that stands for those called `replaces`.
pub(super) fn properties(replaces: &[String]) -> WriterProperties {
    let column = |index: usize| ColumnPath::from(COLUMNS[index]);
    let sorted = |index| SortingColumn { column_idx: index as i32, descending: false, nulls_first: false };
    let replaces =
        (!replaces.is_empty()).then(|| vec![KeyValue::new(REPLACES.to_owned(), replaces.join("\n"))]);
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_sorting_columns(Some([NAME, LABELS, TIMESTAMP].map(sorted).to_vec()))
        .set_key_value_metadata(replaces)
        .set_column_dictionary_enabled(column(TIMESTAMP), false)
        .set_column_encoding(column(TIMESTAMP), Encoding::DELTA_BINARY_PACKED);
    for number in VALUE..COLUMNS.len() {
        properties = properties
            .set_column_dictionary_page_size_limit(column(number), NUMBERS)
            .set_column_encoding(column(number), Encoding::BYTE_STREAM_SPLIT);
    }
    properties.build()
}
