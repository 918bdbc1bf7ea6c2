//! A child process that ends with its test, and whose log is shown when the test fails.

use super::{eventually, scratch::Scratch};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// A running program in a process group of its own; dropped = the whole group is killed.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

// === impl Process ===

impl Process {
    /// Starts `command`, its output going to a log in `scratch`.
    pub(crate) fn start(scratch: &Scratch, name: &str, command: &mut Command) -> Self {
        let log = scratch.path().join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        Self { name: name.to_owned(), child, log }
    }

    /// Waits until `url` answers 200, or panics: at once if the process ends, else with patience.
    pub(crate) async fn ready(mut self, url: &str) -> Self {
        let name = self.name.clone();
        eventually(&format!("{name} is ready at {url}"), || {
            let over = self.child.try_wait().unwrap();
            let url = url.to_owned();
            async move {
                assert!(over.is_none(), "{} ended before it was ready: {over:?}", name_of(&url));
                let answer = super::http::get(&url).await.ok()?;
                (answer.status == 200).then_some(())
            }
        })
        .await;
        self
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it has written so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process_group(self.pid(), signal).unwrap();
    }

    pub(crate) fn running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Whether every thread of it stands still, by a SIGSTOP.
    pub(crate) fn stopped(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.id())).unwrap();
        threads.flatten().all(|thread| {
            let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            status.lines().any(|line| line.starts_with("State:") && line.contains("T (stopped)"))
        })
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let name = self.name.clone();
        eventually(&format!("{name} has ended"), || std::future::ready(self.child.try_wait().unwrap())).await
    }

    /// Asks it to end as an operator does, and waits for its end.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended().await
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself: then there is no group to kill.
        let _ended = kill_process_group(self.pid(), Signal::KILL);
        let _status = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {} ({})\n{}", self.name, self.log.display(), tail(&self.log));
        }
    }
}

fn name_of(url: &str) -> &str {
    url.strip_prefix("http://").unwrap_or(url)
}

/// The last lines of a log: enough to see why, not so much as to hide it.
fn tail(log: &Path) -> String {
    let text = std::fs::read(log).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}
