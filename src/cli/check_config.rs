//! `sidelong check-config`: is this file right, and what will it do?

use std::path::PathBuf;

use clap::Args;

use crate::config::Config;

/// Check a configuration file and say what it will do.
///
/// Exits with 2 and a line for every problem when the file cannot be used. Environment variables that it
/// names must be set.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  sidelong check-config sidelong.yml")]
pub struct CheckConfigArgs {
    /// The file to check.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Runs `sidelong check-config`.
///
/// # Errors
///
/// A file that cannot be read or used.
pub fn run(args: &CheckConfigArgs) -> anyhow::Result<()> {
    let config = Config::load(&args.file)?;
    // What is in calendar files is a part of it.
    config.context.contexts()?;
    println!("{} is right: {}", args.file.display(), summary(&config));
    Ok(())
}

fn summary(config: &Config) -> String {
    let mode = match &config.downstream {
        Some(downstream) => format!("samples go to {}", downstream.url),
        None => "no downstream, the newest scores stand at /scores".to_owned(),
    };
    let targets = config.scrape.targets.len() + usize::from(config.scrape.upstream.is_some());
    let rules = config.rules.iter().count();
    let warning = if config.rules.is_empty() { "; nothing is scored without a rule or preset" } else { "" };
    format!("{mode}; {targets} targets; {rules} rules{warning}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_a_file_does() {
        let config = |text: &str| Config::from_yaml(text, &|_| None).unwrap();
        assert_eq!(
            summary(&config("")),
            "no downstream, the newest scores stand at /scores; 0 targets; 0 rules; nothing is scored \
             without a rule or preset"
        );
        let text = "downstream: {url: \"http://x/?k=secret\"}\nrules: [{match: up}]";
        assert_eq!(summary(&config(text)), "samples go to http://x/?<secret>; 0 targets; 1 rules");
    }
}
