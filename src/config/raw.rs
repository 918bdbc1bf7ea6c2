//! The file as it is written, and the way from there to a [`Config`].

use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::sections::{
    Archive, Context, Downstream, Findings, Limits, ModelSection, Scores, Scrape, Server, Serving, Signals,
    State, Tenants,
};
use super::yaml::{Document, Environment, Problem};
use super::{Config, Problems};
use crate::rules::preset::Preset;
use crate::rules::{OutputNames, RawRule, Rule, RuleError, RuleSet, RuleSetError};

/// The configuration file. Every section may be left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[schemars(default)]
pub struct RawConfig {
    /// Where Sidelong listens, and what a client may do to the listeners.
    pub server: Server,
    /// Bounds on what is taken in and kept.
    pub limits: Limits,
    /// The receiver that gets every request as it came, and the scores. Without it: loop-back mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downstream: Option<Downstream>,
    /// How the tenants of the push door are told apart.
    pub tenants: Tenants,
    /// What the scores are called, and how they travel.
    pub scores: Scores,
    /// What the pull door fetches.
    pub scrape: Scrape,
    /// What is made of several series, and scored like any other.
    pub signals: Signals,
    /// What is known beforehand of some series and some times.
    pub context: Context,
    /// What series have learned, kept beyond a restart.
    pub state: State,
    /// Where models come from, and whose are trusted.
    pub model: ModelSection,
    /// Scores on request, on the admin listener.
    pub serving: Serving,
    /// The metrics that pass, kept as Parquet with their scores beside them.
    pub archive: Archive,
    /// Built-in rules that stand behind those of `rules`: `node_exporter`, `kubernetes`,
    /// `kube_state_metrics`, `http_red` and `cloudwatch`.
    pub presets: Vec<Preset>,
    /// Which series are scored, and how. The first rule that matches a series decides; without one it is
    /// passed through unscored.
    pub rules: Vec<RawRule>,
}

/// The top-level keys.
const SECTIONS: [&str; 14] = [
    "server",
    "limits",
    "downstream",
    "tenants",
    "scores",
    "scrape",
    "signals",
    "context",
    "state",
    "model",
    "serving",
    "archive",
    "presets",
    "rules",
];

/// The options that name files and folders.
const FILE_OPTIONS: [&str; 9] = [
    "password_file",
    "credentials_file",
    "client_secret_file",
    "ca_file",
    "cert_file",
    "key_file",
    "folder",
    "ics",
    "token_file",
];

/// Reads and checks the text of a file that stands in `directory`; all that is wrong is said at once.
pub(super) fn read(
    text: &str,
    directory: Option<&Path>,
    environment: &Environment<'_>,
) -> Result<Config, Problems> {
    let mut document = Document::parse(text).map_err(|problem| Problems(vec![problem]))?;
    let mut problems = document.expand(environment);
    if let Some(directory) = directory {
        document.set_directory(directory, &FILE_OPTIONS);
    }
    problems.extend(document.unknown_keys(&SECTIONS));
    let raw = RawConfig {
        server: document.section("server", &mut problems),
        limits: document.section("limits", &mut problems),
        downstream: document.section("downstream", &mut problems),
        tenants: document.section("tenants", &mut problems),
        scores: document.section("scores", &mut problems),
        scrape: document.section("scrape", &mut problems),
        signals: document.section("signals", &mut problems),
        context: document.section("context", &mut problems),
        state: document.section("state", &mut problems),
        model: document.section("model", &mut problems),
        serving: document.section("serving", &mut problems),
        archive: document.section("archive", &mut problems),
        presets: document.list("presets", &mut problems),
        rules: document.list("rules", &mut problems),
    };
    raw.check(&document, problems)
}

/// Reads and checks the section `context` alone of the text of a file that stands in `directory`; nothing where it is not
/// there. What the other sections say does not matter, nor do variables that only they name.
pub(super) fn read_context(
    text: &str,
    directory: Option<&Path>,
    environment: &Environment<'_>,
) -> Result<Option<Context>, Problems> {
    let mut document = Document::parse(text).map_err(|problem| Problems(vec![problem]))?;
    let mut problems = document.expand(environment);
    if let Some(directory) = directory {
        document.set_directory(directory, &FILE_OPTIONS);
    }
    let section: Option<Context> = document.section("context", &mut problems);
    let mut findings = Findings::default();
    section.iter().for_each(|section| section.check(&mut findings));
    problems.extend(findings.0.into_iter().map(|(path, message)| document.problem(path, message)));
    problems.retain(|problem| {
        problem.path.starts_with("context") && !problem.path.starts_with("context.announce")
    });
    if problems.is_empty() { Ok(section) } else { Err(Problems(problems)) }
}

// === impl RawConfig ===

impl RawConfig {
    /// Checks what must hold between options; `problems` are those that were found before. A section that
    /// could not be read is checked as its default, which has no problems.
    fn check(self, document: &Document, mut problems: Vec<Problem>) -> Result<Config, Problems> {
        let mut findings = Findings::default();
        self.server.check(&mut findings);
        self.limits.check(&mut findings);
        self.scores.check(&mut findings);
        self.scrape.check(&mut findings);
        self.signals.check(&mut findings);
        self.context.check(&mut findings);
        self.state.check(&mut findings);
        self.model.check(&mut findings);
        self.serving.check(&mut findings);
        self.archive.check(&mut findings);
        if let Some(downstream) = &self.downstream {
            downstream.check(&mut findings);
        }
        let unread: Vec<String> = problems.iter().map(|problem| problem.path.clone()).collect();
        let rules = self.rule_set(&unread, &mut findings);
        problems.extend(findings.0.into_iter().map(|(path, message)| document.problem(path, message)));
        problems.sort_by_key(|problem| problem.position);
        match rules {
            Some(rules) if problems.is_empty() => Ok(self.into_config(rules)),
            _ => Err(Problems(problems)),
        }
    }

    /// Checks the rules again, of a configuration in which nothing but the presets was changed.
    pub(super) fn recheck(self) -> Result<Config, Problems> {
        let document = Document::parse("").map_err(|problem| Problems(vec![problem]))?;
        self.check(&document, Vec::new())
    }

    fn into_config(self, rules: RuleSet) -> Config {
        let raw = Arc::new(self);
        Config {
            server: raw.server.clone(),
            limits: raw.limits.clone(),
            downstream: raw.downstream.clone(),
            tenants: raw.tenants.clone(),
            scores: raw.scores.clone(),
            scrape: raw.scrape.clone(),
            signals: raw.signals.clone(),
            context: raw.context.clone(),
            state: raw.state.clone(),
            model: raw.model.clone(),
            serving: raw.serving.clone(),
            archive: raw.archive.clone(),
            rules: Arc::new(rules),
            raw,
        }
    }

    /// The user's rules and those of the presets; entries that could not be read are left out.
    fn rule_set(&self, unread: &[String], findings: &mut Findings) -> Option<RuleSet> {
        let (mut rules, mut places) = (Vec::new(), Vec::new());
        for (index, raw) in self.rules.iter().enumerate() {
            let at = format!("rules[{index}]");
            if unread.iter().any(|path| path.starts_with(&at)) {
                continue;
            }
            match self.checked(raw) {
                Ok(rule) => {
                    rules.push(rule);
                    places.push(at);
                }
                Err(errors) => report(&at, &errors, findings),
            }
        }
        let presets = self.preset_rules(findings);
        let own = OutputNames::by_templates([self.scores.name_template.as_str()]);
        let place = |error: &RuleSetError| match error {
            RuleSetError::SameName { index, .. } => places.get(*index).cloned(),
            RuleSetError::TooMany { .. } => None,
        };
        RuleSet::compile(presets, rules, own)
            .map_err(|error| findings.add(place(&error).unwrap_or_else(|| "rules".to_owned()), error))
            .ok()
    }

    fn preset_rules(&self, findings: &mut Findings) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (index, preset) in self.presets.iter().enumerate() {
            let at = format!("presets[{index}]");
            match preset.rules() {
                Ok(raw) => {
                    for rule in &raw {
                        rules
                            .extend(self.checked(rule).map_err(|errors| report(&at, &errors, findings)).ok());
                    }
                }
                Err(error) => findings.add(at, error),
            }
        }
        rules
    }

    /// A rule that says nothing about `emit` takes what `scores.emit` says.
    fn checked(&self, raw: &RawRule) -> Result<Rule, Vec<RuleError>> {
        let emit = raw.emit.or(Some(self.scores.emit));
        RawRule { emit, ..raw.clone() }.check()
    }
}

fn report(at: &str, errors: &[RuleError], findings: &mut Findings) {
    for error in errors {
        findings.add(format!("{at}.{}", error.field()), error);
    }
}
