//! What the process tells of itself: the metrics that every Prometheus client has, and its build.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

/// The revision that the binary was built from, where the build knew it.
pub(super) const REVISION: &str = match option_env!("SIDELONG_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// Reads `/proc/self` at every scrape; what cannot be read is left out.
#[derive(Debug)]
struct ProcessCollector {
    /// Seconds since the epoch.
    started: f64,
}

/// Linux counts processor time for user space in hundredths of a second on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// Registers the metrics of the process and of its build.
pub fn register(registry: &mut Registry) {
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    registry.register_collector(Box::new(ProcessCollector { started }));
    let build = Family::<Vec<(&'static str, String)>, Gauge>::default();
    let labels = vec![
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("revision", REVISION.to_owned()),
        ("rust_version", env!("CARGO_PKG_RUST_VERSION").to_owned()),
        ("features", features().join(",")),
    ];
    build.get_or_create(&labels).set(1);
    registry.register("sidelong_build_info", "What this binary was built from and with", build);
}

/// The features that were compiled in.
pub(super) fn features() -> Vec<&'static str> {
    [("s3", cfg!(feature = "s3")), ("mimalloc", cfg!(feature = "mimalloc"))]
        .into_iter()
        .filter_map(|(name, compiled)| compiled.then_some(name))
        .collect()
}

// === impl ProcessCollector ===

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        gauge(
            &mut encoder,
            "process_start_time_seconds",
            "When the process started, since the epoch",
            self.started,
        )?;
        if let Some(cpu) = cpu_seconds() {
            let counter = ConstCounter::new(cpu);
            let help = "Processor time used, in user and system mode";
            let metric = encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
            counter.encode(metric)?;
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        if let Some(bytes) = status_bytes(&status, "VmRSS:") {
            gauge(&mut encoder, "process_resident_memory_bytes", "Memory that is resident", bytes)?;
        }
        if let Some(bytes) = status_bytes(&status, "VmSize:") {
            gauge(&mut encoder, "process_virtual_memory_bytes", "Memory that is mapped", bytes)?;
        }
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            // One of them is the directory being read.
            let open = files.count().saturating_sub(1) as f64;
            gauge(&mut encoder, "process_open_fds", "Open files", open)?;
        }
        if let Some(limit) = crate::net::server::open_file_limit() {
            gauge(&mut encoder, "process_max_fds", "Files that may be open", limit as f64)?;
        }
        Ok(())
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> fmt::Result {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value).encode(metric)
}

/// Fields 14 and 15 of `/proc/self/stat`, counted behind the name, which may hold anything.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let (user, system) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    Some((user + system) as f64 / TICKS_PER_SECOND)
}

fn status_bytes(status: &str, field: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some((kibibytes * 1024) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_tells_of_itself() {
        let mut registry = Registry::default();
        register(&mut registry);
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
        for name in [
            "process_start_time_seconds 1",
            "process_cpu_seconds_total ",
            "process_resident_memory_bytes ",
            "process_virtual_memory_bytes ",
            "process_open_fds ",
            "process_max_fds ",
            "sidelong_build_info{version=\"0",
        ] {
            assert!(page.contains(name), "{name}\n{page}");
        }
    }
}
