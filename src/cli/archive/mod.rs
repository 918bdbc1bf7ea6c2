//! `sidelong archive`: what was kept of the metrics that passed.

mod cat;
mod compact;
mod ls;
mod place;
#[cfg(test)]
mod tests;

use std::io::Write;

use clap::{Args, Subcommand};

use self::place::PlaceArgs;
pub(super) use self::place::open;
use super::source::is_broken_pipe;

/// Look at the metrics that a Sidelong keeps, and make their many files few.
///
/// A running Sidelong writes a file for each day and shard every few minutes (section archive of the configuration).
/// Other commands read an archive, too: give its folder to backtest, features, forecast or profile.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ArchiveArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    Ls(ls::LsArgs),
    Cat(cat::CatArgs),
    Compact(compact::CompactArgs),
}

const EXAMPLES: &str = "\
Examples:
  sidelong archive ls /var/lib/sidelong/archive
  sidelong archive cat /var/lib/sidelong/archive 'node_load1{instance=~\"web-.*\"}' --from -1d
  sidelong archive compact s3://metrics/prod
  sidelong backtest /var/lib/sidelong/archive --query node_load1 --from -30d";

pub(super) fn run(args: &ArchiveArgs) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let done = match &args.command {
        Command::Ls(args) => ls::run(args, &mut out),
        Command::Cat(args) => cat::run(args, &mut out),
        Command::Compact(args) => compact::run(args, &mut out),
    };
    match done.and_then(|()| Ok(out.flush()?)) {
        Err(error) if is_broken_pipe(&error) => Ok(()), // the reader has had enough
        done => done,
    }
}
