//! Where the files of an archive are kept: a store, which is a folder or a bucket.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::place::{METRICS, Place};
use crate::model::store::{Got, ObjectName, Store, StoreError, When};

/// The files of one archive, for who may wait for them: every call blocks until the store has answered.
#[derive(Clone, Debug)]
pub struct Depot {
    store: Store,
    /// Whatever the store's connections need goes on beside the calls.
    runtime: Arc<Runtime>,
    /// How long any call may take that carries nothing.
    patience: Duration,
}

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kept {
    /// Where.
    pub place: Place,
    /// Its size.
    pub bytes: u64,
}

/// A file that is larger is not read: none of ours is.
const MAX_BYTES: u64 = 4 << 30;
/// How long any call may take, and how much longer for what it carries. A store that trickles is given up by it.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same when the process is about to end.
const LAST_PATIENCE: Duration = Duration::from_secs(5);
const BYTES_A_SECOND: u64 = 128 << 10;
/// How long a listing may take, page by page.
const LISTING: Duration = Duration::from_secs(5 * 60);

// === impl Depot ===

impl Depot {
    /// The archive in `store`.
    ///
    /// # Errors
    ///
    /// The operating system gives no more threads.
    pub fn new(store: Store) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Self { store, runtime: Arc::new(runtime), patience: PATIENCE })
    }

    /// The same with less patience: the process is about to end.
    #[must_use]
    pub(super) fn in_a_hurry(self) -> Self {
        Self { patience: LAST_PATIENCE, ..self }
    }

    /// Puts a file in its place: the whole of it or nothing. One that is there already stays.
    ///
    /// # Errors
    ///
    /// The store does not take it, or not in time.
    pub fn put(&self, place: &Place, bytes: Bytes) -> Result<(), StoreError> {
        let (name, patience) = (name(place)?, self.patience_for(bytes.len() as u64));
        match self.within(patience, place, self.store.put(&name, bytes, When::Absent)) {
            // No two files have one name: it is this one, and the answer to an earlier try was lost.
            Ok(_) | Err(StoreError::Conflict(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The whole of a file; nothing if it is not there any more.
    ///
    /// # Errors
    ///
    /// The store does not give it, or not in time.
    pub fn get(&self, kept: &Kept) -> Result<Option<Bytes>, StoreError> {
        let name = name(&kept.place)?;
        let got =
            self.within(self.patience_for(kept.bytes), &kept.place, self.store.get(&name, MAX_BYTES, None))?;
        Ok(if let Got::Found(bytes, _) = got { Some(bytes) } else { None })
    }

    /// All files that are there, by partition and name.
    ///
    /// # Errors
    ///
    /// The store does not list them, or not in time.
    pub fn list(&self) -> Result<Vec<Kept>, StoreError> {
        let prefix = METRICS.trim_end_matches('/');
        let prefix = ObjectName::parse(prefix).map_err(|error| StoreError::failed(METRICS, error))?;
        let objects = self.within(LISTING, &prefix, self.store.sizes(&prefix))?;
        let kept =
            |(name, bytes): (ObjectName, u64)| Place::read(name.as_str()).map(|place| Kept { place, bytes });
        let mut kept: Vec<Kept> = objects.into_iter().filter_map(kept).collect();
        kept.sort_unstable();
        Ok(kept)
    }

    /// Deletes a file, if it is there.
    ///
    /// # Errors
    ///
    /// The store does not delete it, or does not say so in time.
    pub fn delete(&self, place: &Place) -> Result<(), StoreError> {
        self.within(self.patience, place, self.store.delete(&name(place)?))
    }

    fn patience_for(&self, bytes: u64) -> Duration {
        self.patience + Duration::from_secs(bytes / BYTES_A_SECOND)
    }

    /// Waits for `work` on `what`, but no longer than `patience`.
    fn within<T>(
        &self,
        patience: Duration,
        what: &impl ToString,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let bounded = async { timeout(patience, work).await };
        self.runtime.block_on(bounded).unwrap_or_else(|_| Err(StoreError::Slow(what.to_string())))
    }
}

fn name(place: &Place) -> Result<ObjectName, StoreError> {
    ObjectName::parse(&place.to_string()).map_err(|error| StoreError::failed(place, error))
}

#[cfg(test)]
impl Depot {
    /// The archive in `folder`.
    pub(crate) fn folder(folder: &std::path::Path) -> Self {
        Self::new(Store::open(folder.to_str().unwrap()).unwrap()).unwrap()
    }
}
