//! Reads a copy of a page while it passes.

use bytes::{Buf, Bytes};

use super::metrics::Unscored;
use super::scorer::PooledPage;
use crate::wire::compression::{Cap, CompressionError, Gunzip};
use crate::wire::exposition::PageStats;

/// A page that is being read.
pub(super) struct PageReader {
    page: PooledPage,
    unzip: Option<Box<Unzip>>,
}

/// Decodes gzip as it comes.
pub(super) struct Unzip {
    gunzip: Gunzip,
    room: Vec<u8>,
    /// What [`Unzip::next`] has yet to decode.
    rest: Bytes,
}

/// Bytes decoded at one step.
const STEP: usize = 32 << 10;

/// What passes on decoded, at most. Memory is bounded by a step and time by the scrape's deadline, whatever the
/// ratio: this only ends what no scraper could want.
const PASSES_AT_MOST: usize = 1 << 30;

// === impl PageReader ===

impl PageReader {
    /// Reads into `page`, which has been started; gzip if `unzip` is given.
    pub(super) fn new(page: PooledPage, unzip: Option<Unzip>) -> Self {
        Self { page, unzip: unzip.map(Box::new) }
    }

    pub(super) fn stats(&self) -> PageStats {
        self.page.stats()
    }

    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<(), Unscored> {
        let page = self.page.page_mut();
        let Some(unzip) = &mut self.unzip else { return Ok(page.push(chunk)?) };
        unzip.each(chunk, |plain| Ok(page.push(plain)?))
    }

    /// The page, if it is whole.
    pub(super) fn finish(mut self) -> Result<PooledPage, Unscored> {
        if let Some(unzip) = &self.unzip {
            unzip.finish().map_err(|_| Unscored::Gzip)?;
        }
        self.page.page_mut().finish()?;
        Ok(self.page)
    }
}

// === impl Unzip ===

impl Unzip {
    /// Decodes at most `limit` bytes, for reading.
    pub(super) fn new(limit: usize) -> Self {
        Self::within(Cap { bytes: limit, ..Cap::default() })
    }

    /// Decodes for passing on, which the limits of reading must not end.
    pub(super) fn passing() -> Self {
        Self::within(Cap { bytes: PASSES_AT_MOST, ratio: usize::MAX })
    }

    fn within(cap: Cap) -> Self {
        Self { gunzip: Gunzip::new(cap), room: vec![0; STEP], rest: Bytes::new() }
    }

    /// Takes the next piece, once [`Unzip::next`] has nothing more of the one before.
    pub(super) fn feed(&mut self, chunk: Bytes) {
        self.rest = chunk;
    }

    /// The next bytes that the piece decodes to, at most a step of them; none when it is used up.
    pub(super) fn next(&mut self) -> Result<Bytes, CompressionError> {
        let mut left = &*self.rest;
        let len = self.gunzip.step(&mut left, &mut self.room)?;
        let used = self.rest.len() - left.len();
        self.rest.advance(used);
        Ok(Bytes::copy_from_slice(self.room.get(..len).unwrap_or_default()))
    }

    /// Whether the body may end here.
    pub(super) fn finish(&self) -> Result<(), CompressionError> {
        self.gunzip.finish()
    }

    fn each(
        &mut self,
        mut chunk: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), Unscored>,
    ) -> Result<(), Unscored> {
        loop {
            match self.gunzip.step(&mut chunk, &mut self.room) {
                Ok(0) => return Ok(()),
                Ok(len) => take(self.room.get(..len).unwrap_or_default())?,
                Err(CompressionError::TooLong { .. }) => return Err(Unscored::BodySize),
                Err(_) => return Err(Unscored::Gzip),
            }
        }
    }
}
