//! Gzip, whole and as it streams in.

use std::io::Write;

use flate2::{Decompress, FlushDecompress, Status};

use super::{Buffer, Cap, CompressionError};

const WINDOW_BITS: u8 = 15;
/// Each member costs a set-up of its own, so that millions of empty ones would be a bomb of another kind.
const MAX_MEMBERS: usize = 4096;
/// The first room made for a whole body, which grows by doubling.
const FIRST_ROOM: usize = 64 << 10;

/// A capped gzip decoder that is fed as the bytes come in. Members may follow one another.
#[derive(Debug)]
pub struct Gunzip {
    inflate: Decompress,
    within_member: bool,
    members: usize,
    cap: Cap,
    consumed: usize,
    produced: usize,
}

/// Decodes the gzip `body`, all its members, into `into`.
///
/// # Errors
///
/// A damaged, cut or over-long body, and anything but a further member behind a member; `into` is then empty.
pub fn decompress_gzip(body: &[u8], cap: Cap, into: &mut Buffer) -> Result<(), CompressionError> {
    into.clear();
    let mut gunzip = Gunzip::new(cap);
    // Where there is no room left below the cap, one byte more is one too many, and the step says so.
    let (mut rest, mut used, mut beyond) = (body, 0, [0; 1]);
    loop {
        if used == into.bytes.len() && used < cap.bytes {
            into.room((used * 2).max(FIRST_ROOM).min(cap.bytes));
        }
        let room = if used < into.bytes.len() { &mut into.bytes[used..] } else { &mut beyond[..] };
        let produced = gunzip.step(&mut rest, room)?;
        used += produced;
        if produced == 0 {
            break;
        }
    }
    gunzip.finish()?;
    into.used = used;
    Ok(())
}

/// Appends `raw` to `into` as one gzip member of the fastest level: gzip members concatenate.
///
/// # Errors
///
/// Never in practice: writing to memory does not fail.
pub fn compress_gzip(raw: &[u8], into: &mut Vec<u8>) -> std::io::Result<()> {
    let mut encoder = flate2::write::GzEncoder::new(into, flate2::Compression::fast());
    encoder.write_all(raw)?;
    encoder.finish()?;
    Ok(())
}

// === impl Gunzip ===

impl Gunzip {
    /// A decoder for one body.
    pub fn new(cap: Cap) -> Self {
        Self {
            inflate: Decompress::new_gzip(WINDOW_BITS),
            within_member: false,
            members: 0,
            cap,
            consumed: 0,
            produced: 0,
        }
    }

    /// Decodes from `input`, which it advances, into `out`, and returns how many bytes it wrote there.
    ///
    /// Call it until it returns 0: `input` is then empty, and it wants the next bytes of the body.
    ///
    /// # Errors
    ///
    /// A damaged body, or more decoded bytes than allowed. The decoder is of no use after.
    pub fn step(&mut self, input: &mut &[u8], out: &mut [u8]) -> Result<usize, CompressionError> {
        let mut written = 0;
        while written < out.len() && (self.within_member || !input.is_empty()) {
            self.begin_member()?;
            let (consumed, produced, status) = self.inflate_once(input, &mut out[written..])?;
            *input = &input[consumed..];
            written += produced;
            self.within_member = status != Status::StreamEnd;
            if consumed == 0 && produced == 0 && self.within_member {
                return if input.is_empty() { Ok(written) } else { Err(CompressionError::Gzip(None)) };
            }
        }
        Ok(written)
    }

    /// Whether the body may end here.
    ///
    /// # Errors
    ///
    /// [`CompressionError::GzipTruncated`] within a member, or if there was none.
    pub fn finish(&self) -> Result<(), CompressionError> {
        if self.within_member || self.members == 0 { Err(CompressionError::GzipTruncated) } else { Ok(()) }
    }

    fn begin_member(&mut self) -> Result<(), CompressionError> {
        if self.within_member {
            return Ok(());
        }
        if self.members == MAX_MEMBERS {
            return Err(CompressionError::GzipMembers(MAX_MEMBERS));
        }
        if self.members > 0 {
            self.inflate = Decompress::new_gzip(WINDOW_BITS);
        }
        self.members += 1;
        self.within_member = true;
        Ok(())
    }

    fn inflate_once(
        &mut self,
        input: &[u8],
        out: &mut [u8],
    ) -> Result<(usize, usize, Status), CompressionError> {
        let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self
            .inflate
            .decompress(input, out, FlushDecompress::None)
            .map_err(|error| CompressionError::Gzip(error.message().map(str::to_owned)))?;
        let consumed = (self.inflate.total_in() - before_in) as usize;
        let produced = (self.inflate.total_out() - before_out) as usize;
        self.consumed += consumed;
        self.produced += produced;
        self.cap.check(self.consumed, self.produced)?;
        Ok((consumed, produced, status))
    }
}
