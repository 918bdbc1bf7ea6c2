//! Durations and byte sizes, spelled as Prometheus spells them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration in Prometheus' spelling: `500ms`, `5s`, `1m30s`, `1h`, `2d`, `1w`, `1y`, or `0`.
///
/// Units stand in descending order, each at most once; a day has 24 hours, a year 365 days. The
/// resolution is one millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromDuration(Duration);

/// A number of bytes: `512KB`, `8MiB`, `1GiB`, or a bare integer.
///
/// `KB` and `KiB` both mean 1024 bytes, and so on upwards, as in Prometheus' own options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing was written.
    #[error("the duration is empty; write for example 30s or 1m30s")]
    Empty,
    /// A bare number other than 0.
    #[error("the duration {0:?} has no unit; write for example {0}s or {0}ms")]
    NoUnit(String),
    /// A unit that Prometheus does not have, units in the wrong order, or something else altogether.
    #[error(
        "{0:?} is not a duration; write whole numbers with the units y, w, d, h, m, s, ms in this order, \
         for example 1m30s"
    )]
    Malformed(String),
    /// More than 2^63 nanoseconds, Prometheus' own limit.
    #[error("the duration {0:?} is longer than 292 years")]
    TooLong(String),
}

/// Why a text is not a number of bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ByteSizeError {
    /// Nothing was written, or not a whole number with a known unit.
    #[error("{0:?} is not a byte size; write a whole number with B, KiB, MiB, GiB or TiB, for example 8MiB")]
    Malformed(String),
    /// More than 2^64 - 1 bytes.
    #[error("the byte size {0:?} is larger than 16 EiB")]
    TooLarge(String),
}

/// The units of a duration from large to small, in milliseconds.
const DURATION_UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Prometheus holds a duration in signed 64-bit nanoseconds.
const MAX_MILLIS: u64 = i64::MAX as u64 / 1_000_000;

/// The units of a byte size from large to small.
const BYTE_UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

// === impl PromDuration ===

impl PromDuration {
    /// A duration of whole seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// A duration of whole milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The duration as the standard library has it.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// The whole milliseconds of this duration.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether this is `0s`.
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl From<PromDuration> for Duration {
    fn from(duration: PromDuration) -> Self {
        duration.0
    }
}

impl FromStr for PromDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        if text.is_empty() {
            return Err(DurationError::Empty);
        }
        if text == "0" {
            return Ok(Self::default());
        }
        let mut rest = text;
        let mut units = DURATION_UNITS.iter();
        let mut total = 0u64;
        while !rest.is_empty() {
            let (number, unit, after) = next_part(rest).ok_or_else(|| malformed_duration(text))?;
            let too_long = || DurationError::TooLong(text.to_owned());
            let (_, millis) =
                units.find(|(name, _)| *name == unit).ok_or_else(|| malformed_duration(text))?;
            let part = number.parse::<u64>().ok().and_then(|n| n.checked_mul(*millis));
            total = part.and_then(|part| part.checked_add(total)).ok_or_else(too_long)?;
            if total > MAX_MILLIS {
                return Err(too_long());
            }
            rest = after;
        }
        Ok(Self::from_millis(total))
    }
}

impl fmt::Display for PromDuration {
    /// Writes what [`FromStr`] reads back to the same value, as Prometheus would: years and weeks only
    /// where they divide the rest exactly.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.as_millis();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, millis) in DURATION_UNITS {
            let exact_only = matches!(unit, "y" | "w");
            if rest >= millis && (!exact_only || rest.is_multiple_of(millis)) {
                write!(f, "{}{unit}", rest / millis)?;
                rest %= millis;
            }
        }
        Ok(())
    }
}

impl Serialize for PromDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PromDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrNumber).and_then(|text| text.parse().map_err(de::Error::custom))
    }
}

impl JsonSchema for PromDuration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "duration" })
    }
}

/// Splits `12m30s` into `12`, `m` and `30s`.
fn next_part(text: &str) -> Option<(&str, &str, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(digits)?;
    let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (unit, rest) = rest.split_at_checked(letters)?;
    (digits > 0).then_some((number, unit, rest))
}

fn malformed_duration(text: &str) -> DurationError {
    let bare = text.bytes().all(|byte| byte.is_ascii_digit());
    if bare { DurationError::NoUnit(text.to_owned()) } else { DurationError::Malformed(text.to_owned()) }
}

// === impl ByteSize ===

impl ByteSize {
    /// A size of `bytes` bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// A size of `n` KiB.
    pub const fn from_kib(n: u64) -> Self {
        Self(n << 10)
    }

    /// A size of `n` MiB.
    pub const fn from_mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// The size in bytes.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }

    /// The size in bytes as an index; the largest index where the size does not fit one.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        let malformed = || ByteSizeError::Malformed(text.to_owned());
        let (number, unit, rest) = next_part(text).ok_or_else(malformed)?;
        if !rest.is_empty() {
            return Err(malformed());
        }
        let factor = byte_factor(unit).ok_or_else(malformed)?;
        let bytes = number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor));
        bytes.map(Self).ok_or_else(|| ByteSizeError::TooLarge(text.to_owned()))
    }
}

/// The bytes in one `unit`: `MiB`, `MB` or none at all.
fn byte_factor(unit: &str) -> Option<u64> {
    let matches = |name: &str| name == unit || name.replace('i', "") == unit;
    match unit {
        "" => Some(1),
        _ => BYTE_UNITS.iter().find(|(name, _)| matches(name)).map(|(_, factor)| *factor),
    }
}

impl fmt::Display for ByteSize {
    /// Writes the largest unit that divides the size exactly.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let divides = |(_, factor): &(&str, u64)| self.0 >= *factor && self.0.is_multiple_of(*factor);
        let (unit, factor) = BYTE_UNITS.into_iter().find(divides).unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrNumber).and_then(|text| text.parse().map_err(de::Error::custom))
    }
}

impl JsonSchema for ByteSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "byte size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "format": "byte-size" })
    }
}

/// Takes a text, or a number as the text that was written.
struct TextOrNumber;

impl de::Visitor<'_> for TextOrNumber {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number with a unit, for example 30s or 8MiB")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<String, E> {
        Ok(number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_as_prometheus_reads_them() {
        let check = |text: &str, millis: u64| {
            assert_eq!(text.parse::<PromDuration>().unwrap(), PromDuration::from_millis(millis), "{text}");
        };
        check("0", 0);
        check("0s", 0);
        check("5s", 5_000);
        check("1m30s", 90_000);
        check("1h", 3_600_000);
        check("2d", 172_800_000);
        check("1w", 604_800_000);
        check("1y", 31_536_000_000);
        check("250ms", 250);
        check("4d1h5m20s10ms", 349_520_010);
    }

    #[test]
    fn what_is_not_a_duration_is_refused_with_the_way_out() {
        let check = |text: &str, want: DurationError| {
            assert_eq!(text.parse::<PromDuration>().unwrap_err(), want, "{text}");
        };
        check("", DurationError::Empty);
        check("30", DurationError::NoUnit("30".into()));
        for text in ["1", "1.5h", "-1s", "s", "1s1m", "1s1s", "5 s", "1sec", "1µs", "1H"] {
            let error = text.parse::<PromDuration>().unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("write"), "{error}");
        }
        check("300y", DurationError::TooLong("300y".into()));
        check("99999999999999999999s", DurationError::TooLong("99999999999999999999s".into()));
    }

    #[test]
    fn durations_are_written_as_prometheus_writes_them() {
        let check = |text: &str, want: &str| {
            assert_eq!(text.parse::<PromDuration>().unwrap().to_string(), want);
        };
        check("0", "0s");
        check("90s", "1m30s");
        check("24h", "1d");
        check("8d", "8d");
        check("14d", "2w");
        check("365d", "1y");
        check("1500ms", "1s500ms");
    }

    #[test]
    fn byte_sizes_are_powers_of_1024_in_both_spellings() {
        let check = |text: &str, want: u64| {
            assert_eq!(text.parse::<ByteSize>().unwrap().as_bytes(), want, "{text}");
        };
        check("0", 0);
        check("1234", 1234);
        check("7B", 7);
        check("512KB", 512 << 10);
        check("8MiB", 8 << 20);
        check("32MB", 32 << 20);
        check("2GiB", 2 << 30);
        check("1TB", 1 << 40);
    }

    #[test]
    fn what_is_not_a_byte_size_is_refused() {
        for text in ["", "MiB", "1.5MiB", "8 MiB", "-1", "8mib", "8Mb", "8MiB1"] {
            assert_eq!(text.parse::<ByteSize>(), Err(ByteSizeError::Malformed(text.into())));
        }
        assert_eq!("99999999TiB".parse::<ByteSize>(), Err(ByteSizeError::TooLarge("99999999TiB".into())));
    }

    #[test]
    fn both_are_read_from_yaml_and_bare_integers_are_bytes() {
        assert_eq!(serde_saphyr::from_str::<ByteSize>("4096").unwrap(), ByteSize::from_bytes(4096));
        assert_eq!(serde_saphyr::from_str::<ByteSize>("8MiB").unwrap(), ByteSize::from_mib(8));
        assert_eq!(serde_saphyr::from_str::<PromDuration>("1m30s").unwrap(), PromDuration::from_secs(90));
        assert_eq!(serde_saphyr::from_str::<PromDuration>("0").unwrap(), PromDuration::default());
        let error = serde_saphyr::from_str::<PromDuration>("30").unwrap_err().to_string();
        assert!(error.contains("no unit"), "{error}");
    }

    proptest! {
        #[test]
        fn a_written_duration_reads_back(millis in 0..=MAX_MILLIS) {
            let duration = PromDuration::from_millis(millis);
            prop_assert_eq!(duration.to_string().parse::<PromDuration>().unwrap(), duration);
        }

        #[test]
        fn a_written_byte_size_reads_back(bytes in any::<u64>(), zeros in 0u32..50) {
            let size = ByteSize::from_bytes(bytes >> zeros << zeros);
            prop_assert_eq!(size.to_string().parse::<ByteSize>().unwrap(), size);
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC{0,12}") {
            drop(text.parse::<PromDuration>());
            drop(text.parse::<ByteSize>());
        }
    }
}
