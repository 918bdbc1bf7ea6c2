//! Snappy blocks.

use super::{Buffer, Cap, CompressionError};
use crate::wire::varint;

/// What a framed stream begins with. As a block it would declare 895 bytes and then be damaged.
const FRAMED: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// Compresses into reused memory.
#[derive(Debug)]
pub struct SnappyEncoder(snap::raw::Encoder);

/// The decoded length that the block `body` declares.
///
/// # Errors
///
/// [`CompressionError::Framed`] for the framed format, [`CompressionError::SnappyHeader`] if the length
/// is missing, unreadable or above `u32::MAX`.
pub fn declared_snappy_len(body: &[u8]) -> Result<usize, CompressionError> {
    if body.starts_with(FRAMED) {
        return Err(CompressionError::Framed);
    }
    let mut at = 0;
    let declared = varint::read(body, &mut at).and_then(|len| u32::try_from(len).ok());
    declared.map(|len| len as usize).ok_or(CompressionError::SnappyHeader)
}

/// Decodes the snappy block `body` into `into`.
///
/// The declared length is compared with `cap` before a byte is allocated (R7); a block that declares more
/// than its own bytes could ever spell is refused on the same grounds by the ratio.
///
/// # Errors
///
/// Whatever is wrong with the block, or more bytes than `cap` allows; `into` is then empty.
#[expect(clippy::disallowed_methods, reason = "this is the capped function that the ban sends everyone to")]
pub fn decompress_snappy(body: &[u8], cap: Cap, into: &mut Buffer) -> Result<(), CompressionError> {
    into.clear();
    let declared = declared_snappy_len(body)?;
    cap.check(body.len(), declared)?;
    let room = into.room(declared);
    into.used = snap::raw::Decoder::new().decompress(body, room).map_err(CompressionError::Snappy)?;
    Ok(())
}

// === impl SnappyEncoder ===

impl SnappyEncoder {
    /// An encoder with no memory yet.
    pub fn new() -> Self {
        Self(snap::raw::Encoder::new())
    }

    /// Compresses `raw` into `into` as one block.
    ///
    /// # Errors
    ///
    /// If `raw` is longer than a block can be (4 GiB).
    pub fn compress(&mut self, raw: &[u8], into: &mut Buffer) -> Result<(), CompressionError> {
        into.clear();
        let room = into.room(snap::raw::max_compress_len(raw.len()));
        into.used = self.0.compress(raw, room).map_err(CompressionError::Snappy)?;
        Ok(())
    }
}

impl Default for SnappyEncoder {
    fn default() -> Self {
        Self::new()
    }
}
