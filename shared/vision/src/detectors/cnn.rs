//! The CNN detector: dlib's max-margin object detection network (`mmod_human_face_detector`).
//!
//! The network looks for faces of 80 pixels, so it sees the picture in a pyramid of sizes. All levels lie in one tiled
//! canvas, as in dlib, and go through the network in one run.

use image::RgbImage;

use super::scale::{at_scale, bounded, pixels, smallest};
use super::{FaceDetector, Found};
use crate::VisionError;
use crate::geometry::{Detection, Rect};
use crate::network::{Network, values};
use crate::normalize::normalized_planes;
use crate::settings::DetectorMode;
use crate::suppress::{Overlap, suppress_overlaps};

const NAME: &str = "face_detector.onnx";
/// The side of the face that the network looks for, in pixels of a level.
const WINDOW: u32 = 80;
/// The most pixels that are looked at: about a second on one core.
const MAX_PIXELS: f64 = 1.2e6;
const MAX_PIXELS_EXACT: f64 = 4e6;
/// Between neighbouring levels in the canvas, and around all of them (dlib's defaults).
const PADDING: usize = 10;
const OUTER_PADDING: usize = 11;
/// The stored options of the model's loss layer.
const OVERLAP: Overlap = Overlap { around: 0.338_276_135_110_995_5, covered: 1.0 };

/// The detector network.
pub(crate) struct CnnDetector {
    network: Network,
    mode: DetectorMode,
    max_enlargement: f64,
}

impl CnnDetector {
    /// Returns the detector in these ONNX bytes, which enlarges pictures at most this much for faces under 80 pixels.
    ///
    /// # Errors
    /// [`VisionError::Network`] if tract cannot read them.
    pub(crate) fn parse(onnx: &[u8], mode: DetectorMode, max_enlargement: f64) -> Result<Self, VisionError> {
        Ok(Self { network: Network::parse(NAME, onnx)?, mode, max_enlargement })
    }

    /// Returns the faces of 80 pixels and more, best score first, in pixels of `picture`, not cut at its edges.
    fn detect(&self, picture: &RgbImage) -> Result<Vec<Detection>, VisionError> {
        let pyramid = Pyramid::new(picture.width() as usize, picture.height() as usize, step(self.mode));
        if pyramid.tiles.is_empty() {
            return Ok(Vec::new());
        }
        let outputs = self.network.run([1, 3, pyramid.height, pyramid.width], &pyramid.paint(picture))?;
        let output = outputs.first().ok_or(VisionError::Output { name: NAME, expected: 1 })?;
        let scores = values(NAME, output)?;
        let columns = output.shape().last().copied().unwrap_or(1).max(1);
        let mut candidates: Vec<Detection> = scores
            .iter()
            .enumerate()
            .filter(|(_, score)| **score > 0.0)
            .map(|(cell, score)| pyramid.detection(cell % columns, cell / columns, *score))
            .collect();
        candidates.sort_by(Detection::best_first);
        Ok(suppress_overlaps(candidates, OVERLAP, |detection| &detection.rect))
    }
}

impl FaceDetector for CnnDetector {
    fn find(&self, picture: &RgbImage, min_size: u32) -> Result<Found, VisionError> {
        let limit = if self.mode == DetectorMode::Exact { MAX_PIXELS_EXACT } else { MAX_PIXELS };
        let wanted = (f64::from(WINDOW) / f64::from(min_size)).min(self.max_enlargement);
        let scale = bounded(wanted, pixels(picture), limit);
        let detections = at_scale(picture, scale, |picture| self.detect(picture))?;
        Ok(Found { detections, min_size: smallest(0.0, f64::from(WINDOW) / scale) })
    }

    fn describe(&self, min_size: u32) -> String {
        let name = match self.mode {
            DetectorMode::Fast => "CNN",
            DetectorMode::Exact => "CNN (exact)",
        };
        format!("{name} from {} px", smallest(f64::from(min_size), f64::from(WINDOW) / self.max_enlargement))
    }
}

/// Every which level of the pyramid is looked at.
fn step(mode: DetectorMode) -> usize {
    match mode {
        DetectorMode::Fast => 2,
        DetectorMode::Exact => 1,
    }
}

/// One level of the pyramid in the canvas.
struct Tile {
    level: i32,
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

/// Where each level lies in the canvas: down one column at the left, then up again at the right, as dlib lays them out.
/// The place matters to the last digit, since the network samples every eighth pixel of the canvas.
struct Pyramid {
    tiles: Vec<Tile>,
    width: usize,
    height: usize,
}

/// The next level's size: 5/6, rounded down.
fn smaller(n: usize) -> usize {
    n * 5 / 6
}

impl Pyramid {
    fn new(width: usize, height: usize, step: usize) -> Self {
        let sizes: Vec<(usize, usize)> = std::iter::successors(Some((width, height)), |(w, h)| {
            let (w, h) = (smaller(*w), smaller(*h));
            (w * h > 0 && h >= 5).then_some((w, h))
        })
        .collect();
        let picked: Vec<(usize, (usize, usize))> = sizes.into_iter().enumerate().step_by(step).collect();

        // The column goes on until the next level fits beside the last one and half of the rest's height is reached.
        let total: usize = picked.iter().map(|(_, (_, h))| h + PADDING).sum::<usize>().saturating_sub(PADDING * 2);
        let (mut column, mut previous) = (0, 0);
        for (_, (w, h)) in &picked {
            let fits = w + previous + PADDING <= width;
            if fits && column >= height && (column - height) * 2 >= total.saturating_sub(height) {
                break;
            }
            column += h + PADDING;
            previous = *w;
        }
        let column = column.saturating_sub(PADDING);

        let mut tiles: Vec<Tile> = Vec::new();
        let mut levels = picked.into_iter().peekable();
        let mut y = OUTER_PADDING;
        while let Some((level, (w, h))) = levels.next_if(|_| y < column + OUTER_PADDING) {
            tiles.push(Tile { level: level as i32, left: OUTER_PADDING, top: y, width: w, height: h });
            y += h + PADDING;
        }
        let mut bottom = y.saturating_sub(PADDING);
        for (level, (w, h)) in levels {
            let Some(top) = bottom.checked_sub(h) else { break };
            // A level that would lie over the first one is left out; so are all after it.
            if top < OUTER_PADDING + height {
                break;
            }
            tiles.push(Tile { level: level as i32, left: OUTER_PADDING + width - w, top, width: w, height: h });
            bottom = top.saturating_sub(PADDING);
        }
        Self { tiles, width: width + OUTER_PADDING * 2, height: column + OUTER_PADDING * 2 }
    }

    /// The canvas: three normalised planes, zero between the levels.
    fn paint(&self, picture: &RgbImage) -> Vec<f32> {
        let mut canvas = vec![0.0; self.width * self.height * 3];
        let mut level = Planes {
            width: picture.width() as usize,
            height: picture.height() as usize,
            values: normalized_planes(picture),
        };
        let mut at = 0;
        for tile in &self.tiles {
            while at < tile.level {
                level = level.resized(smaller(level.width), smaller(level.height));
                at += 1;
            }
            for channel in 0..3 {
                for y in 0..tile.height {
                    let source = (channel * tile.height + y) * tile.width;
                    let target = (channel * self.height + tile.top + y) * self.width + tile.left;
                    canvas[target..target + tile.width].copy_from_slice(&level.values[source..source + tile.width]);
                }
            }
        }
        canvas
    }

    /// The window that a cell of the score map stands for, in pixels of the picture.
    fn detection(&self, column: usize, row: usize, score: f32) -> Detection {
        // The centre of the cell's receptive field: three unpadded 5 x 5 convolutions of stride 2.
        let (x, y) = ((column * 8 + 14) as f64, (row * 8 + 14) as f64);
        let tile = self.nearest(x, y);
        let half = f64::from(WINDOW - 1) / 2.0;
        let back = |v: f64, origin: usize| {
            let v = (0..tile.level).fold(v - origin as f64, |v, _| v * 1.2 + 0.3);
            v.round() as i64
        };
        Detection {
            rect: Rect {
                left: back(x - half, tile.left),
                top: back(y - half, tile.top),
                right: back(x + half, tile.left),
                bottom: back(y + half, tile.top),
            },
            score: f64::from(score),
        }
    }

    /// The level that holds this point of the canvas, or lies nearest to it.
    fn nearest(&self, x: f64, y: f64) -> &Tile {
        let outside =
            |v: f64, first: usize, length: usize| (first as f64 - v).max(v - (first + length - 1) as f64).max(0.0);
        let distance = |t: &Tile| outside(x, t.left, t.width).hypot(outside(y, t.top, t.height));
        self.tiles
            .iter()
            .min_by(|a, b| distance(a).total_cmp(&distance(b)))
            .expect("a pyramid that is run has at least one level")
    }
}

/// Three planes of numbers, row-major, one after the other.
struct Planes {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl Planes {
    /// The planes at another size: bilinear, corner pixels on corner pixels.
    fn resized(&self, width: usize, height: usize) -> Self {
        let ratio = |from: usize, to: usize| (from - 1) as f32 / (to.max(2) - 1) as f32;
        let (rx, ry) = (ratio(self.width, width), ratio(self.height, height));
        let columns: Vec<(usize, usize, f32)> = (0..width)
            .map(|x| {
                let position = x as f32 * rx;
                let left = (position as usize).min(self.width - 1);
                (left, (left + 1).min(self.width - 1), position - left as f32)
            })
            .collect();
        let mut values = Vec::with_capacity(width * height * 3);
        for plane in self.values.chunks_exact(self.width * self.height) {
            for y in 0..height {
                let position = y as f32 * ry;
                let top = (position as usize).min(self.height - 1);
                let down = position - top as f32;
                let row = |y: usize| &plane[y * self.width..(y + 1) * self.width];
                let (upper, lower) = (row(top), row((top + 1).min(self.height - 1)));
                values.extend(columns.iter().map(|(left, right, across)| {
                    let upper = upper[*left] * (1.0 - across) + upper[*right] * across;
                    let lower = lower[*left] * (1.0 - across) + lower[*right] * across;
                    upper * (1.0 - down) + lower * down
                }));
            }
        }
        Self { width, height, values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canvas_is_laid_out_as_in_dlib() {
        for ((w, h), canvas) in [((640, 480), (662, 1782)), ((1280, 720), (1302, 2644))] {
            let pyramid = Pyramid::new(w, h, 1);
            assert_eq!((pyramid.width, pyramid.height), canvas);
        }
    }

    #[test]
    fn levels_lie_inside_the_canvas_and_apart() {
        for (w, h) in [(640, 480), (480, 640), (2000, 100), (100, 2000), (81, 81), (5, 5), (1, 7), (3, 3)] {
            for step in [1, 2] {
                let pyramid = Pyramid::new(w, h, step);
                for (i, a) in pyramid.tiles.iter().enumerate() {
                    assert!(a.left + a.width <= pyramid.width && a.top + a.height <= pyramid.height, "{w}x{h}");
                    for b in &pyramid.tiles[i + 1..] {
                        let apart = a.left + a.width <= b.left
                            || b.left + b.width <= a.left
                            || a.top + a.height <= b.top
                            || b.top + b.height <= a.top;
                        assert!(apart, "{w}x{h}: levels {} and {} meet", a.level, b.level);
                    }
                }
            }
        }
    }

    #[test]
    fn a_large_picture_is_looked_at_in_a_smaller_size() {
        assert_eq!(smallest(0.0, f64::from(WINDOW) / bounded(1.0, 12e6, MAX_PIXELS)), 253);
    }

    #[test]
    fn a_cell_of_the_first_level_maps_to_its_window() {
        let pyramid = Pyramid::new(640, 480, 1);
        let detection = pyramid.detection(20, 10, 1.5);
        assert_eq!(detection.rect, Rect { left: 124, top: 44, right: 203, bottom: 123 });
    }
}
