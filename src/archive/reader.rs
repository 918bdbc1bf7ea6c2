//! An archive as it is read: partitions, and in each the files that count.

use std::collections::{BTreeMap, BTreeSet};

use super::depot::{Depot, Kept};
use super::merge::Merged;
use super::place::{Partition, Place};
use super::read::{FileError, FileRows};
use crate::model::store::StoreError;

/// The files of a depot, by partition.
#[derive(Debug)]
pub struct Archive {
    depot: Depot,
}

/// The files of one partition.
#[derive(Debug)]
pub struct Opened {
    /// Those that count, in the order of their names.
    pub files: Vec<(Kept, FileRows)>,
    /// Those that others stand for.
    pub replaced: Vec<Kept>,
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The store.
    #[error("the store of the archive cannot be used")]
    Store(#[from] StoreError),
    /// One file.
    #[error("cannot read {place}")]
    File {
        /// Which.
        place: Box<Place>,
        /// What is wrong with it.
        source: FileError,
    },
    /// Several files that are read as one.
    #[error("cannot read {0}")]
    Partition(Partition, #[source] FileError),
    /// Rows that cannot be made a file of.
    #[error("cannot write {0}")]
    Write(Partition, #[source] parquet::errors::ParquetError),
    /// Files that come and go.
    #[error("{0} changes faster than it can be read")]
    Restless(Partition),
}

/// How often a partition is looked at anew where files of it are merged meanwhile.
const TRIES: usize = 5;

// === impl Archive ===

impl Archive {
    /// The archive in `depot`.
    pub fn new(depot: Depot) -> Self {
        Self { depot }
    }

    /// Where its files are.
    pub fn depot(&self) -> &Depot {
        &self.depot
    }

    /// Its files, by day and shard.
    ///
    /// # Errors
    ///
    /// A store that cannot be read.
    pub fn partitions(&self) -> Result<BTreeMap<Partition, Vec<Kept>>, ArchiveError> {
        let mut partitions: BTreeMap<Partition, Vec<Kept>> = BTreeMap::new();
        for kept in self.depot.list()? {
            partitions.entry(kept.place.partition).or_default().push(kept);
        }
        Ok(partitions)
    }

    /// Opens `files` of `partition`, as they were listed. They may have been merged since: then it looks again.
    ///
    /// # Errors
    ///
    /// A store or a file that cannot be read.
    pub fn open(&self, partition: Partition, files: &[Kept]) -> Result<Opened, ArchiveError> {
        let mut listed = files.to_vec();
        for _ in 0..TRIES {
            if let Some(opened) = self.try_open(&listed)? {
                return Ok(opened);
            }
            listed = self.partitions()?.remove(&partition).unwrap_or_default();
        }
        Err(ArchiveError::Restless(partition))
    }

    /// Opens those of `listed` that count; nothing if one of them is gone.
    fn try_open(&self, listed: &[Kept]) -> Result<Option<Opened>, ArchiveError> {
        let (mut files, mut replaced) = (Vec::with_capacity(listed.len()), BTreeSet::new());
        for kept in listed {
            let Some(bytes) = self.depot.get(kept)? else { return Ok(None) };
            let rows = FileRows::open(bytes)
                .map_err(|source| ArchiveError::File { place: Box::new(kept.place.clone()), source })?;
            replaced.extend(rows.replaces());
            files.push((kept.clone(), rows));
        }
        let (gone, files) = files.into_iter().partition(|(kept, _)| replaced.contains(&kept.place.file));
        let gone: Vec<(Kept, FileRows)> = gone;
        Ok(Some(Opened { files, replaced: gone.into_iter().map(|(kept, _)| kept).collect() }))
    }

    /// The rows of `partition`, whose `files` were listed.
    ///
    /// # Errors
    ///
    /// A store or a file that cannot be read.
    pub fn rows(&self, partition: Partition, files: &[Kept]) -> Result<Merged, ArchiveError> {
        let opened = self.open(partition, files)?;
        Merged::new(opened.files.into_iter().map(|(_, rows)| rows).collect())
            .map_err(|error| ArchiveError::Partition(partition, error))
    }
}
