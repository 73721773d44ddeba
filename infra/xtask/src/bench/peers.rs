//! The peer's Python environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Wants `dlib`, which `dlib-bin` stands in for, so pip must not follow its dependencies.
const PEER: &str = "face_recognition==1.3.0";

/// The Python of `target/bench-venv`, with everything of `tests/benchmarks/requirements.txt` in it. What is missing is
/// installed.
pub(super) fn python(root: &Path) -> Result<PathBuf> {
    let venv = root.join("target/bench-venv");
    let python = venv.join("bin/python");
    let wanted = fs::read_to_string(root.join("tests/benchmarks/requirements.txt"))? + PEER;
    // Written last: an installation that was interrupted is done again.
    let installed = venv.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|found| found == wanted) {
        return Ok(python);
    }
    eprintln!("installing the peer into {}", venv.display());
    let venv_help = "install Python 3 with its venv module (apt-get install python3-venv)";
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv)).context(venv_help)?;
    let requirements = root.join("tests/benchmarks/requirements.txt");
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    run(Command::new(&python).args(pip).arg("-r").arg(requirements))?;
    run(Command::new(&python).args(pip).args(["--no-deps", PEER]))?;
    fs::write(&installed, wanted)?;
    Ok(python)
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{:?} cannot be started", command.get_program()))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}
