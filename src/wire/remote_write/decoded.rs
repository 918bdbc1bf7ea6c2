//! What a decoder counted, and why it stopped.

use std::fmt;

/// How many elements a request held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Series entries, those without samples among them (they are not in the batch).
    pub series: u32,
    /// Float samples, stale markers among them; all of them are in the batch.
    pub samples: u32,
    /// Native histograms.
    pub histograms: u32,
    /// Exemplars.
    pub exemplars: u32,
    /// Metadata entries (1.0), or series with metadata (2.0).
    pub metadata: u32,
}

/// What [`crate::wire::remote_write::ElementLimits`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Series entries in a request.
    Series,
    /// Labels of a series.
    Labels,
    /// Bytes of a label name.
    LabelName,
    /// Bytes of a label value.
    LabelValue,
    /// Samples of a series entry.
    SeriesSamples,
    /// Samples in a request.
    Samples,
    /// Strings in a symbol table.
    Symbols,
    /// Buckets of a native histogram, or spans of them, or bounds.
    Buckets,
}

// === impl DecodeError ===

impl DecodeError {
    /// Whether a limit was met, rather than damaged bytes.
    pub fn is_limit(&self) -> bool {
        matches!(self, Self::Limit { .. })
    }
}

// === impl Element ===

impl Element {
    /// The option that sets the limit.
    pub fn option(self) -> &'static str {
        match self {
            Self::Series => "max_series_per_request",
            Self::Labels => "max_labels_per_series",
            Self::LabelName => "max_label_name_length",
            Self::LabelValue => "max_label_value_length",
            Self::SeriesSamples => "max_samples_per_series",
            Self::Samples => "max_samples_per_request",
            Self::Symbols => "max_symbols_per_request",
            Self::Buckets => "max_buckets_per_histogram",
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Series => "series in the request",
            Self::Labels => "labels on a series",
            Self::LabelName => "bytes in a label name",
            Self::LabelValue => "bytes in a label value",
            Self::SeriesSamples => "samples on a series",
            Self::Samples => "samples in the request",
            Self::Symbols => "symbols in the request",
            Self::Buckets => "buckets in a native histogram",
        })
    }
}

/// Why a request could not be decoded. Positions are bytes of the decompressed body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A field reaches beyond the end of its message.
    #[error("the message is cut short at byte {at}")]
    Truncated {
        /// Where.
        at: usize,
    },
    /// A number or a field key that is none.
    #[error("invalid integer or field key at byte {at}")]
    Number {
        /// Where.
        at: usize,
    },
    /// A known field with a wire type that it cannot have, an unknown wire type, or a group.
    #[error("field {field} before byte {at} has the wire type {wire_type}, which is not valid there")]
    WireType {
        /// The field's number.
        field: u32,
        /// Its wire type.
        wire_type: u8,
        /// Where.
        at: usize,
    },
    /// A label of a 2.0 request that is not in its symbol table (R20).
    #[error("a label refers to symbol {index}, but there are {symbols}")]
    SymbolBeyondTable {
        /// The reference.
        index: u64,
        /// How many symbols there are.
        symbols: usize,
    },
    /// A 2.0 series with a label name that has no value (R20).
    #[error("the label references of the series at byte {at} are odd in number")]
    OddReferences {
        /// Where the series ends.
        at: usize,
    },
    /// A native histogram that does not agree with itself.
    #[error("the native histogram at byte {at} does not agree with itself")]
    Histogram {
        /// Where it begins.
        at: usize,
    },
    /// More of something than is decoded.
    #[error("more than {limit} {element}; send smaller requests or raise {}", .element.option())]
    Limit {
        /// Of what.
        element: Element,
        /// The limit.
        limit: u32,
    },
    /// A body longer than positions are counted (4 GiB).
    #[error("the message of {bytes} bytes is longer than 4 GiB")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}
