//! The memory of a function that looks at one picture at a time, without the runtime and the clients of AWS.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use attendance::ports::Purpose;
use attendance::{Gallery, Tolerance};
use attendance_vision::{Detector, DetectorMode};
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::galleries;

/// What `footprint` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// Compute threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// What the picture is for
    #[arg(long, value_enum)]
    job: Job,
    /// The picture
    #[arg(long, value_name = "FILE")]
    picture: PathBuf,
    /// Who is enrolled, as `gallery` writes them
    #[arg(long, value_name = "FILE")]
    gallery: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Job {
    Recognize,
    Enroll,
}

/// Prints one line of JSON: resident MiB with the models, with the gallery too, the most that the process ever had, the
/// embeddings of the gallery, the faces found and the scan's seconds.
pub(crate) fn run(options: &Options) -> Result<()> {
    let engine = crate::engine(Detector::Auto, DetectorMode::Fast, 40, options.threads)?;
    let models = status("VmRSS")?;
    let gallery = options.gallery.as_deref().map_or_else(|| Ok(Gallery::default()), galleries::read)?;
    let with_gallery = status("VmRSS")?;
    let photo = fs::read(&options.picture).with_context(|| format!("cannot read {}", options.picture.display()))?;
    let purpose = match options.job {
        Job::Recognize => Purpose::Recognize,
        Job::Enroll => Purpose::Enroll,
    };
    let begin = Instant::now();
    let scan = engine.scan_blocking(&photo, purpose)?;
    let seconds = begin.elapsed().as_secs_f64();
    let tolerance = Tolerance::new(0.45).context("0.45 is a tolerance")?;
    let known = scan.faces.iter().filter_map(|face| gallery.identify(&face.embedding, tolerance).distance).count();
    let report = json!({
        "models_mib": models, "gallery_mib": with_gallery, "peak_mib": status("VmHWM")?, "embeddings": gallery.len(),
        "faces": scan.faces.len(), "compared": known, "seconds": seconds,
    });
    println!("{report}");
    Ok(())
}

/// A line of this process's status, in MiB.
fn status(name: &str) -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).context("no such line")?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes / 1024.0)
}
