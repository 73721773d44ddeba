use std::process::Command;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};

use crate::workspace::{build_programs, cargo, root, succeed, target_folder};
use crate::{aws, checks, cycles};

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
                checks::edges()?;
                cycles::check()?;
                cargo(&["test", "--workspace", "--locked", "--no-fail-fast"])?;
            }
            Suite::Aws => aws::test()?,
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
    succeed(Command::new(&program).args(["models", "pull"]))?;
    let folder = root().join("tests/browser");
    for arguments in [&["ci", "--no-audit", "--no-fund"][..], &["test"]] {
        let mut npm = Command::new("npm");
        succeed(npm.args(arguments).current_dir(&folder).env("ATTENDANCE_PROGRAM", &program))?;
    }
    Ok(())
}
