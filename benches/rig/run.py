#!/usr/bin/env python3
"""Side-by-side benchmark of remote_write forwarders and scrape proxies, on loopback.

Every figure that matters is CPU time (user + system of the peer's whole process tree) per million
samples, which a noisy machine disturbs far less than wall time. Peers take turns within each
repeat, so that noise hits all alike; the table gives medians.

  run.py push   [--peers direct,relay,nginx,floor-copies,vmagent,prometheus,...]
                [--peer NAME --cmd CMD --ingest-url URL]
  run.py scrape [--scrapers vmagent,prometheus] [--proxies direct,nginx]
                [--proxy NAME --proxy-cmd CMD --proxy-url URL]

CMD and URL may use {port} (a free port for the peer), {sink} (host:port of the downstream),
{exporter} (host:port of the exporter), {dir} (scratch folder) and, in --proxy-url, {n} (target
number). Needs `cargo build --release` first, or --rwbench PATH.

Built-in peers: direct (generator straight to the sink), relay (byte pump: what the kernel charges),
nginx (reverse proxy), floor-none|copies|encode (smallest scoring forwarder, see src/floor.rs),
vmagent, vmagent-lean (no metadata), vmagent-zstd (its own wire protocol), prometheus (agent mode),
sidelong (gateway: every series scored, every score sent), sidelong-none (gateway, no series selected),
sidelong-signals (the same as sidelong, and every series in a sum, beside its peers and in an entity);
as a scrape proxy sidelong scores every series too.
"""
import argparse
import json
import os
import re
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
TICK = os.sysconf("SC_CLK_TCK")
STARTED = []


# ------------------------------------------------------------------ processes

def tree(pid):
    """pid and its live descendants."""
    kids = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as f:
                    ppid = int(f.read().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            kids.setdefault(ppid, []).append(int(name))
    out, todo = [], [pid]
    while todo:
        p = todo.pop()
        out.append(p)
        todo += kids.get(p, [])
    return out


def cpu_seconds(pid):
    total = 0
    for p in tree(pid):
        try:
            with open(f"/proc/{p}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        except (OSError, IndexError):
            pass
    return total / TICK


def memory_mib(pid):
    """(RSS now, peak RSS) of the tree."""
    now = peak = 0
    for p in tree(pid):
        try:
            with open(f"/proc/{p}/status") as f:
                text = f.read()
        except OSError:
            continue
        for key, add in (("VmRSS", 0), ("VmHWM", 1)):
            m = re.search(key + r":\s+(\d+)", text)
            if m and add:
                peak += int(m.group(1))
            elif m:
                now += int(m.group(1))
    return now / 1024, peak / 1024


def start(cmd, log, cwd=None):
    argv = cmd if isinstance(cmd, list) else shlex.split(cmd)
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cwd)
    STARTED.append(p)
    return p


def stop(p):
    if p is None:
        return
    below = tree(p.pid)[1:]
    if p.poll() is None:
        p.send_signal(signal.SIGTERM)
        try:
            p.wait(8)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()
    for pid in below:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
    if p in STARTED:
        STARTED.remove(p)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, proc, seconds=20):
    end = time.time() + seconds
    while time.time() < end:
        if proc.poll() is not None:
            raise RuntimeError(f"peer exited with {proc.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("peer does not listen")


def fetch(url, method="GET"):
    req = urllib.request.Request(url, method=method, data=b"" if method == "POST" else None)
    with urllib.request.urlopen(req, timeout=10) as r:
        return r.read().decode()


# ------------------------------------------------------------------ peers

NGINX = """worker_processes 1; daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; client_max_body_size 64m; client_body_buffer_size 2m; keepalive_requests 1000000;
  client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;
  uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s; proxy_buffers 16 64k; proxy_buffer_size 64k;
  proxy_busy_buffers_size 128k;
  upstream up {{ server {upstream}; keepalive 32; keepalive_requests 1000000; }}
  server {{ listen 127.0.0.1:{port};
    location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}
}}
"""

# Neither samples nor scores: what scrapers add, and the counts that Sidelong gives of each workload.
IGNORED = "up,scrape_,scored_series,anomalous_series"

SIDELONG = """# Written by the benchmark rig.
{door}
server: {{ listen: 127.0.0.1:{port}, admin_listen: 127.0.0.1:{admin} }}
limits: {{ max_series: 2000000, max_series_per_tenant: 2000000 }}
scores: {{ max_series: 2000000 }}
{rules}
"""
SCORED = """rules:
  - match: '{__name__!=""}'
"""

# Peers are scored without a detector, and their scores sent where they are near 1, as one would have them.
SIGNALS = """signals:
  max_groups: 2000000
  sums: [{name: all, match: '{__name__!=""}', by: [instance], step: 15s}]
  peers:
    - match: '{__name__!=""}'
      without: [instance, node, pod, cluster, region, zone, team]
      step: 15s
      max_series: 2000000
  entities: [{name: node, match: '{__name__!=""}', by: [instance], step: 15s}]
rules:
  - match: '{__name__=~".+:peer"}'
    emit: above(0.5)
  - match: '{__name__!=""}'
"""

PROM = """global: {{ scrape_interval: {interval}, scrape_timeout: {interval} }}
scrape_configs: [{jobs}]
remote_write: [{{ url: "http://{sink}/api/v1/write" }}]
"""


def jobs(urls):
    out = []
    for n, u in enumerate(urls):
        host, path = re.match(r"http://([^/]+)(/.*)", u).groups()
        out.append(f'{{job_name: "job{n}", metrics_path: "{path}", '
                   f'static_configs: [{{targets: ["{host}"]}}]}}')
    return ", ".join(out)


class Peers:
    def __init__(self, a):
        self.a = a

    def command(self, name, port, sink, d, scrape=(), upstream=None):
        """Command line of a peer; writes its configuration into d."""
        a = self.a
        if name == "relay":
            return [a.rwbench, "relay", "--port", str(port), "--upstream",
                    f"http://{upstream or sink}"]
        if name.startswith("floor"):
            return [a.rwbench, "floor", "--port", str(port), "--upstream", f"http://{sink}",
                    "--scores", name.partition("-")[2] or "copies"]
        if name == "nginx":
            with open(f"{d}/nginx.conf", "w") as f:
                f.write(NGINX.format(dir=d, port=port, upstream=upstream or sink))
            return [a.nginx, "-c", f"{d}/nginx.conf", "-p", d]
        if name.startswith("vmagent"):
            with open(f"{d}/scrape.yml", "w") as f:
                f.write(f"global: {{scrape_interval: {a.interval}s, scrape_timeout: "
                        f"{a.interval}s}}\nscrape_configs: [{jobs(scrape)}]\n")
            proto = "forceVMProto" if name == "vmagent-zstd" else "forcePromProto"
            cmd = [a.vmagent, f"-httpListenAddr=127.0.0.1:{port}", "-loggerLevel=ERROR",
                   f"-remoteWrite.url=http://{sink}/api/v1/write", f"-remoteWrite.{proto}",
                   f"-remoteWrite.tmpDataPath={d}/q"]
            if name == "vmagent-lean":
                cmd.append("-enableMetadata=false")
            return cmd + ([f"-promscrape.config={d}/scrape.yml"] if scrape else [])
        if name.startswith("sidelong"):
            with open(f"{d}/sidelong.yml", "w") as f:
                f.write(self.sidelong(name, port, sink, upstream))
            return [a.sidelong, "run", f"--config={d}/sidelong.yml"]
        if name == "prometheus":
            with open(f"{d}/prom.yml", "w") as f:
                f.write(PROM.format(sink=sink, jobs=jobs(scrape), interval=f"{a.interval}s"))
            return [a.prometheus, "--enable-feature=agent", f"--config.file={d}/prom.yml",
                    f"--storage.agent.path={d}/wal", f"--web.listen-address=127.0.0.1:{port}",
                    "--web.enable-remote-write-receiver", "--log.level=error"]
        raise SystemExit(f"unknown peer {name}")


    def sidelong(self, name, port, sink, upstream):
        """Its configuration: a gateway before the sink, or a proxy before the exporter's targets."""
        door = f"downstream: {{ url: 'http://{sink}/api/v1/write' }}"
        if upstream:
            door = "scrape:\n  targets:\n" + "".join(
                f"    - {{ name: t{n}, url: 'http://{upstream}/t/{n}/metrics', scrape_interval: "
                f"{self.a.interval}s, scrape_timeout: {self.a.interval}s }}\n"
                for n in range(self.a.targets))
        self.admin = free_port()
        return SIDELONG.format(door=door, port=port, admin=self.admin, rules={"sidelong-none": "", "sidelong-signals": SIGNALS}.get(name, SCORED))


class Run:
    """One sink and one peer, both fresh."""

    def __init__(self, a, name, sink_mode):
        self.a, self.name = a, name
        self.dir = tempfile.mkdtemp(prefix="rwbench-")
        self.log = open(f"{self.dir}/log", "w")
        self.sink_port, self.port = free_port(), free_port()
        self.sink_url = f"http://127.0.0.1:{self.sink_port}"
        self.peer = None
        self.sink = start([a.rwbench, "sink", "--port", str(self.sink_port), "--mode", sink_mode,
                           "--ignore-prefixes", IGNORED], self.log)
        wait_port(self.sink_port, self.sink)
        sink = f"127.0.0.1:{self.sink_port}"
        if name == "direct":
            self.url = f"{self.sink_url}/api/v1/write"
            return
        if name == a.peer:
            subs = dict(port=self.port, sink=sink, dir=self.dir, exporter="")
            cmd = shlex.split(a.cmd.format(**subs))
            self.url = a.ingest_url.format(**subs)
            port = int(re.match(r"http://[^/:]+:(\d+)", self.url).group(1))
        else:
            self.peers = Peers(a)
            cmd = self.peers.command(name, self.port, sink, self.dir)
            self.url = f"http://127.0.0.1:{self.port}/api/v1/write"
            port = self.port
        self.peer = start(cmd, self.log, cwd=self.dir)
        wait_port(port, self.peer)
        time.sleep(0.5)

    def gen(self, **opts):
        argv = [self.a.rwbench, "gen", "--url", self.url]
        for k, v in opts.items():
            argv += [f"--{k.replace('_', '-')}", str(v).lower()]
        out = subprocess.run(argv, capture_output=True, text=True, timeout=400)
        if out.returncode:
            raise RuntimeError(f"gen: {out.stderr.strip()}")
        return json.loads(out.stdout)

    def stats(self):
        return json.loads(fetch(f"{self.sink_url}/stats"))

    def reset(self):
        fetch(f"{self.sink_url}/reset", "POST")

    def drain(self, want, idle=12, scores=0):
        """Waits until the sink has `want` samples and `scores` injected ones, or until nothing has
        come for `idle` seconds (3 when only scores are missing)."""
        last, since = (-1, -1), time.time()
        end = time.time() + 180
        while time.time() < end:
            s = self.stats()
            if s["samples"] >= want and s["injected"] >= scores:
                return s
            now = (s["samples"], s["injected"])
            if now != last:
                last, since = now, time.time()
            elif time.time() - since > (idle if s["samples"] < want else 3):
                return s
            time.sleep(0.1)
        return self.stats()

    def scores(self, samples):
        """How many scores a peer owes for so many samples."""
        return samples if self.name in ("sidelong", "sidelong-signals") else 0

    def budget(self):
        """What Sidelong says of its own memory: bytesPerSeries (state, slot and index), stateBytesPerSeries, labelBytes in all."""
        if not self.name.startswith("sidelong"):
            return {}
        return json.loads(fetch(f"http://127.0.0.1:{self.peers.admin}/api/v1/status/budget"))["data"]

    def cpu(self):
        return cpu_seconds(self.peer.pid) if self.peer else 0.0

    def memory(self):
        return memory_mib(self.peer.pid) if self.peer else (0.0, 0.0)

    def close(self):
        stop(self.peer)
        stop(self.sink)
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def soon():
    """A start time past the peer's own start, as forwarders that tail a log ask for."""
    return (int(time.time()) // 60 + 3) * 60_000


def push_max(a, name):
    r = Run(a, name, "verify")
    try:
        step = 15
        rounds = max(1, a.samples // a.series)
        warm = max(1, rounds // 10)
        t0 = soon()
        common = dict(series=a.series, batch=a.batch, conns=a.conns, proto=a.proto, step=step)
        w = r.gen(rounds=warm, start_ms=t0, **common)
        r.drain(w["samples"], scores=r.scores(w["samples"]))
        time.sleep(1.2)
        r.reset()
        cpu = r.cpu()
        g = r.gen(rounds=rounds, start_ms=t0 + warm * step * 1000, **common)
        s = r.drain(g["samples"], scores=r.scores(g["samples"]))
        cpu = r.cpu() - cpu
        rss, peak = r.memory()
        m = g["samples"] / 1e6
        return dict(samples_per_s=g["samples_per_s"], cpu_per_m=cpu / m if m else 0,
                    p99_ms=g["p99_ms"], out_bytes=s["wire_bytes"] / max(1, s["samples"]),
                    in_bytes=g["wire_bytes"] / max(1, g["samples"]), rss=rss, peak=peak,
                    arrived=s["samples"] / max(1, g["samples"]), injected=s["injected"],
                    out_requests=s["requests"], errors=g["errors"], retries=g["retries"],
                    exact=(s["sum"], s["xor"], s["samples"]) == (g["sum"], g["xor"], g["samples"]),
                    first_error=g["first_error"])
    finally:
        r.close()


def push_rate(a, name):
    r = Run(a, name, "count")
    try:
        # About the cadence of one scrape interval: every series once in `period` seconds.
        series = max(a.batch, int(a.rate * 2))
        common = dict(series=series, batch=a.batch, conns=a.conns, proto=a.proto, rate=a.rate,
                      now_ts=True)
        w = r.gen(rounds=1, **common)
        r.drain(w["samples"], scores=r.scores(w["samples"]))
        time.sleep(1.2)
        r.reset()
        cpu, t = r.cpu(), time.time()
        g = r.gen(rounds=max(1, a.rate_seconds // 2), **common)
        s = r.drain(g["samples"], scores=r.scores(g["samples"]))
        cpu, t = r.cpu() - cpu, time.time() - t
        return dict(cpu_per_m=cpu / max(1e-9, g["samples"] / 1e6), p50_ms=g["p50_ms"],
                    p99_ms=g["p99_ms"], p999_ms=g["p999_ms"], delay_p50=s["delay_p50_ms"],
                    delay_p99=s["delay_p99_ms"], errors=g["errors"],
                    score_p50=s["score_delay_p50_ms"], score_p99=s["score_delay_p99_ms"],
                    injected=s["injected"] / max(1, g["samples"]),
                    arrived=s["samples"] / max(1, g["samples"]))
    finally:
        r.close()


def push_rss(a, name, n):
    r = Run(a, name, "count")
    try:
        g = r.gen(series=n, batch=a.batch, conns=a.conns, proto=a.proto, rounds=3,
                  rate=n / a.rss_period, now_ts=True)
        s = r.drain(g["samples"], scores=r.scores(g["samples"]))
        rss, peak = r.memory()
        return dict(rss=rss, peak=peak, own=r.budget(), arrived=s["samples"] / max(1, g["samples"]))
    finally:
        r.close()


# ------------------------------------------------------------------ tables

def med(rows, key):
    vals = [x[key] for x in rows if x and key in x]
    return statistics.median(vals) if vals else float("nan")


def spread(rows, key):
    vals = [x[key] for x in rows if x and key in x]
    return f"{min(vals):.3g}–{max(vals):.3g}" if vals else "–"


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for r in rows:
        print("| " + " | ".join(r) + " |")
    print(flush=True)


def turns(a, names, fn, what):
    """Runs fn for each name in turn, `repeats` times."""
    out = {n: [] for n in names}
    for k in range(a.repeats):
        for n in names:
            try:
                row = fn(a, n)
            except (RuntimeError, OSError, subprocess.TimeoutExpired) as e:
                print(f"# {what} {n} repeat {k}: {e}", file=sys.stderr)
                continue
            out[n].append(row)
            print(f"# {what} {n} {json.dumps(row)}", file=sys.stderr, flush=True)
    return out


def push(a):
    names = [n for n in a.peers.split(",") if n] + ([a.peer] if a.peer else [])
    result = {}
    if not a.skip_max:
        rows = turns(a, names, push_max, "max")
        result["max"] = rows
        base = med(rows.get("vmagent", []), "cpu_per_m")
        print(f"\nMax speed: {a.samples} samples, {a.series} series, {a.batch} a request, "
              f"{a.conns} connections, remote_write {a.proto}.0, {a.repeats} repeats, medians\n")
        table(["peer", "samples/s", "CPU-s/M (range)", "vs vmagent", "p99 ack ms", "B in/sample",
               "B out/sample", "scores/sample", "peak RSS MiB", "every sample exactly once"],
              [[n, f"{med(r, 'samples_per_s'):,.0f}",
                f"{med(r, 'cpu_per_m'):.3f} ({spread(r, 'cpu_per_m')})",
                f"{med(r, 'cpu_per_m') / base:.2f}" if base == base and base else "–",
                f"{med(r, 'p99_ms'):.1f}", f"{med(r, 'in_bytes'):.1f}",
                f"{med(r, 'out_bytes'):.1f}", f"{med(r, 'injected') / a.samples:.4f}",
                f"{med(r, 'peak'):.0f}",
                "yes" if r and all(x["exact"] for x in r)
                else f"no ({med(r, 'arrived') * 100:.1f}% arrived)"] for n, r in rows.items()])
    if not a.skip_rate:
        rows = turns(a, names, push_rate, "rate")
        result["rate"] = rows
        print(f"Fixed rate: {a.rate} samples/s for {a.rate_seconds} s\n")
        table(["peer", "CPU-s/M (range)", "p50 ack ms", "p99 ack ms", "p99.9 ack ms",
               "sample to sink p50 ms", "p99 ms", "score to sink p50 ms", "p99 ms"],
              [[n, f"{med(r, 'cpu_per_m'):.3f} ({spread(r, 'cpu_per_m')})"]
               + [f"{med(r, k):.2f}" for k in ("p50_ms", "p99_ms", "p999_ms")]
               + [f"{med(r, k):.0f}" for k in ("delay_p50", "delay_p99", "score_p50", "score_p99")]
               for n, r in rows.items()])
    sizes = [int(x) for x in a.rss.split(",") if x]
    if sizes:
        result["rss"] = {}
        for n in names:
            if n == "direct":
                continue
            for size in sizes:
                try:
                    result["rss"].setdefault(n, {})[size] = push_rss(a, n, size)
                except (RuntimeError, OSError, subprocess.TimeoutExpired) as e:
                    print(f"# rss {n} {size}: {e}", file=sys.stderr)
        print(f"Memory, every series once in {a.rss_period} s, after three rounds: RSS (peak) MiB\n")
        table(["peer"] + [f"{s:,} series" for s in sizes],
              [[n] + [f"{v[s]['rss']:.0f} ({v[s]['peak']:.0f})" if s in v else "–" for s in sizes]
               for n, v in result["rss"].items()])
    return result


# ------------------------------------------------------------------ scrape path

def scrape_once(a, scraper, proxy):
    d = tempfile.mkdtemp(prefix="rwbench-")
    log = open(f"{d}/log", "w")
    ps = []
    try:
        sp, ep, pp, qp = (free_port() for _ in range(4))
        sink, exporter = f"127.0.0.1:{sp}", f"127.0.0.1:{ep}"
        ps.append(start([a.rwbench, "sink", "--port", str(sp), "--mode", "count",
                         "--ignore-prefixes", IGNORED], log))
        ps.append(start([a.rwbench, "exporter", "--port", str(ep), "--targets", str(a.targets),
                         "--samples", str(a.page_samples)] + (["--gzip"] if a.gzip else []), log))
        wait_port(sp, ps[0])
        wait_port(ep, ps[1], 60)
        template, via = "http://{exporter}/t/{n}/metrics", None
        if proxy != "direct":
            os.mkdir(f"{d}/proxy")
            subs = dict(port=qp, exporter=exporter, dir=f"{d}/proxy", sink=sink, n="{n}")
            if proxy == a.proxy:
                cmd = shlex.split(a.proxy_cmd.format(**subs))
                template = a.proxy_url.format(**subs)
            else:
                cmd = Peers(a).command(proxy, qp, sink, f"{d}/proxy", upstream=exporter)
                path = "/scrape/t{n}" if proxy == "sidelong" else "/t/{n}/metrics"
                template = f"http://127.0.0.1:{qp}{path}"
            via = start(cmd, log, cwd=f"{d}/proxy")
            ps.append(via)
            wait_port(int(re.match(r"http://[^/:]+:(\d+)", template).group(1)), via)
        urls = [template.format(exporter=exporter, n=n) for n in range(a.targets)]
        get = [a.rwbench, "get", "--url", urls[0], "--count", "400", "--rate", "200"]
        if a.gzip:
            get.append("--gzip")
        lat = json.loads(subprocess.run(get, capture_output=True, text=True, timeout=60,
                                        check=True).stdout)
        peer = start(Peers(a).command(scraper, pp, sink, d, scrape=urls), log, cwd=d)
        ps.append(peer)
        wait_port(pp, peer)
        time.sleep(2 + 2 * a.interval)
        before = json.loads(fetch(f"http://{exporter}/stats"))
        cpu, vcpu, t = cpu_seconds(peer.pid), cpu_seconds(via.pid) if via else 0, time.time()
        time.sleep(a.scrape_seconds)
        after = json.loads(fetch(f"http://{exporter}/stats"))
        cpu = cpu_seconds(peer.pid) - cpu
        vcpu = (cpu_seconds(via.pid) - vcpu) if via else 0
        n = (after["samples"] - before["samples"]) / 1e6
        sunk = json.loads(fetch(f"http://{sink}/stats"))
        return dict(samples=n * 1e6, cpu_per_m=cpu / n if n else 0,
                    proxy_cpu_per_m=vcpu / n if n else 0, p50_ms=lat["p50_ms"],
                    p99_ms=lat["p99_ms"], page_bytes=lat["bytes"] / max(1, lat["requests"]),
                    rss=memory_mib(peer.pid)[0], proxy_rss=memory_mib(via.pid)[0] if via else 0,
                    injected=sunk["injected"], sunk=sunk["samples"])
    finally:
        for p in reversed(ps):
            stop(p)
        log.close()
        shutil.rmtree(d, ignore_errors=True)


def scrape(a):
    proxies = [n for n in a.proxies.split(",") if n] + ([a.proxy] if a.proxy else [])
    pairs = [(s, p) for s in a.scrapers.split(",") for p in proxies]
    rows = {f"{s} via {p}": [] for s, p in pairs}
    for _ in range(a.repeats):
        for s, p in pairs:
            try:
                row = scrape_once(a, s, p)
            except (RuntimeError, OSError, subprocess.SubprocessError) as e:
                print(f"# scrape {s} {p}: {e}", file=sys.stderr)
                continue
            rows[f"{s} via {p}"].append(row)
            print(f"# scrape {s} {p} {json.dumps(row)}", file=sys.stderr, flush=True)
    print(f"\nScrape: {a.targets} targets x {a.page_samples} samples every {a.interval} s for "
          f"{a.scrape_seconds} s, gzip {'on' if a.gzip else 'off'}, {a.repeats} repeats\n")
    table(["path", "samples", "scraper CPU-s/M", "proxy CPU-s/M", "GET p50 ms", "GET p99 ms",
           "page B", "scraper RSS MiB", "proxy RSS MiB"],
          [[n, f"{med(r, 'samples'):,.0f}"]
           + [f"{med(r, k):.3f}" for k in ("cpu_per_m", "proxy_cpu_per_m", "p50_ms", "p99_ms")]
           + [f"{med(r, k):.0f}" for k in ("page_bytes", "rss", "proxy_rss")]
           for n, r in rows.items()])
    return {"scrape": rows}


def arguments(argv=None):
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(HERE, "target"))
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("what", choices=["push", "scrape"])
    ap.add_argument("--rwbench", default=os.path.join(target, "release", "rwbench"))
    ap.add_argument("--vmagent", default=shutil.which("vmagent") or "vmagent")
    ap.add_argument("--prometheus", default=shutil.which("prometheus") or "prometheus")
    ap.add_argument("--sidelong", default=os.path.join(target, "release", "sidelong"))
    ap.add_argument("--nginx", default=shutil.which("nginx") or "/usr/sbin/nginx")
    ap.add_argument("--repeats", type=int, default=3)
    ap.add_argument("--out", help="write every row as JSON to this file")
    ap.add_argument("--interval", type=int, default=1, help="scrape interval, seconds")
    ap.add_argument("--nice", type=int, default=0, help="niceness of everything that this starts")
    g = ap.add_argument_group("push")
    g.add_argument("--peers", default="direct,relay,nginx,floor-copies,vmagent,vmagent-zstd,prometheus")
    g.add_argument("--peer", default="", help="name of one more peer")
    g.add_argument("--cmd", default="")
    g.add_argument("--ingest-url", default="http://127.0.0.1:{port}/api/v1/write")
    g.add_argument("--series", type=int, default=20_000)
    g.add_argument("--samples", type=int, default=4_000_000)
    g.add_argument("--batch", type=int, default=1000)
    g.add_argument("--conns", type=int, default=4)
    g.add_argument("--proto", type=int, default=1, choices=[1, 2])
    g.add_argument("--rate", type=int, default=100_000)
    g.add_argument("--rate-seconds", type=int, default=20)
    g.add_argument("--rss", default="100000,500000,1000000")
    g.add_argument("--rss-period", type=int, default=10)
    g.add_argument("--skip-max", action="store_true")
    g.add_argument("--skip-rate", action="store_true")
    g = ap.add_argument_group("scrape")
    g.add_argument("--scrapers", default="vmagent,prometheus")
    g.add_argument("--proxies", default="direct,nginx")
    g.add_argument("--proxy", default="", help="name of one more scrape proxy")
    g.add_argument("--proxy-cmd", default="")
    g.add_argument("--proxy-url", default="http://127.0.0.1:{port}/t/{n}/metrics")
    g.add_argument("--targets", type=int, default=20)
    g.add_argument("--page-samples", type=int, default=2000)
    g.add_argument("--scrape-seconds", type=int, default=20)
    g.add_argument("--gzip", action="store_true")
    a = ap.parse_args(argv)
    a.rwbench, a.sidelong = os.path.abspath(a.rwbench), os.path.abspath(a.sidelong)  # peers have their own folders
    return a


def main():
    a = arguments()
    if not os.access(a.rwbench, os.X_OK):
        raise SystemExit(f"no rwbench at {a.rwbench}: cargo build --release, or --rwbench")
    os.nice(a.nice)
    load = [round(x, 1) for x in os.getloadavg()]
    print(f"{time.strftime('%F %T')}, {os.cpu_count()} CPUs, load averages before: {load}")
    try:
        result = (push if a.what == "push" else scrape)(a)
    finally:
        for p in list(STARTED):
            stop(p)
    if a.out:
        with open(a.out, "w") as f:
            json.dump(result, f, indent=1)


if __name__ == "__main__":
    main()
