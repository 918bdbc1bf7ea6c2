//! Our isolation forest against scikit-learn's: what the unit tests compare with is what it says today.

use std::process::Command;

/// Numbers of another machine may differ in the last digit.
fn is_close(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Number, Object};
    match (a, b) {
        (Array(a), Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_close(a, b)),
        (Object(a), Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| is_close(a, b)))
        }
        (Number(a), Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-9
        }
        _ => a == b,
    }
}

#[test]
fn the_forest_that_ours_is_compared_with_is_scikit_learns() {
    let python = tool!(ScikitLearn);
    let output = Command::new(python).arg("tests/oracle/forest.py").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let kept = std::fs::read("tests/data/forest/scikit_learn.json").unwrap();
    let [kept, now] = [&kept, &output.stdout].map(|text| serde_json::from_slice(text).unwrap());
    assert!(
        is_close(&kept, &now),
        "scikit-learn says something else: tests/oracle/forest.py > tests/data/forest/scikit_learn.json"
    );
}
