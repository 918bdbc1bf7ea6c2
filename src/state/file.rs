//! A snapshot file.
//!
//! A head, then blocks of records, then an end:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `SIDELONG` |
//! | 4 | the format's number, [`FORMAT`] |
//! | 8 | the fingerprint of how what was learned is written |
//! | 8 | when it was written, in milliseconds since the epoch |
//! | 4 + 4 + 8 and so many | a block: bytes, records, XXH3 of its bytes, and these |
//! | 4 + 8 | the end: 0, and the number of records in all |
//!
//! Numbers are little-endian. A block is read as a whole or not at all, so that a file that was cut or damaged
//! costs the series of the blocks that are.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::record;
use crate::detect::State;
use crate::pipeline::Memory;

/// The number of this format.
pub const FORMAT: u32 = 2;
const MAGIC: [u8; 8] = *b"SIDELONG";
/// A block is closed when it has so many bytes, and is never longer than this.
const BLOCK: usize = 256 << 10;
const LONGEST_BLOCK: usize = 64 << 20;

/// Why a snapshot cannot be read, or no further.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is absent, unreadable, or ends too early.
    #[error("cannot read the snapshot")]
    Io(#[from] io::Error),
    /// It is no snapshot.
    #[error("this is no snapshot of Sidelong")]
    Foreign,
    /// It was written by another version.
    #[error("the snapshot was written by another version of Sidelong, whose detector learns otherwise")]
    Version,
    /// A block is not what was written.
    #[error("the snapshot is damaged")]
    Damaged,
    /// It holds fewer or more series than it says.
    #[error("the snapshot is incomplete")]
    Incomplete,
}

/// Writes a snapshot beside `path` and puts it in its place when it is whole.
#[derive(Debug)]
pub struct Writer {
    file: BufWriter<File>,
    path: PathBuf,
    block: Vec<u8>,
    in_block: u32,
    records: u64,
    bytes: u64,
    is_finished: bool,
}

/// Reads a snapshot, series by series.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    /// When it was written, in milliseconds since the epoch.
    pub written_ms: i64,
    block: Vec<u8>,
    at: usize,
    left: u32,
    records: u64,
    is_over: bool,
}

// === impl Writer ===

impl Writer {
    /// Begins a snapshot that will be at `path`.
    ///
    /// # Errors
    ///
    /// The folder does not exist, is full or cannot be written to.
    pub fn create(path: &Path, now_ms: i64) -> io::Result<Self> {
        let file = File::create(unfinished(path))?;
        let mut writer = Self {
            file: BufWriter::with_capacity(1 << 16, file),
            path: path.to_owned(),
            block: Vec::with_capacity(BLOCK + (64 << 10)),
            in_block: 0,
            records: 0,
            bytes: 0,
            is_finished: false,
        };
        writer.put(&MAGIC)?;
        writer.put(&FORMAT.to_le_bytes())?;
        writer.put(&State::layout().to_le_bytes())?;
        writer.put(&now_ms.to_le_bytes())?;
        Ok(writer)
    }

    /// Adds a series.
    ///
    /// # Errors
    ///
    /// The disk is full, or gone.
    pub fn add(&mut self, memory: &Memory) -> io::Result<()> {
        record::write(memory, &mut self.block);
        self.in_block += 1;
        self.records += 1;
        if self.block.len() >= BLOCK { self.end_block() } else { Ok(()) }
    }

    /// Ends the snapshot and puts it in its place; gives its size in bytes. Until here the one before it stands.
    ///
    /// # Errors
    ///
    /// The disk is full, or gone.
    pub fn finish(mut self) -> io::Result<u64> {
        if self.in_block > 0 {
            self.end_block()?;
        }
        self.put(&0_u32.to_le_bytes())?;
        self.put(&self.records.to_le_bytes())?;
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        fs::rename(unfinished(&self.path), &self.path)?;
        self.is_finished = true;
        // The new name is safe only when its folder is.
        if let Some(folder) = self.path.parent() {
            File::open(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })?.sync_all()?;
        }
        Ok(self.bytes)
    }

    fn end_block(&mut self) -> io::Result<()> {
        let block = std::mem::take(&mut self.block);
        self.put(&(block.len() as u32).to_le_bytes())?;
        self.put(&self.in_block.to_le_bytes())?;
        self.put(&xxh3_64(&block).to_le_bytes())?;
        self.put(&block)?;
        self.block = block;
        self.block.clear();
        self.in_block = 0;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.is_finished
            && let Err(error) = fs::remove_file(unfinished(&self.path))
        {
            tracing::debug!(%error, "an unfinished snapshot is left behind");
        }
    }
}

fn unfinished(path: &Path) -> PathBuf {
    path.with_extension("unfinished")
}

// === impl Reader ===

impl Reader<BufReader<File>> {
    /// Opens the snapshot at `path`.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is none that this version can read.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        Self::new(BufReader::with_capacity(1 << 16, File::open(path)?))
    }
}

impl<R: Read> Reader<R> {
    /// Reads the head of a snapshot.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is none that this version can read.
    pub fn new(mut from: R) -> Result<Self, ReadError> {
        if array(&mut from)? != MAGIC {
            return Err(ReadError::Foreign);
        }
        let format = u32::from_le_bytes(array(&mut from)?);
        let layout = u64::from_le_bytes(array(&mut from)?);
        if format != FORMAT || layout != State::layout() {
            return Err(ReadError::Version);
        }
        let written_ms = i64::from_le_bytes(array(&mut from)?);
        Ok(Self { from, written_ms, block: Vec::new(), at: 0, left: 0, records: 0, is_over: false })
    }

    fn next_memory(&mut self) -> Result<Option<Memory>, ReadError> {
        while self.left == 0 {
            if !self.next_block()? {
                return Ok(None);
            }
        }
        let mut rest = self.block.get(self.at..).unwrap_or_default();
        let memory = record::read(&mut rest).ok_or(ReadError::Damaged)?;
        self.at = self.block.len() - rest.len();
        self.left -= 1;
        self.records += 1;
        Ok(Some(memory))
    }

    /// Reads the next block; `false` at the end.
    fn next_block(&mut self) -> Result<bool, ReadError> {
        let length = u32::from_le_bytes(array(&mut self.from)?) as usize;
        if length == 0 {
            let records = u64::from_le_bytes(array(&mut self.from)?);
            return if records == self.records { Ok(false) } else { Err(ReadError::Incomplete) };
        }
        if length > LONGEST_BLOCK {
            return Err(ReadError::Damaged);
        }
        self.left = u32::from_le_bytes(array(&mut self.from)?);
        let sum = u64::from_le_bytes(array(&mut self.from)?);
        self.block.clear();
        self.at = 0;
        // Grows with what is there, whatever the length says.
        let read = (&mut self.from).take(length as u64).read_to_end(&mut self.block)?;
        if read < length {
            return Err(ReadError::Incomplete);
        }
        if xxh3_64(&self.block) != sum {
            self.left = 0;
            return Err(ReadError::Damaged);
        }
        Ok(true)
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Memory, ReadError>;

    /// The next series. After an error there is none.
    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let memory = self.next_memory().transpose();
        self.is_over = !matches!(memory, Some(Ok(_)));
        memory
    }
}

fn array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Sample, stale_marker};
    use crate::detect::{Demands, Detector};
    use crate::series::ScopeName;
    use crate::signals::Signal;
    use proptest::prelude::*;

    const NOW: i64 = 1_700_000_000_000;

    fn memory(number: usize, samples: i64) -> Memory {
        let detector = Detector::Hybrid(Box::default());
        let mut state = State::default();
        for i in 0..samples {
            let value = 10.0 + (i * 7919 % 13) as f64 + number as f64;
            detector.learn(&mut state, NOW + i * 60_000, value, &Demands::default());
        }
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Memory {
            scope: ScopeName::Tenant("team-ü".into()),
            labels: vec![label("__name__", "load"), label("instance", &number.to_string())],
            made: number.is_multiple_of(3),
            signal: if number.is_multiple_of(2) { Signal::Value } else { Signal::Rate },
            taught: Some(Sample { timestamp_ms: NOW, value: 1.5 }),
            newest: Some(Sample { timestamp_ms: NOW + 1, value: stale_marker() }),
            score: Some(0.25),
            state,
            habit: number.is_multiple_of(3).then(Box::default),
        }
    }

    /// A snapshot of `count` series as bytes.
    fn snapshot(count: usize, samples: i64) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.snapshot");
        let mut writer = Writer::create(&path, NOW).unwrap();
        (0..count).for_each(|number| writer.add(&memory(number, samples)).unwrap());
        let bytes = writer.finish().unwrap();
        let written = fs::read(&path).unwrap();
        assert_eq!(written.len() as u64, bytes);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left behind");
        written
    }

    fn bytes_of(memory: &Memory) -> Vec<u8> {
        let mut bytes = Vec::new();
        record::write(memory, &mut bytes);
        bytes
    }

    #[test]
    fn what_was_written_is_read_to_the_bit_and_judges_alike() {
        let bytes = snapshot(600, 30);
        let reader = Reader::new(&*bytes).unwrap();
        assert_eq!(reader.written_ms, NOW);
        let read: Vec<Memory> = reader.map(|memory| memory.unwrap()).collect();
        assert_eq!(read.len(), 600);
        let detector = Detector::Hybrid(Box::default());
        for (number, mut read) in read.into_iter().enumerate() {
            let mut written = memory(number, 30);
            assert_eq!(bytes_of(&read), bytes_of(&written));
            let judge = |state: &mut State| {
                detector.judge(state, NOW + 3_600_000, 80.0, &Demands::default()).unwrap()
            };
            assert_eq!(judge(&mut read.state), judge(&mut written.state));
        }
    }

    #[test]
    fn another_version_is_not_read() {
        let mut bytes = snapshot(1, 3);
        bytes[12] ^= 1;
        assert!(matches!(Reader::new(&*bytes), Err(ReadError::Version)));
        bytes[0] = b'X';
        assert!(matches!(Reader::new(&*bytes), Err(ReadError::Foreign)));
    }

    #[test]
    fn a_snapshot_that_is_not_finished_leaves_the_one_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.snapshot");
        fs::write(&path, "before").unwrap();
        let mut writer = Writer::create(&path, NOW).unwrap();
        writer.add(&memory(1, 3)).unwrap();
        drop(writer);
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_cut_file_gives_the_whole_blocks_before_the_cut() {
        let bytes = snapshot(600, 30);
        let cut = &bytes[..bytes.len() - 100];
        let read: Vec<_> = Reader::new(cut).unwrap().collect();
        let (last, before) = read.split_last().unwrap();
        assert!(last.is_err() && before.len() > 100 && before.iter().all(Result::is_ok), "{}", before.len());
    }

    proptest! {
        #[test]
        fn damage_is_found_and_never_panics(at in 0_usize..20_000, with in 1_u8..=255) {
            let mut bytes = snapshot(8, 20);
            let at = 28 + at % (bytes.len() - 28);
            bytes[at] ^= with;
            let read: Vec<_> = Reader::new(&*bytes).unwrap().collect();
            prop_assert!(read.last().is_some_and(Result::is_err), "{at}");
        }

        #[test]
        fn anything_is_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            _ = record::read(&mut &*bytes);
            if let Ok(reader) = Reader::new(&*bytes) {
                _ = reader.count();
            }
        }
    }
}
