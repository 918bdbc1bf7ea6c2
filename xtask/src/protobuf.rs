//! The messages of `proto/` as Rust, without protoc.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use prost_build::{Config, Module};

use crate::Generated;

const OUT: &str = "src/wire/generated";
const SOURCES: [&str; 4] = [
    "prometheus/remote.proto",
    "io/prometheus/write/v2/types.proto",
    "io/prometheus/client/metrics.proto",
    "sidelong/model/v1/model.proto",
];
const HEADER: &str = "// Generated from proto/ by `cargo run -p xtask -- generate`. Do not edit.\n";
const ALLOWED: &str = "#![allow(missing_docs, unreachable_pub, clippy::all, clippy::use_self)]
#![allow(rustdoc::invalid_html_tags, rustdoc::broken_intra_doc_links)]
";

/// Packages by path component: what `mod.rs` nests.
#[derive(Default)]
struct Tree {
    file: Option<String>,
    children: BTreeMap<String, Self>,
}

/// Every generated file of the messages: one for each package, and the `mod.rs` that nests them.
pub(crate) fn generate(root: &Path) -> anyhow::Result<Vec<Generated>> {
    let includes = [root.join("proto")];
    let descriptors = protox::compile(SOURCES, includes).context("compiling proto/")?;
    let requests = descriptors
        .file
        .into_iter()
        .map(|file| (Module::from_protobuf_package_name(file.package()), file))
        .collect();
    let mut config = Config::new();
    // The exposition needs a Timestamp; generating it is smaller than depending on all well-known types.
    config.compile_well_known_types();
    // What is signed must be spelled in one way: maps in the order of their keys.
    config.btree_map([".sidelong"]);
    let modules: BTreeMap<Module, String> =
        config.generate(requests).context("generating Rust")?.into_iter().collect();
    Ok(files(modules))
}

fn files(modules: BTreeMap<Module, String>) -> Vec<Generated> {
    let mut tree = Tree::default();
    let mut files = Vec::new();
    for (module, text) in modules {
        let name = module.to_file_name_or("root");
        tree.insert(module.parts(), name.clone());
        files.push(Generated { path: Path::new(OUT).join(name), text: format!("{HEADER}{text}") });
    }
    let mut text = format!("{HEADER}//! Messages of `proto/`, one module for each package.\n{ALLOWED}\n");
    tree.render(0, &mut text);
    files.push(Generated { path: Path::new(OUT).join("mod.rs"), text });
    files
}

// === impl Tree ===

impl Tree {
    fn insert<'a>(&mut self, mut parts: impl Iterator<Item = &'a str>, file: String) {
        match parts.next() {
            None => self.file = Some(file),
            Some(part) => self.children.entry(part.to_owned()).or_default().insert(parts, file),
        }
    }

    fn render(&self, depth: usize, out: &mut String) {
        let indent = "    ".repeat(depth);
        if let Some(file) = &self.file {
            out.push_str(&format!("{indent}include!(\"{file}\");\n"));
        }
        for (name, child) in &self.children {
            out.push_str(&format!("{indent}pub mod {name} {{\n"));
            child.render(depth + 1, out);
            out.push_str(&format!("{indent}}}\n"));
        }
    }
}
