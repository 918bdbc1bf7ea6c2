"""Computes what `sidelong evaluate` computes with the packages of those who invented it.

Needs `pip install vus==0.0.6` (VUS-PR and the buffer, of the authors of VUS) and, without its own old numpy,
`pip install --no-deps prts==1.0.0.3` (range-based precision and recall). Run as `evaluate.py FOLDER`; writes FOLDER/vus.json and
FOLDER/ranges.json.
"""

import json
import sys
from pathlib import Path

import numpy as np
from prts import ts_precision, ts_recall
from vus.metrics import get_metrics
from vus.utils.slidingWindows import find_length

SEED, CASES = 7, 12


def case(random, number):
    """A series with a period or none, incidents of any length, and scores that know a part of them."""
    samples = int(random.integers(300, 900))
    at = np.arange(samples)
    labels = np.zeros(samples, int)
    for _ in range(int(random.integers(1, 5))):
        first = int(random.integers(0, samples - 40))
        labels[first : first + int(random.integers(1, 40))] = 1
    scores = random.exponential(0.4, samples) + labels * random.exponential(0.8, samples)
    if number % 3 == 0:  # many equal scores, as before warm-up
        scores = np.where(scores < 0.5, 0.0, scores)
    scores = np.round(scores, 3).astype(np.float32)
    period = [0, 12, 48, 97, 288][number % 5]
    values = random.normal(0, 0.3, samples) + (np.sin(2 * np.pi * at / period) if period else 0)
    return labels, scores, np.round(values, 3).astype(np.float32)


def main():
    folder, random = Path(sys.argv[1]), np.random.default_rng(SEED)
    vus, ranges = [], []
    for number in range(CASES):
        labels, scores, values = case(random, number)
        buffer = int(find_length(values.astype(float)))
        wide = scores.astype(float)
        volume = get_metrics(wide, labels, metric="vus", version="opt", slidingWindow=buffer)["VUS_PR"]
        vus.append(
            {
                "labels": labels.tolist(),
                "scores": [float(str(score)) for score in scores],
                "values": [float(str(value)) for value in values],
                "buffer": buffer,
                "period": buffer,
                "vus_pr": float(volume),
            }
        )
        anomalous = (scores >= 1).astype(int)
        ranges.append(
            {
                "labels": labels.tolist(),
                "anomalous": anomalous.tolist(),
                "precision": float(ts_precision(labels, anomalous, alpha=0.0, cardinality="reciprocal", bias="flat")),
                "recall": float(ts_recall(labels, anomalous, alpha=0.5, cardinality="reciprocal", bias="flat")),
            }
        )
    (folder / "vus.json").write_text(json.dumps(vus, separators=(",", ":")) + "\n")
    (folder / "ranges.json").write_text(json.dumps(ranges, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
