use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use attendance::ports::Purpose;
use attendance::{Embedding, Environment};
use attendance_vision::VisionEngine;
use clap::Args;

use crate::commands::{models, recognize};
use crate::places::Places;

/// The arguments of `compare`.
#[derive(Args)]
pub(crate) struct Options {
    /// The first picture
    a: PathBuf,
    /// The second picture
    b: PathBuf,
}

pub(crate) fn run(options: &Options, places: &Places, environment: &Environment) -> Result<ExitCode> {
    let tolerance = environment.tolerance()?;
    let engine = models::load_engine(places, environment)?;
    let distance = largest_face(&engine, &options.a)?.distance(&largest_face(&engine, &options.b)?);
    let same = tolerance.admits(distance);
    let verdict = if same { "the same person" } else { "two different people" };
    println!("{verdict}: distance {distance:.4}, tolerance {}", tolerance.distance());
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn largest_face(engine: &VisionEngine, path: &Path) -> Result<Embedding> {
    let scan = recognize::scan(engine, path, Purpose::Enroll).with_context(|| path.display().to_string())?;
    let face = scan.faces.into_iter().max_by_key(|face| face.face_box.area());
    face.map(|face| face.embedding).with_context(|| format!("{}: no face was found", path.display()))
}
