//! The workspace: where it is, and cargo in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::functions::functions;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where cargo builds.
pub(crate) fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The cargo that runs this program.
pub(crate) fn cargo_command() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs cargo at the workspace's root.
///
/// # Errors
/// Where cargo cannot be started or fails.
pub(crate) fn cargo(arguments: &[&str]) -> Result<()> {
    succeed(cargo_command().args(arguments))
}

/// Builds the `attendance` command and the functions with the features that `cargo test --workspace` chooses. For a single
/// package, or without a test among what is built, cargo would choose other features of the dependencies and compile them
/// once more.
///
/// # Errors
/// Where one does not compile.
pub(crate) fn build_programs() -> Result<()> {
    let mut build = cargo_command();
    build.args(["build", "--workspace", "--locked", "--test", "end-to-end", "--bin", "attendance"]);
    for function in functions()?.values() {
        build.arg("--bin").arg(function.program());
    }
    succeed(&mut build)
}

/// Runs the command to its end.
///
/// # Errors
/// Where it cannot be started or fails.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{:?} cannot be started", command.get_program()))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}
