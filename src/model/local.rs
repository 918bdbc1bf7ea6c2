//! The models that were good lately, on the local disk: a start, and a way back, need nobody else (safety C-9, C-10).
//!
//! Each is a folder of its own, called by its version. `state.json` says which serves, which did before, which one is pinned, and
//! the newest version that was ever trusted. It is written after the checks, so that nothing that failed them raises the bar; it
//! carries its own digest, and is read anew under a lock before it is changed, since people pin versions while a sidecar runs.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::bundle::{Bundle, Digest, Measure, Refusal};
use super::store::put_in_place;
use super::{Model, Source};

const STATE: &str = "state.json";
/// Held by whoever changes the state.
const LOCK: &str = "~lock";
/// Folders of models begin with this; the rest is the version.
const VERSION: &str = "v";
/// So many models that went back by themselves are remembered.
const MAX_QUARANTINED: usize = 64;
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
    /// What models consist of that went back by themselves, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<String>,
}

/// Why a local folder does not do what is asked.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The disk.
    #[error("cannot use the folder {0}")]
    Io(String, #[source] io::Error),
    /// There is no such version.
    #[error("the folder {0} has no version {1}; `sidelong model pin --folder FOLDER` lists what it has")]
    Absent(String, u64),
}

/// A model went back by itself.
#[derive(Debug, thiserror::Error)]
#[error(
    "version {0} went back by itself; `sidelong model quarantine --folder FOLDER --lift` lets it serve again"
)]
pub struct Quarantined(pub u64);

// === impl Local ===

impl Local {
    /// Opens `folder`.
    ///
    /// # Errors
    ///
    /// The folder is none, or cannot be read.
    pub fn open(folder: &Path) -> Result<Self, LocalError> {
        let cannot = |error| LocalError::Io(folder.display().to_string(), error);
        let state = read_state(folder).map_err(cannot)?;
        Ok(Self { folder: folder.to_owned(), state })
    }

    /// The version that is pinned now: people pin while a sidecar runs.
    ///
    /// # Errors
    ///
    /// The disk.
    pub fn pinned(&self) -> Result<Option<u64>, LocalError> {
        Ok(read_state(&self.folder).map_err(|error| self.cannot(error))?.pinned)
    }

    /// What was remembered when it was last looked at.
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
        let State { pinned, serving, before, .. } = self.state.clone();
        let mut tried = Vec::new();
        for version in [pinned, serving, before].into_iter().flatten() {
            if tried.contains(&version) {
                continue;
            }
            tried.push(version);
            let checked = Bundle::read(&self.path(version))
                .map_err(|error| Box::new(error) as Box<dyn std::error::Error>)
                .and_then(|bundle| self.check(&bundle, measure).map_err(Into::into))
                .and_then(|(model, content)| match self.is_quarantined(content) && pinned != Some(version) {
                    true => Err(Box::new(Quarantined(version)) as Box<dyn std::error::Error>),
                    false => Ok(model),
                });
            match checked {
                Ok(model) => return Some(model),
                Err(error) => refused(version, &*error),
            }
        }
        None
    }

    fn check(&self, bundle: &Bundle, measure: &Measure<'_>) -> Result<(Model, Digest), Refusal> {
        let model = bundle.check(&Measure { served: true, ..measure.clone() })?;
        Ok((Model { source: Source::Local, ..model }, bundle.manifest.content()))
    }

    /// Whether a model that consists of this went back by itself.
    pub fn is_quarantined(&self, content: Digest) -> bool {
        self.state.quarantined.contains(&content.to_string())
    }

    /// Has `version`, which consists of `content`, serve no more under whatever number, and the one that served before serve at
    /// the next start.
    ///
    /// # Errors
    ///
    /// The disk.
    pub fn quarantine(&mut self, version: u64, content: Digest) -> Result<(), LocalError> {
        let _alone = self.lock()?;
        let mut state = self.state.clone();
        // It may never have come to the disk.
        if state.serving == Some(version) {
            (state.serving, state.before) = (state.before, None);
        }
        state.quarantined.retain(|known| *known != content.to_string());
        state.quarantined.push(content.to_string());
        let too_many = state.quarantined.len().saturating_sub(MAX_QUARANTINED);
        state.quarantined.drain(..too_many);
        self.save(state)
    }

    /// Lets everything serve again.
    ///
    /// # Errors
    ///
    /// The disk.
    pub fn lift_quarantine(&mut self) -> Result<(), LocalError> {
        let _alone = self.lock()?;
        self.save(State { quarantined: Vec::new(), ..self.state.clone() })
    }

    /// Keeps `bundle`, which was checked and is about to serve, and forgets all but it, the one before and the pinned one.
    ///
    /// # Errors
    ///
    /// The disk. The model may serve all the same.
    pub fn keep(&mut self, bundle: &Bundle) -> Result<(), LocalError> {
        let version = bundle.manifest.version;
        let _alone = self.lock()?;
        self.write(bundle).map_err(|error| self.cannot(error))?;
        let State { newest, serving, before, pinned, quarantined } = self.state.clone();
        let before = if serving == Some(version) { before } else { serving };
        self.save(State {
            newest: newest.max(version),
            serving: Some(version),
            before,
            pinned,
            quarantined,
        })?;
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
        fs::rename(&unfinished, &path)?;
        File::open(&self.folder)?.sync_all()
    }

    /// Has `version` serve from the next start on, whatever the store says; nothing: as the store says.
    ///
    /// # Errors
    ///
    /// The version is not here, or the disk.
    pub fn pin(&mut self, version: Option<u64>) -> Result<(), LocalError> {
        let _alone = self.lock()?;
        if let Some(version) = version.filter(|version| !self.path(*version).is_dir()) {
            return Err(LocalError::Absent(self.folder.display().to_string(), version));
        }
        self.save(State { pinned: version, ..self.state.clone() })
    }

    /// Keeps others from changing the state until what is given is dropped, and reads it anew.
    fn lock(&mut self) -> Result<File, LocalError> {
        let take = || {
            let lock = File::options().create(true).append(true).open(self.folder.join(LOCK))?;
            lock.lock()?;
            Ok((lock, read_state(&self.folder)?))
        };
        let (lock, state) = take().map_err(|error| self.cannot(error))?;
        self.state = state;
        Ok(lock)
    }

    fn save(&mut self, state: State) -> Result<(), LocalError> {
        let text = state.to_text().map_err(|error| self.cannot(error))?;
        put_in_place(&self.folder.join(STATE), text.as_bytes()).map_err(|error| self.cannot(error))?;
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
    /// A line of JSON, and a line with the digest of the first.
    fn to_text(&self) -> io::Result<String> {
        let line = serde_json::to_string(self)?;
        let digest = Digest::of(line.as_bytes());
        Ok(format!("{line}\n{digest}\n"))
    }

    /// What [`Self::to_text`] wrote; nothing of a text in which a bit is another one.
    fn of_text(text: &str) -> Option<Self> {
        let (line, digest) = text.trim_end().split_once('\n')?;
        let is_whole = digest == Digest::of(line.as_bytes()).to_string();
        is_whole.then(|| serde_json::from_str(line).ok())?
    }

    /// What folders alone say.
    fn of(versions: &[u64]) -> Self {
        let mut newest = versions.iter().rev().copied();
        let serving = newest.next();
        Self { newest: serving.unwrap_or(0), serving, before: newest.next(), ..Self::default() }
    }
}

/// What is remembered in `folder`. What is damaged is told, and what the folders say is believed in its place.
fn read_state(folder: &Path) -> io::Result<State> {
    let of_folders = || Ok(State::of(&versions(folder)?));
    match fs::read(folder.join(STATE)) {
        Ok(bytes) => match State::of_text(&String::from_utf8_lossy(&bytes)) {
            Some(state) => Ok(state),
            None => {
                tracing::warn!(folder = %folder.display(), "the state of local models is damaged; the newest one counts");
                of_folders()
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => of_folders(),
        Err(error) => Err(error),
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
