"""Grows isolation forests with scikit-learn, the oracle of our own.

Standard output: JSON with the rows both forests are grown from (`rows`), the points they judge (`points`), the scores of a forest
of 100 trees, each from 64 rows (`scores`), and ten of its trees with the scores that they alone give (`trees`, `tree_scores`). A
node of a tree is [input, threshold, left, right, path length if it is a leaf]: a point goes left where its input is at most the
threshold.
"""

import json

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.ensemble._iforest import _average_path_length

TREES, SAMPLE, IMPORTED, SEED = 100, 64, 10, 1


def made_up(random, count, tail):
    """Four numbers a row, as rarities are: most below 1, few large, and large together."""
    together = random.exponential(0.2 * tail, (count, 1))
    return np.round(random.exponential(0.4 * tail, (count, 4)) + together, 3).astype(np.float32)


def tree(grown, inputs):
    """One tree in nodes."""
    nodes, inner = [], grown.tree_
    depth = np.zeros(inner.node_count, int)
    for node in range(inner.node_count):
        left, right = int(inner.children_left[node]), int(inner.children_right[node])
        if left < 0:
            length = depth[node] + _average_path_length(np.array([inner.n_node_samples[node]]))[0]
            nodes.append([0, 0.0, -1, -1, length])
        else:
            depth[left] = depth[right] = depth[node] + 1
            nodes.append([int(inputs[inner.feature[node]]), float(inner.threshold[node]), left, right, 0.0])
    return nodes


def main():
    random = np.random.RandomState(SEED)
    rows = made_up(random, 1000, 1.0)
    points = np.concatenate([made_up(random, 150, 1.0), made_up(random, 100, 3.0)])
    forest = IsolationForest(n_estimators=TREES, max_samples=SAMPLE, random_state=SEED).fit(rows)
    scores = -forest.score_samples(points)
    trees = [tree(grown, inputs) for grown, inputs in zip(forest.estimators_, forest.estimators_features_)][:IMPORTED]
    few = IsolationForest(n_estimators=IMPORTED, max_samples=SAMPLE, random_state=SEED).fit(rows)
    assert all(np.array_equal(a.tree_.threshold, b.tree_.threshold)
               for a, b in zip(few.estimators_, forest.estimators_))
    tree_scores = -few.score_samples(points)

    def numbers(array):
        return [[round(float(number), 3) for number in row] for row in array]

    print(json.dumps({
        "rows": numbers(rows),
        "points": numbers(points),
        "scores": [round(float(score), 12) for score in scores],
        "trees": trees,
        "tree_scores": [round(float(score), 12) for score in tree_scores],
        "average_path": float(_average_path_length(np.array([SAMPLE]))[0]),
    }))


main()
