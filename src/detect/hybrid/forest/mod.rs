//! An isolation forest over calibrated errors (Liu, Ting and Zhou, Isolation Forest, ICDM 2008).
//!
//! Trees are complete and lie in flat arrays: the children of node `n` are `2n + 1` and `2n + 2`, and a
//! path that ends early is led on to the leaves below it. So a walk has no branch, and the walks of several
//! trees overlap in the processor. Points come one by one: only one in some dozens is rare enough to be asked.
//! Samples are drawn with replacement, unlike the paper's: a row may come twice to one tree.

mod builtin;
mod builtin_joint;
#[cfg(test)]
mod oracle_tests;

use crate::scatter::scatter;

/// Numbers that a tree looks at.
pub const INPUTS: usize = 4;
/// Levels of a tree.
pub const DEPTH: usize = 6;
/// Nodes of a tree above its leaves.
pub const NODES: usize = (1 << DEPTH) - 1;
/// Leaves of a tree.
pub const LEAVES: usize = 1 << DEPTH;
/// Samples that each tree is grown from: as many as its leaves.
pub const SAMPLE: usize = LEAVES;

/// One tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// Which input each node looks at.
    pub inputs: [u8; NODES],
    /// A node leads to the right where the input is at least this.
    pub splits: [f32; NODES],
    /// Path length at each leaf, with what the samples left in it would add.
    pub lengths: [f32; LEAVES],
}

/// Trees that are asked together. Without trees every point is ordinary.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forest {
    trees: Vec<Tree>,
}

/// A reproducible stream of numbers (SplitMix64; Steele, Lea and Flood, OOPSLA 2014).
struct Random(u64);

// === impl Forest ===

impl Forest {
    /// A forest of `trees`.
    pub fn new(trees: Vec<Tree>) -> Self {
        Self { trees }
    }

    /// Grows `trees` trees, each from [`SAMPLE`] of `rows`, chosen by `seed`.
    pub fn grow(rows: &[[f32; INPUTS]], trees: usize, seed: u64) -> Self {
        let mut random = Random(seed);
        let mut grow = || {
            let mut sample: Vec<_> =
                (0..SAMPLE).filter_map(|_| rows.get(random.below(rows.len())).copied()).collect();
            let mut tree = Tree::EMPTY;
            tree.grow(&mut sample, 0, 0, &mut random);
            tree
        };
        Self { trees: (0..trees).map(|_| grow()).collect() }
    }

    /// Grows a tree from each of `samples`; `seed` decides how they divide them.
    pub fn grow_each(samples: Vec<Vec<[f32; INPUTS]>>, seed: u64) -> Self {
        let grow = |(number, mut sample): (usize, Vec<_>)| {
            let mut random = Random(seed);
            random.0 = random.next() ^ Random(number as u64).next();
            let mut tree = Tree::EMPTY;
            tree.grow(&mut sample, 0, 0, &mut random);
            tree
        };
        Self { trees: samples.into_iter().enumerate().map(grow).collect() }
    }

    /// The forest that is built in: grown on synthetic metrics, see [`crate::train`].
    pub fn builtin() -> Self {
        Self { trees: builtin::TREES.to_vec() }
    }

    /// The one that is built in for several series together: grown on the entities of synthetic metrics.
    pub fn builtin_joint() -> Self {
        Self { trees: builtin_joint::TREES.to_vec() }
    }

    /// Its trees.
    pub fn trees(&self) -> &[Tree] {
        &self.trees
    }

    /// Mean length of the paths of `point`: the shorter, the more isolated. The score of the paper, `2^(-path / c)`,
    /// says the same on another scale.
    #[inline]
    pub fn path(&self, point: &[f32; INPUTS]) -> f32 {
        let mut sum = 0.0;
        for tree in &self.trees {
            sum += tree.path(point);
        }
        sum / self.trees.len().max(1) as f32
    }
}

// === impl Tree ===

impl Tree {
    const EMPTY: Self = Self { inputs: [0; NODES], splits: [0.0; NODES], lengths: [0.0; LEAVES] };

    #[inline]
    fn path(&self, point: &[f32; INPUTS]) -> f32 {
        let mut node = 0;
        for _ in 0..DEPTH {
            let right = point[usize::from(self.inputs[node]) % INPUTS] >= self.splits[node];
            node = 2 * node + 1 + usize::from(right);
        }
        self.lengths[node - NODES]
    }

    /// Grows the tree below `node`, which `sample` has reached.
    fn grow(&mut self, sample: &mut [[f32; INPUTS]], node: usize, level: usize, random: &mut Random) {
        if level == DEPTH {
            self.lengths[node - NODES] = level as f32 + average_path(sample.len());
            return;
        }
        let Some((input, split)) = choose(sample, random) else {
            return self.end(level as f32 + average_path(sample.len()), node);
        };
        (self.inputs[node], self.splits[node]) = (input as u8, split);
        sample.sort_unstable_by(|a, b| a[input].total_cmp(&b[input]));
        let (left, right) = sample.split_at_mut(sample.partition_point(|row| row[input] < split));
        self.grow(left, 2 * node + 1, level + 1, random);
        self.grow(right, 2 * node + 2, level + 1, random);
    }

    /// A path ends at `node`: all leaves below it are of this length.
    fn end(&mut self, length: f32, node: usize) {
        let (mut first, mut count) = (node, 1);
        while first < NODES {
            (first, count) = (2 * first + 1, 2 * count);
        }
        self.lengths[first - NODES..first - NODES + count].fill(length);
    }
}

/// An input on which `sample` differs, and a place between its smallest and its largest.
fn choose(sample: &[[f32; INPUTS]], random: &mut Random) -> Option<(usize, f32)> {
    let range = |input: usize| {
        let values = sample.iter().map(|row| row[input]);
        values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let open: Vec<usize> = (0..INPUTS).filter(|&input| range(input).0 < range(input).1).collect();
    let input = *open.get(random.below(open.len()))?;
    let (low, high) = range(input);
    let split = low + random.unit() * (high - low);
    // Rounding may give the smallest, which would leave the left side empty.
    Some((input, if split > low { split } else { high }))
}

/// The average path of an unsuccessful search among `count` samples: `2 H(n - 1) - 2 (n - 1) / n`.
fn average_path(count: usize) -> f32 {
    let harmonic: f64 = (1..count).map(|i| 1.0 / i as f64).sum();
    match count {
        0 | 1 => 0.0,
        n => (2.0 * harmonic - 2.0 * (n as f64 - 1.0) / n as f64) as f32,
    }
}

// === impl Random ===

impl Random {
    fn next(&mut self) -> u64 {
        let next = scatter(self.0);
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        next
    }

    fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { (self.next() % bound as u64) as usize }
    }

    /// 0 to 1, in steps that 32 bits hold.
    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<[f32; INPUTS]> {
        let mut random = Random(7);
        (0..2_000).map(|_| std::array::from_fn(|_| random.unit() + random.unit() + random.unit())).collect()
    }

    #[test]
    fn what_lies_apart_is_isolated_sooner() {
        let forest = Forest::grow(&rows(), 25, 1);
        let score = |point| (-forest.path(&point) / average_path(SAMPLE)).exp2();
        let (inside, outside) = (score([1.5; 4]), score([5.0; 4]));
        assert!(inside < 0.5 && outside > 0.6, "{inside} {outside}");
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(Forest::grow(&rows(), 5, 1), Forest::grow(&rows(), 5, 1));
        assert_ne!(Forest::grow(&rows(), 5, 1), Forest::grow(&rows(), 5, 2));
    }

    #[test]
    fn average_paths_are_those_of_the_paper() {
        assert_eq!((average_path(0), average_path(1), average_path(2)), (0.0, 0.0, 1.0));
        assert!((average_path(256) - 10.2448).abs() < 0.01);
    }

    #[test]
    fn equal_samples_and_none_grow_a_tree_without_a_split() {
        assert_eq!(Forest::grow(&[[1.0; 4]; 10], 1, 1).path(&[9.0; 4]), average_path(SAMPLE));
        assert_eq!(Forest::grow(&[], 1, 1).path(&[9.0; 4]), 0.0);
        assert_eq!(Forest::default().path(&[9.0; 4]), 0.0);
    }
}
