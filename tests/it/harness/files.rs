//! How many files this process and the ones it starts may open.

use super::tools;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Allows `least` open files at the least; nothing, counted as a skip, where that is not to be had.
pub(crate) fn raise(least: u64) -> Option<()> {
    let now = getrlimit(Resource::Nofile);
    if now.current.is_none_or(|files| files >= least) {
        return Some(());
    }
    // Root may raise the hard limit too.
    let maximum = now.maximum.map(|files| files.max(least));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(least), maximum });
    raised.map_err(|e| tools::skip(&format!("needs {least} open files: {e}"))).ok()
}
