"""Holds our fits against statsmodels' and scikit-learn's on the same data, in one run. `make bench-train` runs it.

Standard input: what `cargo bench --bench train` prints. statsmodels is taken as it comes: ARIMA with its own starting values and
optimiser, without the covariance of the parameters, which ours does not compute either. scikit-learn's IsolationForest has our number of
trees and samples of a tree, and one job. The fastest of several runs counts, on all sides.
"""

import json
import pathlib
import sys
import time
import warnings

import numpy as np
from sklearn.ensemble import IsolationForest
from statsmodels.tsa.arima.model import ARIMA

FIXTURES = pathlib.Path(__file__).parents[2] / "tests/data/arima/arima.json"
RUNS, WINDOWS, TREES, SAMPLES = 3, 1_000_000, 25, 64


def fastest_ms(run):
    fastest = float("inf")
    for _ in range(RUNS):
        start = time.perf_counter()
        run()
        fastest = min(fastest, time.perf_counter() - start)
    return 1e3 * fastest


def arima(fixture):
    p, d, q = fixture["order"]
    series = np.diff(np.array(fixture["series"], dtype=float), d)
    trend = "c" if fixture["mean"] else "n"
    return lambda: ARIMA(series, order=(p, 0, q), trend=trend, concentrate_scale=True).fit(cov_type="none")


def main():
    warnings.simplefilter("ignore")
    ours = json.load(sys.stdin)
    print("| fit | samples | ours, ms | theirs, ms | ratio |")
    print("|---|---:|---:|---:|---:|")
    ratios = []

    def row(name, samples, own, theirs):
        print(f"| {name} | {samples} | {own:.3f} | {theirs:.1f} | {theirs / own:.0f} |", flush=True)
        return theirs / own

    for fixture in json.loads(FIXTURES.read_text()):
        name = "ARIMA({},{},{}) of {}".format(*fixture["order"], fixture["name"])
        ratios.append(row(name, len(fixture["series"]), ours[fixture["name"]], fastest_ms(arima(fixture))))
    rows = -np.log10(1 - np.random.default_rng(1).random((WINDOWS, 4), dtype=np.float32))
    theirs = fastest_ms(lambda: IsolationForest(n_estimators=TREES, max_samples=SAMPLES, random_state=1).fit(rows))
    for name in ["forest", "forest, row by row"]:
        row(f"isolation {name}", WINDOWS, ours[name], theirs)
    print(f"\nARIMA: smallest ratio {min(ratios):.0f}, geometric mean {np.exp(np.mean(np.log(ratios))):.0f}")


if __name__ == "__main__":
    main()
