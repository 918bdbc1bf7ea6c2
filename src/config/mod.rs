//! The configuration file: read, checked once, never re-validated later.

pub mod reference;
pub mod secret;
pub mod sections;
pub mod units;
pub mod yaml;

mod raw;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::raw::RawConfig;
use self::sections::{
    Archive, Context, Downstream, Limits, ModelSection, Scores, Scrape, Server, Serving, Signals, State,
    Tenants,
};
use self::yaml::{Environment, Problem};
use crate::rules::RuleSet;
use crate::rules::preset::Preset;

/// A configuration that cannot be wrong: everything was checked when it was read.
///
/// ```
/// use sidelong::config::Config;
///
/// let config = Config::from_yaml("rules: [{match: node_load1}]", &|_| None)?;
/// assert!(config.downstream.is_none(), "loop-back mode");
/// assert!(config.rules.may_select("node_load1"));
/// # Ok::<(), sidelong::config::Problems>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// Where Sidelong listens.
    pub server: Server,
    /// What a request may be, and how much is scored.
    pub limits: Limits,
    /// Where samples are forwarded to; `None` is loop-back mode.
    pub downstream: Option<Downstream>,
    /// How tenants are told apart.
    pub tenants: Tenants,
    /// What the scores are called, and how they travel.
    pub scores: Scores,
    /// What the pull door fetches.
    pub scrape: Scrape,
    /// What is made of several series.
    pub signals: Signals,
    /// What is known beforehand of some series and some times.
    pub context: Context,
    /// What is kept beyond a restart.
    pub state: State,
    /// Where models come from.
    pub model: ModelSection,
    /// Scores on request.
    pub serving: Serving,
    /// Which of the metrics that pass are kept, and where.
    pub archive: Archive,
    /// Which series are scored, presets included.
    pub rules: Arc<RuleSet>,
    raw: Arc<RawConfig>,
}

/// Everything that is wrong with a configuration, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is absent, unreadable or not UTF-8.
    #[error("cannot read the configuration file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is larger than [`yaml::MAX_FILE_BYTES`].
    #[error("the configuration file {path} is larger than {max} bytes", max = yaml::MAX_FILE_BYTES)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// What it says cannot be used.
    #[error("the configuration is wrong:\n{}", in_file(.path, .problems))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// All that is wrong.
        problems: Problems,
    },
}

// === impl Config ===

impl Config {
    /// Reads and checks a file; `${NAME}` is taken from the process' environment. Relative paths in it
    /// start at its own directory, as in Prometheus.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read_file(path)?;
        raw::read(&text, path.parent(), &|name| std::env::var(name).ok())
            .map_err(|problems| ConfigError::Wrong { path: path.to_owned(), problems })
    }

    /// Checks the text of a file.
    pub fn from_yaml(text: &str, environment: &Environment<'_>) -> Result<Self, Problems> {
        raw::read(text, None, environment)
    }

    /// The section `context` alone of a file; nothing where it has none.
    pub fn load_context(path: &Path) -> Result<Option<Context>, ConfigError> {
        let text = read_file(path)?;
        raw::read_context(&text, path.parent(), &|name| std::env::var(name).ok())
            .map_err(|problems| ConfigError::Wrong { path: path.to_owned(), problems })
    }

    /// The same with further `presets` behind those that it has.
    ///
    /// # Errors
    ///
    /// Too many rules.
    pub fn with_presets(&self, presets: &[Preset]) -> Result<Self, Problems> {
        let mut raw = (*self.raw).clone();
        for preset in presets {
            if !raw.presets.contains(preset) {
                raw.presets.push(*preset);
            }
        }
        raw.recheck()
    }

    /// The preset that the rule of this index is of; none for a rule of the file itself.
    pub fn preset_of(&self, rule: usize) -> Option<Preset> {
        let mut behind = rule.checked_sub(self.raw.rules.len())?;
        self.raw.presets.iter().copied().find(|preset| {
            let rules = preset.rules().map_or(0, |rules| rules.len());
            let is_here = behind < rules;
            behind = behind.saturating_sub(rules);
            is_here
        })
    }

    /// The configuration as YAML, every default filled in and every secret hidden.
    pub fn to_yaml(&self) -> Result<String, serde_saphyr::SerializeError> {
        serde_saphyr::to_string(&*self.raw)
    }
}

fn read_file(path: &Path) -> Result<String, ConfigError> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(yaml::MAX_FILE_BYTES + 1).read_to_string(&mut text))
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    if text.len() as u64 > yaml::MAX_FILE_BYTES {
        return Err(ConfigError::TooLarge { path: path.to_owned() });
    }
    Ok(text)
}

// === impl Problems ===

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// One line for each problem, in the form that editors and terminals can follow.
fn in_file(path: &Path, problems: &Problems) -> String {
    let line = |problem: &Problem| format!("  {}:{problem}", path.display());
    problems.0.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
