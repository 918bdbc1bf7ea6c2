//! What one machine has seen of the data, and what all of them come to.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::groups::Groups;
use super::sketch::{Pick, Sketch};
use crate::detect::forest::INPUTS;
use crate::detect::{Hybrid, Priors};
use crate::model::bundle::{Bundle, Origin};
use crate::shard::Shard;

/// How a forest is grown from data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Growth {
    /// Decides which rows are picked, and how trees divide them.
    pub seed: u64,
    /// Trees of the forest.
    pub trees: usize,
    /// Samples of each series before its errors are used.
    pub warm_up: u64,
}

/// What was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// Series that were long enough to be used.
    pub series: u64,
    /// Samples that the forest may be grown from.
    pub windows: u64,
    /// Samples that were left out for an incident or a context.
    pub masked: u64,
    /// The first and the last of all samples, in milliseconds since the epoch.
    pub span_ms: Option<[i64; 2]>,
}

/// What was seen of one shard: a file of some ten kilobytes, however long the data.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// How the forest is to be grown.
    pub growth: Growth,
    /// Which shard.
    pub shard: Shard,
    /// What was seen of it.
    pub seen: Seen,
    /// Which data it was asked to look at, and how: for the lineage alone.
    #[serde(default)]
    pub asked: BTreeMap<String, String>,
    picks: Vec<Vec<Pick>>,
    /// Series of a kind, where they are to be fitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    groups: Option<Groups>,
}

/// Looks at the series of one shard.
#[derive(Clone, Debug)]
pub struct Gatherer {
    growth: Growth,
    shard: Shard,
    seen: Seen,
    sketch: Sketch,
    groups: Option<Groups>,
}

/// Why parts make no whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// They are to be grown in different ways.
    #[error("the parts were made with different --seed, --trees, --warm-up or --group-by")]
    Growth,
    /// They are of different divisions, or one is there twice, or missing.
    #[error("the parts are not each of 1/{of} to {of}/{of} once; there are {there}")]
    Shards {
        /// How many there should be.
        of: u64,
        /// Which ones there are.
        there: String,
    },
    /// There is none.
    #[error("there is no part")]
    None,
    /// Nothing was left to learn from.
    #[error(
        "no series has more than {0} samples (--warm-up) outside of incidents: there is nothing to grow a forest from"
    )]
    Empty(u64),
}

/// Characters of what was asked for by one name; a manifest has room for them.
const MAX_ASKED: usize = 1_000;

// === impl Growth ===

impl Default for Growth {
    fn default() -> Self {
        Self { seed: 1, trees: 25, warm_up: 600 }
    }
}

// === impl Seen ===

impl Seen {
    /// A sample at `at_ms` was there.
    pub fn sample(&mut self, at_ms: i64) {
        self.span([at_ms, at_ms]);
    }

    fn span(&mut self, [first, last]: [i64; 2]) {
        let [from, to] = self.span_ms.unwrap_or([first, last]);
        self.span_ms = Some([from.min(first), to.max(last)]);
    }

    fn add(&mut self, other: &Self) {
        self.series += other.series;
        self.windows += other.windows;
        self.masked += other.masked;
        other.span_ms.into_iter().for_each(|span| self.span(span));
    }
}

// === impl Gatherer ===

impl Gatherer {
    /// Has seen nothing yet.
    pub fn new(growth: Growth, shard: Shard) -> Self {
        Self {
            growth,
            shard,
            seen: Seen::default(),
            sketch: Sketch::new(growth.seed, growth.trees),
            groups: None,
        }
    }

    /// The same, which fits a model to the series of each value of the label `by`, too.
    #[must_use]
    pub fn grouped_by(self, by: Option<String>) -> Self {
        Self { groups: by.map(|by| Groups::new(by, self.growth.seed)), ..self }
    }

    /// Series of a kind, where they are to be fitted.
    pub fn groups(&mut self) -> Option<&mut Groups> {
        self.groups.as_mut()
    }

    /// How the forest is to be grown.
    pub fn growth(&self) -> Growth {
        self.growth
    }

    /// What was seen so far.
    pub fn seen(&mut self) -> &mut Seen {
        &mut self.seen
    }

    /// Whether the series of this fingerprint is looked at here.
    pub fn has(&self, fingerprint: u64) -> bool {
        self.shard.has(fingerprint)
    }

    /// How rare the errors were of the sample at `at_ms` of the series of this fingerprint.
    pub fn take(&mut self, fingerprint: u64, at_ms: i64, row: [f32; INPUTS]) {
        self.seen.windows += 1;
        let place = xxhash_rust::xxh3::xxh3_64_with_seed(&at_ms.to_le_bytes(), fingerprint);
        self.sketch.offer(place, row);
    }

    /// What it comes to.
    pub fn finish(self) -> Part {
        let Self { growth, shard, seen, sketch, groups } = self;
        Part { growth, shard, seen, asked: BTreeMap::new(), picks: sketch.picks(), groups }
    }
}

// === impl Part ===

impl Part {
    /// What parts come to that are each of another shard, and together of all.
    ///
    /// # Errors
    ///
    /// [`MergeError`].
    pub fn merge(parts: Vec<Self>) -> Result<Self, MergeError> {
        let mut shards: Vec<Shard> = parts.iter().map(|part| part.shard).collect();
        shards.sort_unstable();
        let of = shards.first().ok_or(MergeError::None)?.of;
        if !shards.iter().copied().eq((1..=of).map(|number| Shard { number, of })) {
            let there = shards.iter().map(Shard::to_string).collect::<Vec<_>>().join(", ");
            return Err(MergeError::Shards { of, there });
        }
        let (growth, by) = (parts[0].growth, parts[0].group_by().map(str::to_owned));
        let fits = |part: &Self| {
            part.growth == growth && part.picks.len() == growth.trees && part.group_by() == by.as_deref()
        };
        if !parts.iter().all(fits) {
            return Err(MergeError::Growth);
        }
        let asked = joined(parts.iter().map(|part| &part.asked));
        let mut whole = Gatherer::new(growth, Shard::ALL).grouped_by(by);
        for part in parts {
            whole.seen.add(&part.seen);
            whole.sketch.merge(Sketch::of(growth.seed, part.picks));
            if let (Some(groups), Some(others)) = (&mut whole.groups, part.groups) {
                groups.merge(others);
            }
        }
        Ok(Self { asked, ..whole.finish() })
    }

    /// The label by which series are grouped.
    fn group_by(&self) -> Option<&str> {
        self.groups.as_ref().map(|groups| groups.by.as_str())
    }

    /// Where new series begin, by what those of their kind have in common. Takes a second or so for each group.
    pub fn priors(&self) -> Priors {
        self.groups.as_ref().map(Groups::fit).unwrap_or_default()
    }

    /// A candidate called `model`, made at `created_ms`, with the forest that was grown. All else of it is that of the built-in
    /// model.
    ///
    /// # Errors
    ///
    /// [`MergeError::Empty`].
    pub fn candidate(&self, model: &str, created_ms: i64, priors: Priors) -> Result<Bundle, MergeError> {
        let Growth { seed, trees, warm_up } = self.growth;
        if self.seen.windows == 0 {
            return Err(MergeError::Empty(warm_up));
        }
        let forest = Sketch::of(seed, self.picks.clone()).forest();
        let lineage = [
            ("recipe", "sidelong train".to_owned()),
            ("seed", seed.to_string()),
            ("trees", trees.to_string()),
            ("warm_up", warm_up.to_string()),
            ("series", self.seen.series.to_string()),
            ("windows", self.seen.windows.to_string()),
            ("masked", self.seen.masked.to_string()),
        ];
        let own = lineage.into_iter().map(|(name, value)| (name.to_owned(), value));
        let cut = |value: &String| value.chars().take(MAX_ASKED).collect();
        let asked = self.asked.iter().map(|(name, value)| (name.clone(), cut(value)));
        let lineage: BTreeMap<String, String> = asked.chain(own).collect();
        let window_ms = self.seen.span_ms.map(|[first, last]| [first, last.saturating_add(1)]);
        let origin = Origin { model: model.to_owned(), created_ms, window_ms, lineage, ..Origin::default() };
        Ok(Bundle::candidate(&Hybrid { forest, priors, ..Hybrid::default() }, origin))
    }
}

/// What machines were asked for by each name: the same, or all that they were, in an order that does not depend on theirs.
fn joined<'a>(asked: impl Iterator<Item = &'a BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let mut all: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in asked.flatten() {
        all.entry(name).or_default().insert(value);
    }
    let joined = |values: BTreeSet<&str>| values.into_iter().collect::<Vec<_>>().join(", ");
    all.into_iter().map(|(name, values)| (name.to_owned(), joined(values))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u64, of: u64, seed: u64) -> Part {
        Gatherer::new(Growth { seed, ..Growth::default() }, Shard { number, of }).finish()
    }

    #[test]
    fn parts_that_make_no_whole_are_told() {
        let merged = |parts: Vec<Part>| Part::merge(parts).map(|whole| whole.shard);
        assert_eq!(merged(vec![part(2, 2, 1), part(1, 2, 1)]), Ok(Shard::ALL));
        assert_eq!(merged(vec![]), Err(MergeError::None));
        assert_eq!(merged(vec![part(1, 2, 1), part(2, 2, 3)]), Err(MergeError::Growth));
        for wrong in [vec![part(1, 2, 1)], vec![part(1, 2, 1); 2], vec![part(1, 2, 1), part(2, 3, 1)]] {
            assert!(matches!(merged(wrong), Err(MergeError::Shards { of: 2, .. })));
        }
    }

    #[test]
    fn what_was_asked_for_is_joined_in_any_order() {
        let asked = |number, of, source: &str| Part {
            asked: [("query", "up"), ("source", source)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..part(number, of, 1)
        };
        let parts = vec![asked(1, 3, "b.csv"), asked(2, 3, "a.csv"), asked(3, 3, "b.csv")];
        let backwards = parts.iter().rev().cloned().collect();
        let (merged, other) = (Part::merge(parts).unwrap(), Part::merge(backwards).unwrap());
        assert_eq!((merged.asked["query"].as_str(), merged.asked["source"].as_str()), ("up", "a.csv, b.csv"));
        assert_eq!(merged.asked, other.asked);
    }

    #[test]
    fn nothing_makes_no_model() {
        assert_eq!(part(1, 1, 1).candidate("m", 0, Priors::default()), Err(MergeError::Empty(600)));
    }
}
