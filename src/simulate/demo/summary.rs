//! What the demo says at its end.

use std::fmt;

use super::board::{Balance, Title};
use super::render::clock;
use super::witness::Witness;
use crate::simulate::synth::Kind;
use crate::simulate::verdict::Verdict;
use crate::terminal::span;

/// The result of a demo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Milliseconds of stream time that were scored.
    pub stream_ms: i64,
    /// Series that were scored, of those on the page.
    pub scored: usize,
    /// Series on the page.
    pub series: usize,
    /// Samples scored, those of the learning among them.
    pub samples: u64,
    /// What became of the events.
    pub balance: Balance,
    /// Of each kind: found, and over or found.
    pub by_kind: Vec<(Kind, usize, usize)>,
    /// Of the events that a kind of signal is there for: found by it, and over or found.
    pub by_signal: Vec<(Witness, usize, usize)>,
    /// Median and longest delay of what was found.
    pub delay: Option<Delays>,
    /// What was missed, and when it began.
    pub missed: Vec<(Title, i64)>,
}

/// How long it took to find what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delays {
    /// The median in samples.
    pub median_samples: u32,
    /// The median in milliseconds of stream time.
    pub median_ms: i64,
    /// The longest in samples.
    pub longest_samples: u32,
    /// The longest in milliseconds of stream time.
    pub longest_ms: i64,
}

// === impl Summary ===

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scored, series, samples, .. } = self;
        writeln!(
            f,
            "{} of stream time, {scored} of {series} series scored, {samples} samples",
            span(self.stream_ms)
        )?;
        let Balance { injected, found, missed, pending, false_alerts } = self.balance;
        writeln!(f, "injected      {injected}")?;
        writeln!(
            f,
            "found         {found}{}",
            listed(self.by_kind.iter().map(|of| (of.0.name(), of.1, of.2)))
        )?;
        if !self.by_signal.is_empty() {
            let by_signal = listed(self.by_signal.iter().map(|of| (of.0.name(), of.1, of.2)));
            writeln!(f, "by signals    {}{by_signal}", self.by_signal.iter().map(|of| of.1).sum::<usize>())?;
        }
        writeln!(f, "missed        {missed}")?;
        for (title, since_ms) in &self.missed {
            writeln!(f, "              {title}, from {}", clock(*since_ms))?;
        }
        writeln!(f, "still open    {pending}")?;
        writeln!(f, "false alerts  {false_alerts}")?;
        match self.delay {
            Some(delay) => writeln!(
                f,
                "delay         median {} ({}), longest {} ({})",
                samples_of(delay.median_samples),
                span(delay.median_ms),
                samples_of(delay.longest_samples),
                span(delay.longest_ms)
            ),
            None => writeln!(f, "delay         nothing was found"),
        }
    }
}

fn listed<'a>(shares: impl Iterator<Item = (&'a str, usize, usize)>) -> String {
    let shares: Vec<String> = shares.map(|(name, found, all)| format!("{name} {found}/{all}")).collect();
    if shares.is_empty() { String::new() } else { format!("   ({})", shares.join(", ")) }
}

// === impl Delays ===

impl Delays {
    /// The delays of what `verdict` found; `None` where nothing was.
    pub fn of(verdict: &Verdict) -> Option<Self> {
        let (median_samples, median_ms) = verdict.median_delay()?;
        Some(Self {
            median_samples,
            median_ms,
            longest_samples: verdict.found.iter().map(|found| found.delay_samples).max()?,
            longest_ms: verdict.found.iter().map(|found| found.delay_ms).max()?,
        })
    }
}

fn samples_of(count: u32) -> String {
    format!("{count} sample{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::synth::{Channel, MONDAY_MS};

    #[test]
    fn the_summary_tells_found_missed_false_and_delay() {
        let title = Title { kind: Kind::Drift, channel: Channel::Memory, target: "node-1:9100".to_owned() };
        let summary = Summary {
            stream_ms: 15 * 3_600_000,
            scored: 120,
            series: 180,
            samples: 626_400,
            balance: Balance { injected: 5, found: 3, missed: 1, pending: 1, false_alerts: 2 },
            by_kind: vec![(Kind::Spike, 3, 3), (Kind::Drift, 0, 1)],
            by_signal: vec![(Witness::Mean, 1, 1), (Witness::Peer, 1, 2)],
            delay: Some(Delays {
                median_samples: 1,
                median_ms: 60_000,
                longest_samples: 12,
                longest_ms: 720_000,
            }),
            missed: vec![(title, MONDAY_MS)],
        };
        insta::assert_snapshot!(summary.to_string());
    }
}
