//! `sidelong state`: what series have learned, between one Sidelong and another.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};

use super::source::is_broken_pipe;
use crate::pipeline::Memory;
use crate::rules::Selector;
use crate::series::ScopeName;
use crate::shard::Shard;
use crate::state::SNAPSHOT;
use crate::state::file::{Reader, Writer};

/// Look at what series have learned, and move it to another Sidelong.
///
/// A running Sidelong writes a snapshot into state.folder every few minutes and at its end, and reads it at its start.
/// Import into the folder of one that is stopped: a running one overwrites it.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct StateArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    Show(Show),
    Export(Export),
    Import(Import),
}

/// Say what a snapshot holds.
#[derive(Clone, Debug, Args)]
struct Show {
    /// A snapshot, or the folder that holds one.
    #[arg(value_name = "FILE|FOLDER")]
    from: PathBuf,
    /// Print each series with the samples that it has seen.
    #[arg(long)]
    series: bool,
}

/// Copy series out of a snapshot into a file.
#[derive(Clone, Debug, Args)]
struct Export {
    /// A snapshot, or the folder that holds one.
    #[arg(value_name = "FILE|FOLDER")]
    from: PathBuf,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Take only series that this PromQL selector matches. May be given more than once; one match is enough.
    #[arg(long = "match", value_name = "SELECTOR")]
    selectors: Vec<String>,
    /// Take only the Ith of N parts, each series being in exactly one of them: 1/3, 2/3 and 3/3 are all.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
}

/// Put the series of files into a folder; of a series that is there, the one that was seen last stays.
#[derive(Clone, Debug, Args)]
struct Import {
    /// The files.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The state.folder of a Sidelong that is stopped.
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  sidelong state show /var/lib/sidelong
  sidelong state export /var/lib/sidelong --match 'node_load1{cluster=\"eu\"}' --out eu.snapshot
  sidelong state export /var/lib/sidelong --shard 1/2 --out first.snapshot
  sidelong state import eu.snapshot --folder /var/lib/sidelong-eu";

/// What tells a series from all others.
type Identity = (bool, Box<str>, Vec<(String, String)>);

/// Runs `sidelong state`.
///
/// # Errors
///
/// A snapshot that cannot be read or written.
pub fn run(args: &StateArgs) -> anyhow::Result<()> {
    match &args.command {
        Command::Show(show) => match show.run(&mut io::stdout().lock()) {
            // Whoever reads the output may have had enough, as `head` has.
            Err(error) if is_broken_pipe(&error) => Ok(()),
            shown => shown,
        },
        Command::Export(export) => export.run(),
        Command::Import(import) => import.run(),
    }
}

// === impl Show ===

impl Show {
    fn run(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let path = snapshot(&self.from);
        let reader = open(&path)?;
        let written = reader.written_ms;
        let (mut count, mut scopes, mut newest) = (0_usize, BTreeMap::<String, usize>::new(), None);
        for memory in reader {
            let memory = memory.with_context(|| unreadable(&path))?;
            count += 1;
            newest = newest.max(memory.seen_ms());
            *scopes.entry(scope_name(&memory.scope)).or_default() += 1;
            if self.series {
                writeln!(out, "{} samples\t{}", memory.state.samples_seen(), spelled(&memory))?;
            }
        }
        writeln!(out, "{}: {count} series, written {}", path.display(), time(written))?;
        if let Some(newest) = newest {
            writeln!(out, "newest sample {}", time(newest))?;
        }
        for (scope, count) in scopes {
            writeln!(out, "  {scope}: {count} series")?;
        }
        Ok(())
    }
}

// === impl Export ===

impl Export {
    fn run(&self) -> anyhow::Result<()> {
        let parsed = self
            .selectors
            .iter()
            .map(|text| text.parse().with_context(|| format!("{text:?} is no selector (--match)")));
        let selectors: Vec<Selector> = parsed.collect::<anyhow::Result<_>>()?;
        let path = snapshot(&self.from);
        let reader = open(&path)?;
        let mut writer = create(&self.out, reader.written_ms)?;
        let (mut taken, mut all) = (0_usize, 0_usize);
        for memory in reader {
            let memory = memory.with_context(|| unreadable(&path))?;
            all += 1;
            let labels: Vec<_> = memory.labels.iter().map(|(name, value)| (&**name, &**value)).collect();
            let is_selected = selectors.is_empty() || selectors.iter().any(|one| one.matches(&labels));
            if is_selected && self.shard.is_none_or(|shard| shard.has(fingerprint(&memory))) {
                writer.add(&memory).with_context(|| unwritable(&self.out))?;
                taken += 1;
            }
        }
        writer.finish().with_context(|| unwritable(&self.out))?;
        println!("wrote {taken} of {all} series to {}", self.out.display());
        Ok(())
    }
}

// === impl Import ===

impl Import {
    fn run(&self) -> anyhow::Result<()> {
        ensure!(self.folder.is_dir(), "{} is no folder (--folder)", self.folder.display());
        let target = self.folder.join(SNAPSHOT);
        let mut series: BTreeMap<Identity, Memory> = BTreeMap::new();
        let (mut written, mut read) = (0, 0_usize);
        let present = fs::exists(&target).with_context(|| unreadable(&target))?.then_some(&target);
        for path in present.into_iter().chain(&self.files) {
            let reader = open(path)?;
            written = written.max(reader.written_ms);
            for memory in reader {
                let memory = memory.with_context(|| unreadable(path))?;
                read += 1;
                keep_newest(&mut series, memory);
            }
        }
        let mut writer = create(&target, written)?;
        for memory in series.values() {
            writer.add(memory).with_context(|| unwritable(&target))?;
        }
        writer.finish().with_context(|| unwritable(&target))?;
        println!("{} holds {} series now, of {read} read", target.display(), series.len());
        Ok(())
    }
}

fn keep_newest(series: &mut BTreeMap<Identity, Memory>, memory: Memory) {
    let is_newer = |other: &Memory| memory.seen_ms() > other.seen_ms();
    let identity = identity(&memory);
    if series.get(&identity).is_none_or(is_newer) {
        series.insert(identity, memory);
    }
}

fn identity(memory: &Memory) -> Identity {
    let (is_target, name) = match &memory.scope {
        ScopeName::Tenant(name) => (false, name),
        ScopeName::Target(name) => (true, name),
    };
    (is_target, name.clone(), memory.labels.clone())
}

/// By the labels alone, so that a series is in the same part on every machine.
fn fingerprint(memory: &Memory) -> u64 {
    let mut bytes = Vec::new();
    for text in memory.labels.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0xff);
    }
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

fn snapshot(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(SNAPSHOT) } else { path.to_owned() }
}

fn open(path: &Path) -> anyhow::Result<Reader<std::io::BufReader<fs::File>>> {
    Reader::open(path).with_context(|| unreadable(path))
}

fn create(path: &Path, written_ms: i64) -> anyhow::Result<Writer> {
    Writer::create(path, written_ms).with_context(|| unwritable(path))
}

fn unreadable(path: &Path) -> String {
    format!("cannot read {}", path.display())
}

fn unwritable(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

fn scope_name(scope: &ScopeName) -> String {
    match scope {
        ScopeName::Tenant(name) if name.is_empty() => "pushed without a tenant".to_owned(),
        ScopeName::Tenant(name) => format!("tenant {name}"),
        ScopeName::Target(name) => format!("target {name}"),
    }
}

/// The series as PromQL spells it.
fn spelled(memory: &Memory) -> String {
    let (mut name, mut labels) = ("", Vec::new());
    for (label, value) in &memory.labels {
        match label.as_str() {
            crate::series::labels::METRIC_NAME => name = value,
            label => labels.push(format!("{label}={value:?}")),
        }
    }
    if labels.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(",")) }
}

fn time(at_ms: i64) -> String {
    let since = std::time::Duration::from_millis(u64::try_from(at_ms).unwrap_or_default());
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + since)
}
