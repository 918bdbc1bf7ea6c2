//! Which label bytes were walked before, so that they need not be walked again.

use hashbrown::HashTable;

use super::ElementLimits;
use crate::batch::Key;

/// Series remembered at most; beyond it all are forgotten and walked anew.
const MOST: usize = 1 << 20;

/// Remembers by their keys the labels that a full walk found sound and within the limits, in the order in
/// which they were met. A sender repeats that order, so the next series is nearly always the next entry.
#[derive(Debug, Default)]
pub struct Walked {
    order: Vec<u64>,
    /// Where in `order` a key stands.
    places: HashTable<u32>,
    next: usize,
    limits: ElementLimits,
}

// === impl Walked ===

impl Walked {
    /// Begins a body. What was walked under other limits counts for nothing.
    pub(super) fn begin(&mut self, limits: &ElementLimits) {
        if self.limits != *limits || self.order.len() >= MOST {
            self.order.clear();
            self.places.clear();
            self.next = 0;
            self.limits = limits.clone();
        }
    }

    /// Whether the label bytes of `key` were walked before.
    #[inline(always)]
    pub(super) fn knows(&mut self, key: &Key) -> bool {
        if self.order.get(self.next) == Some(&key.0[0]) {
            self.next += 1;
            return true;
        }
        self.look_up(key)
    }

    fn look_up(&mut self, key: &Key) -> bool {
        let Self { order, places, .. } = self;
        let found = places.find(key.0[0], |at| order[*at as usize] == key.0[0]).copied();
        if let Some(at) = found {
            self.next = at as usize + 1;
        }
        found.is_some()
    }

    /// Remembers `key`, which [`Walked::knows`] did not.
    pub(super) fn remember(&mut self, key: &Key) {
        let Self { order, places, .. } = self;
        places.insert_unique(key.0[0], order.len() as u32, |at| order[*at as usize]);
        order.push(key.0[0]);
        self.next = order.len();
    }

    /// Bytes of memory held for each series remembered.
    pub const BYTES_PER_SERIES: usize = size_of::<u64>() + (size_of::<u32>() + 1) * 8 / 7;
}
