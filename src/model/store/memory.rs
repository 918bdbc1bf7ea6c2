//! A store in memory: for tests, and for those who have nowhere else.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::{ETag, Got, ObjectName, StoreError, When};
use crate::model::bundle::Digest;

/// Objects in the memory of this process; clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<BTreeMap<ObjectName, Bytes>>>);

// === impl MemoryStore ===

impl MemoryStore {
    pub(super) fn get(
        &self,
        name: &ObjectName,
        allowed: u64,
        known: Option<&ETag>,
    ) -> Result<Got, StoreError> {
        let objects = self.0.lock();
        let Some(content) = objects.get(name) else { return Ok(Got::Absent) };
        let etag = etag(content);
        if known == Some(&etag) {
            return Ok(Got::NotModified);
        }
        if content.len() as u64 > allowed {
            return Err(StoreError::TooLarge { name: name.to_string(), allowed });
        }
        Ok(Got::Found(content.clone(), etag))
    }

    pub(super) fn put(&self, name: &ObjectName, content: Bytes, when: When<'_>) -> Result<ETag, StoreError> {
        let mut objects = self.0.lock();
        if !holds(when, objects.get(name).map(etag).as_ref()) {
            return Err(StoreError::Conflict(name.to_string()));
        }
        let new = etag(&content);
        objects.insert(name.clone(), content);
        Ok(new)
    }

    pub(super) fn sizes(&self, prefix: &ObjectName) -> Vec<(ObjectName, u64)> {
        let objects = self.0.lock();
        let below = objects.iter().filter(|(name, _)| name.is_below(prefix));
        below.map(|(name, content)| (name.clone(), content.len() as u64)).collect()
    }

    pub(super) fn delete(&self, name: &ObjectName) {
        self.0.lock().remove(name);
    }
}

/// What stands for `content`: its digest.
pub(super) fn etag(content: &Bytes) -> ETag {
    ETag(Digest::of(content).to_string())
}

/// Whether an object of which this is there may be written.
pub(super) fn holds(when: When<'_>, there: Option<&ETag>) -> bool {
    match when {
        When::Absent => there.is_none(),
        When::Unchanged(etag) => there == Some(etag),
    }
}
