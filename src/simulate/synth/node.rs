//! One node with one pod on it: what it does in a tick, and what it exports.

use super::TICK_MS;
use super::anomaly::{Channel, Effect, NAMESPACE};
use super::catalog::{Family, Place, Reading, Sink};
use super::noise::{Wander, bell, mix, unit};
use super::season;

const TICK_S: f64 = TICK_MS as f64 / 1000.0;
const CPUS: [&str; 2] = ["0", "1"];
/// The modes of a busy processor and their shares of its busy time; the rest of the tick is idle.
const MODES: [(&str, f64); 4] = [("user", 0.70), ("system", 0.20), ("iowait", 0.06), ("softirq", 0.04)];
const MEMORY_BYTES: f64 = 8.0 * GIB;
const POD_BYTES: f64 = 0.5 * GIB;
const DISK_BYTES: f64 = 40.0 * GIB;
const GIB: f64 = (1u64 << 30) as f64;
/// What one tick leaves of the 1, 5 and 15 minute load averages: exp(-5/60), exp(-5/300), exp(-5/900).
const LOAD_KEPT: [f64; 3] = [0.920_044_414_629_323, 0.983_471_453_821_617, 0.994_459_848_001_897];
const BUCKETS: [(&str, f64); 8] = [
    ("0.01", 0.01),
    ("0.025", 0.025),
    ("0.05", 0.05),
    ("0.1", 0.1),
    ("0.25", 0.25),
    ("0.5", 0.5),
    ("1.0", 1.0),
    ("2.5", 2.5),
];

/// What is bent in one tick of one node.
#[derive(Clone, Debug)]
pub(super) struct Effects {
    by_channel: [Effect; Channel::COUNT],
    /// The container restarts in this tick.
    pub(super) restart: bool,
}

/// A node: counters in thousandths, gauges as they are.
#[derive(Clone, Debug)]
pub(super) struct Node {
    seed: u64,
    names: Names,
    scale: f64,
    tick: u64,
    days: f64,
    wanders: [Wander; Channel::COUNT],
    cpus: [[u64; MODES.len() + 1]; CPUS.len()],
    loads: [f64; 3],
    available: f64,
    cached: f64,
    disk: [u64; 5],
    network: [u64; 4],
    free: f64,
    pod: Pod,
}

/// What begins anew when the container restarts, and the count of restarts.
#[derive(Clone, Debug)]
struct Pod {
    restarts: u64,
    up_ms: i64,
    cpu: u64,
    working_set: f64,
    answered: u64,
    failed: u64,
    buckets: [u64; BUCKETS.len()],
    seconds: u64,
    /// Thousandths of a request, and of a failure, not yet counted: they are whole things.
    owed: [u64; 2],
}

#[derive(Clone, Debug)]
struct Names {
    number: u32,
    instance: String,
    pod: String,
}

// === impl Effects ===

impl Effects {
    /// Nothing is bent.
    pub(super) fn none() -> Self {
        let plain = Effect { factor: 1.0, frozen: false, broken: false };
        Self { by_channel: [plain; Channel::COUNT], restart: false }
    }

    /// Bends `channel` by `effect`, too.
    pub(super) fn add(&mut self, channel: Channel, effect: Effect) {
        if channel == Channel::Node {
            Channel::OF_NODE.into_iter().for_each(|channel| self.add(channel, effect));
            return;
        }
        let bent = &mut self.by_channel[channel as usize];
        bent.factor *= effect.factor;
        bent.frozen |= effect.frozen;
        bent.broken |= effect.broken;
    }

    fn of(&self, channel: Channel) -> Effect {
        self.by_channel[channel as usize]
    }
}

// === impl Node ===

impl Node {
    /// Node `number`, up for some weeks when its stream starts.
    pub(super) fn new(seed: u64, number: u32) -> Self {
        let seed = mix(seed, u64::from(number), 0);
        let up_s = (10.0 + 30.0 * unit(mix(seed, 100, 0))) * 86_400.0;
        let scale = 0.85 + 0.3 * unit(mix(seed, 101, 0));
        let counted = |per_second: f64| milli(per_second * scale * up_s);
        Self {
            seed,
            names: Names { number, instance: format!("node-{number}:9100"), pod: format!("api-{number}") },
            scale,
            tick: 0,
            days: 0.0,
            wanders: std::array::from_fn(|channel| Wander::new(channel as u64)),
            cpus: [cpu_times(milli(up_s), 0.25); CPUS.len()],
            loads: [0.3; 3],
            available: 0.6 * MEMORY_BYTES,
            cached: 0.2 * MEMORY_BYTES,
            disk: [20.0, 60.0, 250e3, 1.2e6, 0.15].map(counted),
            network: [2e6, 3e6, 2.3e3, 2.7e3].map(counted),
            free: 0.6 * DISK_BYTES,
            pod: Pod::new(),
        }
    }

    /// Goes one tick on: `at_ms` is where the tick ends, `days` how long the stream has been going.
    pub(super) fn step(&mut self, at_ms: i64, days: f64, effects: &Effects) {
        self.tick += 1;
        self.days = days;
        let wanders: [f64; Channel::COUNT] =
            std::array::from_fn(|i| self.wanders[i].step(self.seed, self.tick));
        let busy = season::busy(at_ms + i64::from(self.names.number % 8) * 420_000);
        let demand = |channel: Channel| {
            let effect = effects.of(channel);
            let season = if effect.broken { season::broken(at_ms) } else { busy };
            let noise = 1.0 + 0.03 * wanders[channel as usize] + 0.015 * self.bell(channel as u64);
            let moving = if effect.frozen { 0.0 } else { effect.factor };
            season * (1.0 + 0.002 * days) * noise * moving * self.scale
        };
        let load = (0.05 + 0.36 * demand(Channel::Cpu)).min(0.97);
        let (disk, network, requests) =
            (demand(Channel::Disk), demand(Channel::Network), demand(Channel::Http));
        let latency = effects.of(Channel::Latency).factor
            * (0.06 + 0.02 * busy)
            * (1.0 + 0.03 * wanders[Channel::Latency as usize]);
        self.step_cpu(load);
        self.step_memory(busy, wanders[Channel::Memory as usize], effects.of(Channel::Memory));
        self.step_disk(disk);
        self.step_network(network);
        let free = (DISK_BYTES * (0.6 - 0.003 * days - 0.004 * busy)).max(0.05 * DISK_BYTES);
        self.free = free * effects.of(Channel::Filesystem).factor;
        if effects.restart {
            self.pod.restart();
        }
        let dither = unit(mix(self.seed, 70, self.tick));
        let failing = 0.004 * effects.of(Channel::Errors).factor;
        self.pod.serve(48.0 * requests, latency, failing, [load, dither]);
    }

    fn bell(&self, source: u64) -> f64 {
        bell(mix(self.seed, 50 + source, self.tick))
    }

    fn step_cpu(&mut self, load: f64) {
        for number in 0..CPUS.len() {
            let share = (load * (1.0 + 0.02 * self.bell(10 + number as u64))).min(0.98);
            let spent = cpu_times(TICK_MS as u64, share);
            self.cpus[number].iter_mut().zip(spent).for_each(|(total, spent)| *total += spent);
        }
        let running = (load * 1.15 * CPUS.len() as f64 + 0.03 * self.bell(20)).max(0.0);
        for (average, kept) in self.loads.iter_mut().zip(LOAD_KEPT) {
            *average = *average * kept + running * (1.0 - kept);
        }
    }

    fn step_memory(&mut self, busy: f64, wander: f64, effect: Effect) {
        self.cached = MEMORY_BYTES * (0.2 + 0.01 * wander);
        if effect.frozen {
            return;
        }
        let used = ((0.36 + 0.12 * busy + 0.005 * wander) * effect.factor).min(0.96);
        self.available = MEMORY_BYTES * (1.0 - used);
        let warm = (0.3 + 0.7 * self.pod.up_ms as f64 / 60_000.0).min(1.0);
        self.pod.working_set =
            (POD_BYTES * (0.35 + 0.15 * busy + 0.006 * wander) * effect.factor).min(0.99 * POD_BYTES) * warm;
    }

    fn step_disk(&mut self, demand: f64) {
        let (reads, writes) = (35.0 * demand, 110.0 * demand);
        let (read_size, write_size) =
            (12_288.0 * (1.0 + 0.04 * self.bell(31)), 20_480.0 * (1.0 + 0.04 * self.bell(32)));
        let busy = (0.0018 * (reads + writes)).min(0.98);
        add(&mut self.disk, [reads, writes, reads * read_size, writes * write_size, busy]);
    }

    fn step_network(&mut self, demand: f64) {
        let received = 3.2e6 * demand;
        let sent = 5.1e6 * demand * (1.0 + 0.01 * self.bell(41));
        add(&mut self.network, [received, sent, received / 850.0, sent / 1_100.0]);
    }

    /// Hands every series to `sink`.
    pub(super) fn export(&self, sink: &mut dyn Sink) {
        self.export_cpu(sink);
        self.export_memory_and_disk(sink);
        self.export_network(sink);
        self.pod.export(&self.names.pod, sink);
    }

    fn export_cpu(&self, sink: &mut dyn Sink) {
        for (cpu, times) in CPUS.iter().zip(&self.cpus) {
            let modes = MODES.iter().map(|(mode, _)| *mode).chain(["idle"]);
            for (mode, time) in modes.zip(times) {
                let labels = [("instance", self.names.instance.as_str()), ("cpu", *cpu), ("mode", mode)];
                put(sink, Family::NodeCpuSeconds, "_total", &labels, Channel::Cpu, Reading::Milli(*time));
            }
        }
        let labels = [("instance", self.names.instance.as_str())];
        let families = [Family::NodeLoad1, Family::NodeLoad5, Family::NodeLoad15];
        for (family, load) in families.into_iter().zip(self.loads) {
            // Two decimals, as the kernel shows it.
            let load = Reading::Gauge((load * 100.0).round() / 100.0);
            put(sink, family, "", &labels, Channel::Cpu, load);
        }
    }

    fn export_memory_and_disk(&self, sink: &mut dyn Sink) {
        let instance = ("instance", self.names.instance.as_str());
        let mut gauge = |family, labels: &[_], channel, bytes: f64| {
            // Whole pages.
            let pages = Reading::Gauge((bytes / 4096.0).floor() * 4096.0);
            put(sink, family, "", labels, channel, pages);
        };
        gauge(Family::NodeMemoryMemTotal, &[instance], Channel::Steady, MEMORY_BYTES);
        gauge(Family::NodeMemoryMemAvailable, &[instance], Channel::Memory, self.available);
        gauge(Family::NodeMemoryCached, &[instance], Channel::Steady, self.cached);
        let filesystem = [instance, ("device", "/dev/nvme0n1p1"), ("fstype", "ext4"), ("mountpoint", "/")];
        gauge(Family::NodeFilesystemSize, &filesystem, Channel::Steady, DISK_BYTES);
        gauge(Family::NodeFilesystemAvail, &filesystem, Channel::Filesystem, self.free);

        let labels = [instance, ("device", "nvme0n1")];
        let [reads, writes, read_bytes, written_bytes, busy] = self.disk;
        let mut count = |family, reading| put(sink, family, "_total", &labels, Channel::Disk, reading);
        count(Family::NodeDiskReadsCompleted, Reading::Whole(reads));
        count(Family::NodeDiskWritesCompleted, Reading::Whole(writes));
        count(Family::NodeDiskReadBytes, Reading::Whole(read_bytes));
        count(Family::NodeDiskWrittenBytes, Reading::Whole(written_bytes));
        count(Family::NodeDiskIoTime, Reading::Milli(busy));
    }

    fn export_network(&self, sink: &mut dyn Sink) {
        let labels = [("instance", self.names.instance.as_str()), ("device", "eth0")];
        let families = [
            Family::NodeNetworkReceiveBytes,
            Family::NodeNetworkTransmitBytes,
            Family::NodeNetworkReceivePackets,
            Family::NodeNetworkTransmitPackets,
        ];
        for (family, total) in families.into_iter().zip(self.network) {
            put(sink, family, "_total", &labels, Channel::Network, Reading::Whole(total));
        }
    }
}

// === impl Pod ===

impl Pod {
    /// A container that has just started, never restarted before.
    fn new() -> Self {
        Self {
            restarts: 0,
            up_ms: 0,
            cpu: 0,
            working_set: 0.35 * POD_BYTES,
            answered: 0,
            failed: 0,
            buckets: [0; BUCKETS.len()],
            seconds: 0,
            owed: [0; 2],
        }
    }

    fn restart(&mut self) {
        *self = Self { restarts: self.restarts + 1000, working_set: 0.3 * self.working_set, ..Self::new() };
    }

    /// Answers `per_second` requests in `mean_s` seconds each for one tick, a share of `failing` with an error.
    fn serve(&mut self, per_second: f64, mean_s: f64, failing: f64, [load, dither]: [f64; 2]) {
        self.up_ms += TICK_MS;
        self.cpu += (TICK_MS as f64 * (0.02 + 0.55 * load)) as u64;
        // A container is not ready for its first 20 seconds.
        let per_second = if self.up_ms <= 20_000 { 0.0 } else { per_second };
        let requests = take_whole(&mut self.owed[0], milli(per_second * TICK_S));
        let failed = take_whole(&mut self.owed[1], requests * milli(failing));
        self.failed += failed * 1000;
        self.answered += (requests - failed.min(requests)) * 1000;
        self.seconds += milli(requests as f64 * mean_s);
        // Durations are log-logistic of shape 2, whose mean is scale * pi / 2.
        let scale = mean_s * std::f64::consts::FRAC_2_PI;
        for (bucket, (_, le)) in self.buckets.iter_mut().zip(BUCKETS) {
            let share = le * le / (le * le + scale * scale);
            *bucket += (requests as f64 * share + dither).floor().min(requests as f64) as u64 * 1000;
        }
    }

    fn export(&self, pod: &str, sink: &mut dyn Sink) {
        let identity = [("namespace", NAMESPACE), ("pod", pod), ("container", "api")];
        let restarts = Reading::Whole(self.restarts);
        put(sink, Family::KubePodContainerStatusRestarts, "_total", &identity, Channel::Pod, restarts);
        let cpu = Reading::Milli(self.cpu);
        put(sink, Family::ContainerCpuUsageSeconds, "_total", &identity, Channel::Cpu, cpu);
        let memory = Reading::Gauge((self.working_set / 4096.0).floor() * 4096.0);
        put(sink, Family::ContainerMemoryWorkingSet, "", &identity, Channel::Memory, memory);

        let app = [("namespace", NAMESPACE), ("pod", pod)];
        let by_code = [("200", Channel::Http, self.answered), ("500", Channel::Errors, self.failed)];
        for (code, channel, count) in by_code {
            let labels = [app[0], app[1], ("method", "get"), ("code", code)];
            put(sink, Family::HttpRequests, "_total", &labels, channel, Reading::Whole(count));
        }
        self.export_durations(app, sink);
    }

    fn export_durations(&self, app: [(&'static str, &str); 2], sink: &mut dyn Sink) {
        let family = Family::HttpRequestDuration;
        let all = Reading::Whole(self.answered + self.failed);
        for ((le, _), count) in BUCKETS.iter().zip(self.buckets) {
            let labels = [app[0], app[1], ("le", le)];
            put(sink, family, "_bucket", &labels, Channel::Latency, Reading::Whole(count));
        }
        put(sink, family, "_bucket", &[app[0], app[1], ("le", "+Inf")], Channel::Http, all);
        put(sink, family, "_sum", &app, Channel::Latency, Reading::Milli(self.seconds));
        put(sink, family, "_count", &app, Channel::Http, all);
    }
}

fn put(
    sink: &mut dyn Sink,
    family: Family,
    suffix: &'static str,
    labels: &[(&'static str, &str)],
    channel: Channel,
    reading: Reading,
) {
    sink.put(Place { family, suffix, labels, channel }, reading);
}

/// Splits `total` thousandths of time into the modes and idle, so that the parts sum to it exactly.
fn cpu_times(total: u64, busy: f64) -> [u64; MODES.len() + 1] {
    let mut times = [0; MODES.len() + 1];
    for (time, (_, share)) in times.iter_mut().zip(MODES) {
        *time = (total as f64 * busy * share) as u64;
    }
    times[MODES.len()] = total - times.iter().sum::<u64>();
    times
}

fn milli(value: f64) -> u64 {
    (value * 1000.0) as u64
}

/// Adds one tick of each rate to its total.
fn add<const N: usize>(totals: &mut [u64; N], rates: [f64; N]) {
    totals.iter_mut().zip(rates).for_each(|(total, rate)| *total += milli(rate * TICK_S));
}

/// Adds `milli` to what is owed and takes the whole part out of it.
fn take_whole(owed: &mut u64, milli: u64) -> u64 {
    *owed += milli;
    let whole = *owed / 1000;
    *owed %= 1000;
    whole
}
