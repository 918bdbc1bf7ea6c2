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
    /// A file with TLS and basic authentication for both listeners, as in Prometheus' exporters.
    #[arg(long = "web.config.file", value_name = "FILE")]
    web_config_file: Option<PathBuf>,
    /// Reload the configuration on POST /-/reload of the admin listener, too, and not only on SIGHUP.
    #[arg(long = "web.enable-lifecycle")]
    web_enable_lifecycle: bool,
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
    app::run(&app::Options {
        config: args.config.clone(),
        web_config: args.web_config_file.clone(),
        lifecycle: args.web_enable_lifecycle,
    })
}
