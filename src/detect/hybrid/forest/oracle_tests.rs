//! Our forest against scikit-learn's, as `tests/oracle/forest.py` has written it down.

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Oracle {
    rows: Vec<[f32; INPUTS]>,
    points: Vec<[f32; INPUTS]>,
    /// Scores by a hundred trees, each from 64 rows.
    scores: Vec<f64>,
    /// Ten of the trees, and scores by them alone.
    trees: Vec<Vec<Node>>,
    tree_scores: Vec<f64>,
    /// The average path by which scikit-learn scales: its logarithm in place of the sum that it approximates.
    average_path: f64,
}

/// Input, threshold, left, right, and the length of the path if it ends here.
#[derive(Deserialize)]
struct Node(u8, f64, i64, i64, f64);

fn oracle() -> Oracle {
    serde_json::from_str(include_str!("../../../../tests/data/forest/scikit_learn.json")).unwrap()
}

/// A tree of scikit-learn as one of ours.
fn import(nodes: &[Node]) -> Tree {
    let mut tree = Tree::EMPTY;
    place(&mut tree, nodes, 0, 0);
    tree
}

fn place(tree: &mut Tree, nodes: &[Node], from: usize, to: usize) {
    let Node(input, threshold, left, right, length) = nodes[from];
    if left < 0 && to >= NODES {
        tree.lengths[to - NODES] = length as f32;
    } else if left < 0 {
        tree.end(length as f32, to);
    } else {
        // Theirs goes left up to the threshold, ours below the split: the next larger number that an input can be.
        let below = threshold as f32;
        let split = if f64::from(below) > threshold { below } else { below.next_up() };
        (tree.inputs[to], tree.splits[to]) = (input, split);
        place(tree, nodes, usize::try_from(left).unwrap(), 2 * to + 1);
        place(tree, nodes, usize::try_from(right).unwrap(), 2 * to + 2);
    }
}

/// The score of the paper.
fn score(forest: &Forest, point: &[f32; INPUTS], average_path: f64) -> f64 {
    (-f64::from(forest.path(point)) / average_path).exp2()
}

/// The places of `scores` in order; equal ones share the mean of theirs.
fn ranks(scores: &[f64]) -> Vec<f64> {
    let below = |score: f64| scores.iter().filter(|other| **other < score).count() as f64;
    let equal = |score: f64| scores.iter().filter(|other| **other == score).count() as f64;
    scores.iter().map(|score| below(*score) + (equal(*score) - 1.0) / 2.0).collect()
}

/// Spearman's rank correlation.
fn rank_correlation(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}

/// Lengths and their sum have 32 bits here and 64 there, hence a millionth.
#[test]
fn a_forest_of_scikit_learn_gives_the_same_scores_here() {
    let oracle = oracle();
    let forest = Forest::new(oracle.trees.iter().map(|nodes| import(nodes)).collect());
    for (point, wanted) in oracle.points.iter().zip(&oracle.tree_scores) {
        let found = score(&forest, point, oracle.average_path);
        assert!((found - wanted).abs() < 1e-6, "{point:?}: {found} is not {wanted}");
    }
}

/// The same rows, as many trees of as many samples: other random numbers, and nearly the same order.
#[test]
fn a_forest_of_the_same_rows_ranks_as_scikit_learn_does() {
    let oracle = oracle();
    for seed in 1..=5 {
        let forest = Forest::grow(&oracle.rows, 100, seed);
        let average_path = f64::from(average_path(SAMPLE));
        let scores: Vec<f64> =
            oracle.points.iter().map(|point| score(&forest, point, average_path)).collect();
        let correlation = rank_correlation(&scores, &oracle.scores);
        assert!(correlation >= 0.95, "seed {seed}: {correlation}");
    }
}

#[test]
fn rank_correlation_is_that_of_spearman() {
    assert_eq!(rank_correlation(&[1.0, 2.0, 3.0], &[10.0, 20.0, 90.0]), 1.0);
    assert_eq!(rank_correlation(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), -1.0);
    assert!((rank_correlation(&[1.0, 2.0, 2.0, 4.0], &[1.0, 3.0, 2.0, 4.0]) - 0.948_683_3).abs() < 1e-6);
}
