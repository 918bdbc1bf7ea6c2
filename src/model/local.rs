//! The models that were good lately, on the local disk: a start, and a way back, need nobody else (safety C-9, C-10).
//!
//! Each is a folder of its own, called by its version. `state.json` says which serves, which did before, which one is pinned, and
//! the newest version that was ever trusted. It is written after the checks, so that nothing that failed them raises the bar.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::bundle::{Bundle, Measure, Refusal};
use super::store::put_in_place;
use super::{Model, Source};

const STATE: &str = "state.json";
/// Folders of models begin with this; the rest is the version.
const VERSION: &str = "v";
/// A folder that is being written.
const UNFINISHED: &str = "~unfinished";

/// A folder of models.
#[derive(Debug)]
pub struct Local {
    folder: PathBuf,
    state: State,
}

/// What is remembered of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The newest version that was ever trusted.
    pub newest: u64,
    /// The version that serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<u64>,
    /// The one that did before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// The one that is to serve whatever the store says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<u64>,
}

/// Why a local folder does not do what is asked.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The disk.
    #[error("cannot use the folder {0}")]
    Io(String, #[source] io::Error),
    /// There is no such version.
    #[error("the folder {0} has no version {1}; `sidelong model ls --local FOLDER` lists what it has")]
    Absent(String, u64),
}

// === impl Local ===

impl Local {
    /// Opens `folder`. A state that cannot be read is told, and what the folders say is believed in its place.
    ///
    /// # Errors
    ///
    /// The folder is none, or cannot be read.
    pub fn open(folder: &Path) -> Result<Self, LocalError> {
        let cannot = |error| LocalError::Io(folder.display().to_string(), error);
        let versions = versions(folder).map_err(cannot)?;
        let state = match fs::read(folder.join(STATE)) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!(folder = %folder.display(), %error, "the state of local models is damaged; the newest one counts");
                State::of(&versions)
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::of(&versions),
            Err(error) => return Err(cannot(error)),
        };
        Ok(Self { folder: folder.to_owned(), state })
    }

    /// What is remembered.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The versions that are there, rising.
    ///
    /// # Errors
    ///
    /// The disk.
    pub fn versions(&self) -> Result<Vec<u64>, LocalError> {
        versions(&self.folder).map_err(|error| self.cannot(error))
    }

    /// The best model that is here: the pinned one, else the one that served last, else the one before. Each is checked as if it
    /// came from far away; those that fail are told to `refused`.
    pub fn best(
        &self,
        measure: &Measure<'_>,
        mut refused: impl FnMut(u64, &dyn std::error::Error),
    ) -> Option<Model> {
        let State { pinned, serving, before, .. } = self.state;
        let mut tried = Vec::new();
        for version in [pinned, serving, before].into_iter().flatten() {
            if tried.contains(&version) {
                continue;
            }
            tried.push(version);
            let checked = Bundle::read(&self.path(version))
                .map_err(|error| Box::new(error) as Box<dyn std::error::Error>)
                .and_then(|bundle| self.check(&bundle, measure).map_err(Into::into));
            match checked {
                Ok(model) => return Some(model),
                Err(error) => refused(version, &*error),
            }
        }
        None
    }

    fn check(&self, bundle: &Bundle, measure: &Measure<'_>) -> Result<Model, Refusal> {
        let model = bundle.check(&Measure { served: true, ..measure.clone() })?;
        Ok(Model { source: Source::Local, ..model })
    }

    /// Keeps `bundle`, which was checked and is about to serve, and forgets all but it, the one before and the pinned one.
    ///
    /// # Errors
    ///
    /// The disk. The model may serve all the same.
    pub fn keep(&mut self, bundle: &Bundle) -> Result<(), LocalError> {
        let version = bundle.manifest.version;
        self.write(bundle).map_err(|error| self.cannot(error))?;
        let State { newest, serving, before, pinned } = self.state;
        let before = if serving == Some(version) { before } else { serving };
        self.save(State { newest: newest.max(version), serving: Some(version), before, pinned })?;
        for old in self.versions()? {
            if ![Some(version), before, pinned].contains(&Some(old)) {
                fs::remove_dir_all(self.path(old)).map_err(|error| self.cannot(error))?;
            }
        }
        Ok(())
    }

    fn write(&self, bundle: &Bundle) -> io::Result<()> {
        let path = self.path(bundle.manifest.version);
        let unfinished = path.with_added_extension(UNFINISHED);
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        bundle.write(&unfinished)?;
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::rename(&unfinished, &path)
    }

    /// Has `version` serve from the next start on, whatever the store says; nothing: as the store says.
    ///
    /// # Errors
    ///
    /// The version is not here, or the disk.
    pub fn pin(&mut self, version: Option<u64>) -> Result<(), LocalError> {
        if let Some(version) = version.filter(|version| !self.path(*version).is_dir()) {
            return Err(LocalError::Absent(self.folder.display().to_string(), version));
        }
        self.save(State { pinned: version, ..self.state.clone() })
    }

    fn save(&mut self, state: State) -> Result<(), LocalError> {
        let text = serde_json::to_vec(&state).map_err(|error| self.cannot(error.into()))?;
        put_in_place(&self.folder.join(STATE), &text).map_err(|error| self.cannot(error))?;
        self.state = state;
        Ok(())
    }

    fn path(&self, version: u64) -> PathBuf {
        self.folder.join(format!("{VERSION}{version}"))
    }

    fn cannot(&self, error: io::Error) -> LocalError {
        LocalError::Io(self.folder.display().to_string(), error)
    }
}

// === impl State ===

impl State {
    /// What folders alone say.
    fn of(versions: &[u64]) -> Self {
        let mut newest = versions.iter().rev().copied();
        let serving = newest.next();
        Self { newest: serving.unwrap_or(0), serving, before: newest.next(), pinned: None }
    }
}

fn versions(folder: &Path) -> io::Result<Vec<u64>> {
    let mut versions = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        versions.extend(name.to_str().and_then(|name| name.strip_prefix(VERSION)?.parse::<u64>().ok()));
    }
    versions.sort_unstable();
    Ok(versions)
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
