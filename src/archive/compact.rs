//! Many small files of a day that is over become one for each shard.
//!
//! The merged file says in its footer which files it stands for, so it counts, and they do not, from the moment in which
//! it is whole. Only then are they deleted. Whatever stops this between two steps, a reader has each sample once, and the
//! next time goes on from there.

use xxhash_rust::xxh3::xxh3_64;

use super::depot::Kept;
use super::merge::Merged;
use super::place::{Day, Partition, Place};
use super::reader::{Archive, ArchiveError};
use super::write::FileWriter;

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Partitions in which something was to do.
    pub partitions: u64,
    /// Files that are gone.
    pub files: u64,
    /// Their size.
    pub bytes_before: u64,
    /// The size of those that stand for them.
    pub bytes_after: u64,
}

/// The steps between which it can be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The merged file is put in its place.
    Put,
    /// One that it stands for is deleted.
    Delete,
}

// === impl Archive ===

impl Archive {
    /// Merges the files of all days that are over at `now_ms`.
    ///
    /// # Errors
    ///
    /// A store or a file that cannot be used. What was done until then stands.
    pub fn compact(&self, now_ms: i64) -> Result<Compacted, ArchiveError> {
        self.compact_until(now_ms, &mut |_| Ok(()))
    }

    /// The same, with `before` called before each step, which stops it where it fails.
    pub(super) fn compact_until(
        &self,
        now_ms: i64,
        before: &mut dyn FnMut(Step) -> Result<(), ArchiveError>,
    ) -> Result<Compacted, ArchiveError> {
        let (today, mut done) = (Day::of(now_ms), Compacted::default());
        for (partition, files) in self.partitions()? {
            if partition.day < today && files.len() > 1 {
                self.compact_partition(partition, &files, before, &mut done)?;
            }
        }
        Ok(done)
    }

    fn compact_partition(
        &self,
        partition: Partition,
        files: &[Kept],
        before: &mut dyn FnMut(Step) -> Result<(), ArchiveError>,
        done: &mut Compacted,
    ) -> Result<(), ArchiveError> {
        let opened = self.open(partition, files)?;
        done.partitions += 1;
        // What an earlier merge left goes first: the file that stands for it is to be merged itself now, and the new
        // one says nothing of what that stood for.
        self.delete(&opened.replaced, before, done)?;
        if opened.files.len() < 2 {
            return Ok(());
        }
        let (sources, rows): (Vec<Kept>, Vec<_>) = opened.files.into_iter().unzip();
        let merged = Merged::new(rows).map_err(|error| ArchiveError::Partition(partition, error))?;
        let (place, bytes) = merge(partition, &sources, merged)?;
        before(Step::Put)?;
        done.bytes_after += bytes.len() as u64;
        self.depot().put(&place, bytes.into())?;
        self.delete(&sources, before, done)
    }

    fn delete(
        &self,
        gone: &[Kept],
        before: &mut dyn FnMut(Step) -> Result<(), ArchiveError>,
        done: &mut Compacted,
    ) -> Result<(), ArchiveError> {
        for kept in gone {
            before(Step::Delete)?;
            self.depot().delete(&kept.place)?;
            done.files += 1;
            done.bytes_before += kept.bytes;
        }
        Ok(())
    }
}

/// One file of all `rows`. Its name is made of those of its `sources`, so who merges the same makes the same file.
fn merge(partition: Partition, sources: &[Kept], rows: Merged) -> Result<(Place, Vec<u8>), ArchiveError> {
    let names: Vec<String> = sources.iter().map(|kept| kept.place.file.clone()).collect();
    let unwritable = |error| ArchiveError::Write(partition, error);
    let mut file = FileWriter::new(&names).map_err(unwritable)?;
    let mut start_ms = i64::MAX;
    for row in rows {
        let row = row.map_err(|error| ArchiveError::Partition(partition, error))?;
        start_ms = start_ms.min(row.sample.timestamp_ms);
        file.push(&row).map_err(unwritable)?;
    }
    let sequence = format!("merged-{:016x}", xxh3_64(names.join("\n").as_bytes()));
    Ok((Place::new(partition, start_ms, &sequence), file.finish().map_err(unwritable)?))
}
