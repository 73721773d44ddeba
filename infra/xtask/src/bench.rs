//! Measures the service beside the one it replaces, in turns, so that whatever else the machine does meets both.

mod http;
mod machine;
mod peers;
mod report;
mod stages;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::test::cargo;

/// What `bench` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// A run of about two minutes: fewer samples and frames, smaller galleries, and docs/benchmarks.md stays as it is
    #[arg(long)]
    quick: bool,
    /// Count the faces found in 2,000 composed scenes instead of measuring time (about 20 minutes)
    #[arg(long)]
    recall: bool,
    /// With --recall: more faces, as <DIR>/<person>/<any name>.jpg
    #[arg(long, value_name = "DIR", requires = "recall")]
    faces: Option<PathBuf>,
    /// Measure the release programs as they are, without building them first
    #[arg(long)]
    built: bool,
    /// The Python that runs the peer, for instance one whose dlib was built with OpenBLAS [default: target/bench-venv]
    #[arg(long, value_name = "FILE")]
    peer_python: Option<PathBuf>,
}

/// Where everything is.
struct Places {
    root: PathBuf,
    /// What runs leave behind.
    work: PathBuf,
    /// The Python with the peer in it.
    python: PathBuf,
}

impl Places {
    fn program(&self, name: &str) -> PathBuf {
        self.root.join("target/release").join(name)
    }

    fn script(&self, name: &str) -> PathBuf {
        self.root.join("tests/benchmarks").join(name)
    }

    fn frame(&self, name: &str) -> PathBuf {
        self.work.join("frames").join(format!("{name}.jpg"))
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let python = match &options.peer_python {
        Some(python) => python.clone(),
        None => peers::python(&root)?,
    };
    let places = Places { work: root.join("target/bench"), root, python };
    fs::create_dir_all(&places.work)?;
    if !options.built {
        cargo(&["build", "--release", "--locked", "--package", "attendance-local", "--package", "attendance-bench"])?;
    }

    if options.recall {
        recall(&places, options)?;
    } else {
        measure(&places, options)?;
    }
    report::write(&places, options.quick)
}

fn measure(places: &Places, options: &Options) -> Result<()> {
    let begin = Instant::now();
    run_program(
        Command::new(places.program("attendance-bench")).args(["frames", "--into"]).arg(places.work.join("frames")),
    )?;
    let report = json!({
        "machine": machine::describe(places)?,
        "stages": stages::measure(places, options.quick)?,
        "start": stages::starts(places, options.quick)?,
        "http": http::measure(places, options.quick)?,
        "seconds": begin.elapsed().as_secs(),
    });
    write_json(&places.work.join(report_file(options.quick)), &report)
}

fn report_file(quick: bool) -> &'static str {
    if quick { "quick.json" } else { "report.json" }
}

fn recall(places: &Places, options: &Options) -> Result<()> {
    let mut command = Command::new(places.program("attendance-bench"));
    command.arg("recall").arg("--into").arg(places.work.join("recall")).arg("--peer").arg(&places.python);
    if options.quick {
        command.args(["--scenes", "200"]);
    }
    if let Some(faces) = &options.faces {
        command.arg("--faces").arg(faces);
    }
    run_program(&mut command)
}

fn run_program(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{:?} cannot be started", command.get_program()))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    fs::write(path, serde_json::to_string_pretty(value)?).with_context(|| format!("cannot write {}", path.display()))
}

/// The command, kept to one core where the system can do that, with one thread for everything that reads a variable.
fn on_one_core(program: &Path) -> Command {
    let mut command = if cfg!(target_os = "linux") {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", "0"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    for name in ["ATTENDANCE_THREADS", "RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"] {
        command.env(name, "1");
    }
    command
}

/// The middle of the numbers, or NaN of none.
fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n => (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0,
    }
}
