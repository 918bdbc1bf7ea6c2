//! Who owns a series besides its labels: a tenant of the push door, a target of the pull door.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;

use crate::batch::Key;

/// Where series come from. Equal labels in two scopes are two series.
#[derive(Debug)]
pub struct Scope {
    name: ScopeName,
    id: u32,
    seed: u64,
    series: AtomicUsize,
}

/// What a scope stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ScopeName {
    /// A tenant of the push door; empty where no tenant header came.
    Tenant(Box<str>),
    /// A target of the pull door, by its name or address.
    Target(Box<str>),
}

/// All scopes met so far, up to a limit: tenant names come from outside.
#[derive(Debug)]
pub struct Scopes {
    known: DashMap<ScopeName, Arc<Scope>, foldhash::fast::RandomState>,
    next_id: AtomicUsize,
    limit: usize,
    seed: u64,
}

// === impl Scope ===

impl Scope {
    /// The tenant or target.
    pub fn name(&self) -> &ScopeName {
        &self.name
    }

    /// A small number, unique among the scopes of this process.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Seeds the keys of this scope's series in the spelling of one kind of source: the same bytes in
    /// two spellings are unrelated.
    pub fn seed(&self, spelling: Spelling) -> u64 {
        self.seed ^ (spelling as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// Series of this scope in the table.
    pub fn series(&self) -> usize {
        self.series.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, change: isize) {
        self.series.fetch_add(change as usize, Ordering::Relaxed);
    }

    /// The key of a series in its canonical spelling: sorted labels, each string with its length.
    pub(super) fn canonical_key<'a>(&self, sorted: impl Iterator<Item = (&'a str, &'a str)>) -> Key {
        let mut bytes = Vec::with_capacity(512);
        for (name, value) in sorted {
            for text in [name, value] {
                bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
                bytes.extend_from_slice(text.as_bytes());
            }
        }
        Key::of(&bytes, self.seed(Spelling::Canonical))
    }
}

/// How a source spells the labels of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// The series table's own.
    Canonical = 1,
    /// Label messages of remote write 1.0.
    RemoteWrite1 = 2,
    /// Symbols of remote write 2.0.
    RemoteWrite2 = 3,
    /// A line of a text exposition.
    Text = 4,
    /// A metric of a protobuf exposition.
    Protobuf = 5,
}

// === impl Scopes ===

impl Scopes {
    /// At most `limit` scopes; `seed` makes keys unpredictable from outside.
    pub fn new(limit: usize, seed: u64) -> Self {
        Self { known: DashMap::default(), next_id: AtomicUsize::new(0), limit, seed }
    }

    /// The scope called `name`, if it was met.
    pub fn find(&self, name: &ScopeName) -> Option<Arc<Scope>> {
        self.known.get(name).map(|known| Arc::clone(&known))
    }

    /// The scope called `name`, made if need be; `None` when there are as many as allowed.
    pub fn get(&self, name: &ScopeName) -> Option<Arc<Scope>> {
        if let Some(known) = self.find(name) {
            return Some(known);
        }
        if self.known.len() >= self.limit {
            return None;
        }
        let made = self.known.entry(name.clone()).or_insert_with(|| {
            let id = self.next_id.fetch_add(1, Ordering::Relaxed) as u32;
            let seed = Key::of(&id.to_le_bytes(), self.seed).0[0];
            Arc::new(Scope { name: name.clone(), id, seed, series: AtomicUsize::new(0) })
        });
        Some(Arc::clone(&made))
    }

    /// Number of scopes.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether no scope was met yet.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}
