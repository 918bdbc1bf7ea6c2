//! Any text as a configuration file: no panic, what is taken can be shown, and what is wrong is somewhere in the file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sidelong::config::Config;

/// Some variables are set.
fn environment(name: &str) -> Option<String> {
    name.ends_with('A').then(|| "1".to_owned())
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Config::from_yaml(text, &environment) {
        Ok(config) => drop(config.to_yaml().expect("what was read can be shown")),
        Err(problems) => {
            let lines = text.split(['\r', '\n']).count();
            assert!(!problems.0.is_empty());
            assert!(problems.0.iter().all(|problem| problem.position.line <= lines), "{problems}");
        }
    }
});
