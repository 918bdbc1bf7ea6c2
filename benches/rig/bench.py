#!/usr/bin/env python3
"""`make bench`: the figures that Sidelong is held to, each beside vmagent's in the same run.

  bench.py quick|full --target DIR      DIR holds release/sidelong and rig/release/rwbench

quick: one repeat of a million samples, 100,000 series of memory; tells whether something broke.
full: three repeats of four million, a million series; for docs/performance.md, on a quiet machine.
The tables of run.py go to stdout as they come, and the verdict last. CPU is in seconds per million samples (CPU-s/M).
"""
import argparse
import os
import pathlib
import sys
import time

import run
from run import med

SIZES = {
    "quick": ["--repeats=1", "--samples=1000000", "--rate-seconds=8", "--scrape-seconds=8"],
    "full": ["--repeats=3", "--samples=4000000", "--rate-seconds=20", "--scrape-seconds=20"],
}
# The same goals as in docs/performance.md; tests/it/house.rs holds the two together.
GOALS = {
    "CPU of vmagent's, every series scored and sent": 0.50,
    "CPU of vmagent's, no series selected": 0.10,
    "CPU of vmagent's, 100 a request": 0.4,
    "CPU with signals, of that without": 1.3,
    "CPU of vmagent's own scraping, scrape proxy": 0.26,
    "ack p99 beyond direct, ms": 0.5,
    "time until it listens, ms": 100,
    "memory idle, MiB": 20,
    "state a series, B": 1500,
}
RSS = {"quick": 100_000, "full": 1_000_000}


def cached(name):
    """A program that tests/tools/install keeps; versions are pinned in versions.env."""
    home = pathlib.Path(os.environ.get("SIDELONG_CACHE", pathlib.Path.home() / ".cache/sidelong")) / "tools"
    pins = pathlib.Path(__file__).parents[2] / "tests/tools/versions.env"
    version = next(line.split("=")[1] for line in pins.read_text().splitlines()
                   if line.startswith(name.upper() + "="))
    return str(home / f"{name}-{version}" / "bin" / name)


def stage(what, size, a, *more):
    """One stage of run.py with its own arguments."""
    argv = [what, *SIZES[size], "--rss=", f"--rwbench={a.target}/rig/release/rwbench",
            f"--sidelong={a.target}/release/sidelong", f"--vmagent={cached('vmagent')}",
            f"--nginx={cached('nginx')}", *more]
    return (run.push if what == "push" else run.scrape)(run.arguments(argv))


def start_up(a):
    """Seconds until an idle gateway listens, and its memory in MiB a second later."""
    d = f"/tmp/sidelong-idle-{os.getpid()}"
    os.mkdir(d)
    port = run.free_port()
    args = run.arguments(["push", f"--sidelong={a.target}/release/sidelong"])
    command = run.Peers(args).command("sidelong", port, "127.0.0.1:9", d)
    with open(f"{d}/log", "w") as log:
        began = time.monotonic()
        peer = run.start(command, log)
        while True:
            try:
                run.socket.create_connection(("127.0.0.1", port), 0.5).close()
                break
            except OSError:
                if peer.poll() is not None or time.monotonic() - began > 10:
                    raise RuntimeError(f"sidelong does not start: {open(log.name).read()}")
                time.sleep(0.002)
        seconds = time.monotonic() - began
        time.sleep(1)
        rss = run.memory_mib(peer.pid)[0]
        run.stop(peer)
    run.shutil.rmtree(d)
    return seconds, rss


class Verdict:
    """The closing table."""

    def __init__(self):
        self.rows = []

    def most(self, what, value, gate, unit=""):
        self.add(what, value, f"≤ {gate:g}{unit}", value <= gate, unit)

    def goal(self, what, value, unit=""):
        self.most(what, value, GOALS[what], unit)

    def least(self, what, value, gate, unit=""):
        self.add(what, value, f"≥ {gate:g}{unit}", value >= gate, unit)

    def say(self, what, value, unit=""):
        self.rows.append([what, f"{value:.3g}{unit}", "–", "–"])

    def add(self, what, value, gate, held, unit):
        self.rows.append([what, f"{value:.3g}{unit}", gate, "yes" if held else "NO"])

    def show(self):
        print("\n## Verdict\n")
        run.table(["figure", "measured", "gate", "held"], self.rows)
        return all(row[3] != "NO" for row in self.rows)


def ratio(rows, peer, key="cpu_per_m", base="vmagent"):
    return med(rows[peer], key) / med(rows[base], key)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("size", choices=SIZES)
    ap.add_argument("--target", required=True, help="cargo's target folder")
    a = ap.parse_args()
    print(f"{time.strftime('%F %T')}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    v = Verdict()
    try:
        measure(a, v)
    finally:
        for p in list(run.STARTED):
            run.stop(p)
    sys.exit(0 if v.show() else 1)


def measure(a, v):
    samples = 4_000_000 if a.size == "full" else 1_000_000
    seconds, rss = start_up(a)
    v.goal("time until it listens, ms", seconds * 1000)
    v.goal("memory idle, MiB", rss)

    peers = "--peers=direct,relay,vmagent,sidelong,sidelong-none"
    rows = stage("push", a.size, a, peers, "--skip-rate")["max"]
    v.goal("CPU of vmagent's, every series scored and sent", ratio(rows, "sidelong"))
    v.least("… scores that arrived", med(rows["sidelong"], "injected") / samples, 0.999)
    v.least("… samples that arrived exactly once", float(all(r["exact"] for r in rows["sidelong"])), 1)
    v.goal("CPU of vmagent's, no series selected", ratio(rows, "sidelong-none"))

    rows = stage("push", a.size, a, "--peers=vmagent,sidelong", "--skip-rate", "--batch=100")["max"]
    v.goal("CPU of vmagent's, 100 a request", ratio(rows, "sidelong"))
    v.least("… scores that arrived", med(rows["sidelong"], "injected") / samples, 0.999)

    rows = stage("push", a.size, a, "--peers=sidelong,sidelong-signals", "--skip-rate")["max"]
    v.goal("CPU with signals, of that without", ratio(rows, "sidelong-signals", base="sidelong"))

    rows = stage("push", a.size, a, "--peers=direct,vmagent,sidelong", "--skip-max", "--rate=20000",
                 "--batch=100")["rate"]
    v.goal("ack p99 beyond direct, ms", med(rows["sidelong"], "p99_ms") - med(rows["direct"], "p99_ms"))
    v.say("… score at the sink after its sample, p50", med(rows["sidelong"], "score_p50"), " ms")
    v.say("… p99", med(rows["sidelong"], "score_p99"), " ms")

    rows = stage("scrape", a.size, a, "--scrapers=vmagent", "--proxies=direct,sidelong")["scrape"]
    own = med(rows["vmagent via direct"], "cpu_per_m")
    v.goal("CPU of vmagent's own scraping, scrape proxy", med(rows["vmagent via sidelong"], "proxy_cpu_per_m") / own)

    size = RSS[a.size]
    rows = stage("push", a.size, a, "--peers=vmagent,sidelong", "--skip-max", "--skip-rate", f"--rss={size}")["rss"]
    memory(v, rows["sidelong"][size], size, rss)
    v.say(f"vmagent's peak RSS, {size:,} series", rows["vmagent"][size]["peak"], " MiB")


def memory(v, row, size, idle):
    """State, index and label bytes, by Sidelong's own account; RSS beside it as the cross-check."""
    own = row["own"]
    v.say(f"RSS beyond idle a series, {size:,} series", (row["rss"] - idle) * 2**20 / size, " B")
    v.goal("state a series, B", own["stateBytesPerSeries"])
    v.say("slot and index a series", own["bytesPerSeries"] - own["stateBytesPerSeries"], " B")
    v.say("interned label bytes a series", own["labelBytes"] / size, " B")
    v.least("series in the table", own["series"] / size, 1)


if __name__ == "__main__":
    main()
