//! Samples on their way into the steps of their groups.
//!
//! A sample of one series goes to several groups, and the next series' to others, so that nearly every look at a group is
//! at memory that the processor has not at hand. Samples are gathered therefore, and put when there are some of them:
//! while one is being put, what the next few need is fetched.

use super::group::Group;
use super::groups::at;
use crate::prefetch::prefetch;

/// Samples that wait at the most: few enough that they lie in the nearest cache until they are put.
const CAPACITY: usize = 256;
/// How many samples ahead a group is fetched, then its newest step, then the places in it.
const GROUP_AHEAD: usize = 12;
const STEP_AHEAD: usize = 8;
const PLACE_AHEAD: usize = 4;

/// Samples that wait.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    waiting: Vec<Waiting>,
}

/// A sample of a part that waits to be put.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) group: u32,
    pub(super) serial: u32,
    pub(super) part: u32,
    pub(super) timestamp_ms: i64,
    pub(super) value: f64,
}

// === impl Inbox ===

impl Inbox {
    /// Takes in a sample, and tells whether no other has room.
    #[inline]
    pub(super) fn take(&mut self, waiting: Waiting) -> bool {
        self.waiting.push(waiting);
        self.waiting.len() >= CAPACITY
    }

    /// Has `put` every sample that waits, in the order in which they came. Of groups that are gone there is nothing to put.
    pub(super) fn empty(&mut self, groups: &mut [Option<Group>], mut put: impl FnMut(&mut Group, &Waiting)) {
        for (index, waiting) in self.waiting.iter().enumerate() {
            self.fetch_ahead(index, groups);
            if let Some(group) = at(groups, waiting.group, waiting.serial) {
                put(group, waiting);
            }
        }
        self.waiting.clear();
    }

    #[inline]
    fn fetch_ahead(&self, index: usize, groups: &[Option<Group>]) {
        let ahead = |by: usize| {
            let waiting = self.waiting.get(index + by)?;
            Some((groups.get(waiting.group as usize)?, waiting.part))
        };
        if let Some((place, _)) = ahead(GROUP_AHEAD) {
            prefetch(place);
        }
        if let Some((Some(group), part)) = ahead(STEP_AHEAD) {
            group.prefetch_step(part);
        }
        if let Some((Some(group), part)) = ahead(PLACE_AHEAD) {
            group.prefetch_place(part);
        }
    }
}
