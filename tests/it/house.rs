//! The house's own rules: each prescribed package has one home, the corridor is synchronous, a room is a folder, and
//! nothing refers outside the clone.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A package, as code names it, and the only places in `src/` that may. Each of them does: a home that stands empty is a
/// door left open.
const HOMES: &[(&str, &[&str])] = &[
    ("prost", &["wire"]),
    ("snap", &["wire/compression"]),
    ("flate2", &["wire/compression"]),
    // The doors, the way out through `net::client`, and the exporter that is a small door of its own.
    ("hyper", &["net", "ingest", "simulate/serve.rs"]),
    ("tower", &["net", "ingest", "simulate/serve.rs"]),
    // Whatever waits: the ends, the side rooms that serve, sign or follow a store, and the frame. Never the corridor, `wire` or
    // `config`.
    (
        "tokio",
        &[
            "net",
            "ingest",
            "forward",
            "admin",
            "aws",
            "simulate/serve.rs",
            "backtest/source/api.rs",
            "backtest/writer.rs",
            "state/keeper.rs",
            "archive/depot.rs",
            "model/store/folder.rs",
            "model/watcher.rs",
            "tracking/client.rs",
            "serve/door.rs",
            "app",
            "cli",
        ],
    ),
    // What is swapped under load and read without a lock.
    ("arc_swap", &["model", "net/web"]),
    // The index of the series table, and registries.
    ("dashmap", &["series", "inject", "forward/scores"]),
    // Linear algebra of the ARIMA models.
    ("nalgebra", &["train"]),
    ("aws_config", &["aws"]),
    ("aws_credential_types", &["aws"]),
    ("aws_sdk_s3", &["aws"]),
    ("aws_sigv4", &["aws"]),
    ("aws_smithy_http_client", &["aws"]),
    ("aws_smithy_runtime_api", &["aws"]),
    // Files of past series.
    ("parquet", &["backtest", "archive"]),
    // Reads Sidelong's own metrics; user data never, since it drops valid lines.
    ("prometheus_parse", &["cli/admin.rs"]),
];

/// Packages that must have a home as soon as they are dependencies; those that begin so, where it ends in `_`.
const PRESCRIBED: &[&str] = &[
    "prost",
    "snap",
    "flate2",
    "hyper",
    "tower",
    "tokio",
    "arc_swap",
    "dashmap",
    "prometheus_parse",
    "aws_",
    "kube",
    "ndarray",
    "nalgebra",
];

/// The rooms that data walks through.
const CORRIDOR: &[&str] = &[
    "batch", "series", "signals", "context", "detect", "inject", "rules", "pipeline", "prefetch", "scatter",
];

/// What a room of the corridor may use besides the corridor, and why.
const BESIDE_THE_CORRIDOR: &[(&str, &str)] = &[
    // The handle of the model, loaded once a batch.
    ("pipeline", "model"),
    // Presets are YAML within the binary.
    ("rules", "config"),
];

/// What would make the corridor wait, or tie it to a format or a protocol.
const NOT_IN_THE_CORRIDOR: &[&str] = &[
    "async fn",
    "async move",
    ".await",
    "tokio::",
    "hyper::",
    "http::",
    "prost::",
    "axum::",
    "std::net",
    "std::fs",
    "wire::generated",
];

/// Every file below `folder`, but what a build leaves there.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let hidden = path.file_name().is_some_and(|n| n == "target" || n == "corpus" || n == ".git");
        match path.is_dir() {
            _ if hidden => {}
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

/// Lines of code of the Rust files below `src/`: place below `src/`, number, text. Tests may use oracles.
fn code() -> Vec<(String, usize, String)> {
    let mut lines = Vec::new();
    for file in files(Path::new("src")) {
        let place = file.strip_prefix("src").unwrap().to_str().unwrap().to_owned();
        let of_tests = |part: &str| part.starts_with("test") || part.ends_with("_tests.rs");
        if !place.ends_with(".rs") || place.split('/').any(of_tests) {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let own = text.split("#[cfg(test)]\nmod").next().unwrap_or_default();
        let code = own.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        lines.extend(code.map(|(n, line)| (place.clone(), n + 1, line.to_owned())));
    }
    lines
}

/// Whether `line` uses the crate `package`: `package::` or `::package::`, and no longer name that ends so.
fn uses(line: &str, package: &str) -> bool {
    let name = format!("{package}::");
    let part_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices(&name).any(|(at, _)| {
        let before = line.split_at(at).0;
        // A leading `::` begins a path; one behind a name goes on with it.
        let before = before.strip_suffix("::").unwrap_or(before);
        !before.ends_with(part_of_name)
    })
}

#[test]
fn a_use_of_a_package_is_seen_in_whatever_way_it_is_written() {
    let check = |line, want| assert_eq!(uses(line, "tower"), want, "{line}");
    check("use tower::Service;", true);
    check("impl<B> ::tower::Service<B> for Door", true);
    check("    x: Option<tower::util::BoxService>,", true);
    check("use crate::net::tower::Tower;", false);
    check("use watchtower::Tower;", false);
    check("let tower = 1;", false);
}

/// Functions whose last digits differ between platforms and versions of the compiler. The square root is exact
/// everywhere.
const INEXACT: &[&str] = &[
    "ln(", "ln_1p(", "log(", "log2(", "log10(", "exp(", "exp2(", "exp_m1(", "powf(", "powi(", "sin(", "cos(",
    "tan(", "sin_cos(", "asin(", "acos(", "atan(", "atan2(", "sinh(", "cosh(", "tanh(", "cbrt(", "hypot(",
];

#[test]
fn the_corridor_computes_the_same_on_every_machine() {
    let is_called = |line: &str, name: &str| {
        ["f32::", "f64::", "."].iter().any(|by| line.contains(&format!("{by}{name}")))
    };
    assert!(
        is_called("x.powi(2)", "powi(")
            && is_called("f32::ln(x)", "ln(")
            && !is_called("math::log2(x)", "log2(")
    );
    let mut inexact = Vec::new();
    for (place, number, line) in code() {
        if CORRIDOR.iter().any(|room| in_room(&place, room))
            && INEXACT.iter().any(|name| is_called(&line, name))
        {
            inexact.push(format!("src/{place}:{number}: {line}"));
        }
    }
    assert!(inexact.is_empty(), "use detect/hybrid/math.rs:\n{}", inexact.join("\n"));
}

/// A room is `NAME.rs` or all below `NAME/`.
fn in_room(place: &str, room: &str) -> bool {
    place.strip_prefix(room).is_some_and(|rest| rest.is_empty() || rest == ".rs" || rest.starts_with('/'))
}

#[test]
fn each_package_has_its_home() {
    let mut strays = Vec::new();
    for (place, number, line) in code() {
        for (package, homes) in HOMES {
            if uses(&line, package) && !homes.iter().any(|home| in_room(&place, home)) {
                strays.push(format!("src/{place}:{number}: {package} lives in {homes:?}"));
            }
        }
    }
    assert!(strays.is_empty(), "{}", strays.join("\n"));
}

/// The packages that Sidelong itself depends on, as code names them; those of tests and builds are no part of it.
fn dependencies() -> Vec<String> {
    let command = ["metadata", "--locked", "--no-deps", "--format-version=1"];
    let output = Command::new(env!("CARGO")).args(command).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let own = packages.iter().find(|package| package["name"] == "sidelong").unwrap();
    let normal = own["dependencies"].as_array().unwrap().iter().filter(|package| package["kind"].is_null());
    normal.map(|package| package["name"].as_str().unwrap().replace('-', "_")).collect()
}

#[test]
fn each_prescribed_package_has_a_home_and_lives_in_all_of_it() {
    let (dependencies, code) = (dependencies(), code());
    let is = |name: &String, of: &str| name == of || of.ends_with('_') && name.starts_with(of);
    let prescribed = dependencies.iter().filter(|name| PRESCRIBED.iter().any(|of| is(name, of)));
    let mut wrong: Vec<_> = prescribed
        .filter(|name| !HOMES.iter().any(|(package, _)| package == name))
        .map(|name| format!("{name} is a dependency without a home"))
        .collect();
    for (package, homes) in HOMES {
        if !dependencies.iter().any(|name| name == package) {
            wrong.push(format!("{package} has a home and is no dependency"));
        }
        let stands_empty =
            |home: &&&str| !code.iter().any(|(place, _, line)| in_room(place, home) && uses(line, package));
        let empty = homes.iter().filter(stands_empty);
        wrong.extend(empty.map(|home| format!("{package} does not live in {home}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_corridor_waits_for_nothing_and_knows_no_format() {
    let mut strays = Vec::new();
    for (place, number, line) in code() {
        if !CORRIDOR.iter().any(|room| in_room(&place, room)) {
            continue;
        }
        for word in NOT_IN_THE_CORRIDOR {
            if line.contains(word) {
                strays.push(format!("src/{place}:{number}: {word}"));
            }
        }
    }
    assert!(strays.is_empty(), "{}", strays.join("\n"));
}

/// The rooms that `line` names: the words behind `crate::` and, in the top file of a room, behind `super::`.
fn rooms_named<'a>(place: &str, line: &'a str) -> Vec<&'a str> {
    let top = place.split('/').count() == 1 || place.split('/').count() == 2 && place.ends_with("/mod.rs");
    let behind =
        |root: &'static str| line.match_indices(root).map(move |(at, _)| line.split_at(at + root.len()).1);
    let paths = behind("crate::").chain(behind("super::").filter(move |_| top));
    let word = |text: &'a str| {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        text.split_at(end.unwrap_or(text.len())).0.trim_start()
    };
    let rooms = paths.flat_map(|path| match path.strip_prefix('{') {
        Some(group) => {
            group.split('}').next().unwrap_or_default().split(',').map(|path| word(path.trim())).collect()
        }
        None => vec![word(path)],
    });
    rooms.filter(|room| !room.is_empty()).collect()
}

#[test]
fn rooms_are_found_in_whatever_way_they_are_named() {
    let check = |place, line, want: &[&str]| assert_eq!(rooms_named(place, line), want, "{line}");
    check("batch.rs", "use crate::admin::Health;", &["admin"]);
    check("series/slot.rs", "use crate::{batch, simulate::demo};", &["batch", "simulate"]);
    check("detect/mod.rs", "    let signer = super::aws::Signer::new();", &["aws"]);
    check("detect/mod.rs", "use hybrid::Hybrid;", &[]);
    check("pipeline/admit.rs", "use super::settings::Settings;", &[]);
    check(
        "pipeline/admit.rs",
        "fn of(health: &crate::admin::Health) -> crate::batch::Key {",
        &["admin", "batch"],
    );
}

/// Data never asks a side room, and goes neither back to a door nor into the frame.
#[test]
fn the_corridor_calls_no_room_but_its_own() {
    let (mut strays, mut exceptions) = (Vec::new(), Vec::new());
    for (place, number, line) in code() {
        let Some(room) = CORRIDOR.iter().find(|room| in_room(&place, room)) else { continue };
        // A group that goes on in the next line would hide what it names.
        assert!(!line.trim_end().ends_with("crate::{"), "src/{place}:{number}: name the rooms one by one");
        for named in rooms_named(&place, &line) {
            match BESIDE_THE_CORRIDOR.iter().find(|exception| **exception == (*room, named)) {
                Some(exception) => exceptions.push(*exception),
                None if CORRIDOR.contains(&named) => {}
                None => strays.push(format!("src/{place}:{number}: {room} calls {named}")),
            }
        }
    }
    assert!(strays.is_empty(), "{}", strays.join("\n"));
    for exception in BESIDE_THE_CORRIDOR {
        assert!(exceptions.contains(exception), "{exception:?} is needed no more");
    }
}

#[test]
fn a_room_is_a_folder_and_not_a_file_beside_one() {
    for file in files(Path::new("src")) {
        assert!(!file.with_extension("").is_dir(), "{} stands beside its folder", file.display());
    }
}

/// Rows of `goal | at most` in docs/performance.md, and the lines of GOALS in benches/rig/bench.py.
#[test]
fn the_goals_that_make_bench_judges_by_are_those_that_are_written_down() {
    let page = std::fs::read_to_string("docs/performance.md").unwrap();
    let (_, page) = page.split_once("| goal | at most |\n|---|---|\n").unwrap();
    let row = |line: &str| {
        let (goal, most) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
        Some((goal.to_owned(), most.parse::<f64>().unwrap()))
    };
    let written: Vec<_> = page.lines().map_while(row).collect();
    let bench = std::fs::read_to_string("benches/rig/bench.py").unwrap();
    let (_, bench) = bench.split_once("GOALS = {\n").unwrap();
    let entry = |line: &str| {
        let (goal, most) = line.trim().strip_prefix('"')?.strip_suffix(',')?.split_once("\": ")?;
        Some((goal.to_owned(), most.parse::<f64>().unwrap()))
    };
    let judged: Vec<_> = bench.lines().map_while(entry).collect();
    assert_eq!(judged, written);
    let state = judged.iter().find(|(goal, _)| goal == "state a series, B").unwrap();
    assert!(sidelong::detect::State::BYTES as f64 <= state.1, "{}", sidelong::detect::State::BYTES);
}

/// The page of invariants names their tests: words in snake case that are the name of no option and no lint.
#[test]
fn every_test_that_the_map_names_exists() {
    let page = std::fs::read_to_string("ARCHITECTURE.md").unwrap();
    let (_, invariants) = page.split_once("## Architecture invariants").unwrap();
    let is_test = |name: &&str| {
        let snake = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        snake && name.matches('_').count() >= 4
    };
    let named: Vec<_> = invariants.split('`').skip(1).step_by(2).filter(is_test).collect();
    assert!(named.len() > 80, "{}", named.len());
    let sources: String = ["src", "tests", "xtask", "benches"]
        .into_iter()
        .flat_map(|folder| files(Path::new(folder)))
        .filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    let missing: Vec<_> = named.iter().filter(|name| !sources.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Loop-back sends nothing of ours back, whatever it is called.
#[test]
fn the_loop_back_example_drops_all_that_sidelong_makes() {
    let example = std::fs::read_to_string("examples/prometheus-loop-back.yml").unwrap();
    let (_, dropped) = example.split_once("regex: ").unwrap();
    let dropped: Vec<_> = dropped.lines().next().unwrap().split('|').collect();
    for output in sidelong::inject::Injected::ALL {
        assert!(dropped.contains(&output.variable()), "{output:?}");
    }
    for edge in sidelong::rules::FAN {
        assert!(dropped.contains(&format!("{edge}_[0-9]+[mhd]").as_str()), "{edge}");
    }
}

/// A clone is whole: no path of one machine.
#[test]
fn nothing_refers_outside_the_clone() {
    let outside = ["/root/", "/home/"];
    // At the start of a path alone: `$dir/root/` is below another.
    let names = |line: &str, path: &str| {
        let starts = |(at, _): (usize, &str)| {
            !line.as_bytes()[..at].last().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'}')
        };
        line.match_indices(path).any(starts)
    };
    let mut strays = Vec::new();
    for file in files(Path::new(".")) {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        for (number, line) in text.lines().enumerate() {
            if file != Path::new("./tests/it/house.rs") && outside.iter().any(|path| names(line, path)) {
                strays.push(format!("{}:{}: {line}", file.display(), number + 1));
            }
        }
    }
    assert!(strays.is_empty(), "{}", strays.join("\n"));
}

/// The names of all packages of a build.
fn packages(features: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges=normal", "--prefix=none", "--format={p}", "--package=sidelong"])
        .args(features)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn the_core_builds_without_aws_and_nothing_needs_cmake_or_protoc() {
    let core = packages(&["--no-default-features"]);
    let aws: Vec<_> = core.iter().filter(|name| name.starts_with("aws-")).collect();
    assert!(aws.is_empty(), "in the core: {aws:?}");
    // No HTTP/2 (decision 0009); with AWS it is there, since the SDK's own client asks for it.
    assert!(!core.iter().any(|name| name == "h2"), "HTTP/2 in the core");
    let all = packages(&["--all-features"]);
    for refused in ["aws-lc-sys", "openssl-sys", "native-tls", "protoc-bin-vendored", "prost-build"] {
        assert!(!all.iter().any(|name| name == refused), "{refused}");
    }
}
