//! What can go wrong, and what it does to the values.

use serde::{Deserialize, Serialize};

use super::season;

/// The namespace of all pods.
pub(super) const NAMESPACE: &str = "shop";

/// The shape of an anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A few minutes far above the usual.
    Spike,
    /// A step to another level, held, and back.
    LevelShift,
    /// A slow climb away from the usual, ended at once (a leak, then the restart that frees it).
    Drift,
    /// A counter that stops counting, or a gauge that sticks at its last value.
    Flatline,
    /// The day behaves like the night or the night like the day.
    SeasonalBreak,
    /// A container that restarts again and again, its counters beginning at zero each time.
    PodRestarts,
    /// One pod answers many more requests with an error, as many as it answers in all.
    ErrorBurst,
    /// Every pod gets fewer requests, each not by much.
    TrafficLoss,
    /// One pod holds more memory than its like.
    Straggler,
    /// All that a node does grows a little at once.
    Strain,
    /// The pod's series are not exported any more.
    Vanish,
    /// A disk fills until nothing of it is left.
    DiskFill,
}

/// A group of series of one instance that an anomaly strikes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Processor time by mode, the load averages, and the container's processor time.
    Cpu,
    /// Available memory of the node and working set of the container.
    Memory,
    /// Disk operations, bytes and busy time.
    Disk,
    /// Network bytes and packets.
    Network,
    /// The rate of http requests, and with it every bucket of their histogram.
    Http,
    /// How long http requests take.
    Latency,
    /// The container's restarts; it strikes every series of the pod.
    Pod,
    /// What no anomaly touches: sizes and slow trends.
    Steady,
    /// Requests answered with an error.
    Errors,
    /// Processor, memory, disk and network of a node, and the pod's share of them.
    Node,
    /// Available bytes of the filesystem.
    Filesystem,
}

/// One injected anomaly: the ground truth.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// A number that grows from event to event, from 0.
    pub id: u64,
    /// Its shape.
    pub kind: Kind,
    /// Which series of the instance it strikes.
    pub channel: Channel,
    /// Which instance it strikes, from 0.
    pub instance: u32,
    /// The first moment of it, Unix milliseconds.
    pub start_ms: i64,
    /// The first moment after it, Unix milliseconds.
    pub end_ms: i64,
    /// How strong it is: the factor that it multiplies the usual by, where its kind has one.
    pub size: f64,
}

/// How an event bends its channel at one tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Effect {
    /// What the usual is multiplied by.
    pub(super) factor: f64,
    /// Nothing moves: counters stop, gauges stick.
    pub(super) frozen: bool,
    /// The season stands upside down.
    pub(super) broken: bool,
}

// === impl Kind ===

impl Kind {
    /// The kinds that single series show.
    pub const OF_SERIES: &'static [Self] =
        &[Self::Spike, Self::LevelShift, Self::Drift, Self::Flatline, Self::SeasonalBreak, Self::PodRestarts];

    /// Every kind: also those that several series show together, one that is gone, or one's future.
    pub const ALL: &'static [Self] = &[
        Self::Spike,
        Self::LevelShift,
        Self::Drift,
        Self::Flatline,
        Self::SeasonalBreak,
        Self::PodRestarts,
        Self::ErrorBurst,
        Self::TrafficLoss,
        Self::Straggler,
        Self::Strain,
        Self::Vanish,
        Self::DiskFill,
    ];

    /// The name as it stands in labels and files, for example `level_shift`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spike => "spike",
            Self::LevelShift => "level_shift",
            Self::Drift => "drift",
            Self::Flatline => "flatline",
            Self::SeasonalBreak => "seasonal_break",
            Self::PodRestarts => "pod_restarts",
            Self::ErrorBurst => "error_burst",
            Self::TrafficLoss => "traffic_loss",
            Self::Straggler => "straggler",
            Self::Strain => "strain",
            Self::Vanish => "vanish",
            Self::DiskFill => "disk_fill",
        }
    }

    /// The channels on which this kind is plain to see in what is exported.
    pub fn channels(self) -> &'static [Channel] {
        use Channel::{Cpu, Disk, Errors, Filesystem, Http, Latency, Memory, Network, Node, Pod};
        match self {
            Self::Spike => &[Cpu, Disk, Network, Latency],
            Self::LevelShift => &[Cpu, Memory, Network, Disk, Http],
            Self::Drift => &[Memory, Latency, Network],
            Self::Flatline => &[Http, Network, Memory],
            Self::SeasonalBreak => &[Disk, Http, Network],
            Self::PodRestarts | Self::Vanish => &[Pod],
            Self::ErrorBurst => &[Errors],
            Self::TrafficLoss => &[Http],
            Self::Straggler => &[Memory],
            Self::Strain => &[Node],
            Self::DiskFill => &[Filesystem],
        }
    }

    /// The shortest and the longest event of this kind, in minutes.
    pub(super) fn minutes(self) -> (i64, i64) {
        match self {
            Self::Spike => (8, 15),
            Self::LevelShift => (45, 90),
            Self::Drift => (90, 150),
            Self::Flatline => (30, 60),
            Self::SeasonalBreak => (90, 150),
            Self::PodRestarts | Self::ErrorBurst | Self::Vanish => (20, 30),
            Self::TrafficLoss | Self::Straggler | Self::Strain => (40, 60),
            Self::DiskFill => (240, 300),
        }
    }

    /// The weakest and the strongest event of this kind, as [`Event::size`].
    pub(super) fn sizes(self) -> (f64, f64) {
        match self {
            Self::Spike => (3.5, 6.0),
            Self::LevelShift => (1.8, 2.6),
            Self::Drift => (2.2, 3.0),
            Self::Flatline | Self::SeasonalBreak | Self::PodRestarts | Self::Vanish => (1.0, 1.0),
            Self::ErrorBurst => (8.0, 12.0),
            Self::TrafficLoss => (0.5, 0.6),
            Self::Straggler => (1.6, 2.0),
            Self::Strain => (1.3, 1.5),
            Self::DiskFill => (0.0, 0.0),
        }
    }

    /// Whether an event of this kind would show if its middle were at `at_ms`.
    pub(super) fn shows_at(self, at_ms: i64) -> bool {
        self != Self::SeasonalBreak || season::contrast(at_ms) > 2.5
    }
}

// === impl Channel ===

impl Channel {
    /// How many channels there are.
    pub(super) const COUNT: usize = 11;

    /// Those that [`Channel::Node`] is.
    pub(super) const OF_NODE: [Self; 4] = [Self::Cpu, Self::Memory, Self::Disk, Self::Network];

    /// The name as it stands in labels and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Network => "network",
            Self::Http => "http",
            Self::Latency => "latency",
            Self::Pod => "pod",
            Self::Steady => "steady",
            Self::Errors => "errors",
            Self::Node => "node",
            Self::Filesystem => "filesystem",
        }
    }

    /// What instance `number` is called in this channel: a node by its address, a pod by its name.
    pub fn target(self, number: u32) -> String {
        match self {
            Self::Http | Self::Latency | Self::Pod | Self::Errors => format!("api-{number}"),
            _ => format!("node-{number}:9100"),
        }
    }
}

// === impl Event ===

impl Event {
    /// Milliseconds between two restarts of a crash loop, the first of them half of it after the start.
    pub(super) const RESTART_EVERY_MS: i64 = 150_000;

    /// Whether the event is under way at `at_ms`.
    pub fn is_active(&self, at_ms: i64) -> bool {
        (self.start_ms..self.end_ms).contains(&at_ms)
    }

    /// The node or pod that it strikes, for example `node-0:9100` or `api-0`; the namespace where it strikes all pods.
    pub fn target(&self) -> String {
        if self.strikes_all() { NAMESPACE.to_owned() } else { self.channel.target(self.instance) }
    }

    /// Whether it strikes every instance, whatever else strikes one of them.
    pub(super) fn strikes_all(&self) -> bool {
        self.kind == Kind::TrafficLoss
    }

    /// Whether it strikes `instance`.
    pub fn strikes(&self, instance: u32) -> bool {
        self.strikes_all() || self.instance == instance
    }

    /// Whether its series are not exported while it is under way.
    pub(super) fn hides(&self) -> bool {
        self.kind == Kind::Vanish
    }

    /// What the event does to its channel at `at_ms`, a moment within it.
    pub(super) fn effect(&self, at_ms: i64) -> Effect {
        let plain = Effect { factor: 1.0, frozen: false, broken: false };
        match self.kind {
            Kind::Spike
            | Kind::LevelShift
            | Kind::ErrorBurst
            | Kind::TrafficLoss
            | Kind::Straggler
            | Kind::Strain => Effect { factor: self.size, ..plain },
            Kind::Drift | Kind::DiskFill => {
                let share = (at_ms - self.start_ms) as f64 / (self.end_ms - self.start_ms) as f64;
                Effect { factor: 1.0 + (self.size - 1.0) * share, ..plain }
            }
            Kind::Flatline => Effect { frozen: true, ..plain },
            Kind::SeasonalBreak => Effect { broken: true, ..plain },
            Kind::PodRestarts | Kind::Vanish => plain,
        }
    }

    /// Whether the container restarts in the tick that ends at `at_ms` and is `tick_ms` long.
    pub(super) fn restarts(&self, at_ms: i64, tick_ms: i64) -> bool {
        let since = at_ms - self.start_ms + Self::RESTART_EVERY_MS / 2;
        self.kind == Kind::PodRestarts
            && self.is_active(at_ms)
            && since.div_euclid(Self::RESTART_EVERY_MS)
                != (since - tick_ms).div_euclid(Self::RESTART_EVERY_MS)
    }
}
