use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use crate::aws::target_folder;

/// What `test` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// Run one suite alone
    #[arg(long, value_enum, value_name = "SUITE")]
    only: Option<Suite>,
}

/// A suite and what it needs.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// Unit, contract, parity and end-to-end tests: cargo, and Python with pip for the models
    Workspace,
    /// The serverless service on a local AWS stack: Python with pip
    Aws,
    /// The pages in a real browser: Node, Chromium and, for a network of its own, iproute2
    Browser,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let asked_for = |suite: &Suite| options.only.is_none_or(|only| only == *suite);
    for suite in Suite::value_variants().iter().filter(|suite| asked_for(suite)) {
        match suite {
            Suite::Workspace => {
                crate::aws::check_edges()?;
                cargo(&["test", "--workspace", "--locked", "--no-fail-fast"])?;
            }
            Suite::Aws => crate::aws::test()?,
            Suite::Browser => browser()?,
        }
    }
    Ok(())
}

/// What the browser's tests drive, each with the line that installs it.
const BROWSER_TOOLS: [(&str, &str); 4] = [
    ("node", "apt-get install -y nodejs npm"),
    ("npm", "apt-get install -y nodejs npm"),
    ("chromium", "apt-get install -y chromium iproute2"),
    ("ip", "apt-get install -y chromium iproute2"),
];

fn browser() -> Result<()> {
    for (tool, install) in BROWSER_TOOLS {
        let found = Command::new("sh").args(["-c", "command -v \"$0\"", tool]).output();
        ensure!(found.is_ok_and(|found| found.status.success()), "the browser's tests need `{tool}`: {install}");
    }
    build_programs()?;
    let program = target_folder().join("debug/attendance");
    let pull = Command::new(&program).args(["models", "pull"]).status();
    ensure!(pull.context("the program that was built cannot be started")?.success(), "the models cannot be had");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/browser");
    for arguments in [&["ci", "--no-audit", "--no-fund"][..], &["test"]] {
        let status = Command::new("npm")
            .args(arguments)
            .current_dir(folder)
            .env("ATTENDANCE_PROGRAM", &program)
            .status()
            .context("npm cannot be started")?;
        ensure!(status.success(), "npm {} failed in tests/browser", arguments.join(" "));
    }
    Ok(())
}

/// Builds every program as `cargo test --workspace` did: for one package alone cargo would choose other features of the
/// dependencies, and compile them, tract above all, once more.
pub(crate) fn build_programs() -> Result<()> {
    cargo(&["build", "--workspace", "--bins", "--locked"])
}

/// Runs cargo at the workspace's root.
pub(crate) fn cargo(arguments: &[&str]) -> Result<()> {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let status = Command::new(program)
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .status()
        .context("cargo cannot be started")?;
    ensure!(status.success(), "cargo {} failed", arguments.join(" "));
    Ok(())
}
