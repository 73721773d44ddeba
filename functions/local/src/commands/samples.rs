use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use attendance_convert::pull_samples;
use clap::Args;

use crate::commands::models::with_bar;

/// The arguments of `samples`.
#[derive(Args)]
pub(crate) struct Options {
    /// The source archive (face_recognition-1.3.0.tar.gz), on a machine without a network
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let (known, samples) = (Path::new("known_faces"), Path::new("samples"));
    let written = with_bar(|report| pull_samples(known, samples, options.from.as_deref(), report))?;
    for path in &written {
        println!("{}", path.display());
    }
    if written.is_empty() {
        println!("the samples are in place in {} and {}", known.display(), samples.display());
    }
    Ok(ExitCode::SUCCESS)
}
