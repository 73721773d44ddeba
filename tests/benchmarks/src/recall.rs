//! Counts the faces that each detector finds, in scenes whose faces are known because they were put there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use attendance::FaceBox;
use attendance::ports::Purpose;
use attendance_vision::stages::{Detection, decode, face_box, trimmed};
use attendance_vision::{Detector, DetectorMode, VisionEngine};
use clap::{Args, ValueEnum};
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::pictures::Place;
use crate::scenes::{LARGE, Scene, compose, face_free, portraits};

/// A box stands for a face where their centres are this close, in sides of the face ...
const NEAR: f64 = 0.35;
/// ... and neither side is more than this many times the other.
const ALIKE: f64 = 1.8;
/// The detectors that are compared, with the smallest face that each looks for.
const DETECTORS: [(&str, Detector, u32); 3] = [
    ("auto (HOG), from 40 px", Detector::Auto, 40),
    ("HOG, from 80 px", Detector::Hog, 80),
    ("CNN fast, from 80 px", Detector::Cnn, 80),
];
/// The score thresholds of a curve. A detector that stops at a higher score of its own has the same counts up to there.
const THRESHOLDS: [f64; 10] = [0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

/// What `recall` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// Scenes, every second one for each half of the people
    #[arg(long, default_value_t = 2000)]
    scenes: usize,
    /// Scenes without any face, for each half
    #[arg(long, default_value_t = 300)]
    face_free: usize,
    /// More faces than those of the fetched pictures: <DIR>/<person>/<any name>.jpg
    #[arg(long, value_name = "DIR")]
    faces: Option<PathBuf>,
    /// Which half of the people: thresholds are chosen by one, and reported on the other
    #[arg(long, value_enum, default_value_t = Half::Both)]
    half: Half,
    /// Where the scenes go
    #[arg(long, value_name = "DIR", default_value = "target/bench/recall")]
    into: PathBuf,
    /// Count at several score thresholds too
    #[arg(long)]
    curve: bool,
    /// The Python that has the peer, to run it on the same files
    #[arg(long, value_name = "FILE")]
    peer: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Half {
    Choose,
    Report,
    Both,
}

/// A box with the detector's score; the peer gives none.
struct Found {
    face_box: FaceBox,
    score: f64,
}

/// Counts over one detector and one half, at one score threshold.
#[derive(Default, Clone, Copy)]
struct Count {
    /// Faces under [`LARGE`] that were found, and all of them.
    small: (usize, usize),
    large: (usize, usize),
    /// Boxes in scenes with faces that stand for none.
    wrong: usize,
    scenes: usize,
    /// Boxes in scenes without a face.
    in_face_free: usize,
    face_free: usize,
}

/// Writes the scenes, runs every detector on them and prints what they found.
pub(crate) fn run(options: &Options) -> Result<()> {
    let finder = crate::engine(Detector::Cnn, DetectorMode::Fast, 80, 1)?;
    let halves = portraits(&finder, options.faces.as_deref())?;
    fs::create_dir_all(&options.into)?;
    let wanted = |i: &usize| match options.half {
        Half::Choose => i.is_multiple_of(2),
        Half::Report => !i.is_multiple_of(2),
        Half::Both => true,
    };
    let numbers = |count: usize| (0..count).filter(wanted).collect::<Vec<_>>();
    let (with_faces, without) = (numbers(options.scenes), numbers(2 * options.face_free));
    let mut scenes: Vec<Scene> =
        with_faces.par_iter().map(|&i| compose(i, &halves[i % 2], &options.into)).collect::<Result<_>>()?;
    let face_free: Vec<Scene> =
        without.par_iter().map(|&i| face_free(i, &halves[i % 2], &options.into)).collect::<Result<_>>()?;
    eprintln!("{} scenes are composed, {} of them without a face", scenes.len() + face_free.len(), face_free.len());
    scenes.extend(face_free);

    let mut found: Vec<(String, Vec<Vec<Found>>)> = Vec::new();
    for (name, detector, min_size) in DETECTORS {
        let engine = crate::engine(detector, DetectorMode::Fast, min_size, 1)?;
        found.push((name.to_owned(), detect_all(&engine, &scenes)?));
        eprintln!("{name}: done");
    }
    if let Some(python) = &options.peer {
        for (name, upsample) in [("peer, HOG, from 40 px", "1"), ("peer, HOG, from 80 px", "0")] {
            found.push((name.to_owned(), peer(python, upsample, &scenes)?));
            eprintln!("{name}: done");
        }
    }
    let count = |half: usize, found: &[Vec<Found>], threshold: f64| {
        let mut count = Count::default();
        for (scene, found) in scenes.iter().zip(found).filter(|(scene, _)| scene.half == half) {
            count.add(scene, found.iter().filter(|found| found.score >= threshold));
        }
        count
    };
    let halves = ["choose", "report"].into_iter().enumerate().map(|(half, purpose)| {
        let all = found.first().map(|(_, found)| count(half, found, f64::MIN)).unwrap_or_default();
        let detectors = found.iter().map(|(name, found)| {
            let mut detector = count(half, found, f64::MIN).found();
            detector["detector"] = json!(name);
            if options.curve {
                detector["curve"] = THRESHOLDS
                    .iter()
                    .map(|&threshold| {
                        let mut point = count(half, found, threshold).found();
                        point["score"] = json!(threshold);
                        point
                    })
                    .collect();
            }
            detector
        });
        json!({
            "purpose": purpose, "scenes": all.scenes, "face_free": all.face_free, "photographs": halves[half].len(),
            "small": all.small.1, "large": all.large.1, "detectors": detectors.collect::<Vec<_>>(),
        })
    });
    println!("{}", json!({"halves": halves.collect::<Vec<_>>()}));
    Ok(())
}

fn detect_all(engine: &VisionEngine, scenes: &[Scene]) -> Result<Vec<Vec<Found>>> {
    let boxes = |scene: &Scene| {
        let picture = decode(&fs::read(&scene.file)?)?.pixels;
        let detections = engine.stages().detect(&picture, Purpose::Recognize)?;
        let found = |d: &Detection| Found { face_box: face_box(&trimmed(&d.rect, &picture)), score: d.score };
        Ok(detections.iter().map(found).collect())
    };
    scenes.par_iter().map(boxes).collect()
}

/// What the peer finds in the same files.
fn peer(python: &Path, upsample: &str, scenes: &[Scene]) -> Result<Vec<Vec<Found>>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peer.py");
    let workers = rayon::current_num_threads().to_string();
    let Some(folder) = scenes.first().and_then(|scene| scene.file.parent()) else { bail!("there are no scenes") };
    let arguments = ["recall", "--upsample", upsample, "--processes", &workers, "--scenes"];
    let output =
        Command::new(python).arg(script).args(arguments).arg(folder).output().context("cannot run the peer")?;
    ensure!(output.status.success(), "the peer failed: {}", String::from_utf8_lossy(&output.stderr));
    let mut found: BTreeMap<String, Vec<[i32; 4]>> = serde_json::from_slice(&output.stdout)?;
    let name = |scene: &Scene| scene.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut boxes = |scene: &Scene| found.remove(&name(scene)).context("the peer left out a scene");
    let unscored =
        |boxes: Vec<[i32; 4]>| boxes.into_iter().map(|sides| Found { face_box: sides.into(), score: 0.0 }).collect();
    scenes.iter().map(|scene| boxes(scene).map(unscored)).collect()
}

impl Count {
    fn add<'a>(&mut self, scene: &Scene, found: impl Iterator<Item = &'a Found>) {
        let boxes: Vec<&FaceBox> = found.map(|found| &found.face_box).collect();
        if scene.faces.is_empty() {
            self.face_free += 1;
            self.in_face_free += boxes.len();
            return;
        }
        self.scenes += 1;
        for face in &scene.faces {
            let group = if face.side < LARGE { &mut self.small } else { &mut self.large };
            group.0 += usize::from(boxes.iter().any(|b| stands_for(b, face)));
            group.1 += 1;
        }
        self.wrong += boxes.iter().filter(|b| !scene.faces.iter().any(|face| stands_for(b, face))).count();
    }

    fn found(&self) -> Value {
        json!({
            "small": self.small.0, "large": self.large.0, "false_positives": self.wrong,
            "false_in_face_free": self.in_face_free,
        })
    }
}

fn stands_for(found: &FaceBox, face: &Place) -> bool {
    let middle = |a: i32, b: i32| f64::from(a + b) / 2.0;
    let away = (middle(found.left, found.right) - face.x).hypot(middle(found.top, found.bottom) - face.y);
    let ratio = f64::from(found.bottom - found.top).max(1.0) / face.side;
    away < NEAR * face.side && (1.0 / ALIKE..ALIKE).contains(&ratio)
}
