//! Counts the faces that each detector finds, in scenes whose faces are known because they were put there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use attendance::FaceBox;
use attendance::ports::Purpose;
use attendance_vision::stages::{decode, face_box, trimmed};
use attendance_vision::{Detector, DetectorMode, VisionEngine};
use clap::{Args, ValueEnum};
use fastrand::Rng;
use image::imageops::fast_blur;
use image::{Rgb, RgbImage};
use rayon::prelude::*;
use serde_json::json;
use walkdir::WalkDir;

use crate::pictures::{Place, Portrait, fetched, ground, write_jpeg};

const SEED: u64 = 2_000;
const SCENE: (u32, u32) = (640, 480);
/// Sides of the faces in pixels: the smallest, those from which a face counts as large, the largest.
const SMALLEST: f64 = 40.0;
const LARGE: f64 = 80.0;
const LARGEST: f64 = 400.0;
/// How far a face is turned at most, in degrees.
const TURN: f64 = 25.0;
/// How far a photograph is enlarged at most: beyond, its face has no detail left.
const ENLARGED: f64 = 2.0;
/// A box stands for a face where their centres are this close, in sides of the face ...
const NEAR: f64 = 0.35;
/// ... and neither side is more than this many times the other.
const ALIKE: f64 = 1.8;

/// What `recall` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// Scenes, every second one for each half of the people
    #[arg(long, default_value_t = 2000)]
    scenes: usize,
    /// More faces than those of the fetched pictures: <DIR>/<person>/<any name>.jpg
    #[arg(long, value_name = "DIR")]
    faces: Option<PathBuf>,
    /// Which half of the people: thresholds are chosen by one, and reported on the other
    #[arg(long, value_enum, default_value_t = Half::Both)]
    half: Half,
    /// Where the scenes go
    #[arg(long, value_name = "DIR", default_value = "target/bench/recall")]
    into: PathBuf,
    /// YuNet too, which has to be installed
    #[arg(long)]
    yunet: bool,
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

struct Scene {
    file: PathBuf,
    faces: Vec<Place>,
}

/// Counts over one detector and one half.
#[derive(Default, Clone, Copy)]
struct Count {
    small: (usize, usize),
    large: (usize, usize),
    wrong: usize,
    scenes: usize,
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
    let numbers: Vec<usize> = (0..options.scenes).filter(wanted).collect();
    let scenes: Vec<Scene> =
        numbers.par_iter().map(|&i| compose(i, &halves[i % 2], &options.into)).collect::<Result<_>>()?;
    eprintln!("{} scenes are composed", scenes.len());

    let mut found: Vec<(String, Vec<Vec<FaceBox>>)> = Vec::new();
    let mut detectors = vec![
        ("auto (HOG), from 40 px", Detector::Auto, 40),
        ("HOG, from 80 px", Detector::Hog, 80),
        ("CNN fast, from 80 px", Detector::Cnn, 80),
    ];
    if options.yunet {
        detectors.push(("YuNet, from 40 px", Detector::Yunet, 40));
    }
    for (name, detector, min_size) in detectors {
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
    let rows: Vec<(String, [Count; 2])> = found
        .into_iter()
        .map(|(name, boxes)| {
            let mut counts = [Count::default(); 2];
            for ((number, scene), boxes) in numbers.iter().zip(&scenes).zip(&boxes) {
                counts[number % 2].add(scene, boxes);
            }
            (name, counts)
        })
        .collect();
    report(&rows, &halves);
    Ok(())
}

/// The people's portraits in two halves that share nobody, of about as many pictures each.
fn portraits(finder: &VisionEngine, folder: Option<&Path>) -> Result<[Vec<Portrait>; 2]> {
    let mut pictures: Vec<(String, PathBuf)> = fetched();
    for entry in folder.into_iter().flat_map(|f| WalkDir::new(f).min_depth(2).max_depth(2).sort_by_file_name()) {
        let path = entry?.into_path();
        let person = path.parent().and_then(Path::file_name).unwrap_or_default();
        pictures.push((person.to_string_lossy().into_owned(), path));
    }
    let mut people: BTreeMap<String, Vec<Portrait>> = BTreeMap::new();
    let opened: Vec<(String, Option<Portrait>)> = pictures
        .into_par_iter()
        .map(|(person, path)| Ok((person, Portrait::open(finder, &path)?)))
        .collect::<Result<_>>()?;
    for (person, portrait) in opened {
        people.entry(person).or_default().extend(portrait.filter(|p| p.face.side >= LARGE));
    }
    // Those with most pictures first, each to the half that has fewer.
    let mut people: Vec<_> = people.into_iter().collect();
    people.sort_by_key(|(_, portraits)| std::cmp::Reverse(portraits.len()));
    let mut halves = [Vec::new(), Vec::new()];
    for (person, portraits) in people {
        let half = usize::from(halves[1].len() < halves[0].len());
        eprintln!("{person}: {} pictures, {}", portraits.len(), ["to choose by", "to report"][half]);
        halves[half].extend(portraits);
    }
    ensure!(halves.iter().all(|half| !half.is_empty()), "two people are needed");
    Ok(halves)
}

/// Scene number `i`, written as a JPEG.
fn compose(i: usize, portraits: &[Portrait], into: &Path) -> Result<Scene> {
    let mut random = Rng::with_seed(SEED + i as u64);
    let mut picture = ground(SCENE.0, SCENE.1, &mut random);
    let mut faces: Vec<Place> = Vec::new();
    for n in 0..random.usize(1..=3) {
        let portrait = &portraits[random.usize(..portraits.len())];
        // The first of any size; the others small, or they would not fit.
        let largest = if n == 0 { LARGEST } else { 2.0 * LARGE };
        let side = between(&mut random, SMALLEST.ln(), largest.ln()).exp().min(portrait.face.side * ENLARGED);
        let mut along = |length: u32| between(&mut random, side * 0.6, f64::from(length) - side * 0.6);
        let place = Place { x: along(SCENE.0), y: along(SCENE.1), side };
        let apart = |other: &Place| (other.x - place.x).hypot(other.y - place.y) > 1.2 * (other.side + side);
        if faces.iter().all(apart) {
            let turn = between(&mut random, -TURN, TURN).to_radians();
            portrait.paste(&mut picture, place, turn, random.bool());
            faces.push(place);
        }
    }
    if random.u8(0..3) == 0 {
        picture = fast_blur(&picture, 0.4 + random.f32());
    }
    if random.u8(0..3) == 0 {
        darken(&mut picture, between(&mut random, 0.25, 0.8));
    }
    let file = into.join(format!("{i:05}.jpg"));
    write_jpeg(&file, &picture, random.u8(35..=90))?;
    Ok(Scene { file, faces })
}

fn between(random: &mut Rng, low: f64, high: f64) -> f64 {
    low + random.f64() * (high - low)
}

fn darken(picture: &mut RgbImage, light: f64) {
    for Rgb(pixel) in picture.pixels_mut() {
        *pixel = pixel.map(|v| (f64::from(v) * light) as u8);
    }
}

fn detect_all(engine: &VisionEngine, scenes: &[Scene]) -> Result<Vec<Vec<FaceBox>>> {
    let boxes = |scene: &Scene| {
        let picture = decode(&fs::read(&scene.file)?)?.pixels;
        let found = engine.detect(&picture, Purpose::Recognize)?;
        Ok(found.iter().map(|d| face_box(&trimmed(&d.rect, &picture))).collect())
    };
    scenes.par_iter().map(boxes).collect()
}

/// What the peer finds in the same files.
fn peer(python: &Path, upsample: &str, scenes: &[Scene]) -> Result<Vec<Vec<FaceBox>>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peer.py");
    let workers = rayon::current_num_threads().to_string();
    let Some(folder) = scenes.first().and_then(|scene| scene.file.parent()) else { bail!("there are no scenes") };
    let arguments = ["recall", "--upsample", upsample, "--processes", &workers, "--scenes"];
    let output =
        Command::new(python).arg(script).args(arguments).arg(folder).output().context("cannot run the peer")?;
    ensure!(output.status.success(), "the peer failed: {}", String::from_utf8_lossy(&output.stderr));
    let mut found: BTreeMap<String, Vec<FaceBox>> = serde_json::from_slice(&output.stdout)?;
    let name = |scene: &Scene| scene.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    scenes.iter().map(|scene| found.remove(&name(scene)).context("the peer left out a scene")).collect()
}

impl Count {
    fn add(&mut self, scene: &Scene, boxes: &[FaceBox]) {
        self.scenes += 1;
        for face in &scene.faces {
            let group = if face.side < LARGE { &mut self.small } else { &mut self.large };
            group.0 += usize::from(boxes.iter().any(|b| stands_for(b, face)));
            group.1 += 1;
        }
        self.wrong += boxes.iter().filter(|b| !scene.faces.iter().any(|face| stands_for(b, face))).count();
    }
}

fn stands_for(found: &FaceBox, face: &Place) -> bool {
    let middle = |a: i32, b: i32| f64::from(a + b) / 2.0;
    let away = (middle(found.left, found.right) - face.x).hypot(middle(found.top, found.bottom) - face.y);
    let ratio = f64::from(found.bottom - found.top).max(1.0) / face.side;
    away < NEAR * face.side && (1.0 / ALIKE..ALIKE).contains(&ratio)
}

/// Prints one line of JSON: for each half its scenes, photographs and faces, and what each detector found.
fn report(rows: &[(String, [Count; 2])], halves: &[Vec<Portrait>; 2]) {
    let halves = ["choose", "report"].into_iter().enumerate().map(|(half, purpose)| {
        let all = rows.first().map(|(_, counts)| counts[half]).unwrap_or_default();
        let detectors = rows.iter().map(|(name, counts)| {
            let Count { small, large, wrong, .. } = counts[half];
            json!({"detector": name, "small": small.0, "large": large.0, "false_positives": wrong})
        });
        json!({
            "purpose": purpose, "scenes": all.scenes, "photographs": halves[half].len(), "small": all.small.1,
            "large": all.large.1, "detectors": detectors.collect::<Vec<_>>(),
        })
    });
    println!("{}", json!({"halves": halves.collect::<Vec<_>>()}));
}
