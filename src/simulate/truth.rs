//! The ground truth as a file: which anomalies were injected, where and when.

use serde::{Deserialize, Serialize};

use super::synth::{Channel, Event, Fleet, Kind};

/// Everything that was injected into a stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// The seed of the stream.
    pub seed: u64,
    /// How many instances it has.
    pub instances: u32,
    /// Where it starts, Unix seconds.
    pub start: i64,
    /// Where it ends or has come to, Unix seconds.
    pub end: i64,
    /// How many older anomalies are no longer listed, beyond [`super::synth::MAX_EVENTS`].
    pub forgotten: u64,
    /// The anomalies in the order of their start.
    pub events: Vec<TruthEvent>,
}

/// One injected anomaly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TruthEvent {
    /// A number that grows from event to event.
    pub id: u64,
    /// Its shape.
    pub kind: Kind,
    /// What it strikes.
    pub channel: Channel,
    /// The node or pod it strikes.
    pub target: String,
    /// The first second of it, Unix time.
    pub start: i64,
    /// The first second after it, Unix time.
    pub end: i64,
    /// Every series it changes, in PromQL's spelling.
    pub series: Vec<String>,
}

// === impl Truth ===

impl Truth {
    /// What has begun in `fleet` by now.
    pub fn so_far(fleet: &Fleet) -> Self {
        let options = fleet.options();
        Self {
            seed: options.seed,
            instances: options.instances,
            start: options.start_ms.div_euclid(1000),
            end: fleet.now_ms().div_euclid(1000),
            forgotten: fleet.events().next().map_or(0, |first| first.id),
            events: fleet.events().map(|event| TruthEvent::of(fleet, event)).collect(),
        }
    }
}

// === impl TruthEvent ===

impl TruthEvent {
    fn of(fleet: &Fleet, event: &Event) -> Self {
        Self {
            id: event.id,
            kind: event.kind,
            channel: event.channel,
            target: event.target(),
            start: event.start_ms.div_euclid(1000),
            end: event.end_ms.div_euclid(1000),
            series: fleet.struck_by(event).map(|at| fleet.series()[at].to_string()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::synth::{FleetOptions, MONDAY_MS, Plan};
    use super::*;

    #[test]
    fn the_truth_names_series_that_exist_and_survives_json() {
        let plan = Plan { quiet_ms: 0, every_ms: 3_600_000, kinds: Kind::OF_SERIES };
        let mut fleet = Fleet::new(FleetOptions { seed: 5, instances: 3, start_ms: MONDAY_MS, plan });
        fleet.advance_to(MONDAY_MS + 86_400_000);
        let truth = Truth::so_far(&fleet);
        let known: Vec<String> = fleet.series().iter().map(ToString::to_string).collect();
        assert!(truth.events.len() > 10);
        assert!(truth.events.iter().all(|e| !e.series.is_empty() && e.start < e.end));
        assert!(truth.events.iter().flat_map(|e| &e.series).all(|series| known.contains(series)));
        let json = serde_json::to_string(&truth).unwrap();
        assert_eq!(serde_json::from_str::<Truth>(&json).unwrap(), truth);
    }
}
