//! Which kind of signal tells of which event, and whom a made series tells of.

use crate::series::labels::{METRIC_NAME, SeriesLabels};
use crate::simulate::synth::{Channel, Event, Fleet, Kind};

/// What the entity of a node is called in `sidelong.yml`.
const ENTITY: &str = "node";
/// What the forecast alert of a filesystem is called: `<metric>:full`.
pub(super) const FULL: &str = ":full";

/// A kind of signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// The mean of a histogram.
    Mean,
    /// A ratio.
    Ratio,
    /// A sum.
    Sum,
    /// The distance from one's like.
    Peer,
    /// What describes one thing, together.
    Entity,
    /// That a series is missed.
    Absent,
    /// A forecast.
    Forecast,
}

/// A series that is on no page.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) witness: Witness,
    /// The instance that it tells of; of all where there is none.
    instance: Option<u32>,
}

// === impl Witness ===

impl Witness {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Mean, Self::Ratio, Self::Sum, Self::Peer, Self::Entity, Self::Absent, Self::Forecast];

    /// What it is called in the summary.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Ratio => "ratio",
            Self::Sum => "sum",
            Self::Peer => "peer",
            Self::Entity => "entity",
            Self::Absent => "absent",
            Self::Forecast => "forecast",
        }
    }

    /// The one that is there for such events, if one is.
    pub(super) fn of_event(event: &Event) -> Option<Self> {
        match event.kind {
            Kind::ErrorBurst => Some(Self::Ratio),
            Kind::TrafficLoss => Some(Self::Sum),
            Kind::Straggler => Some(Self::Peer),
            Kind::Strain => Some(Self::Entity),
            Kind::Vanish => Some(Self::Absent),
            Kind::DiskFill => Some(Self::Forecast),
            _ => (event.channel == Channel::Latency).then_some(Self::Mean),
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        match name.rsplit_once(':').map_or("", |(_, signal)| signal) {
            "mean" => Some(Self::Mean),
            "ratio" => Some(Self::Ratio),
            "sum" => Some(Self::Sum),
            "peer" => Some(Self::Peer),
            "absent" => Some(Self::Absent),
            _ if name == ENTITY => Some(Self::Entity),
            _ => name.ends_with(FULL).then_some(Self::Forecast),
        }
    }

    /// The channels whose series it is made of.
    fn channels(self) -> &'static [Channel] {
        use Channel::{Cpu, Disk, Errors, Filesystem, Http, Latency, Memory, Network, Node, Pod};
        match self {
            Self::Mean => &[Latency, Http, Pod],
            Self::Ratio | Self::Sum => &[Errors, Http, Pod],
            Self::Peer => &[Memory, Node, Pod],
            Self::Entity => &[Node, Cpu, Memory, Disk, Network],
            Self::Absent => &[Pod],
            Self::Forecast => &[Filesystem],
        }
    }
}

// === impl Made ===

impl Made {
    /// What the made series of `labels` tells of.
    pub(super) fn of(labels: &SeriesLabels, fleet: &Fleet) -> Option<Self> {
        let witness = Witness::of_name(labels.metric_name())?;
        let tells_of = |name: &str| labels.get(name).filter(|_| name != METRIC_NAME);
        let of_label = |name: &str| {
            let value = tells_of(name)?;
            let series = fleet.series().iter().find(|series| series.label(name) == Some(value))?;
            Some(series.instance)
        };
        Some(Self { witness, instance: of_label("pod").or_else(|| of_label("instance")) })
    }

    /// Whether `event` strikes what it is made of.
    pub(super) fn is_struck_by(&self, event: &Event) -> bool {
        let strikes = self.instance.is_none_or(|instance| event.strikes(instance));
        strikes && self.witness.channels().contains(&event.channel)
    }

    /// Whether it is the one that is there to tell of `event`.
    pub(super) fn is_for(&self, event: &Event) -> bool {
        self.is_struck_by(event) && Witness::of_event(event) == Some(self.witness)
    }
}
