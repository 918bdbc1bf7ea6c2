//! The data set: a stretch of the stream as CSV.
//!
//! The first line is `timestamp,series,value`. Each further line is one sample: Unix seconds, the series in
//! PromQL's spelling and quoted as RFC 4180 has it (`"node_load1{instance=""node-0:9100""}"`), the value with
//! all its digits. All series of one moment stand together, and moments in order of time. Counters are
//! written as they are exported: growing totals.

use std::io::{self, Write};

use super::synth::{Fleet, FleetOptions, MAX_EVENTS};
use super::truth::Truth;

/// The header of the file.
pub const HEADER: &str = "timestamp,series,value";

/// Which stretch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The fleet, and where it starts.
    pub fleet: FleetOptions,
    /// Seconds from one sample of a series to the next, at least 1.
    pub step_s: u32,
    /// How many samples each series has.
    pub samples: u64,
}

// === impl Stretch ===

impl Stretch {
    /// A stretch of `days` days with a sample every `step_s` seconds.
    pub fn of_days(fleet: FleetOptions, days: u32, step_s: u32) -> Self {
        let step_s = step_s.max(1);
        Self { fleet, step_s, samples: u64::from(days) * 86_400 / u64::from(step_s) }
    }

    /// Whether every anomaly that may be injected will be in the [`Truth`], which lists
    /// [`MAX_EVENTS`] at most.
    pub fn remembers_all(&self) -> bool {
        let length_ms = i128::from(self.samples) * i128::from(self.step_s) * 1000;
        let every_ms = i128::from(self.fleet.plan.every_ms);
        // The shortest gap between two of them is 0.6 of the mean.
        every_ms == 0 || length_ms * 10 / (every_ms * 6) < MAX_EVENTS as i128
    }

    /// Writes the stretch into `out` and returns what was injected into it. `progress` is told how many
    /// samples of each series are written, after each moment.
    ///
    /// # Errors
    ///
    /// Whatever `out` refuses to take.
    pub fn write(&self, out: &mut dyn Write, progress: &mut dyn FnMut(u64)) -> io::Result<Truth> {
        let mut fleet = Fleet::new(self.fleet);
        let quoted: Vec<String> = fleet.series().iter().map(|series| quote(&series.to_string())).collect();
        let mut values = Vec::new();
        writeln!(out, "{HEADER}")?;
        for sample in 0..self.samples {
            let at_s = self.fleet.start_ms.div_euclid(1000) + sample as i64 * i64::from(self.step_s);
            fleet.advance_to(at_s * 1000);
            fleet.read(&mut values);
            for (series, value) in quoted.iter().zip(&values).filter(|(_, value)| !value.is_nan()) {
                writeln!(out, "{at_s},{series},{value}")?;
            }
            progress(sample + 1);
        }
        out.flush()?;
        Ok(Truth::so_far(&fleet))
    }
}

/// A field in quotes, its own quotes doubled.
fn quote(field: &str) -> String {
    format!("\"{}\"", field.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::super::synth::{Kind, MONDAY_MS, Plan};
    use super::*;

    fn stretch(seed: u64) -> Stretch {
        let plan = Plan { quiet_ms: 3_600_000, every_ms: 3_600_000, kinds: Kind::OF_SERIES };
        Stretch::of_days(FleetOptions { seed, instances: 1, start_ms: MONDAY_MS, plan }, 1, 900)
    }

    fn written(seed: u64) -> (String, Truth) {
        let mut out = Vec::new();
        let truth = stretch(seed).write(&mut out, &mut |_| ()).unwrap();
        (String::from_utf8(out).unwrap(), truth)
    }

    #[test]
    fn every_series_has_a_row_for_every_step() {
        let (csv, _) = written(1);
        let series = Fleet::new(stretch(1).fleet).series().len();
        let mut lines = csv.lines();
        assert_eq!(lines.next(), Some(HEADER));
        assert_eq!(lines.clone().count(), 96 * series);
        assert!(lines.clone().all(|line| line.split(',').next() >= Some("1767571200")));
        let last = lines.next_back().unwrap();
        assert!(last.starts_with("1767656700,\"http_request_duration_seconds_count{"), "{last}");
    }

    #[test]
    fn series_are_quoted_and_values_are_numbers() {
        let (csv, _) = written(1);
        let line = csv.lines().find(|line| line.contains("node_load1{")).unwrap();
        let (head, value) = line.rsplit_once(',').unwrap();
        assert_eq!(head, r#"1767571200,"node_load1{instance=""node-0:9100""}""#);
        assert!(csv.lines().skip(1).all(|l| l.rsplit_once(',').unwrap().1.parse::<f64>().is_ok()));
        assert!(value.parse::<f64>().unwrap() < 4.0);
    }

    #[test]
    fn the_truth_comes_with_it_and_the_seed_decides_both() {
        let (csv, truth) = written(1);
        assert!(!truth.events.is_empty());
        assert!(truth.events.iter().all(|event| event.start < truth.end));
        assert_eq!((csv, truth), written(1));
        assert_ne!(written(1).0, written(2).0);
    }

    #[test]
    fn a_truth_with_holes_is_foreseen() {
        let check = |every_ms: i64, want: bool| {
            let mut stretch = stretch(1);
            stretch.fleet.plan.every_ms = every_ms;
            assert_eq!(stretch.remembers_all(), want, "{every_ms}");
        };
        check(0, true);
        check(3_600_000, true);
        check(15_000, true);
        check(14_000, false);
    }

    #[test]
    fn progress_is_told_to_the_end() {
        let mut told = Vec::new();
        stretch(1).write(&mut io::sink(), &mut |done| told.push(done)).unwrap();
        assert_eq!((told.len(), told.last()), (96, Some(&96)));
    }
}
