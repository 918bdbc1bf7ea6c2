//! What is announced while Sidelong runs: taken, kept beyond a restart, and withdrawn.

use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rand::Rng;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use super::status::Current;
use crate::admin::{Announcing, Denied, Refused};
use crate::context::{Announced, Announcement, Board};
use crate::pipeline::Pipeline;

/// Takes announcements for the corridor.
#[derive(Debug)]
pub(super) struct Announcer {
    pipeline: Arc<Pipeline>,
    current: Arc<Current>,
    /// Where announcements are kept, if they are.
    file: Option<PathBuf>,
    /// The clock, in milliseconds since the epoch.
    clock: fn() -> i64,
    /// One at a time: each is written before it is in force.
    turn: Mutex<()>,
}

/// The name of the file in `state.folder`.
const FILE: &str = "announced.json";
/// The largest file that is read.
const MAX_FILE: u64 = 64 << 20;
/// What is over is kept for as long, since samples may come late.
const KEPT_MS: i64 = 86_400_000;

// === impl Announcer ===

impl Announcer {
    /// Takes announcements for `pipeline` as `current` allows, and keeps them in `folder`, if there is one.
    pub(super) fn new(
        pipeline: Arc<Pipeline>,
        current: Arc<Current>,
        folder: Option<&Path>,
        clock: fn() -> i64,
    ) -> Self {
        let file = folder.map(|folder| folder.join(FILE));
        Self { pipeline, current, file, clock, turn: Mutex::default() }
    }

    /// Puts in force again what was announced before a restart.
    pub(super) fn restore(&self) {
        let Some(path) = &self.file else { return };
        let kept = match read(path) {
            Ok(kept) => kept,
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "what was announced cannot be read; it is not in force");
                return;
            }
        };
        let oldest = (self.clock)() - KEPT_MS;
        let most = self.current.get().context.announce.max_announced as usize;
        let restored = self.pipeline.change_board(|board| {
            let announced: Vec<_> = kept
                .iter()
                .filter_map(|announcement| announced(board, announcement))
                .filter(|announced| announced.window.until_ms > oldest)
                .take(most)
                .collect();
            let count = announced.len();
            (Some(board.announcing(announced)), count)
        });
        tracing::info!(path = %path.display(), restored, "contexts that were announced are in force again");
    }

    /// Writes `announced`, if it is kept at all: what cannot be written is not put in force.
    fn keep<'a>(&self, announced: impl Iterator<Item = &'a Announced>) -> Result<(), Refused> {
        let Some(path) = &self.file else { return Ok(()) };
        let all: Vec<_> = announced.map(Announcement::of).collect();
        write(path, &all).map_err(|error| Refused::Unwritten(error.to_string()))
    }

    fn put_in_force(&self, announced: Vec<Announced>) -> Result<(), Refused> {
        self.keep(announced.iter())?;
        self.pipeline.change_board(|board| (Some(board.announcing(announced)), ()));
        Ok(())
    }

    /// What is announced, but for what is over for long.
    fn present(&self, board: &Board) -> Vec<Announced> {
        let oldest = (self.clock)() - KEPT_MS;
        board.announced().iter().filter(|announced| announced.window.until_ms > oldest).cloned().collect()
    }
}

/// What `board` says where `announcement` holds; nothing where that is wrong.
fn announced(board: &Board, announcement: &Announcement) -> Option<Announced> {
    match announcement.context() {
        Ok((window, context)) => Some(board.announcement(announcement.id.as_str(), window, context)),
        Err(error) => {
            tracing::warn!(%error, id = announcement.id, "something that was announced is wrong; it is not in force");
            None
        }
    }
}

impl Announcing for Announcer {
    fn admit(&self, token: Option<&str>) -> Result<(), Denied> {
        let config = self.current.get();
        let announce = &config.context.announce;
        let wanted = match (&announce.token, &announce.token_file) {
            (Some(token), _) => token.clone(),
            (None, Some(file)) => file.read().map_err(|error| Denied::Unknown(error.to_string()))?,
            (None, None) => return Err(Denied::Nobody),
        };
        let is_it = token.is_some_and(|token| bool::from(token.as_bytes().ct_eq(wanted.expose().as_bytes())));
        if is_it { Ok(()) } else { Err(Denied::Stranger) }
    }

    fn list(&self) -> Value {
        let board = self.pipeline.board();
        json!(self.present(&board).iter().map(Announcement::of).collect::<Vec<_>>())
    }

    fn announce(&self, announcement: Announcement) -> Result<(bool, Announcement), Refused> {
        let wrong = |text: String| Refused::Wrong(text);
        if !announcement.id.is_empty() {
            return Err(wrong("id: leave it out; Sidelong gives it".into()));
        }
        let (window, context) = announcement.context().map_err(|error| wrong(error.to_string()))?;
        let config = self.current.get();
        let announce = &config.context.announce;
        if u64::try_from(window.until_ms - window.from_ms)
            .is_ok_and(|ms| ms > announce.max_duration.as_millis())
        {
            return Err(wrong(format!(
                "it would last longer than context.announce.max_duration, {}",
                announce.max_duration
            )));
        }
        if window.until_ms <= (self.clock)() {
            return Err(wrong("end: it would be over already".into()));
        }
        let _turn = self.turn.lock();
        let board = self.pipeline.board();
        let mut all = self.present(&board);
        let new = board.announcement(format!("{:016x}", rand::rng().random::<u64>()), window, context);
        // Whoever did not hear our answer says it again.
        let said = Announcement::of(&new);
        if let Some(known) = all.iter().map(Announcement::of).find(|known| known.says(&said)) {
            return Ok((false, known));
        }
        if all.len() >= announce.max_announced as usize {
            return Err(Refused::Full(all.len()));
        }
        // What is over goes only where its room is wanted: series need not be asked of all the others again.
        if board.announced().len() >= announce.max_announced as usize {
            all.push(new);
            self.put_in_force(all)?;
        } else {
            self.keep(board.announced().iter().chain([&new]))?;
            self.pipeline.change_board(|board| (Some(board.adding(new)), ()));
        }
        tracing::info!(id = said.id, name = ?said.name, series = ?said.matches, start = said.start, end = said.end,
            effect = said.effect.as_str(), "a context was announced");
        Ok((true, said))
    }

    fn withdraw(&self, id: &str) -> Result<bool, Refused> {
        let _turn = self.turn.lock();
        let board = self.pipeline.board();
        let mut all = self.present(&board);
        let Some(at) = all.iter().position(|announced| &*announced.id == id) else { return Ok(false) };
        let gone = all.remove(at);
        self.put_in_force(all)?;
        tracing::info!(id, name = ?gone.context.name, "an announced context was withdrawn");
        Ok(true)
    }
}

fn read(path: &Path) -> io::Result<Vec<Announcement>> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_FILE).read_to_string(&mut text)?;
    serde_json::from_str(&text).map_err(io::Error::from)
}

/// Writes all of it, or leaves what there was.
fn write(path: &Path, all: &[Announcement]) -> io::Result<()> {
    let unfinished = path.with_extension("json.unfinished");
    let mut file = std::fs::File::create(&unfinished)?;
    file.write_all(&serde_json::to_vec_pretty(all)?)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
#[path = "announcer_tests.rs"]
mod tests;
