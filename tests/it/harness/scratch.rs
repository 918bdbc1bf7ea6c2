//! A folder for each test: configurations, data and logs of the processes it starts.

use std::path::{Path, PathBuf};

/// A folder that is gone when its test is, unless the test failed or `SIDELONG_KEEP_LOGS` is set.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: Option<tempfile::TempDir>,
}

// === impl Scratch ===

impl Scratch {
    pub(crate) fn new() -> Self {
        Self { folder: Some(tempfile::Builder::new().prefix("sidelong-it-").tempdir().unwrap()) }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.as_ref().expect("taken on drop alone").path()
    }

    /// A new folder below this one.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Writes a file and says where it is.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let keep = std::thread::panicking() || std::env::var_os("SIDELONG_KEEP_LOGS").is_some();
        if let (true, Some(folder)) = (keep, self.folder.take()) {
            eprintln!("kept: {}", folder.keep().display());
        }
    }
}
