//! Where the files of an archive are kept: a folder.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::place::{METRICS, Place};

/// The files of one archive.
#[derive(Clone, Debug)]
pub struct Depot {
    folder: PathBuf,
}

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kept {
    /// Where.
    pub place: Place,
    /// Its size.
    pub bytes: u64,
}

/// What a file is called until it is whole.
const UNFINISHED: &str = ".unfinished";

// === impl Depot ===

impl Depot {
    /// The archive in `folder`.
    pub fn folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Puts a file in its place: the whole of it or nothing. One that is there already stays.
    ///
    /// # Errors
    ///
    /// The disk is full, read-only or gone.
    pub fn put(&self, place: &Place, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(place);
        if path.exists() {
            return Ok(()); // no two files have one name
        }
        let folder = self.folder.join(place.partition.to_string());
        fs::create_dir_all(&folder)?;
        let unfinished = folder.join(format!(".{}{UNFINISHED}", place.file));
        let written = File::create(&unfinished).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        if let Err(error) = written.and_then(|()| fs::rename(&unfinished, &path)) {
            drop(fs::remove_file(&unfinished)); // the error that counts is the first
            return Err(error);
        }
        File::open(&folder)?.sync_all() // the new name is safe only when its folder is
    }

    /// The whole of a file; nothing if it is not there any more.
    ///
    /// # Errors
    ///
    /// The disk is gone.
    pub fn get(&self, place: &Place) -> io::Result<Option<Bytes>> {
        found(fs::read(self.path(place))).map(|bytes| bytes.map(Bytes::from))
    }

    /// All files that are there, by partition and name.
    ///
    /// # Errors
    ///
    /// The disk is gone.
    pub fn list(&self) -> io::Result<Vec<Kept>> {
        let mut kept = Vec::new();
        for day in names(&self.folder.join(METRICS))? {
            for shard in names(&self.folder.join(METRICS).join(&day))? {
                for file in names(&self.folder.join(METRICS).join(&day).join(&shard))? {
                    let Some(place) = Place::read(&format!("{METRICS}{day}/{shard}/{file}")) else {
                        continue;
                    };
                    let Some(metadata) = found(fs::metadata(self.path(&place)))? else { continue };
                    kept.push(Kept { place, bytes: metadata.len() });
                }
            }
        }
        kept.sort_unstable();
        Ok(kept)
    }

    /// Deletes a file, if it is there. Folders that are empty then go with it.
    ///
    /// # Errors
    ///
    /// The disk is read-only, or gone.
    pub fn delete(&self, place: &Place) -> io::Result<()> {
        let path = self.path(place);
        found(fs::remove_file(&path))?;
        // The folders of its shard and day; a folder with something in it stays.
        path.ancestors().skip(1).take(2).try_for_each(fs::remove_dir).or(Ok(()))
    }

    fn path(&self, place: &Place) -> PathBuf {
        self.folder.join(place.to_string())
    }
}

/// What was found, or that nothing was.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The names in a folder; none where there is no folder.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let Some(entries) = found(fs::read_dir(folder))? else { return Ok(Vec::new()) };
    // What is no text is none of ours.
    entries.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default())).collect()
}
