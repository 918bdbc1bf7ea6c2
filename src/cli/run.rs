//! `sidelong run`: stand in the path of the metrics.

use std::path::PathBuf;

use clap::Args;

use super::logging::{self, LogFormat, LogLevel};
use crate::app;

/// Stand in the path of the metrics: pass them through, score them, send the scores along.
///
/// With a downstream in the configuration, remote-write requests are forwarded to it and answered with
/// its answers. Without one Sidelong scores what it receives and serves the newest scores at /scores. In
/// both cases it fetches configured targets, and works as an HTTP proxy for those it is allowed to.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// The configuration file; sidelong.example.yml shows every option.
    #[arg(long, value_name = "FILE", env = "SIDELONG_CONFIG")]
    config: PathBuf,
    /// The least important messages that are logged.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: LogLevel,
    /// How messages are written.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

const EXAMPLES: &str = "\
Examples:
  sidelong run --config sidelong.yml
  sidelong run --config sidelong.yml --log-format json --log-level warn";

/// Runs `sidelong run`.
///
/// # Errors
///
/// A configuration that cannot be used, an address that cannot be bound.
pub fn run(args: &RunArgs) -> anyhow::Result<()> {
    logging::init(args.log_level, args.log_format)?;
    app::run(&app::Options { config: args.config.clone() })
}
