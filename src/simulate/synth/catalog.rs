//! Which series the fleet exports: names, help, labels.

use super::anomaly::{Channel, Event};

/// A metric family of the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each is the name in FAMILIES, in camel case")]
pub enum Family {
    NodeCpuSeconds,
    NodeLoad1,
    NodeLoad5,
    NodeLoad15,
    NodeMemoryMemTotal,
    NodeMemoryMemAvailable,
    NodeMemoryCached,
    NodeDiskReadsCompleted,
    NodeDiskWritesCompleted,
    NodeDiskReadBytes,
    NodeDiskWrittenBytes,
    NodeDiskIoTime,
    NodeNetworkReceiveBytes,
    NodeNetworkTransmitBytes,
    NodeNetworkReceivePackets,
    NodeNetworkTransmitPackets,
    NodeFilesystemSize,
    NodeFilesystemAvail,
    KubePodContainerStatusRestarts,
    ContainerCpuUsageSeconds,
    ContainerMemoryWorkingSet,
    HttpRequests,
    HttpRequestDuration,
}

/// The type of a family, as a `# TYPE` line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricType {
    /// It only grows, but for resets.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Cumulative buckets, a sum and a count.
    Histogram,
}

/// What an exposition says about a family before its series.
#[derive(Clone, Copy, Debug)]
pub struct FamilyInfo {
    /// The family described.
    pub family: Family,
    /// The name of its series without `_total`, `_bucket`, `_sum` and `_count`.
    pub base: &'static str,
    /// The type.
    pub metric_type: MetricType,
    /// The help text.
    pub help: &'static str,
}

/// One series of the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// The family it belongs to.
    pub family: Family,
    /// What its name has after the family's [`FamilyInfo::base`]: `_total`, `_bucket`, `_sum`, `_count` or
    /// nothing.
    pub suffix: &'static str,
    /// Its labels but `__name__`, in the order in which they are written.
    pub labels: Vec<(&'static str, String)>,
    /// Which anomalies strike it.
    pub channel: Channel,
    /// Which instance it tells of, from 0.
    pub instance: u32,
}

/// A value as a node holds it: counters in thousandths, so that sums are exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reading {
    /// A counter of whole things.
    Whole(u64),
    /// A counter with fractions of a thousandth.
    Milli(u64),
    /// A gauge.
    Gauge(f64),
}

/// Where a series stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) family: Family,
    pub(super) suffix: &'static str,
    pub(super) labels: &'a [(&'static str, &'a str)],
    pub(super) channel: Channel,
}

/// Takes what a node exports, always in the same order.
pub(super) trait Sink {
    fn put(&mut self, place: Place<'_>, reading: Reading);
}

/// Every family, in the order of the exposition.
pub const FAMILIES: [FamilyInfo; 23] = {
    use Family::*;
    use MetricType::{Counter, Gauge, Histogram};
    [
        info(NodeCpuSeconds, "node_cpu_seconds", Counter, "Seconds the CPUs spent in each mode."),
        info(NodeLoad1, "node_load1", Gauge, "1m load average."),
        info(NodeLoad5, "node_load5", Gauge, "5m load average."),
        info(NodeLoad15, "node_load15", Gauge, "15m load average."),
        info(
            NodeMemoryMemTotal,
            "node_memory_MemTotal_bytes",
            Gauge,
            "Memory information field MemTotal_bytes.",
        ),
        info(
            NodeMemoryMemAvailable,
            "node_memory_MemAvailable_bytes",
            Gauge,
            "Memory information field MemAvailable_bytes.",
        ),
        info(NodeMemoryCached, "node_memory_Cached_bytes", Gauge, "Memory information field Cached_bytes."),
        info(
            NodeDiskReadsCompleted,
            "node_disk_reads_completed",
            Counter,
            "The total number of reads completed successfully.",
        ),
        info(
            NodeDiskWritesCompleted,
            "node_disk_writes_completed",
            Counter,
            "The total number of writes completed successfully.",
        ),
        info(
            NodeDiskReadBytes,
            "node_disk_read_bytes",
            Counter,
            "The total number of bytes read successfully.",
        ),
        info(
            NodeDiskWrittenBytes,
            "node_disk_written_bytes",
            Counter,
            "The total number of bytes written successfully.",
        ),
        info(NodeDiskIoTime, "node_disk_io_time_seconds", Counter, "Total seconds spent doing I/Os."),
        info(
            NodeNetworkReceiveBytes,
            "node_network_receive_bytes",
            Counter,
            "Network device statistic receive_bytes.",
        ),
        info(
            NodeNetworkTransmitBytes,
            "node_network_transmit_bytes",
            Counter,
            "Network device statistic transmit_bytes.",
        ),
        info(
            NodeNetworkReceivePackets,
            "node_network_receive_packets",
            Counter,
            "Network device statistic receive_packets.",
        ),
        info(
            NodeNetworkTransmitPackets,
            "node_network_transmit_packets",
            Counter,
            "Network device statistic transmit_packets.",
        ),
        info(NodeFilesystemSize, "node_filesystem_size_bytes", Gauge, "Filesystem size in bytes."),
        info(
            NodeFilesystemAvail,
            "node_filesystem_avail_bytes",
            Gauge,
            "Filesystem space available to non-root users in bytes.",
        ),
        info(
            KubePodContainerStatusRestarts,
            "kube_pod_container_status_restarts",
            Counter,
            "The number of container restarts per container.",
        ),
        info(
            ContainerCpuUsageSeconds,
            "container_cpu_usage_seconds",
            Counter,
            "Cumulative cpu time consumed in seconds.",
        ),
        info(
            ContainerMemoryWorkingSet,
            "container_memory_working_set_bytes",
            Gauge,
            "Current working set in bytes.",
        ),
        info(HttpRequests, "http_requests", Counter, "Requests answered, by status code."),
        info(HttpRequestDuration, "http_request_duration_seconds", Histogram, "Time to answer a request."),
    ]
};

const fn info(family: Family, base: &'static str, metric_type: MetricType, help: &'static str) -> FamilyInfo {
    FamilyInfo { family, base, metric_type, help }
}

// === impl Family ===

impl Family {
    /// Name, type and help.
    pub fn info(self) -> &'static FamilyInfo {
        // The table stands in the order of the enum; `families_stand_in_their_own_order` proves it.
        &FAMILIES[self as usize]
    }
}

// === impl MetricType ===

impl MetricType {
    /// The word of a `# TYPE` line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

// === impl Series ===

impl Series {
    /// The series' name, for example `node_cpu_seconds_total`.
    pub fn name(&self) -> String {
        format!("{}{}", self.family.info().base, self.suffix)
    }

    /// Whether the series counts, so that its rate is what tells.
    pub fn is_counter(&self) -> bool {
        self.family.info().metric_type != MetricType::Gauge
    }

    /// The value of label `name`.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| *label == name).map(|(_, value)| value.as_str())
    }

    /// Whether `event` changes this series.
    pub fn is_struck_by(&self, event: &Event) -> bool {
        let strikes = match event.channel {
            Channel::Pod => self.label("pod").is_some(),
            // More or fewer requests fill every bucket otherwise.
            Channel::Http => matches!(self.channel, Channel::Http | Channel::Latency | Channel::Errors),
            Channel::Node => Channel::OF_NODE.contains(&self.channel),
            channel => self.channel == channel,
        };
        strikes && event.strikes(self.instance)
    }
}

impl std::fmt::Display for Series {
    /// The series in PromQL's spelling: `name{label="value",...}`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}{{", self.family.info().base, self.suffix)?;
        for (at, (name, value)) in self.labels.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{name}=\"")?;
            escape(value, f)?;
            f.write_str("\"")?;
        }
        f.write_str("}")
    }
}

/// Escapes a label value as both text formats do.
fn escape(value: &str, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    use std::fmt::Write;
    for c in value.chars() {
        match c {
            '\\' => f.write_str("\\\\")?,
            '"' => f.write_str("\\\"")?,
            '\n' => f.write_str("\\n")?,
            c => f.write_char(c)?,
        }
    }
    Ok(())
}

// === impl Reading ===

impl Reading {
    /// The value `share` of the way from `self` to `after`. Where a counter was reset between the two it is
    /// already what it is after.
    pub(super) fn towards(self, after: Self, share: f64) -> f64 {
        let counted = |from: u64, to: u64| match to.checked_sub(from) {
            Some(step) => from + (step as f64 * share) as u64,
            None => to,
        };
        match (self, after) {
            (Self::Whole(from), Self::Whole(to)) => (counted(from, to) / 1000) as f64,
            (Self::Milli(from), Self::Milli(to)) => counted(from, to) as f64 / 1000.0,
            (Self::Gauge(from), Self::Gauge(to)) => from + (to - from) * share,
            (_, after) => after.towards(after, 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_stand_in_their_own_order() {
        for (at, info) in FAMILIES.iter().enumerate() {
            assert_eq!(info.family as usize, at, "{}", info.base);
        }
    }

    #[test]
    fn readings_lie_between_two_ticks() {
        assert_eq!(Reading::Whole(1_000).towards(Reading::Whole(5_000), 0.5), 3.0);
        assert_eq!(Reading::Milli(1_000).towards(Reading::Milli(1_500), 0.5), 1.25);
        assert_eq!(Reading::Gauge(1.0).towards(Reading::Gauge(3.0), 0.25), 1.5);
        assert_eq!(Reading::Whole(9_000).towards(Reading::Whole(2_000), 0.5), 2.0, "a reset");
    }

    #[test]
    fn label_values_are_escaped() {
        let series = Series {
            family: Family::NodeLoad1,
            suffix: "",
            labels: vec![("instance", "a\\b\"c\nd".to_owned())],
            channel: Channel::Cpu,
            instance: 0,
        };
        assert_eq!(series.to_string(), r#"node_load1{instance="a\\b\"c\nd"}"#);
    }
}
