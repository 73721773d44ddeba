//! The peers' Python environments.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Wants `dlib`, which `dlib-bin` stands in for, so pip must not follow its dependencies.
const PEER: &str = "face_recognition==1.3.0";
/// The wheel of dlib among the requirements, and what is built in its place with OpenBLAS.
const WHEEL: &str = "dlib-bin==";
const SOURCE: &str = "dlib==20.0.1";

/// The Python of `target/bench-venv`, with everything of `tests/benchmarks/requirements.txt` in it. What is missing is
/// installed.
pub(super) fn python(root: &Path) -> Result<PathBuf> {
    environment(root, "bench-venv", &requirements(root)?, |python| {
        pip(python, &["--requirement", "tests/benchmarks/requirements.txt"], root)
    })
}

/// The Python of `target/bench-venv-blas`, the same but for dlib, which is built from its source archive with OpenBLAS.
///
/// # Errors
/// Where a tool of the build is missing, with the line that installs it, and where dlib was built without a BLAS.
pub(super) fn python_with_blas(root: &Path) -> Result<PathBuf> {
    let requirements = requirements(root)?;
    let others = requirements.lines().filter(|line| !line.starts_with(WHEEL)).collect::<Vec<_>>().join("\n");
    environment(root, "bench-venv-blas", &format!("{others}\n{SOURCE}\n"), |python| {
        needs("a C++ compiler", Command::new("c++").arg("--version"), "apt-get install -y g++")?;
        needs("make", Command::new("make").arg("--version"), "apt-get install -y make")?;
        let headers =
            "import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path('include') + '/Python.h'))";
        needs("Python's headers", Command::new(python).args(["-c", headers]), "apt-get install -y python3-dev")?;
        let mut link = Command::new("c++");
        // pip brings CMake; OpenBLAS is the system's, and dlib's build goes on without one.
        link.args(["-x", "c++", "/dev/null", "-shared", "-o", "/dev/null", "-lopenblas"]);
        needs("OpenBLAS", &mut link, "apt-get install -y libopenblas-dev")?;
        let file = root.join("target/bench-requirements-blas.txt");
        fs::write(&file, &others)?;
        pip(python, &["--no-binary", "dlib", SOURCE], root)?;
        pip(python, &["--requirement", &file.display().to_string()], root)?;
        let blas = "import dlib, sys; sys.exit(not dlib.DLIB_USE_BLAS)";
        run(Command::new(python).args(["-c", blas]))
            .context("dlib was built without a BLAS; remove target/bench-venv-blas")
    })
}

fn requirements(root: &Path) -> Result<String> {
    Ok(fs::read_to_string(root.join("tests/benchmarks/requirements.txt"))?)
}

/// The Python of a virtual environment of this name, where `install` has put `wanted` and the peer was added.
fn environment(root: &Path, name: &str, wanted: &str, install: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let venv = root.join("target").join(name);
    let python = venv.join("bin/python");
    let wanted = format!("{wanted}{PEER}");
    // Written last: an installation that was interrupted is done again.
    let installed = venv.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|found| found == wanted) {
        return Ok(python);
    }
    eprintln!("installing a peer into {}", venv.display());
    let venv_help = "install Python 3 with its venv module (apt-get install python3-venv)";
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv)).context(venv_help)?;
    install(&python)?;
    pip(&python, &["--no-deps", PEER], root)?;
    fs::write(&installed, wanted)?;
    Ok(python)
}

fn pip(python: &Path, arguments: &[&str], root: &Path) -> Result<()> {
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    run(Command::new(python).args(pip).args(arguments).current_dir(root))
}

/// An error that says how to install what is missing, unless the command succeeds.
fn needs(what: &str, command: &mut Command, install: &str) -> Result<()> {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    ensure!(status.is_ok_and(|status| status.success()), "dlib with OpenBLAS is built with {what}: {install}");
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{:?} cannot be started", command.get_program()))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}
