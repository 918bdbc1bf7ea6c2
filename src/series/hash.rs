//! The hasher of maps whose keys are hashes already.

use std::hash::{BuildHasher, Hasher};

/// Passes the last word of a [`crate::batch::Key`] on: hashing a hash again buys nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KeyHasher;

/// State of [`KeyHasher`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastWord(u64);

impl BuildHasher for KeyHasher {
    type Hasher = LastWord;

    fn build_hasher(&self) -> LastWord {
        LastWord::default()
    }
}

impl Hasher for LastWord {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }
}
