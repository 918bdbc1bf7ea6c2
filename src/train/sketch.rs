//! Which rows each tree is grown from, decided without keeping all of them.
//!
//! Every row has a key for each tree: a hash of its series, its time, the seed and the tree. A tree is grown from the rows of the
//! smallest keys (bottom-k sampling; Cohen and Kaplan, Summarizing data using bottom-k sketches, PODC 2007): a sample without
//! replacement, as in the isolation forest's paper. What is kept is a few kilobytes, however long the data; and the smallest keys of
//! all data are the smallest of the smallest keys of its parts, so that parts which were looked at on several machines give the
//! very same forest.

use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use crate::detect::forest::{Forest, INPUTS, SAMPLE};
use crate::scatter::scatter;

/// The rows of all trees.
#[derive(Clone, Debug)]
pub struct Sketch {
    seed: u64,
    trees: Vec<BinaryHeap<Pick>>,
}

/// A row that was picked for a tree.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Pick {
    key: u64,
    row: [f32; INPUTS],
}

// === impl Sketch ===

impl Sketch {
    /// No row yet, for so many `trees`.
    pub fn new(seed: u64, trees: usize) -> Self {
        Self { seed, trees: vec![BinaryHeap::with_capacity(SAMPLE + 1); trees] }
    }

    /// What [`Self::picks`] gave.
    pub fn of(seed: u64, picks: Vec<Vec<Pick>>) -> Self {
        Self { seed, trees: picks.into_iter().map(BinaryHeap::from).collect() }
    }

    /// Looks at a row; `place` tells it from all others, and is the same wherever it is looked at.
    pub fn offer(&mut self, place: u64, row: [f32; INPUTS]) {
        for (number, tree) in self.trees.iter_mut().enumerate() {
            keep(tree, Pick { key: scatter(place ^ scatter(self.seed ^ scatter(number as u64))), row });
        }
    }

    /// Takes in what another one of the same seed and as many trees has seen.
    pub fn merge(&mut self, other: Self) {
        for (tree, others) in self.trees.iter_mut().zip(other.trees) {
            others.into_iter().for_each(|pick| keep(tree, pick));
        }
    }

    /// What it comes to, tree by tree, in the order of the keys.
    pub fn picks(&self) -> Vec<Vec<Pick>> {
        self.trees.iter().map(|tree| tree.clone().into_sorted_vec()).collect()
    }

    /// The forest.
    pub fn forest(&self) -> Forest {
        let rows = |picks: Vec<Pick>| picks.into_iter().map(|pick| pick.row).collect();
        Forest::grow_each(self.picks().into_iter().map(rows).collect(), self.seed)
    }
}

fn keep(tree: &mut BinaryHeap<Pick>, pick: Pick) {
    if tree.len() < SAMPLE {
        tree.push(pick);
    } else if let Some(mut largest) = tree.peek_mut()
        && pick < *largest
    {
        *largest = pick;
    }
}

// === impl Pick: by key, and where keys are equal by the row ===

impl Pick {
    fn rank(&self) -> (u64, [u32; INPUTS]) {
        (self.key, self.row.map(f32::to_bits))
    }
}

impl PartialEq for Pick {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Pick {}

impl PartialOrd for Pick {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pick {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(count: u64) -> Vec<(u64, [f32; INPUTS])> {
        let number = |at: u64, input: u64| (scatter(at * 7 + input) % 1_000) as f32 / 250.0;
        (0..count).map(|at| (at, std::array::from_fn(|input| number(at, input as u64)))).collect()
    }

    fn forest_of(rows: impl Iterator<Item = (u64, [f32; INPUTS])>) -> Forest {
        let mut sketch = Sketch::new(3, 5);
        rows.for_each(|(place, row)| sketch.offer(place, row));
        sketch.forest()
    }

    proptest! {
        #[test]
        fn parts_in_any_order_give_the_same_forest_as_the_whole(
            shards in 1_u64..9, count in 1_u64..900, turn in 0_usize..9,
        ) {
            let whole = forest_of(rows(count).into_iter());
            let mut parts: Vec<Sketch> = (0..shards).map(|_| Sketch::new(3, 5)).collect();
            for (place, row) in rows(count).into_iter().rev() {
                parts[(scatter(place) % shards) as usize].offer(place, row);
            }
            let middle = turn % parts.len();
            parts.rotate_left(middle);
            let mut all = Sketch::new(3, 5);
            for part in parts {
                let text = serde_json::to_string(&part.picks()).unwrap();
                all.merge(Sketch::of(3, serde_json::from_str(&text).unwrap()));
            }
            prop_assert!(all.forest() == whole);
        }
    }

    #[test]
    fn what_lies_apart_is_isolated_sooner() {
        let forest = forest_of(rows(5_000).into_iter());
        assert!(forest.path(&[8.0; INPUTS]) < 0.7 * forest.path(&[2.0; INPUTS]));
    }

    #[test]
    fn a_forest_of_no_row_finds_everything_ordinary() {
        let forest = forest_of(std::iter::empty());
        assert_eq!(forest.path(&[8.0; INPUTS]), forest.path(&[0.0; INPUTS]));
    }
}
