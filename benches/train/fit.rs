//! How long fits take: ARIMA models of the series of `tests/data/arima`, and isolation forests of a million windows. Prints JSON in
//! milliseconds, which `run.py` beside it holds against statsmodels and scikit-learn.

use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use serde::Deserialize;
use sidelong::detect::forest::Forest;
use sidelong::train::Sketch;
use sidelong::train::arima::{Order, fit};

/// How long each fit is repeated at least; the fastest run counts.
const TIME: Duration = Duration::from_millis(200);
/// As `run.py` has it.
const WINDOWS: u64 = 1_000_000;
const TREES: usize = 25;

#[derive(Deserialize)]
struct Fixture {
    name: String,
    order: [usize; 3],
    mean: bool,
    series: Vec<Option<f64>>,
}

/// The fastest of some runs, in milliseconds.
fn fastest_ms(mut run: impl FnMut()) -> f64 {
    let (start, mut fastest) = (Instant::now(), f64::INFINITY);
    while start.elapsed() < TIME {
        let start = Instant::now();
        run();
        fastest = fastest.min(start.elapsed().as_secs_f64() * 1e3);
    }
    fastest
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/arima/arima.json");
    let fixtures: Vec<Fixture> = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let mut ms = BTreeMap::new();
    for Fixture { name, order: [p, d, q], mean, series } in fixtures {
        let series: Vec<f64> = series.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect();
        let order = Order::new(p, d, q)?;
        let order = if mean { order } else { order.without_mean() };
        fit(&series, order)?;
        ms.insert(name, fastest_ms(|| drop(black_box(fit(black_box(&series), order)))));
    }
    // Rarities: most below 1, few large.
    let uniform =
        |number: u64| (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32 / (1_u64 << 24) as f32;
    let row = |at: u64| std::array::from_fn(|input| -(1.0 - uniform(at * 4 + input as u64)).log10());
    let rows: Vec<[f32; 4]> = (0..WINDOWS).map(row).collect();
    ms.insert("forest".to_owned(), fastest_ms(|| drop(black_box(Forest::grow(black_box(&rows), TREES, 1)))));
    let sketched = fastest_ms(|| {
        let mut sketch = Sketch::new(1, TREES);
        rows.iter().zip(0..).for_each(|(row, place)| sketch.offer(place, *row));
        drop(black_box(sketch.forest()));
    });
    ms.insert("forest, row by row".to_owned(), sketched);
    println!("{}", serde_json::to_string_pretty(&ms)?);
    Ok(())
}
