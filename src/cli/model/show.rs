//! `sidelong model ls`, `show`, `diff` and `verify`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

use super::{Place, now_ms, read};
use crate::backtest::Moment;
use crate::model::bundle::{Bundle, Measure, Trust};
use crate::model::registry::Registry;

/// List the versions, the candidates and who became champion when.
#[derive(Clone, Debug, Args)]
pub(super) struct Ls {
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Say what a version or a candidate holds.
#[derive(Clone, Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    place: Place,
    /// A version's number, or the first digits of a candidate's name.
    #[arg(value_name = "VERSION|CANDIDATE")]
    which: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Say in what two versions or candidates differ.
#[derive(Clone, Debug, Args)]
pub(super) struct Diff {
    #[command(flatten)]
    place: Place,
    /// A version's number, or the first digits of a candidate's name.
    #[arg(value_name = "VERSION|CANDIDATE")]
    one: String,
    /// The other one.
    #[arg(value_name = "VERSION|CANDIDATE")]
    other: String,
}

/// Check a bundle in a folder as a sidecar would: signature, hashes, sizes, numbers, golden vectors.
#[derive(Clone, Debug, Args)]
pub(super) struct Verify {
    /// The bundle.
    #[arg(value_name = "FOLDER")]
    bundle: PathBuf,
    /// A public key that is trusted, as `keygen` prints it. Without one the signature is not looked at.
    #[arg(long = "trust", value_name = "KEY")]
    trusted: Vec<String>,
}

// === impl Ls ===

impl Ls {
    pub(super) async fn run(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let registry = self.place.registry()?;
        let (champion, log) = (registry.champion().await?, registry.log().await?);
        let (versions, candidates) = (registry.versions().await?, registry.candidates().await?);
        if self.json {
            let all = json!({
                "model": registry.model(), "champion": champion, "versions": versions,
                "candidates": candidates, "log": log,
            });
            writeln!(out, "{all:#}")?;
            return Ok(());
        }
        for version in versions {
            let entry = log.iter().find(|entry| entry.version == version);
            let mark = if champion == Some(version) { "champion" } else { "" };
            let told = entry.map(|entry| {
                let led = entry.episode.as_ref().map(|episode| format!(" (episode {episode})"));
                let led = led.unwrap_or_default();
                format!("{} {} {}{led}", Moment(entry.at_ms), entry.key_id, entry.reason)
            });
            writeln!(out, "version {version:<6} {mark:<9} {}", told.unwrap_or_default())?;
        }
        if log.is_empty() && candidates.is_empty() {
            writeln!(out, "the store has no model called {}", registry.model())?;
        }
        candidates.iter().try_for_each(|candidate| writeln!(out, "candidate {candidate}"))?;
        Ok(())
    }
}

// === impl Show ===

impl Show {
    pub(super) async fn run(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let bundle = find(&self.place.registry()?, &self.which).await?;
        let told = told(&bundle)?;
        if self.json {
            writeln!(out, "{told:#}")?;
        } else {
            lines("", &told).iter().try_for_each(|(name, value)| writeln!(out, "{name:<28} {value}"))?;
        }
        Ok(())
    }
}

// === impl Diff ===

impl Diff {
    pub(super) async fn run(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let registry = self.place.registry()?;
        let one = lines("", &told(&find(&registry, &self.one).await?)?);
        let other = lines("", &told(&find(&registry, &self.other).await?)?);
        let value = |of: &[(String, String)], name: &str| {
            of.iter().find(|(own, _)| own == name).map_or("-".to_owned(), |(_, value)| value.clone())
        };
        let mut names: Vec<&String> = one.iter().chain(&other).map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let (before, after) = (value(&one, name), value(&other, name));
            if before != after {
                writeln!(out, "{name:<28} {before} -> {after}")?;
            }
        }
        Ok(())
    }
}

// === impl Verify ===

impl Verify {
    pub(super) async fn run(&self) -> anyhow::Result<()> {
        let bundle = read(&self.bundle)?;
        let keys = self.trusted.iter().map(|key| key.parse().context("--trust"));
        let trust = Trust::new(keys.collect::<anyhow::Result<Vec<_>>>()?, []);
        let measure = Measure {
            model: &bundle.manifest.model,
            trust: &trust,
            newest: 0,
            now_ms: now_ms(),
            max_bytes: u64::MAX,
            served: false,
        };
        let checked = match self.trusted.is_empty() {
            true => bundle.inspect(&measure),
            false => bundle.check(&measure),
        };
        let model = checked.with_context(|| format!("{} is refused", self.bundle.display()))?;
        let signed = if self.trusted.is_empty() { "not looked at" } else { "good" };
        println!("{}: usable; version {}, signature {signed}", bundle.manifest.model, model.version);
        Ok(())
    }
}

pub(in crate::cli) async fn find(registry: &Registry, which: &str) -> anyhow::Result<Bundle> {
    // A number that is a version's is one; else it may begin a candidate's name.
    match which.parse() {
        Ok(version) if registry.versions().await?.contains(&version) => Ok(registry.version(version).await?),
        _ if which.is_empty() => bail!("give a version or the first digits of a candidate"),
        _ => Ok(registry.candidate(which).await?),
    }
}

/// What a bundle says of itself, and the constants that it holds.
fn told(bundle: &Bundle) -> anyhow::Result<Value> {
    let manifest = &bundle.manifest;
    let (_, signed) = Bundle::manifest_of(&bundle.signed)?;
    let files = manifest.files.iter().map(|file| {
        (file.kind.name().to_owned(), json!({ "sha256": file.sha256.to_string(), "bytes": file.size }))
    });
    Ok(json!({
        "model": manifest.model,
        "version": manifest.version,
        "sha256": bundle.sha256().to_string(),
        "content": manifest.content().to_string(),
        "signedBy": signed.key_id,
        "schema": manifest.schema,
        "runtime": { "from": manifest.runtime[0], "to": manifest.runtime[1] },
        "created": Moment(manifest.created_ms).to_string(),
        "expires": if manifest.expires_ms == 0 { "never".to_owned() } else { Moment(manifest.expires_ms).to_string() },
        "parent": manifest.parent.map(|parent| parent.version),
        "window": manifest.window_ms.map(|window| window.map(|at_ms| Moment(at_ms).to_string())),
        "files": files.collect::<serde_json::Map<_, _>>(),
        "threshold": manifest.calibration.threshold,
        "alertsAWeek": manifest.calibration.alerts_a_week,
        "lineage": manifest.lineage,
    }))
}

/// Each number and text on a line of its own, under the names that lead to it.
fn lines(at: &str, value: &Value) -> Vec<(String, String)> {
    match value {
        Value::Object(map) => {
            let below = |(name, value): (&String, &Value)| {
                lines(&if at.is_empty() { name.clone() } else { format!("{at}.{name}") }, value)
            };
            map.iter().flat_map(below).collect()
        }
        Value::String(text) => vec![(at.to_owned(), text.clone())],
        other => vec![(at.to_owned(), other.to_string())],
    }
}
