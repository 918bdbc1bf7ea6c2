//! Downsampling: as many columns as a screen has, each with the extremes of what falls into it.

use super::Point;
use super::axis::Time;

/// What falls into one column of pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Column {
    /// The middle of its samples, in columns from the left.
    pub(super) x: f64,
    /// The moments of its first and its last sample.
    pub(super) first_ms: i64,
    pub(super) last_ms: i64,
    /// The lowest and the highest value.
    pub(super) value: [f64; 2],
    /// The lowest lower edge and the highest upper edge of the band.
    pub(super) band: Option<[f64; 2]>,
    /// The lowest and the highest expected value.
    pub(super) expected: Option<[f64; 2]>,
    /// The highest score.
    pub(super) score: f64,
}

/// The columns of `points` on an axis of `width` columns; those without a sample are left out.
pub(super) fn columns(points: &[Point], time: Time, width: usize) -> Vec<Column> {
    let mut columns: Vec<(usize, Column)> = Vec::with_capacity(width.min(points.len()));
    let from = points.partition_point(|point| point.at_ms < time.from_ms);
    let to = points.partition_point(|point| point.at_ms <= time.to_ms);
    for point in &points[from..to] {
        let x = time.left(point.at_ms) * width as f64;
        let place = (x as usize).min(width.saturating_sub(1));
        match columns.last_mut() {
            Some((last, column)) if *last == place => column.add(point),
            _ => columns.push((place, Column::of(point))),
        }
    }
    let place = |column: &mut Column| {
        let middle = column.first_ms + (column.last_ms - column.first_ms) / 2;
        column.x = time.left(middle) * width as f64;
    };
    let mut columns: Vec<Column> = columns.into_iter().map(|(_, column)| column).collect();
    columns.iter_mut().for_each(place);
    columns
}

// === impl Column ===

impl Column {
    fn of(point: &Point) -> Self {
        let said = &point.said;
        Self {
            x: 0.0,
            first_ms: point.at_ms,
            last_ms: point.at_ms,
            value: [said.judged; 2],
            band: pair(said.lower, said.upper),
            expected: pair(said.expected, said.expected),
            score: said.score,
        }
    }

    fn add(&mut self, point: &Point) {
        let more = Self::of(point);
        self.last_ms = point.at_ms;
        self.value = wider(self.value, more.value);
        self.band = either(self.band, more.band);
        self.expected = either(self.expected, more.expected);
        self.score = self.score.max(more.score);
    }
}

fn pair(low: f64, high: f64) -> Option<[f64; 2]> {
    (!low.is_nan() && !high.is_nan()).then_some([low, high])
}

fn wider(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    [a[0].min(b[0]), a[1].max(b[1])]
}

fn either(a: Option<[f64; 2]>, b: Option<[f64; 2]>) -> Option<[f64; 2]> {
    match (a, b) {
        (Some(a), Some(b)) => Some(wider(a, b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::points;
    use super::*;

    fn time(points: &[Point]) -> Time {
        Time { from_ms: points[0].at_ms, to_ms: points[points.len() - 1].at_ms }
    }

    #[test]
    fn no_extreme_is_lost() {
        let points = points(100_000, |at| if at == 77_777 { 9.0 } else { 0.0 });
        let columns = columns(&points, time(&points), 1_000);
        assert_eq!(columns.len(), 1_000);
        let highest = columns.iter().map(|column| column.score).fold(0.0, f64::max);
        assert_eq!(highest, 9.0);
        let (low, high) = columns.iter().fold((f64::MAX, f64::MIN), |(low, high), column| {
            (low.min(column.value[0]), high.max(column.value[1]))
        });
        let values = points.iter().map(|point| point.said.judged);
        assert_eq!((low, high), (values.clone().fold(f64::MAX, f64::min), values.fold(f64::MIN, f64::max)));
        let samples: i64 = columns.iter().map(|c| (c.last_ms - c.first_ms) / 60_000 + 1).sum();
        assert_eq!(samples, 100_000, "each sample is in one column");
    }

    #[test]
    fn few_samples_stand_where_they_are() {
        let points = points(5, |_| 0.0);
        let columns = columns(&points, time(&points), 1_000);
        assert_eq!(
            columns.iter().map(|column| column.x).collect::<Vec<_>>(),
            [0.0, 250.0, 500.0, 750.0, 1_000.0]
        );
        let part = Time { from_ms: points[1].at_ms, to_ms: points[2].at_ms };
        assert_eq!(super::columns(&points, part, 10).len(), 2);
    }
}
