//! Where bundles are kept: a folder, S3, or memory. All three pass one suite of tests.
//!
//! A store is objects by name with conditional writes, as S3 has them: a new object only where there is none, a changed one only
//! where it is still the one that was read. Everything else is made of that.

mod folder;
mod memory;
mod name;

use std::path::PathBuf;

use bytes::Bytes;

#[cfg(feature = "s3")]
use crate::aws::S3Store;
pub use folder::FolderStore;
pub(super) use folder::put_in_place;
pub use memory::MemoryStore;
pub use name::{NameError, ObjectName};

/// Where bundles are kept.
#[derive(Clone, Debug)]
pub enum Store {
    /// A folder, which several processes may share.
    Folder(FolderStore),
    /// The memory of this process.
    Memory(MemoryStore),
    /// A bucket of S3, or of something that speaks as it does.
    #[cfg(feature = "s3")]
    S3(S3Store),
}

/// What tells one content of an object from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ETag(pub String);

/// An object, or why it is not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    /// Its content.
    Found(Bytes, ETag),
    /// It is the one that is known.
    NotModified,
    /// There is none.
    Absent,
}

/// When an object may be written.
#[derive(Clone, Copy, Debug)]
pub enum When<'a> {
    /// Only where there is none.
    Absent,
    /// Only where it is still this one.
    Unchanged(&'a ETag),
}

/// Why a store does not do what it is asked for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The condition of a write does not hold: somebody else was there before.
    #[error("{0} was changed by somebody else meanwhile")]
    Conflict(String),
    /// It is larger than was asked for.
    #[error("{name} has more than {allowed} bytes")]
    TooLarge {
        /// The object.
        name: String,
        /// What was asked for.
        allowed: u64,
    },
    /// It did not answer in time, or too slowly.
    #[error("the store did not give {0} in time")]
    Slow(String),
    /// It does not let us.
    #[error("the store refuses access to {0}; look at its credentials and at its policy")]
    Denied(String),
    /// It cannot be reached, or answers nonsense.
    #[error("the store cannot be used for {name}")]
    Failed {
        /// The object, or the prefix.
        name: String,
        /// What happened.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The place cannot be one.
    #[error(
        "{0:?} is no store: give a folder, or s3://BUCKET/PREFIX, with ?endpoint=URL&region=NAME for what is not of AWS"
    )]
    Place(String),
    /// This binary was built without it.
    #[error("this binary was built without S3 (feature s3); give a folder")]
    WithoutS3,
}

// === impl Store ===

impl Store {
    /// Opens the store at `place`: a folder, or `s3://BUCKET/PREFIX`. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// [`StoreError::Place`], [`StoreError::WithoutS3`].
    pub fn open(place: &str) -> Result<Self, StoreError> {
        match place.split_once("://") {
            None if !place.is_empty() => Ok(Self::Folder(FolderStore::new(PathBuf::from(place)))),
            #[cfg(feature = "s3")]
            Some(("s3", _)) => S3Store::open(place).map(Self::S3),
            #[cfg(not(feature = "s3"))]
            Some(("s3", _)) => Err(StoreError::WithoutS3),
            _ => Err(StoreError::Place(place.to_owned())),
        }
    }

    /// Gives an object of at most `allowed` bytes, unless it is the `known` one.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn get(
        &self,
        name: &ObjectName,
        allowed: u64,
        known: Option<&ETag>,
    ) -> Result<Got, StoreError> {
        match self {
            Self::Folder(store) => store.get(name, allowed, known).await,
            Self::Memory(store) => store.get(name, allowed, known),
            #[cfg(feature = "s3")]
            Self::S3(store) => store.get(name, allowed, known).await,
        }
    }

    /// Writes an object whole or not at all, if it may be written.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn put(&self, name: &ObjectName, content: Bytes, when: When<'_>) -> Result<ETag, StoreError> {
        match self {
            Self::Folder(store) => store.put(name, content, when).await,
            Self::Memory(store) => store.put(name, content, when),
            #[cfg(feature = "s3")]
            Self::S3(store) => store.put(name, content, when).await,
        }
    }

    /// The names of all objects below `prefix`, sorted.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn list(&self, prefix: &ObjectName) -> Result<Vec<ObjectName>, StoreError> {
        Ok(self.sizes(prefix).await?.into_iter().map(|(name, _)| name).collect())
    }

    /// The names of all objects below `prefix`, sorted, each with its bytes.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn sizes(&self, prefix: &ObjectName) -> Result<Vec<(ObjectName, u64)>, StoreError> {
        match self {
            Self::Folder(store) => store.sizes(prefix).await,
            Self::Memory(store) => Ok(store.sizes(prefix)),
            #[cfg(feature = "s3")]
            Self::S3(store) => store.sizes(prefix).await,
        }
    }

    /// Deletes an object, if it is there.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        match self {
            Self::Folder(store) => store.delete(name).await,
            Self::Memory(store) => {
                store.delete(name);
                Ok(())
            }
            #[cfg(feature = "s3")]
            Self::S3(store) => store.delete(name).await,
        }
    }
}

// === impl StoreError ===

impl StoreError {
    pub(crate) fn failed(
        name: impl ToString,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Failed { name: name.to_string(), source: source.into() }
    }

    /// The `reason` of `sidelong_model_store_errors_total`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "conflict",
            Self::TooLarge { .. } => "too_large",
            Self::Slow(_) => "slow",
            Self::Denied(_) => "denied",
            Self::Failed { .. } | Self::Place(_) | Self::WithoutS3 => "failed",
        }
    }
}
