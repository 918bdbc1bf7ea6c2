#!/usr/bin/env python3
"""Measures the score of an entity beside those of its parts, on the machines of smd/ and asd/: the table of docs/detection.md.

  entities.py DATA SIDELONG

Each file is a part of the machine that its name begins with. What counts as an event is the union of the labelled windows
of its parts, and a false alert is what score.py takes for one. The threshold of each score is the lowest that gives one
false alert an entity-day: of each machine by itself, and one for all machines. Beside the entity stand the best part of
each machine, chosen in hindsight, and the largest score of any part.

It fails where the entity finds less than the best parts do. Needs numpy.
"""
import csv, importlib.util, json, subprocess, sys
from collections import defaultdict
from pathlib import Path

import numpy as np

DATA, BINARY = Path(sys.argv[1]), sys.argv[2]
FALSE_A_DAY = 1.0


def scorer():
    spec = importlib.util.spec_from_file_location("score", DATA / "score.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCORE = scorer()


class Machine:
    def __init__(self, name, files, labels):
        self.name, first = name, labels[files[0]]
        windows = sorted({tuple(window) for file in files for window in labels[file]["windows"]})
        command = [BINARY, "backtest", "--entity", *(DATA / file for file in files)]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        rows = list(csv.reader(output.splitlines()))
        said = {int(float(row[0])): [float(row[1]), *map(float, row[4:])] for row in rows[1:]}
        times, values = zip(*((int(float(at)), float(value)) for at, value in csv.reader(open(DATA / files[0])) if at != "timestamp"))
        self.series = SCORE.Series(name, np.array(times), np.array(values), {**first, "windows": windows})
        # Before the first step of all parts nothing is said.
        silent = [0.0] * (1 + len(files))
        self.entity, *self.parts = np.array([said.get(at, silent) for at in times]).T
        self.best = max(self.parts, key=lambda part: found([self.series], [part])[0])
        self.most = np.max(self.parts, axis=0)

    def scores(self):
        return [self.entity, self.best, self.most]


def found(series, scores):
    """Events that are alerted, and all, at the lowest threshold with one false alert an entity-day; and that threshold."""
    threshold = SCORE.threshold_for(series, scores, FALSE_A_DAY)
    stats = SCORE.alert_stats(series, scores, threshold)
    return round(stats["recall"] * stats["events"]), stats["events"], threshold


def machines():
    labels = json.loads((DATA / "labels.json").read_text())
    files = defaultdict(list)
    for name in sorted(labels):
        if labels[name]["family"] in ("smd", "asd"):
            files[name.rsplit("-", 1)[0]].append(name)
    return [Machine(name, of, labels) for name, of in files.items()]


def main():
    all_of_them = machines()
    print("| machine | parts | events | entity | best part | largest of the parts | each part |")
    print("|---|---|---|---|---|---|---|")
    sums = [0, 0, 0]
    for machine in all_of_them:
        cells = [found([machine.series], [score]) for score in machine.scores()]
        parts = [str(found([machine.series], [part])[0]) for part in machine.parts]
        sums = [before + cell[0] for before, cell in zip(sums, cells)]
        print(f"| {machine.name} | {len(parts)} | {cells[0][1]} | {' | '.join(str(cell[0]) for cell in cells)} | {', '.join(parts)} |")
    events = sum(found([machine.series], [machine.entity])[1] for machine in all_of_them)
    print(f"| all, each at its own threshold | | {events} | {' | '.join(map(str, sums))} | |")
    series = [machine.series for machine in all_of_them]
    together = [found(series, list(scores)) for scores in zip(*(machine.scores() for machine in all_of_them))]
    print(f"| all, at one threshold | | {events} | {' | '.join(f'{hit} (at {at:.2f})' for hit, _, at in together)} | |")
    alerts = [SCORE.alert_stats(series, list(scores), 1.0) for scores in zip(*(machine.scores() for machine in all_of_them))]
    told = [f"{at['recall']:.2f} / {at['false_per_day']:.2f}" for at in alerts]
    print(f"| at score 1: recall / false alerts an entity-day | | | {' | '.join(told)} | |")
    if sums[0] < sums[1]:
        sys.exit("the entities find less than their best parts")


if __name__ == "__main__":
    main()
