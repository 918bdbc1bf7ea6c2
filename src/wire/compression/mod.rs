//! The only place where bytes are decompressed: every decoder here is told how much it may produce and
//! never allocates on the word of the sender (R7, B-4, B-5). The raw decoders are banned elsewhere.

mod gzip;
mod snappy;
#[cfg(test)]
mod tests;

use std::ops::Deref;

pub use gzip::{Gunzip, compress_gzip, decompress_gzip};
pub use snappy::{SnappyEncoder, declared_snappy_len, decompress_snappy};

/// How much a decoder may produce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// Decoded bytes at most.
    pub bytes: usize,
    /// Decoded bytes for each compressed byte at most. What decodes to less than a mebibyte is let through
    /// whatever its ratio.
    pub ratio: usize,
}

/// Memory that is decoded into again and again: it is zeroed when it grows, not each time it is used.
///
/// Reads as the bytes decoded last.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    used: usize,
}

/// Below this many decoded bytes the ratio of [`Cap`] is not looked at.
const RATIO_COUNTS_ABOVE: usize = 1 << 20;

// === impl Cap ===

impl Default for Cap {
    /// 32 MiB decoded, 64 times what came over the wire.
    fn default() -> Self {
        Self { bytes: 32 << 20, ratio: 64 }
    }
}

impl Cap {
    /// Whether `decoded` bytes out of `compressed` ones are within bounds.
    fn check(&self, compressed: usize, decoded: usize) -> Result<(), CompressionError> {
        if decoded > self.bytes {
            return Err(CompressionError::TooLong { bytes: decoded as u64, limit: self.bytes });
        }
        if decoded > RATIO_COUNTS_ABOVE && decoded > compressed.saturating_mul(self.ratio) {
            return Err(CompressionError::Ratio { compressed, decoded, limit: self.ratio });
        }
        Ok(())
    }
}

// === impl Buffer ===

impl Buffer {
    /// An empty buffer, which allocates when it is first used.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the content and keeps the memory.
    pub fn clear(&mut self) {
        self.used = 0;
    }

    /// Bytes of memory held.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Forgets the content, and the memory too if it is more than `bytes`: one large body must not make
    /// each of many idle buffers large for ever.
    pub fn shrink_above(&mut self, bytes: usize) {
        self.used = 0;
        if self.bytes.capacity() > bytes {
            self.bytes = Vec::new();
        }
    }

    /// Room for at least `len` bytes, with whatever content.
    fn room(&mut self, len: usize) -> &mut [u8] {
        if self.bytes.len() < len {
            // Exactly, or it would take up to twice what was compared with a cap.
            self.bytes.reserve_exact(len - self.bytes.len());
            self.bytes.resize(len, 0);
        }
        &mut self.bytes
    }
}

impl Deref for Buffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.used]
    }
}

/// Why bytes could not be decompressed. All of them are the sender's doing: 400, or 413 for
/// [`CompressionError::TooLong`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    /// More decoded bytes than allowed.
    #[error(
        "the body decodes to {bytes} bytes or more, over the limit of {limit}; \
         send smaller requests or raise max_decoded_size"
    )]
    TooLong {
        /// Bytes declared, or decoded until then.
        bytes: u64,
        /// The limit.
        limit: usize,
    },
    /// Compressed better than honest metrics are.
    #[error(
        "the body of {compressed} bytes decodes to {decoded} or more, over the ratio of {limit}; \
         raise max_decoded_ratio if these are real metrics"
    )]
    Ratio {
        /// Bytes on the wire.
        compressed: usize,
        /// Bytes declared, or decoded until then.
        decoded: usize,
        /// The limit.
        limit: usize,
    },
    /// The framed (streaming) snappy format, which remote write forbids.
    #[error("the body is in the framed snappy format; remote write takes the block format only")]
    Framed,
    /// A snappy block without a readable length.
    #[error("the body has no valid snappy length header")]
    SnappyHeader,
    /// A damaged snappy block.
    #[error("the body is not a valid snappy block: {0}")]
    Snappy(#[source] snap::Error),
    /// A damaged gzip member.
    #[error("the body is not valid gzip{}", .0.as_deref().map(|why| format!(": {why}")).unwrap_or_default())]
    Gzip(Option<String>),
    /// A gzip body that ends within a member.
    #[error("the gzip body is cut short")]
    GzipTruncated,
    /// More gzip members than any honest sender makes.
    #[error("the gzip body has more than {0} members")]
    GzipMembers(usize),
}

impl CompressionError {
    /// Whether the bytes may be sound, but there are more than allowed.
    pub fn is_limit(&self) -> bool {
        matches!(self, Self::TooLong { .. } | Self::Ratio { .. } | Self::GzipMembers(_))
    }
}
