use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use attendance::ports::{EnrollmentOrigin, ScanError};
use attendance::{AttendanceSettings, EnrollError, Enroller, Environment, Receipt, Refusal, StudentId, compose};
use attendance_camera::read_picture;
use attendance_http::ApiError;
use attendance_vision::{MAX_BYTES, VisionSettings};
use clap::Args;
use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};

use crate::adapters::Adapters;
use crate::commands::models;
use crate::known_faces::KnownFaces;
use crate::places::Places;
use crate::table::table;

/// The arguments of `bulk-enroll`.
#[derive(Args)]
pub(crate) struct Options {
    /// Folder with <student_id>/<picture>
    #[arg(default_value = "known_faces", value_name = "DIR")]
    folder: PathBuf,
}

/// A file that is not enrolled, and why.
struct Refused {
    file: String,
    code: String,
    reason: String,
}

/// What is enrolled of one student.
#[derive(Default)]
struct Saved {
    pictures: usize,
    embeddings: usize,
    known_before: usize,
}

pub(crate) fn run(options: &Options, places: &Places, environment: &Environment) -> Result<ExitCode> {
    let known = KnownFaces::list(&options.folder)?;
    let settings = AttendanceSettings::from_environment(environment)?;
    let threads = VisionSettings::from_environment(environment)?.threads;
    let ports = Adapters::open(&places.data(environment))?.ports;
    let engine = models::load_engine(places, environment)?;
    let enroller = compose(ports, settings).with_engine(Arc::new(engine)).enroller;

    let bar = ProgressBar::new(known.pictures.len() as u64).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} pictures, {eta} left").expect("a valid template"),
    );
    let mut refused: Vec<Refused> = known.refused.into_iter().map(Refused::by_path).collect();
    let mut saved: BTreeMap<StudentId, Saved> = BTreeMap::new();
    tokio::runtime::Runtime::new()?.block_on(async {
        // Twice the number of threads, so that reading and storing leave none idle.
        let mut outcomes = futures_util::stream::iter(known.pictures)
            .map(|(student, path)| enroll(&enroller, student, path))
            .buffer_unordered(threads * 2);
        while let Some((path, outcome)) = outcomes.next().await {
            bar.inc(1);
            match outcome {
                Ok(receipt) => saved.entry(receipt.student.clone()).or_default().add(&receipt),
                Err(error) => refused.push(Refused::by_picture(&options.folder, &path, error)),
            }
        }
    });
    bar.finish_and_clear();
    print_outcome(&saved, &mut refused);
    Ok(if saved.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn enroll(enroller: &Enroller, student: StudentId, path: PathBuf) -> (PathBuf, Result<Receipt, EnrollError>) {
    let file = path.clone();
    let outcome = match tokio::task::spawn_blocking(move || read_picture(&file, MAX_BYTES)).await {
        Ok(Ok(photo)) => enroller.enroll(&student, photo, EnrollmentOrigin::Direct).await,
        Ok(Err(error)) => Err(error.into()),
        Err(panic) => Err(ScanError::Internal(Box::new(panic)).into()),
    };
    (path, outcome)
}

impl Saved {
    fn add(&mut self, receipt: &Receipt) {
        self.pictures += 1;
        self.embeddings += receipt.saved;
        self.known_before += usize::from(!receipt.new);
    }
}

impl Refused {
    fn by_path((file, Refusal { code, msg }): (String, Refusal)) -> Self {
        Self { file, code: code.to_string(), reason: msg }
    }

    fn by_picture(folder: &Path, path: &Path, error: EnrollError) -> Self {
        let file = path.strip_prefix(folder).unwrap_or(path).display().to_string();
        // A fault of ours is listed too, as the service would answer it.
        let error = ApiError::from(error);
        Self { file, code: error.code().to_string(), reason: error.to_string() }
    }
}

fn print_outcome(saved: &BTreeMap<StudentId, Saved>, refused: &mut [Refused]) {
    if !saved.is_empty() {
        let mut table = table(["student", "pictures", "of them known before", "embeddings"]);
        for (student, Saved { pictures, embeddings, known_before }) in saved {
            table.add_row([
                student.to_string(),
                pictures.to_string(),
                known_before.to_string(),
                embeddings.to_string(),
            ]);
        }
        println!("{table}");
    }
    if !refused.is_empty() {
        refused.sort_by(|a, b| a.file.cmp(&b.file));
        let mut table = table(["refused", "code", "why"]);
        for Refused { file, code, reason } in refused.iter() {
            table.add_row([file, code, reason]);
        }
        println!("\n{table}");
    }
    let pictures: usize = saved.values().map(|s| s.pictures).sum();
    println!("\n{} students, {pictures} pictures enrolled, {} files refused", saved.len(), refused.len());
}
