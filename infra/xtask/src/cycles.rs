//! Cycles between the files of a crate: files that need each other cannot be read one after the other.

mod modules;
mod syntax;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::workspace::{cargo_command, root};
use modules::{Crate, Edges};

/// Checks that no file of any crate of the workspace needs itself through others of its crate.
///
/// # Errors
/// Every cycle, as the files along it; or a file that cannot be read.
pub(crate) fn check() -> Result<()> {
    let metadata = cargo_command().args(["metadata", "--no-deps", "--format-version", "1"]).output()?;
    ensure!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout)?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let root = root().canonicalize()?;
    let (mut found, mut crates) = (Vec::new(), 0);
    for package in packages {
        for target in package["targets"].as_array().context("a package has no targets")? {
            let path = target["src_path"].as_str().context("a target has no file")?;
            let edges = Crate::read(Path::new(path), &|path| std::fs::read_to_string(path).ok())?.edges();
            let name = |path: &PathBuf| path.strip_prefix(&root).unwrap_or(path).display().to_string();
            found.extend(cycles(&edges).iter().map(|cycle| cycle.iter().map(name).collect::<Vec<_>>().join(" -> ")));
            crates += 1;
        }
    }
    ensure!(crates >= packages.len(), "{crates} crates in {} packages: some were not read", packages.len());
    // A file that several targets of a package share would give its cycle twice.
    let found: BTreeSet<String> = found.into_iter().collect();
    ensure!(
        found.is_empty(),
        "files of a crate need each other:\n{}",
        found.into_iter().collect::<Vec<_>>().join("\n")
    );
    Ok(())
}

/// Returns a shortest cycle through each file that is on one, beginning and ending with its first file, each cycle once.
fn cycles(edges: &Edges) -> Vec<Vec<PathBuf>> {
    let mut found: BTreeMap<BTreeSet<&PathBuf>, Vec<PathBuf>> = BTreeMap::new();
    for start in edges.keys() {
        let Some(cycle) = shortest_cycle(edges, start) else { continue };
        found.entry(cycle.iter().copied().collect()).or_insert_with(|| cycle.into_iter().cloned().collect());
    }
    found.into_values().collect()
}

fn shortest_cycle<'a>(edges: &'a Edges, start: &'a PathBuf) -> Option<Vec<&'a PathBuf>> {
    let mut before: BTreeMap<&PathBuf, &PathBuf> = BTreeMap::new();
    let mut next = VecDeque::from([start]);
    while let Some(file) = next.pop_front() {
        for needed in edges.get(file).into_iter().flatten() {
            if before.contains_key(needed) {
                continue;
            }
            before.insert(needed, file);
            if needed == start {
                let mut cycle: Vec<&PathBuf> = vec![start];
                let mut at = file;
                while at != start {
                    cycle.push(at);
                    at = before[at];
                }
                cycle.push(start);
                cycle.reverse();
                return Some(cycle);
            }
            next.push_back(needed);
        }
    }
    None
}
