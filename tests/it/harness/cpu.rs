//! A bound on the processor time of a process, by a control group of its own.

use super::tools;
use std::path::PathBuf;

/// The bound; dropped = lifted.
#[derive(Debug)]
pub(crate) struct CpuBound(PathBuf);

// === impl CpuBound ===

impl CpuBound {
    /// Gives the process `percent` of one processor; nothing, counted as a skip, where that cannot be done.
    pub(crate) fn new(process: u32, percent: u32) -> Option<Self> {
        let name = format!("sidelong-it-{process}");
        let version_1 = PathBuf::from("/sys/fs/cgroup/cpu").join(&name);
        let version_2 = PathBuf::from("/sys/fs/cgroup").join(&name);
        let bound = Self::make(version_1, "cpu.cfs_quota_us", &(percent * 1_000).to_string(), process)
            .or_else(|_| Self::make(version_2, "cpu.max", &format!("{} 100000", percent * 1_000), process));
        bound.map_err(|e| tools::skip(&format!("needs a control group: {e}"))).ok()
    }

    fn make(group: PathBuf, file: &str, quota: &str, process: u32) -> std::io::Result<Self> {
        if !group.parent().is_some_and(|root| root.join("cgroup.procs").exists()) {
            return Err(std::io::ErrorKind::NotFound.into());
        }
        std::fs::create_dir(&group)?;
        let bound = Self(group);
        std::fs::write(bound.0.join(file), quota)?;
        std::fs::write(bound.0.join("cgroup.procs"), process.to_string())?;
        Ok(bound)
    }
}

impl Drop for CpuBound {
    fn drop(&mut self) {
        // A group goes when it is empty: its processes move back to the root first.
        let root = self.0.parent().map(|root| root.join("cgroup.procs"));
        let processes = std::fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        for (process, root) in processes.lines().zip(std::iter::repeat(root.unwrap_or_default())) {
            let _ended = std::fs::write(root, process);
        }
        let _gone = std::fs::remove_dir(&self.0);
    }
}
