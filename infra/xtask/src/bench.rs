//! Measures the service beside the one it replaces, in turns, so that whatever else the machine does meets both.

mod delivery;
mod machine;
mod matching;
mod memory;
mod peers;
mod recall;
mod report;
mod requests;
mod server;
mod soak;
mod stages;
mod starts;
mod worker;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::workspace::cargo;

/// What `bench` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// A run of some minutes: fewer samples, frames and scenes, smaller galleries, and docs/benchmarks.md stays as it is
    #[arg(long)]
    quick: bool,
    /// Measure dlib with OpenBLAS too, which is built from its source archive once (half an hour)
    #[arg(long)]
    blas: bool,
    /// Post so many requests of mixed pictures, and watch the server's memory (6 minutes) [default: 20000]
    #[arg(long, value_name = "REQUESTS", num_args = 0..=1, default_missing_value = "20000")]
    soak: Option<usize>,
    /// Count the faces found in 2,000 composed scenes (8 minutes)
    #[arg(long)]
    recall: bool,
    /// More faces for --recall, as <DIR>/<person>/<any name>.jpg
    #[arg(long, value_name = "DIR")]
    faces: Option<PathBuf>,
    /// Measure these parts alone; the report keeps what an earlier run measured of the others
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PARTS")]
    only: Vec<Part>,
    /// Measure the release programs as they are, without building them first
    #[arg(long)]
    built: bool,
}

/// A section of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Stages,
    Matching,
    Start,
    Requests,
    Memory,
    Delivery,
    Soak,
    Recall,
}

/// Where everything is, and how much is measured.
struct Bench {
    root: PathBuf,
    /// What runs leave behind.
    work: PathBuf,
    /// The Python with the peer in it.
    peer: PathBuf,
    /// The one whose dlib uses OpenBLAS, where that is measured.
    blas: Option<PathBuf>,
    quick: bool,
    soak: usize,
    faces: Option<PathBuf>,
}

impl Bench {
    fn program(&self, name: &str) -> PathBuf {
        self.root.join("target/release").join(name)
    }

    /// Our own measuring program.
    fn measurer(&self) -> Command {
        Command::new(self.program("attendance-bench"))
    }

    fn script(&self, name: &str) -> PathBuf {
        self.root.join("tests/benchmarks").join(name)
    }

    fn frame(&self, name: &str) -> PathBuf {
        self.work.join("frames").join(name)
    }

    /// The sides other than ours: their names in the report's data, and their Pythons.
    fn peers(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        [(PEER, self.peer.as_path())].into_iter().chain(self.blas.as_deref().map(|python| (BLAS, python)))
    }

    /// The file with this many embeddings.
    fn gallery(&self, count: usize) -> Result<PathBuf> {
        let file = self.work.join(format!("gallery-{count}.f32"));
        run_program(self.measurer().args(["gallery", "--count", &count.to_string(), "--into"]).arg(&file))?;
        Ok(file)
    }
}

const OURS: &str = "ours";
const PEER: &str = "peer";
const BLAS: &str = "blas";
const MODERN: &str = "modern";

impl Part {
    fn measure(self, bench: &Bench) -> Result<Value> {
        match self {
            Self::Stages => stages::measure(bench),
            Self::Matching => matching::measure(bench),
            Self::Start => starts::measure(bench),
            Self::Requests => requests::measure(bench),
            Self::Memory => memory::measure(bench),
            Self::Delivery => delivery::measure(bench),
            Self::Soak => soak::measure(bench),
            Self::Recall => recall::measure(bench),
        }
    }

    /// The heading, and the section under it.
    fn section(self, figures: &Value) -> (&'static str, String) {
        match self {
            Self::Stages => ("Stages", stages::section(figures)),
            Self::Matching => ("Matching", matching::section(figures)),
            Self::Start => ("Cold start", starts::section(figures)),
            Self::Requests => ("Whole requests", requests::section(figures)),
            Self::Memory => ("Memory", memory::section(figures)),
            Self::Delivery => ("From a frame to the Attendance API", delivery::section(figures)),
            Self::Soak => ("Soak", soak::section(figures)),
            Self::Recall => ("Recall", recall::section(figures)),
        }
    }

    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let bench = Bench {
        work: root.join("target/bench"),
        peer: peers::python(&root)?,
        blas: options.blas.then(|| peers::python_with_blas(&root)).transpose()?,
        root,
        quick: options.quick,
        soak: options.soak.unwrap_or(20_000),
        faces: options.faces.clone(),
    };
    if !options.built {
        cargo(&["build", "--release", "--locked", "--package", "attendance-local", "--package", "attendance-bench"])?;
    }
    run_program(bench.measurer().args(["frames", "--into"]).arg(bench.work.join("frames")))?;
    let machine = machine::describe(&bench)?;
    let mut report = report::read(&bench, &machine);
    for part in Part::value_variants() {
        let asked_for = match part {
            _ if !options.only.is_empty() => options.only.contains(part),
            Part::Soak => options.soak.is_some(),
            Part::Recall => options.recall,
            _ => true,
        };
        if asked_for {
            eprintln!("-- {}", part.name());
            let (begin, at) = (Instant::now(), machine::now(&bench)?);
            let figures = part.measure(&bench).with_context(|| format!("{} cannot be measured", part.name()))?;
            report[part.name()] = json!({"at": at, "seconds": begin.elapsed().as_secs(), "figures": figures});
            // After each part: a run that ends early keeps what it has.
            report::write(&bench, &report)?;
        }
    }
    print!("{}", report::text(&report));
    Ok(())
}

/// Runs the command to its end, its output going where ours goes.
fn run_program(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{:?} cannot be started", command.get_program()))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}

/// What the command prints, each line a JSON value.
fn answers_of(command: &mut Command) -> Result<Vec<Value>> {
    let output = command.stderr(std::process::Stdio::inherit()).output();
    let output = output.with_context(|| format!("{:?} cannot be started", command.get_program()))?;
    ensure!(output.status.success(), "{command:?} failed");
    let lines = String::from_utf8(output.stdout)?;
    lines
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("{command:?} printed {line}")))
        .collect()
}

/// What a command prints that answers with one JSON value.
fn answer_of(command: &mut Command) -> Result<Value> {
    answers_of(command)?.pop().with_context(|| format!("{command:?} printed nothing"))
}

/// The command with one thread for everything that reads a variable, kept to this core where the system can do that and has it.
fn on_core(core: usize, program: &Path) -> Command {
    let there = std::thread::available_parallelism().is_ok_and(|cores| core < cores.get());
    let mut command = if cfg!(target_os = "linux") && there {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", &core.to_string()]).arg(program);
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
