//! Whether two models put the same samples first.

/// Spearman's rank correlation of two series of as many numbers; nothing where one of them is the same everywhere. Equal numbers
/// share the mean of their ranks.
pub(super) fn spearman(a: &[f32], b: &[f32]) -> Option<f64> {
    let (a, b) = (ranks(a), ranks(b));
    let middle = (a.len() as f64 - 1.0) / 2.0;
    let (mut both, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(&b) {
        let (a, b) = (a - middle, b - middle);
        both += a * b;
        of_a += a * a;
        of_b += b * b;
    }
    (of_a > 0.0 && of_b > 0.0).then(|| both / (of_a * of_b).sqrt())
}

fn ranks(values: &[f32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    for equal in order.chunk_by(|a, b| values[*a] == values[*b]).scan(0, |at, equal| {
        let first = *at;
        *at += equal.len();
        Some((first, equal))
    }) {
        let (first, equal) = equal;
        let rank = first as f64 + (equal.len() as f64 - 1.0) / 2.0;
        equal.iter().for_each(|at| ranks[*at] = rank);
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_counts_and_size_does_not() {
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[1.0, 20.0, 300.0]), Some(1.0));
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), Some(-1.0));
        assert_eq!(spearman(&[1.0, 1.0, 1.0], &[3.0, 2.0, 1.0]), None);
        assert_eq!(spearman(&[], &[]), None);
        // scipy.stats.spearmanr([0, 0, 1, 2], [0, 1, 1, 2])
        let tied = spearman(&[0.0, 0.0, 1.0, 2.0], &[0.0, 1.0, 1.0, 2.0]).unwrap();
        assert!((tied - 0.833_333_333_333).abs() < 1e-9, "{tied}");
    }
}
