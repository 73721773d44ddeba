//! The tools that `infra/requirements.txt` pins, and what they have in common.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::{root, succeed};

/// Where `up` listens. Tests take a free port.
pub(super) const PORT: u16 = 4566;

/// A folder of this name under `target/aws`, which is made if it is missing.
pub(super) fn folder(name: &str) -> Result<PathBuf> {
    let folder = root().join("target/aws").join(name);
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    Ok(folder.canonicalize()?)
}

/// The path of a program in the virtual environment, which is made again unless it is as `infra/requirements.txt` says.
pub(super) fn tool(name: &str) -> Result<PathBuf> {
    let venv = root().join("target/venv");
    let requirements = root().join("infra/requirements.txt");
    let (stamp, wanted) = (venv.join("requirements.txt"), fs::read_to_string(&requirements)?);
    if fs::read_to_string(&stamp).ok().as_ref() != Some(&wanted) {
        println!("installing the local stack's tools into target/venv, once");
        succeed(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        let mut pip = Command::new(venv.join("bin/pip"));
        succeed(pip.args(["install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&requirements))?;
        fs::write(&stamp, wanted)?;
    }
    // The folder is made canonical, the program is not: the environment's Python is a link to one outside of it.
    Ok(venv.canonicalize()?.join("bin").join(name))
}

/// The command, which finds the virtual environment's programs before others: cargo finds `cargo-lambda`, and that its
/// compiler.
pub(super) fn with_tools(mut command: Command) -> Result<Command> {
    let bin = tool("python")?.with_file_name("");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&path)))?;
    command.env("PATH", path);
    Ok(command)
}

/// The command, with credentials that may do everything on the local stack and nothing anywhere else.
pub(super) fn local(mut command: Command, port: u16) -> Command {
    command
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("SAM_CLI_TELEMETRY", "0")
        .env_remove("AWS_PROFILE")
        .current_dir(root());
    command
}
