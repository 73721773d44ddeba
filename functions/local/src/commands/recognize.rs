use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use attendance::ports::{Change, EnrollmentId, GalleryVersion, Purpose};
use attendance::{Environment, Gallery, Identity, Scan, Sighting};
use attendance_camera::read_picture;
use attendance_vision::{MAX_BYTES, VisionEngine};
use attendance_wire::http::FaceResult;
use clap::Args;
use serde::Serialize;

use crate::commands::models;
use crate::known_faces::KnownFaces;
use crate::places::Places;
use crate::table::table;

/// The arguments of `recognize`.
#[derive(Args)]
pub(crate) struct Options {
    /// Pictures (JPEG, PNG or WebP)
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Folder of known people: <DIR>/<student_id>/<any name>.jpg [default: known_faces, if it exists]
    #[arg(long, value_name = "DIR")]
    known: Option<PathBuf>,
    /// Print one line of JSON per file instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    results: Vec<FaceResult>,
}

pub(crate) fn run(options: &Options, places: &Places, environment: &Environment) -> Result<ExitCode> {
    let tolerance = environment.tolerance()?;
    let engine = models::load_engine(places, environment)?;
    let gallery = match &options.known {
        Some(folder) => enrolled(&engine, folder)?,
        None if Path::new("known_faces").is_dir() => enrolled(&engine, Path::new("known_faces"))?,
        None => Gallery::default(),
    };
    let mut table = table(["file", "box (top right bottom left)", "who", "distance"]);
    let mut failed = false;
    for path in &options.files {
        let name = path.to_string_lossy();
        let scan = match scan(&engine, path, Purpose::Recognize) {
            Ok(scan) => scan,
            Err(error) => {
                failed = true;
                eprintln!("{name}: {error:#}");
                continue;
            }
        };
        let results: Vec<FaceResult> = scan
            .faces
            .iter()
            .map(|face| {
                let Identity { label, distance } = gallery.identify(&face.embedding, tolerance);
                Sighting { face_box: face.face_box, label, distance }.into()
            })
            .collect();
        if options.json {
            println!("{}", serde_json::to_string(&Line { file: &name, results })?);
        } else if results.is_empty() {
            table.add_row([&*name, "", "no face", ""]);
        } else {
            for FaceResult { face_box: [top, right, bottom, left], label, distance } in results {
                let edges = format!("{top} {right} {bottom} {left}");
                let distance = distance.map_or_else(|| "-".to_owned(), |d| format!("{d:.4}"));
                table.add_row([name.to_string(), edges, label, distance]);
            }
        }
    }
    if !options.json && table.row_count() > 0 {
        println!("{table}");
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Returns the faces in a picture file.
pub(crate) fn scan(engine: &VisionEngine, path: &Path, purpose: Purpose) -> Result<Scan> {
    Ok(engine.scan_blocking(&read_picture(path, MAX_BYTES)?, purpose)?)
}

/// Returns the gallery of everybody in the folder. A picture without exactly one face is left out with a warning.
fn enrolled(engine: &VisionEngine, folder: &Path) -> Result<Gallery> {
    let known = KnownFaces::list(folder)?;
    for (name, refusal) in &known.refused {
        eprintln!("left out: {name}: {refusal}");
    }
    let mut changes = Vec::new();
    for (student, path) in known.pictures {
        match scan(engine, &path, Purpose::Enroll) {
            Ok(scan) if scan.faces.len() == 1 => changes.push(Change::Add {
                id: EnrollmentId::generate(),
                student,
                embeddings: scan.faces.into_iter().map(|face| face.embedding).collect(),
            }),
            Ok(scan) => eprintln!("left out: {}: it shows {} faces instead of one", path.display(), scan.faces.len()),
            Err(error) => eprintln!("left out: {}: {error:#}", path.display()),
        }
    }
    Ok(Gallery::default().with_changes(changes, GalleryVersion::default()))
}
