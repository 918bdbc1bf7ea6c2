//! Walking the fields of a protobuf message where they stand.

use std::ops::Range;

use super::{DecodeError, Element};
use crate::batch::Sample;
use crate::wire::varint;

/// A field key: number and wire type as one integer, as they stand on the wire.
pub(super) type Key = u64;

pub(super) const VARINT: u8 = 0;
pub(super) const FIXED64: u8 = 1;
pub(super) const DELIMITED: u8 = 2;
const FIXED32: u8 = 5;

/// The key of field `number` with `wire_type`.
pub(super) const fn key(number: u32, wire_type: u8) -> Key {
    (number as u64) << 3 | wire_type as u64
}

/// Reads fields one after the other; positions are those of the whole body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The sample message's common layout: value, then a timestamp of six bytes, as any between 2004 and 2109 is.
#[inline(always)]
fn common_sample(body: &[u8]) -> Option<Sample> {
    let body: &[u8; 16] = body.try_into().ok()?;
    let [0x09, v0, v1, v2, v3, v4, v5, v6, v7, 0x10, t0, t1, t2, t3, t4, t5] = *body else { return None };
    let word = u64::from_le_bytes([t0, t1, t2, t3, t4, t5, 0, 0]);
    if word & 0x8080_8080_8080 != 0x0080_8080_8080 {
        return None;
    }
    let sevens = word & 0x7f7f_7f7f_7f7f;
    let fourteens = (sevens & 0x007f_007f_007f) | ((sevens & 0x7f00_7f00_7f00) >> 1);
    let timestamp =
        (fourteens & 0x3fff) | ((fourteens >> 2) & (0x3fff << 14)) | ((fourteens >> 4) & (0x3fff << 28));
    let value = f64::from_le_bytes([v0, v1, v2, v3, v4, v5, v6, v7]);
    Some(Sample { timestamp_ms: timestamp as i64, value })
}

/// Bytes of the sample field's common layout.
pub(super) const SAMPLE_FIELD: usize = 18;

/// The sample that `entry`, a series of version 1.0, seems to end in: its last bytes are the sample field in
/// its common layout. They may be the inside of something else; only a walk can tell.
#[inline(always)]
pub(super) fn last_sample(entry: &[u8]) -> Option<Sample> {
    let [0x12, 0x10, message @ ..] = entry.last_chunk::<SAMPLE_FIELD>()? else { return None };
    common_sample(message)
}

/// Fails if `count` is above `limit`.
#[inline(always)]
pub(super) fn bounded(count: usize, limit: u32, element: Element) -> Result<(), DecodeError> {
    if count > limit as usize { Err(DecodeError::Limit { element, limit }) } else { Ok(()) }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// All of `bytes`.
    ///
    /// # Errors
    ///
    /// If positions in it do not fit 32 bits.
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        match u32::try_from(bytes.len()) {
            Ok(_) => Ok(Self { bytes, at: 0 }),
            Err(_) => Err(DecodeError::TooLong { bytes: bytes.len() }),
        }
    }

    /// The message at `range` of `bytes`, or nothing if it is not within them.
    #[inline(always)]
    pub(super) fn within(bytes: &'a [u8], range: &Range<usize>) -> Self {
        Self { bytes: bytes.get(..range.end).unwrap_or_default(), at: range.start }
    }

    /// Where the next field stands.
    #[inline(always)]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    #[inline(always)]
    pub(super) fn is_done(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The next field's key.
    #[inline(always)]
    pub(super) fn key(&mut self) -> Result<Key, DecodeError> {
        let key = self.varint()?;
        if (8..=u64::from(u32::MAX)).contains(&key) {
            Ok(key)
        } else {
            Err(DecodeError::Number { at: self.at })
        }
    }

    #[inline(always)]
    pub(super) fn varint(&mut self) -> Result<u64, DecodeError> {
        varint::read(self.bytes, &mut self.at).ok_or(DecodeError::Number { at: self.at })
    }

    /// The range of a length-delimited value.
    #[inline(always)]
    pub(super) fn delimited(&mut self) -> Result<Range<usize>, DecodeError> {
        let len = self.varint()?;
        if len > (self.bytes.len() - self.at) as u64 {
            return Err(DecodeError::Truncated { at: self.at });
        }
        let start = self.at;
        self.at += len as usize;
        Ok(start..self.at)
    }

    pub(super) fn fixed64(&mut self) -> Result<u64, DecodeError> {
        let word = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>());
        let word = word.ok_or(DecodeError::Truncated { at: self.at })?;
        self.at += 8;
        Ok(u64::from_le_bytes(*word))
    }

    pub(super) fn float(&mut self) -> Result<f64, DecodeError> {
        self.fixed64().map(f64::from_bits)
    }

    /// Steps over the value of a field that is not looked at. Fields up to `known` belong to the message,
    /// so that one of them here has a wire type that it cannot have.
    #[cold]
    pub(super) fn skip(&mut self, key: Key, known: &[u32]) -> Result<(), DecodeError> {
        let (field, wire_type) = ((key >> 3) as u32, (key & 7) as u8);
        let refused = DecodeError::WireType { field, wire_type, at: self.at };
        if known.contains(&field) {
            return Err(refused);
        }
        match wire_type {
            VARINT => self.varint().map(drop),
            FIXED64 => self.fixed64().map(drop),
            DELIMITED => self.delimited().map(drop),
            FIXED32 if self.bytes.len() - self.at >= 4 => {
                self.at += 4;
                Ok(())
            }
            FIXED32 => Err(DecodeError::Truncated { at: self.at }),
            _ => Err(refused),
        }
    }

    /// The sample message at `range`. Its start timestamp (2.0) is stepped over.
    #[inline(always)]
    pub(super) fn sample(&self, range: &Range<usize>, known: &[u32]) -> Result<Sample, DecodeError> {
        match common_sample(&self.bytes[range.clone()]) {
            Some(sample) => Ok(sample),
            None => Self::within(self.bytes, range).any_sample(known),
        }
    }

    #[cold]
    fn any_sample(mut self, known: &[u32]) -> Result<Sample, DecodeError> {
        const VALUE: Key = key(1, FIXED64);
        const TIMESTAMP: Key = key(2, VARINT);
        const START: Key = key(3, VARINT);
        let mut sample = Sample { timestamp_ms: 0, value: 0.0 };
        while !self.is_done() {
            match self.key()? {
                VALUE => sample.value = self.float()?,
                TIMESTAMP => sample.timestamp_ms = self.varint()? as i64,
                START => drop(self.varint()?),
                other => self.skip(other, known)?,
            }
        }
        Ok(sample)
    }
}
