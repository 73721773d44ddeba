//! The workspace: where it is, and cargo in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

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

/// Builds every program with the features that `cargo test --workspace` chooses. For a single package cargo would choose
/// other features of the dependencies, and compile them, tract above all, once more.
///
/// # Errors
/// Where one does not compile.
pub(crate) fn build_programs() -> Result<()> {
    cargo(&["build", "--workspace", "--bins", "--locked"])
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
