//! `sidelong demo`: what Sidelong does, shown on synthetic metrics.

use std::io::{IsTerminal, stdout};
use std::sync::mpsc::{Receiver, channel};

use anyhow::Context;
use clap::Args;

use super::synth::{FleetArgs, asked_to_end, ms, speed};
use crate::config::units::PromDuration;
use crate::simulate::demo::engine::Play;
use crate::simulate::demo::run::{self, Show};
use crate::simulate::synth::{Kind, MONDAY_MS, Plan};

/// Show scoring at work on synthetic metrics, against what was injected into them.
///
/// Needs nothing but this binary: a synthetic exporter is scraped through the production parser and the
/// production pipeline. First some quiet days pass at full speed, so that the detector knows what is
/// usual; then anomalies of twelve kinds strike, and a live table shows what is scored, what is under way
/// and what was found. Some strike single series; others show in what is made of several: the mean of a
/// histogram, a ratio, a sum, peers, a node as a whole, a series that is missed, a forecast. At the end, on q or on Ctrl-C a summary is printed.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DemoArgs {
    #[command(flatten)]
    fleet: FleetArgs,
    /// Seconds of stream time that pass in one second, once the learning is over.
    #[arg(long, value_name = "FACTOR", default_value = "900", value_parser = speed)]
    speed: f64,
    /// How long the demo runs, once the learning is over.
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    duration: PromDuration,
    /// Stream time without anomalies that the detector learns from first. The stream starts on a Monday at
    /// midnight: the default plays through a Thursday of the second week from six in the morning.
    #[arg(long, value_name = "DURATION", default_value = "10d6h")]
    history: PromDuration,
    /// Stream time from one scrape to the next.
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = step)]
    step: PromDuration,
    /// Mean stream time from one anomaly to the next; 0 injects none.
    #[arg(long, value_name = "DURATION", default_value = "50m")]
    anomaly_every: PromDuration,
    /// Print a line for whatever happens instead of drawing a table. So it is also where the standard
    /// output is no terminal.
    #[arg(long)]
    no_tty: bool,
}

const EXAMPLES: &str = "\
Examples:
  sidelong demo
  sidelong demo --seed 7 --speed 300 --duration 2m
  sidelong demo --no-tty --duration 20s";

/// Stream time between the end of the learning and the first anomaly.
const BREATH_MS: i64 = 15 * 60_000;
/// The longest history and duration: beyond it nobody waits.
const MAX_MS: i64 = 366 * 86_400_000;

/// Runs `sidelong demo`.
///
/// # Errors
///
/// A page that cannot be scored, a terminal that cannot be drawn on.
pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let summary = run::run(&args.show(), &interrupts()?)?;
    print!("{summary}");
    Ok(())
}

/// Says so when Ctrl-C is pressed or the process is asked to end.
fn interrupts() -> anyhow::Result<Receiver<()>> {
    let (said, heard) = channel();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start tokio")?;
    let wait = move || match runtime.block_on(asked_to_end()) {
        // Where nobody listens any more, the demo is over.
        Ok(()) => drop(said.send(())),
        Err(error) => eprintln!("cannot wait for Ctrl-C: {error}"),
    };
    std::thread::Builder::new().name("interrupts".to_owned()).spawn(wait).context("cannot start a thread")?;
    Ok(heard)
}

// === impl DemoArgs ===

impl DemoArgs {
    fn show(&self) -> Show {
        let history_ms = ms(self.history).min(MAX_MS);
        let plan = Plan {
            quiet_ms: history_ms + BREATH_MS,
            every_ms: ms(self.anomaly_every).min(MAX_MS),
            kinds: Kind::ALL,
        };
        let on_terminal = !self.no_tty && stdout().is_terminal();
        Show {
            play: Play {
                fleet: self.fleet.options(MONDAY_MS, plan),
                step_ms: ms(self.step),
                live_from_ms: MONDAY_MS + history_ms,
            },
            speed: self.speed,
            duration: self.duration.get(),
            on_terminal,
            colour: on_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }
}

fn step(text: &str) -> Result<PromDuration, String> {
    let step: PromDuration = text.parse().map_err(|error| format!("{error}"))?;
    let fine = (PromDuration::from_secs(1)..=PromDuration::from_secs(3_600)).contains(&step);
    if fine { Ok(step) } else { Err("a step is from 1s to 1h".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::{Parser, Subcommand};

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(subcommand)]
        command: Command,
    }

    #[derive(Debug, Subcommand)]
    enum Command {
        Demo(DemoArgs),
    }

    fn parse(line: &str) -> Result<DemoArgs, clap::Error> {
        Cli::try_parse_from(line.split_whitespace()).map(|cli| match cli.command {
            Command::Demo(args) => args,
        })
    }

    #[test]
    fn every_example_of_the_help_is_understood() {
        for example in EXAMPLES.lines().skip(1) {
            parse(example).unwrap_or_else(|error| panic!("{example}: {error}"));
        }
    }

    #[test]
    fn the_first_anomaly_comes_soon_after_the_learning() {
        let show = parse("sidelong demo").unwrap().show();
        let first_ms = show.play.fleet.start_ms + show.play.fleet.plan.quiet_ms;
        let seconds = (first_ms - show.play.live_from_ms) as f64 / 1000.0 / show.speed;
        assert!(seconds < 5.0, "{seconds}");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let check = |line: &str| assert!(parse(line).is_err(), "{line}");
        check("sidelong demo --speed 0");
        check("sidelong demo --step 0");
        check("sidelong demo --duration 60");
        check("sidelong demo --instances 501");
    }
}
