//! The command line: one file for each subcommand, with its arguments and what it does.

mod admin;
#[cfg(feature = "archive")]
pub mod archive;
pub mod backtest;
pub mod check_config;
pub mod config_reference;
pub mod convert;
pub mod demo;
pub mod estimate;
mod evaluate;
pub mod features;
pub mod forecast;
#[cfg(feature = "train")]
pub mod forest_source;
pub mod healthcheck;
mod judge;
mod log_limit;
pub mod logging;
mod model;
mod output;
pub mod profile;
pub mod run;
pub mod serve;
mod source;
pub mod state;
pub mod synth;
pub mod top;
mod tracking;
#[cfg(feature = "train")]
mod train;
pub mod version;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::ConfigError;
use crate::config::sections::CalendarError;

/// A look aside at every metric that passes.
///
/// Sidelong stands in the path of Prometheus metrics, lets every byte through unchanged, scores each
/// series as it passes and sends the scores along behind the samples.
#[derive(Debug, Parser)]
#[command(name = "sidelong", version = version::SHORT, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Serve(Box<serve::ServeArgs>),
    Demo(demo::DemoArgs),
    CheckConfig(check_config::CheckConfigArgs),
    Estimate(estimate::EstimateArgs),
    Backtest(Box<backtest::BacktestArgs>),
    Evaluate(Box<evaluate::EvaluateArgs>),
    Features(Box<features::FeaturesArgs>),
    Forecast(Box<forecast::ForecastArgs>),
    Profile(Box<profile::ProfileArgs>),
    #[cfg(feature = "archive")]
    Archive(archive::ArchiveArgs),
    Convert(convert::ConvertArgs),
    Healthcheck(healthcheck::HealthcheckArgs),
    State(state::StateArgs),
    Model(model::ModelArgs),
    Synth(synth::SynthArgs),
    Top(top::TopArgs),
    #[cfg(feature = "train")]
    Train(Box<train::TrainArgs>),
    #[cfg(feature = "train")]
    #[command(hide = true)]
    ForestSource(forest_source::ForestSourceArgs),
    #[command(hide = true)]
    ConfigReference(config_reference::ConfigReferenceArgs),
    Version(version::VersionArgs),
}

const EXAMPLES: &str = "\
Examples:
  sidelong demo
  sidelong estimate http://prometheus:9090 --preset node_exporter
  sidelong run --config sidelong.yml
  sidelong check-config sidelong.yml
  sidelong serve --listen 127.0.0.1:8080
  sidelong convert vmanomaly.yaml > sidelong.yml";

/// The exit code for a command line or a configuration that cannot be used.
const WRONG_USE: u8 = 2;

/// Runs the command line of this process and gives its exit code: 0 when all went well, 2 when the command
/// line or the configuration is wrong, 1 for everything else.
pub fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", logging::printable(&format!("{error:#}")));
            let is_wrong = error.is::<ConfigError>() || error.is::<CalendarError>();
            ExitCode::from(if is_wrong { WRONG_USE } else { 1 })
        }
    }
}

// === impl Cli ===

impl Cli {
    fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Run(args) => run::run(&args)?,
            Command::Serve(args) => serve::run(&args)?,
            Command::Demo(args) => demo::run(&args)?,
            Command::CheckConfig(args) => check_config::run(&args)?,
            Command::Estimate(args) => estimate::run(&args)?,
            Command::Backtest(args) => backtest::run(&args)?,
            Command::Evaluate(args) => return evaluate::run(&args),
            Command::Features(args) => features::run(&args)?,
            Command::Forecast(args) => forecast::run(&args)?,
            Command::Profile(args) => profile::run(&args)?,
            #[cfg(feature = "archive")]
            Command::Archive(args) => archive::run(&args)?,
            Command::Convert(args) => convert::run(&args)?,
            Command::Healthcheck(args) => return healthcheck::run(&args),
            Command::State(args) => state::run(&args)?,
            Command::Model(args) => model::run(&args)?,
            Command::Synth(args) => synth::run(&args)?,
            Command::Top(args) => top::run(&args)?,
            #[cfg(feature = "train")]
            Command::Train(args) => train::run(&args)?,
            #[cfg(feature = "train")]
            Command::ForestSource(args) => forest_source::run(&args)?,
            Command::ConfigReference(args) => config_reference::run(&args)?,
            Command::Version(args) => version::run(&args),
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_has_a_sentence_of_help_and_is_in_kebab_case() {
        fn check(command: &clap::Command) {
            for arg in
                command.get_arguments().filter(|arg| !["help", "version"].contains(&arg.get_id().as_str()))
            {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                let name = format!("{} {}", command.get_name(), arg.get_id());
                // clap drops the full stop of a help text of one sentence.
                assert!(help.starts_with(char::is_uppercase) && help.contains(' '), "{name}: {help:?}");
                let long = arg.get_long().unwrap_or_default();
                let is_kebab = !long.contains('_') && long == long.to_lowercase();
                assert!(is_kebab, "{name}");
            }
            command.get_subcommands().for_each(check);
        }
        let mut command = Cli::command();
        command.build();
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            assert!(sub.get_about().is_some(), "{}", sub.get_name());
            check(sub);
        }
    }
}
