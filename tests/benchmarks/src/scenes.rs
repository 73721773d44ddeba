//! Composes scenes: faces of real photographs on ground that holds none, and scenes without any face.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use attendance_vision::VisionEngine;
use fastrand::Rng;
use image::imageops::fast_blur;
use image::{Rgb, RgbImage};
use rayon::prelude::*;
use walkdir::WalkDir;

use crate::pictures::{Place, Portrait, drawing, fetched, ground, text, write_jpeg};

const SEED: u64 = 2_000;
const FACE_FREE_SEED: u64 = 1_000_000;
const SCENE: (u32, u32) = (640, 480);
/// Sides of the faces in pixels: the smallest, those from which a face counts as large, the largest.
const SMALLEST: f64 = 40.0;
pub(crate) const LARGE: f64 = 80.0;
const LARGEST: f64 = 400.0;
/// How far a face is turned at most, in degrees.
const TURN: f64 = 25.0;
/// How far a photograph is enlarged at most: beyond, its face has no detail left.
const ENLARGED: f64 = 2.0;

/// A scene, written as a JPEG, and where its faces are.
pub(crate) struct Scene {
    pub(crate) file: PathBuf,
    pub(crate) faces: Vec<Place>,
    /// The half of the people whose photographs it is made of: 0 to choose by, 1 to report.
    pub(crate) half: usize,
}

/// The people's portraits in two halves that share nobody, of about as many pictures each.
pub(crate) fn portraits(finder: &VisionEngine, folder: Option<&Path>) -> Result<[Vec<Portrait>; 2]> {
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
pub(crate) fn compose(i: usize, portraits: &[Portrait], into: &Path) -> Result<Scene> {
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
    let file = into.join(format!("{i:05}.jpg"));
    taken(picture, &file, &mut random)?;
    Ok(Scene { file, faces, half: i % 2 })
}

/// Face-free scene number `i`, written as a JPEG: in turn shapes on noise, a pattern made of a photograph's surroundings,
/// text, and a line drawing.
pub(crate) fn face_free(i: usize, portraits: &[Portrait], into: &Path) -> Result<Scene> {
    let mut random = Rng::with_seed(FACE_FREE_SEED + i as u64);
    let (width, height) = SCENE;
    let picture = match (i / 2) % 4 {
        0 => ground(width, height, &mut random),
        1 => {
            // Some photographs are all face.
            let pattern = (0..20)
                .find_map(|_| portraits[random.usize(..portraits.len())].surroundings(width, height, &mut random));
            pattern.unwrap_or_else(|| ground(width, height, &mut random))
        }
        2 => text(width, height, &mut random),
        _ => drawing(width, height, &mut random),
    };
    let file = into.join(format!("face-free-{i:05}.jpg"));
    taken(picture, &file, &mut random)?;
    Ok(Scene { file, faces: Vec::new(), half: i % 2 })
}

/// Writes the picture as a camera might have taken it: a third of them blurred, a third dark, all compressed.
fn taken(mut picture: RgbImage, file: &Path, random: &mut Rng) -> Result<()> {
    if random.u8(0..3) == 0 {
        picture = fast_blur(&picture, 0.4 + random.f32());
    }
    if random.u8(0..3) == 0 {
        darken(&mut picture, between(random, 0.25, 0.8));
    }
    write_jpeg(file, &picture, random.u8(35..=90))
}

fn between(random: &mut Rng, low: f64, high: f64) -> f64 {
    low + random.f64() * (high - low)
}

fn darken(picture: &mut RgbImage, light: f64) {
    for Rgb(pixel) in picture.pixels_mut() {
        *pixel = pixel.map(|v| (f64::from(v) * light) as u8);
    }
}
