//! A store in a folder.
//!
//! An object is a file below it. It is written beside its place and put there whole, behind a lock that all processes which
//! share the folder take: so a condition holds until what it allows is done.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::memory::{etag, holds};
use super::{ETag, Got, ObjectName, StoreError, When};

/// The file whose lock writers take. No object is called so, nor what is not whole yet.
const LOCK: &str = "~lock";
const UNFINISHED: &str = "~unfinished";

/// Objects as files of a folder, which is made when something is written.
#[derive(Clone, Debug)]
pub struct FolderStore {
    folder: PathBuf,
}

// === impl FolderStore ===

impl FolderStore {
    /// The store in `folder`.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(super) async fn get(
        &self,
        name: &ObjectName,
        allowed: u64,
        known: Option<&ETag>,
    ) -> Result<Got, StoreError> {
        let (folder, path, known) = (self.folder.clone(), self.path(name), known.cloned());
        blocking(name, move || {
            let content = match File::open(path) {
                Ok(file) => {
                    let mut content = Vec::new();
                    file.take(allowed.saturating_add(1)).read_to_end(&mut content)?;
                    Bytes::from(content)
                }
                // Where the folder itself is not there nothing is known of what is in it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return fs::metadata(&folder).map(|_| Found::Absent);
                }
                Err(error) => return Err(error),
            };
            if content.len() as u64 > allowed {
                return Ok(Found::TooLarge);
            }
            let etag = etag(&content);
            Ok(if known.as_ref() == Some(&etag) { Found::Known } else { Found::Content(content, etag) })
        })
        .await
        .and_then(|found| match found {
            Found::Absent => Ok(Got::Absent),
            Found::Known => Ok(Got::NotModified),
            Found::Content(content, etag) => Ok(Got::Found(content, etag)),
            Found::TooLarge => Err(StoreError::TooLarge { name: name.to_string(), allowed }),
        })
    }

    pub(super) async fn put(
        &self,
        name: &ObjectName,
        content: Bytes,
        when: When<'_>,
    ) -> Result<ETag, StoreError> {
        let (folder, path) = (self.folder.clone(), self.path(name));
        let expected = match when {
            When::Absent => None,
            When::Unchanged(etag) => Some(etag.clone()),
        };
        let written = blocking(name, move || {
            let parent = path.parent().unwrap_or(&folder).to_owned();
            let _lock = lock(&folder)?;
            fs::create_dir_all(&parent)?; // behind the lock: who deletes takes empty folders along
            let there = match fs::read(&path) {
                Ok(content) => Some(etag(&content.into())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            if !holds(expected.as_ref().map_or(When::Absent, When::Unchanged), there.as_ref()) {
                return Ok(None);
            }
            put_in_place(&path, &content)?;
            Ok(Some(etag(&content)))
        })
        .await?;
        written.ok_or_else(|| StoreError::Conflict(name.to_string()))
    }

    pub(super) async fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        let (folder, path) = (self.folder.clone(), self.path(name));
        blocking(name, move || {
            if !folder.exists() {
                return Ok(());
            }
            let _lock = lock(&folder)?;
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            // Folders that are empty now go, too; the first with something in it stays, and so do those that it is in.
            let mut parents = path.ancestors().skip(1).take_while(|parent| *parent != folder);
            while parents.next().is_some_and(|parent| fs::remove_dir(parent).is_ok()) {}
            Ok(())
        })
        .await
    }

    pub(super) async fn sizes(&self, prefix: &ObjectName) -> Result<Vec<(ObjectName, u64)>, StoreError> {
        let (folder, below) = (self.folder.clone(), prefix.clone());
        blocking(prefix, move || {
            fs::metadata(&folder)?;
            let mut names = Vec::new();
            walk(&folder.join(below.as_str()), below.as_str(), &mut names)?;
            names.sort_unstable();
            Ok(names)
        })
        .await
    }

    fn path(&self, name: &ObjectName) -> PathBuf {
        self.folder.join(name.as_str())
    }
}

/// Takes the lock of all who write into `folder`, until what is given is dropped.
fn lock(folder: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    let lock = File::options().create(true).append(true).open(folder.join(LOCK))?;
    lock.lock()?;
    Ok(lock)
}

/// What came of a look at a file.
enum Found {
    Absent,
    Known,
    TooLarge,
    Content(Bytes, ETag),
}

/// Writes a file so that whoever opens it sees all of it or what was there before, also after a loss of power.
pub(in crate::model) fn put_in_place(path: &Path, content: &[u8]) -> io::Result<()> {
    let unfinished = path.with_added_extension(UNFINISHED);
    let mut file = File::create(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Adds the names and bytes of all objects in `folder`, which is called `name`. What is no object is passed by.
fn walk(folder: &Path, name: &str, names: &mut Vec<(ObjectName, u64)>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let own = entry.file_name();
        let Some(own) = own.to_str() else { continue };
        let name = format!("{name}/{own}");
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), &name, names)?;
        } else if let Ok(name) = ObjectName::parse(&name) {
            match entry.metadata() {
                Ok(metadata) => names.push((name, metadata.len())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {} // deleted meanwhile
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Has `work` done where waiting for a disk stops nobody.
async fn blocking<T: Send + 'static>(
    name: &ObjectName,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| StoreError::failed(name, error))?;
    done.map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => StoreError::Denied(name.to_string()),
        _ => StoreError::failed(name, error),
    })
}

#[cfg(test)]
mod tests {
    use crate::model::store::{ObjectName, Store, When};

    #[tokio::test]
    async fn folders_go_with_the_last_object_in_them() {
        let (folder, name) = (tempfile::tempdir().unwrap(), |text: &str| ObjectName::parse(text).unwrap());
        let store = Store::open(folder.path().to_str().unwrap()).unwrap();
        for at in ["a/day=1/one", "a/day=2/two"] {
            store.put(&name(at), "x".into(), When::Absent).await.unwrap();
        }
        store.delete(&name("a/day=2/two")).await.unwrap();
        assert!(!folder.path().join("a/day=2").exists() && folder.path().join("a/day=1").exists());
        store.delete(&name("a/day=1/one")).await.unwrap();
        assert!(!folder.path().join("a").exists() && folder.path().exists());
    }
}
