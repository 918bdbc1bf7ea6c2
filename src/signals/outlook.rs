//! What an entry would make of series, before any of them has come: for who wants to know what it costs.

use super::groups::spelled;
use super::spec::Spec;

/// What a series would be to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prospect {
    /// Its group, by a hash of what identifies that.
    pub group: u64,
    /// Series that are made of the group as a whole.
    pub of_group: usize,
    /// Series that are made of this part alone.
    pub of_part: usize,
}

// === impl Spec ===

impl Spec {
    /// What a series of these sorted `labels` would be here, by its samples or by its native `histograms`; `None` if it
    /// takes no part.
    pub fn prospect(&self, labels: &[(&str, &str)], histograms: bool) -> Option<Prospect> {
        let claim = if self.takes_histograms() == histograms { self.claim(labels)? } else { return None };
        let pairs = claim.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Some(Prospect {
            group: xxhash_rust::xxh3::xxh3_64(&spelled(pairs)),
            of_group: self.names("").count(),
            of_part: usize::from(self.name_for_part("").is_some()),
        })
    }
}
