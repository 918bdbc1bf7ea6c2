//! `sidelong top`: a live view of a running Sidelong.

mod frame;
mod reading;
mod view;

use std::io::{IsTerminal, stdout};
use std::thread::sleep;
use std::time::Duration;

use clap::Args;

use super::admin::AdminArgs;
use crate::config::units::PromDuration;
use crate::terminal::{Canvas, Screen};
use frame::draw;
use reading::Reading;
use view::View;

/// Watch a running Sidelong: what passes, what is scored, what room is left, and the highest scores now.
///
/// Reads /metrics, /-/ready, /api/v1/status/budget and /api/v1/highest of the admin listener over plain HTTP. Rates
/// are those of the last interval. On q or Ctrl-C it ends.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TopArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// Time from one frame to the next.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = interval)]
    interval: PromDuration,
    /// Print one frame after one interval and end; so it is also where the standard output is no terminal.
    #[arg(long)]
    once: bool,
    /// Series that are listed at the most, those with the highest scores.
    #[arg(long, value_name = "COUNT", default_value = "20", value_parser = clap::value_parser!(u8).range(1..=100))]
    series: u8,
}

const EXAMPLES: &str = "\
Examples:
  sidelong top
  sidelong top --url http://127.0.0.1:10991 --interval 5s
  sidelong top --once --series 5";

/// A frame that is printed is as wide as most terminals of today, and as long as it is.
const PRINTED: Canvas = Canvas { width: 132, height: usize::MAX, colour: false };

/// Nobody wants to look at an empty screen for longer, whatever the interval.
const FIRST: Duration = Duration::from_secs(1);

/// Runs `sidelong top`.
///
/// # Errors
///
/// A listener that does not answer, a terminal that cannot be drawn on.
pub fn run(args: &TopArgs) -> anyhow::Result<()> {
    let first = Reading::take(args)?;
    match !args.once && stdout().is_terminal() {
        true => watch(args, first),
        false => print(args, &first),
    }
}

fn print(args: &TopArgs, before: &Reading) -> anyhow::Result<()> {
    sleep(args.interval.get());
    let view = View::of(before, &Reading::take(args)?);
    draw(&view, PRINTED).iter().for_each(|line| println!("{line}"));
    Ok(())
}

/// Draws until somebody leaves. Sidelong may end and start again meanwhile: what cannot be asked is said, and asked
/// again.
fn watch(args: &TopArgs, first: Reading) -> anyhow::Result<()> {
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let screen = Screen::open(colour)?;
    let (mut before, mut view) = (first, None::<View>);
    let mut wait = args.interval.get().min(FIRST);
    while !screen.is_left(wait)? {
        wait = args.interval.get();
        match Reading::take(args) {
            Ok(now) => {
                view = Some(View { live: true, ..View::of(&before, &now) });
                before = now;
            }
            Err(error) => view.get_or_insert_default().trouble = Some(format!("{error:#}")),
        }
        screen.draw(|canvas| view.iter().flat_map(|view| draw(view, canvas)).collect())?;
    }
    Ok(())
}

fn interval(text: &str) -> Result<PromDuration, String> {
    let interval: PromDuration = text.parse().map_err(|error| format!("{error}"))?;
    let fine = (Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(&interval.get());
    if fine { Ok(interval) } else { Err("an interval is from 100ms to 1h".to_owned()) }
}

#[cfg(test)]
mod tests;
