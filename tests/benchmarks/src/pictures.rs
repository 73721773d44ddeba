//! Composes frames and scenes: faces of real photographs on ground that holds none.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use attendance::ports::Purpose;
use attendance_testkit::sample;
use attendance_vision::VisionEngine;
use attendance_vision::stages::{Rect, decode};
use fastrand::Rng;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, crop_imm, fast_blur, resize};
use image::{ImageBuffer, Rgb, RgbImage, Rgba};

const SEED: u64 = 640_480;
/// Half the side of what is cut out around a face, in sides of the face: hair, ears and neck come along.
const REACH: f64 = 1.1;
/// Where the cut-out begins to fade into the ground, as a part of its radius.
const FADE: f64 = 0.8;

/// A circle in a picture: where a face is. `side` is that of the detector's box.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Centre, in pixels from the left.
    pub(crate) x: f64,
    /// Centre, in pixels from the top.
    pub(crate) y: f64,
    /// Side, in pixels.
    pub(crate) side: f64,
}

impl Place {
    fn of(rect: &Rect) -> Self {
        Self {
            x: (rect.left + rect.right) as f64 / 2.0,
            y: (rect.top + rect.bottom) as f64 / 2.0,
            side: (rect.right - rect.left + 1) as f64,
        }
    }
}

/// A photograph and the largest face in it.
pub(crate) struct Portrait {
    pixels: RgbImage,
    pub(crate) face: Place,
}

impl Portrait {
    /// The portrait in this file, or `None` if the engine finds no face in it, or another one so near that it would be cut out
    /// with the largest.
    pub(crate) fn open(engine: &VisionEngine, path: &Path) -> Result<Option<Self>> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let pixels = decode(&bytes).with_context(|| format!("{}", path.display()))?.pixels;
        let found = engine.stages().detect(&pixels, Purpose::Enroll)?;
        let mut places: Vec<Place> = found.iter().map(|d| Place::of(&d.rect)).collect();
        places.sort_by(|a, b| b.side.total_cmp(&a.side));
        let Some((&face, others)) = places.split_first() else { return Ok(None) };
        let cut = |other: &Place| (other.x - face.x).hypot(other.y - face.y) < REACH * face.side + other.side / 2.0;
        Ok((!others.iter().any(cut)).then_some(Self { pixels, face }))
    }

    /// A pattern of this size made of a patch of the photograph beside its face, mirrored again and again, or `None` if there is
    /// no room for one. Clothes, walls and hair: what surrounds faces, and is none.
    pub(crate) fn surroundings(&self, width: u32, height: u32, random: &mut Rng) -> Option<RgbImage> {
        let (w, h) = self.pixels.dimensions();
        let side = (f64::from(w.min(h)) * (0.15 + 0.25 * random.f64())) as u32;
        let away = |x: u32, y: u32| {
            let (x, y) = (f64::from(x) + f64::from(side) / 2.0, f64::from(y) + f64::from(side) / 2.0);
            let apart = (self.face.side * 1.4 + f64::from(side)) / 2.0;
            (x - self.face.x).abs() > apart || (y - self.face.y).abs() > apart
        };
        let (x, y) =
            (0..50).map(|_| (random.u32(0..=w - side), random.u32(0..=h - side))).find(|&(x, y)| away(x, y))?;
        let tile = random.u32(100..320);
        let patch = resize(&crop_imm(&self.pixels, x, y, side, side).to_image(), tile, tile, FilterType::Triangle);
        let mirrored = |at: u32| if (at / tile).is_multiple_of(2) { at % tile } else { tile - 1 - at % tile };
        Some(RgbImage::from_fn(width, height, |x, y| *patch.get_pixel(mirrored(x), mirrored(y))))
    }

    /// Puts the face into `ground` at this place, turned by `turn` radians, mirrored or not.
    pub(crate) fn paste(&self, ground: &mut RgbImage, place: Place, turn: f64, mirrored: bool) {
        let scale = place.side / self.face.side;
        let reach = REACH * self.face.side;
        let from = |v: f64| (v - reach).max(0.0) as u32;
        let to = |v: f64, end: u32| (v + reach).clamp(0.0, f64::from(end)) as u32;
        let (left, top) = (from(self.face.x), from(self.face.y));
        let (width, height) =
            (to(self.face.x, self.pixels.width()) - left, to(self.face.y, self.pixels.height()) - top);
        let resized = |n: u32| ((f64::from(n) * scale).round() as u32).max(1);
        let cut = crop_imm(&self.pixels, left, top, width, height).to_image();
        let cut = resize(&cut, resized(width), resized(height), FilterType::Triangle);
        let centre = ((self.face.x - f64::from(left)) * scale, (self.face.y - f64::from(top)) * scale);

        let radius = REACH * place.side;
        let (sin, cos) = turn.sin_cos();
        for y in span(place.y, radius, ground.height()) {
            for x in span(place.x, radius, ground.width()) {
                let (dx, dy) = (f64::from(x) - place.x, f64::from(y) - place.y);
                let alpha = ((1.0 - dx.hypot(dy) / radius) / (1.0 - FADE)).clamp(0.0, 1.0);
                let (u, v) = (dx * cos + dy * sin, dy * cos - dx * sin);
                let at = (centre.0 + if mirrored { -u } else { u }, centre.1 + v);
                if let Some(pixel) = bilinear(&cut, at).filter(|_| alpha > 0.0) {
                    let under = ground.get_pixel_mut(x, y);
                    for (under, over) in under.0.iter_mut().zip(pixel) {
                        *under = (f64::from(*under) * (1.0 - alpha) + over * alpha).round() as u8;
                    }
                }
            }
        }
    }
}

/// Writes the frames of the benchmark, two pictures of the largest size that is taken, and two files that are refused.
pub(crate) fn write_frames(engine: &VisionEngine, into: &Path) -> Result<()> {
    let portrait = |name: &str| -> Result<Portrait> {
        Portrait::open(engine, &sample(name))?.with_context(|| format!("no face in {name}"))
    };
    let known = [portrait("obama.jpg")?, portrait("biden.jpg")?];
    let others = [portrait("obama2.jpg")?, portrait("obama3.jpg")?];
    fs::create_dir_all(into)?;
    for (width, height) in [(640, 480), (1280, 720), (1920, 1080)] {
        let mut frame = quiet_ground(width, height);
        let (x, y) = (f64::from(width) * 0.5, f64::from(height) * 0.45);
        others[0].paste(&mut frame, Place { x, y, side: f64::from(height) * 0.2 }, 0.0, false);
        write_jpeg(&into.join(format!("face-{width}x{height}.jpg")), &frame, 90)?;
    }
    let mut group = quiet_ground(800, 600);
    for (i, portrait) in known.iter().chain(&others).enumerate() {
        let (column, row) = ((i % 2) as f64, (i / 2) as f64);
        portrait.paste(
            &mut group,
            Place { x: 240.0 + 320.0 * column, y: 160.0 + 280.0 * row, side: 110.0 },
            0.0,
            false,
        );
    }
    write_jpeg(&into.join("group-800x600.jpg"), &group, 90)?;
    write_jpeg(&into.join("empty-640x480.jpg"), &ground(640, 480, &mut Rng::with_seed(SEED)), 90)?;
    let mut largest = RgbImage::from_pixel(LARGEST.0, LARGEST.1, Rgb([90, 110, 130]));
    let (x, y) = (f64::from(LARGEST.0) * 0.5, f64::from(LARGEST.1) * 0.45);
    others[0].paste(&mut largest, Place { x, y, side: f64::from(LARGEST.1) * 0.2 }, 0.0, false);
    write_jpeg(&into.join("largest.jpg"), &largest, 60)?;
    // Sixteen bits a channel and alpha: the most bytes a pixel that a picture may have.
    let deep = ImageBuffer::from_pixel(LARGEST.0, LARGEST.1, Rgba([90u16 << 8, 110 << 8, 130 << 8, u16::MAX]));
    deep.save(into.join("largest.png"))?;
    let face = fs::read(into.join("face-640x480.jpg"))?;
    fs::write(into.join("truncated.jpg"), &face[..face.len() / 2])?;
    Ok(fs::write(into.join("no-picture.txt"), "no picture")?)
}

/// The sides of a picture that has as many pixels as one may have.
const LARGEST: (u32, u32) = (8_660, 5_773);

/// Writes a JPEG of this quality, 1 to 100.
pub(crate) fn write_jpeg(path: &Path, picture: &RgbImage, quality: u8) -> Result<()> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(picture)?;
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// The peer package's photographs of whole faces, with who is in them.
pub(crate) fn fetched() -> Vec<(String, PathBuf)> {
    [("obama", "obama.jpg"), ("obama", "obama2.jpg"), ("obama", "obama3.jpg"), ("biden", "biden.jpg")]
        .map(|(who, name)| (who.to_owned(), sample(name)))
        .to_vec()
}

/// A picture without a face: soft noise at several scales, and shapes with sharp edges.
pub(crate) fn ground(width: u32, height: u32, random: &mut Rng) -> RgbImage {
    let mut ground = RgbImage::from_pixel(width, height, colour(random));
    for (cell, weight) in [(160, 0.5), (40, 0.3), (10, 0.15), (3, 0.1)] {
        let grid = RgbImage::from_fn(width.div_ceil(cell) + 1, height.div_ceil(cell) + 1, |_, _| colour(random));
        let layer = resize(&grid, width, height, FilterType::Triangle);
        for (under, over) in ground.pixels_mut().zip(layer.pixels()) {
            blend(under, *over, weight);
        }
    }
    for _ in 0..random.u32(8..40) {
        shape(&mut ground, random);
    }
    fast_blur(&ground, 0.3 + random.f32())
}

/// A page: rows of signs made of a few strokes each, as letters are, in columns of several sizes.
pub(crate) fn text(width: u32, height: u32, random: &mut Rng) -> RgbImage {
    let (paper, ink) = (colour(random), colour(random));
    let mut page = RgbImage::from_pixel(width, height, paper);
    let mut y = 8.0;
    while y < f64::from(height) {
        let size = 6.0 + 40.0 * random.f64().powi(3);
        let mut x = 10.0;
        while x < f64::from(width) {
            if random.u8(0..6) > 0 {
                let grid = |random: &mut Rng| {
                    (x + f64::from(random.u8(0..3)) * size * 0.25, y + f64::from(random.u8(0..4)) * size / 3.0)
                };
                for _ in 0..random.u8(2..5) {
                    line(&mut page, grid(random), grid(random), size / 9.0, ink);
                }
            }
            x += size * 0.75;
        }
        y += size * 1.6;
    }
    page
}

/// A drawing: polygons, circles and grids in lines of several widths.
pub(crate) fn drawing(width: u32, height: u32, random: &mut Rng) -> RgbImage {
    let mut page = RgbImage::from_pixel(width, height, colour(random));
    for _ in 0..random.u8(6..24) {
        let centre = (f64::from(random.u32(0..width)), f64::from(random.u32(0..height)));
        let radius = 10.0 + 190.0 * random.f64().powi(2);
        let (ink, half_width) = (colour(random), 0.5 + 3.0 * random.f64());
        let corners = if random.bool() { 48 } else { u32::from(random.u8(3..7)) };
        let turn = random.f64();
        let corner = |i: u32| {
            let angle = (f64::from(i) / f64::from(corners) + turn) * std::f64::consts::TAU;
            (centre.0 + radius * angle.cos(), centre.1 + radius * angle.sin())
        };
        // Crossed by lines now and then, as hatching is.
        let step = if random.u8(0..4) == 0 { corners / 2 } else { 1 };
        for i in 0..corners {
            line(&mut page, corner(i), corner(i + step), half_width, ink);
        }
    }
    page
}

fn line(page: &mut RgbImage, from: (f64, f64), to: (f64, f64), half_width: f64, ink: Rgb<u8>) {
    let length = (to.0 - from.0).hypot(to.1 - from.1);
    let steps = length.ceil().max(1.0);
    let (page_width, page_height) = page.dimensions();
    for step in 0..=steps as u32 {
        let part = f64::from(step) / steps;
        let (x, y) = (from.0 + (to.0 - from.0) * part, from.1 + (to.1 - from.1) * part);
        for row in span(y, half_width, page_height) {
            for column in span(x, half_width, page_width) {
                page.put_pixel(column, row, ink);
            }
        }
    }
}

fn quiet_ground(width: u32, height: u32) -> RgbImage {
    fast_blur(&ground(width, height, &mut Rng::with_seed(SEED)), 6.0)
}

/// Draws a rectangle, an ellipse or a striped rectangle somewhere.
fn shape(ground: &mut RgbImage, random: &mut Rng) {
    let (width, height) = ground.dimensions();
    let (x, y) = (f64::from(random.u32(0..width)), f64::from(random.u32(0..height)));
    let mut half = || 4.0 + random.f64() * random.f64() * f64::from(height) / 3.0;
    let (half_width, half_height) = (half(), half());
    let kind = random.u8(0..3);
    let stripe = random.u32(3..24);
    let (first, second) = (colour(random), colour(random));
    let weight = 0.4 + random.f64() * 0.6;
    for row in span(y, half_height, height) {
        for column in span(x, half_width, width) {
            let (u, v) = ((f64::from(column) - x) / half_width, (f64::from(row) - y) / half_height);
            let over = match kind {
                0 => first,
                1 if u * u + v * v > 1.0 => continue,
                1 => first,
                _ if (column / stripe).is_multiple_of(2) => first,
                _ => second,
            };
            blend(ground.get_pixel_mut(column, row), over, weight);
        }
    }
}

fn colour(random: &mut Rng) -> Rgb<u8> {
    Rgb([random.u8(..), random.u8(..), random.u8(..)])
}

fn blend(under: &mut Rgb<u8>, over: Rgb<u8>, weight: f64) {
    for (under, over) in under.0.iter_mut().zip(over.0) {
        *under = (f64::from(*under) * (1.0 - weight) + f64::from(over) * weight).round() as u8;
    }
}

/// The whole pixels within `radius` of `centre` on an axis of `length` pixels.
fn span(centre: f64, radius: f64, length: u32) -> std::ops::Range<u32> {
    ((centre - radius).max(0.0) as u32)..((centre + radius).clamp(0.0, f64::from(length)) as u32)
}

/// The colour between pixels, or `None` outside the picture.
fn bilinear(picture: &RgbImage, (x, y): (f64, f64)) -> Option<[f64; 3]> {
    if x < 0.0 || y < 0.0 || x >= f64::from(picture.width() - 1) || y >= f64::from(picture.height() - 1) {
        return None;
    }
    let (column, row) = (x as u32, y as u32);
    let (s, t) = (x.fract(), y.fract());
    let mut sum = [0.0; 3];
    for (dx, dy, weight) in [(0, 0, (1.0 - s) * (1.0 - t)), (1, 0, s * (1.0 - t)), (0, 1, (1.0 - s) * t), (1, 1, s * t)]
    {
        for (sum, value) in sum.iter_mut().zip(picture.get_pixel(column + dx, row + dy).0) {
            *sum += weight * f64::from(value);
        }
    }
    Some(sum)
}
