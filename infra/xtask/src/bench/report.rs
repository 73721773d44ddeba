//! The report: one JSON file that keeps each part's last figures, and the Markdown made of it.

use std::fs;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::{Value, json};

use super::{Bench, Part};

/// The report of earlier runs on this machine, or an empty one, with the machine as it is now.
pub(super) fn read(bench: &Bench, machine: &Value) -> Value {
    let found = fs::read(json_file(bench)).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let same = |report: &Value| ["cpu", "cores"].iter().all(|name| report["machine"][name] == machine[name]);
    let mut report = found.filter(same).unwrap_or_else(|| json!({}));
    report["machine"] = machine.clone();
    report
}

/// Writes the JSON and, in docs/benchmarks.md unless it is a quick run, the Markdown.
pub(super) fn write(bench: &Bench, report: &Value) -> Result<()> {
    let markdown = if bench.quick { bench.work.join("quick.md") } else { bench.root.join("docs/benchmarks.md") };
    for (path, text) in [(json_file(bench), serde_json::to_string_pretty(report)?), (markdown, text(report))] {
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Kept with the Markdown, so that measuring one part again on a fresh clone keeps the others.
fn json_file(bench: &Bench) -> std::path::PathBuf {
    if bench.quick { bench.work.join("quick.json") } else { bench.root.join("docs/benchmarks.json") }
}

/// The Markdown.
pub(super) fn text(report: &Value) -> String {
    let machine = |name: &str| plain(&report["machine"][name]);
    let mut out = format!(
        "# Measured beside the service it replaces\n\nWritten by `cargo xtask bench`. Both sides took turns in one run. Trust ratios, not \
         times: the machine may have had other work (each section tells its load at the start).\n\n\
         {}, {} cores ({}), {} GiB; {}; {}. Peer: {}.\n",
        machine("cpu"),
        machine("cores"),
        machine("vectors"),
        machine("memory_gib"),
        machine("system"),
        machine("rust"),
        machine("peer")
    );
    if let Some(blas) = report["machine"]["blas"].as_str() {
        out += &format!("Peer with OpenBLAS: {blas}.\n");
    }
    for part in Part::value_variants() {
        let measured = &report[part.name()];
        if !measured.is_null() {
            let (heading, section) = part.section(&measured["figures"]);
            let at = |name: &str| plain(&measured["at"][name]);
            out += &format!(
                "\n## {heading}\n\n{section}\n*{}, commit {}, load {}, {} s.*\n",
                at("date"),
                at("commit"),
                at("load"),
                measured["seconds"]
            );
        }
    }
    out
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The elements of a list.
pub(super) fn rows(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A time or another number in as many digits as it is worth, or nothing.
pub(super) fn time(number: Option<f64>) -> String {
    match number {
        None => String::new(),
        Some(n) if n < 1.0 => format!("{n:.3}"),
        Some(n) if n < 100.0 => format!("{n:.1}"),
        Some(n) => format!("{n:.0}"),
    }
}

/// The first over the second, or nothing where one is missing.
pub(super) fn ratio(a: Option<f64>, b: Option<f64>) -> String {
    match (a, b) {
        (Some(a), Some(b)) if b > 0.0 => format!("{:.2}", a / b),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_a_peer_has_empty_cells() {
        assert_eq!((time(None), ratio(None, Some(1.0))), (String::new(), String::new()));
        assert_eq!((time(Some(0.5)), ratio(Some(3.0), Some(2.0))), ("0.500".to_owned(), "1.50".to_owned()));
    }

    #[test]
    fn only_what_was_measured_is_in_the_report() {
        let start = json!({"figures": {"ours": 150.0, "peer": 900.0, "import": 600.0}, "seconds": 9,
                           "at": {"date": "2026-01-02", "commit": "abc", "load": "0.1"}});
        let text = text(&json!({"machine": {"cpu": "a processor"}, "start": start}));
        assert!(text.contains("## Cold start") && text.contains("Ours over that import: 0.25."), "{text}");
        assert!(text.contains("*2026-01-02, commit abc, load 0.1, 9 s.*"), "{text}");
        assert!(!text.contains("## Soak"), "{text}");
    }
}
