//! What stands in a file: series by what they are called, and their samples.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use crate::batch::Sample;
use crate::detect::Judgement;
use crate::series::labels::{METRIC_NAME, SeriesLabels};
use crate::series::{Scope, ScopeName};

/// The label by which series of a tenant of the push door are told from those of others.
pub const TENANT: &str = "__tenant__";
/// The label by which series of a target of the pull door are: who scrapes adds its labels only later.
pub const TARGET: &str = "__target__";

/// A series of the archive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesKey {
    /// The metric name; empty where there is none.
    pub name: String,
    /// All other labels, as a JSON object sorted by name.
    pub labels: String,
    /// A hash of both, the same wherever and whenever it is made.
    pub fingerprint: u64,
}

/// A sample, and what was said of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its series.
    pub series: Arc<SeriesKey>,
    /// The sample, bit for bit.
    pub sample: Sample,
    /// What was said of it; not a number where nothing was.
    pub judged: Judgement,
}

// === impl SeriesKey ===

impl SeriesKey {
    /// The series of these labels, the metric name among them, in any order.
    pub fn of<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut labels: BTreeMap<&str, &str> = labels.into_iter().collect();
        let name = labels.remove(METRIC_NAME).unwrap_or_default().to_owned();
        let labels = serde_json::to_string(&labels).unwrap_or_default(); // a map of texts is always JSON
        let fingerprint = fingerprint(&name, &labels);
        Self { name, labels, fingerprint }
    }

    /// The series of `scope` with these labels.
    pub(super) fn scored(scope: &Scope, labels: &SeriesLabels) -> Self {
        let owner = match scope.name() {
            ScopeName::Tenant(name) => (TENANT, &**name),
            ScopeName::Target(name) => (TARGET, &**name),
        };
        Self::of(labels.scored().chain([owner].into_iter().filter(|(_, name)| !name.is_empty())))
    }

    /// A series as it stands in a file.
    pub(super) fn written(name: String, labels: String) -> Self {
        let fingerprint = fingerprint(&name, &labels);
        Self { name, labels, fingerprint }
    }

    /// All labels, the metric name among them, sorted; nothing but the name where the others are no JSON object.
    pub fn all_labels(&self) -> Vec<(String, String)> {
        let others: BTreeMap<String, String> = serde_json::from_str(&self.labels).unwrap_or_default();
        let name = (!self.name.is_empty()).then(|| (METRIC_NAME.to_owned(), self.name.clone()));
        name.into_iter().chain(others).collect()
    }

    /// The shard of `shards` that it lies in.
    pub fn shard(&self, shards: u32) -> u32 {
        (self.fingerprint % u64::from(shards.max(1))) as u32 // less than a 32-bit number
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.name.len() + self.labels.len()
    }
}

fn fingerprint(name: &str, labels: &str) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(name.as_bytes());
    hasher.update(&[0xff]); // no byte of UTF-8
    hasher.update(labels.as_bytes());
    hasher.digest()
}

// === impl Row ===

impl Row {
    /// The order of files: by series, then by time.
    pub fn order(&self, other: &Self) -> Ordering {
        let same = Arc::ptr_eq(&self.series, &other.series);
        let series = if same { Ordering::Equal } else { self.series.cmp(&other.series) };
        series.then(self.sample.timestamp_ms.cmp(&other.sample.timestamp_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_the_same_however_its_labels_are_ordered() {
        let one = SeriesKey::of([("b", "2"), (METRIC_NAME, "up"), ("a", "\"1\"")]);
        let other = SeriesKey::of([("a", "\"1\""), ("b", "2"), (METRIC_NAME, "up")]);
        assert_eq!(one, other);
        assert_eq!((one.name.as_str(), one.labels.as_str()), ("up", r#"{"a":"\"1\"","b":"2"}"#));
        let labels = one.all_labels();
        let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(labels, [(METRIC_NAME, "up"), ("a", "\"1\""), ("b", "2")]);
    }

    #[test]
    fn the_fingerprint_stays_what_it_is() {
        // Files are found by it in years to come: it must not change with a release.
        let key = SeriesKey::of([(METRIC_NAME, "node_load1"), ("instance", "a:9100")]);
        assert_eq!(key.fingerprint, 1_353_161_522_260_935_478);
        assert_eq!(key.shard(8), 6);
    }
}
