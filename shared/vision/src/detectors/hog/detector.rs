//! The search over scales.

use std::sync::{Arc, Mutex, PoisonError};

use attendance_models::FormatError;
use image::RgbImage;
use rayon::prelude::*;

use super::dispatch::SimdLevel;
use super::features::CELL;
#[cfg(test)]
use super::filters::Template;
use super::model::Model;
use super::planes::Planes;
use super::search::{Window, strips};
use crate::geometry::{Detection, Rect};
use crate::suppress::suppress_overlaps;

pub(crate) const NAME: &str = "face_hog.bin";
/// Pixels of the face that a window is made for, at the finest level.
const WINDOW: f64 = 80.0;
/// A level is this much smaller than the one before it.
const SCALE: f64 = 6.0 / 5.0;
/// The pyramid ends at the first level whose picture would be smaller than this.
const SMALLEST_LEVEL: i64 = 64;

/// What to look for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct HogSearch {
    /// How often the picture is doubled before the search. Faces from 80 pixels are found without, from 40 with one step,
    /// at four times the time and memory.
    pub(crate) upsample: u32,
    /// Added to every view's threshold: below zero finds more faces, and more that are none.
    pub(crate) adjust: f64,
    /// Side in pixels of the smallest face that matters. Levels for smaller ones are left out, the other levels are
    /// the same as ever; 0 leaves none out.
    pub(crate) min_size: u32,
}

/// dlib's frontal face detector.
#[derive(Debug, Clone)]
pub(crate) struct HogDetector {
    model: Model,
}

impl HogDetector {
    /// Returns the detector in this file, which is what `dlib.get_frontal_face_detector().save(path)` writes.
    ///
    /// # Errors
    /// [`FormatError`] for bytes that are anything else. Time and memory are bounded by the number of bytes.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        Ok(Self { model: Model::parse(NAME, bytes)? })
    }

    /// Returns the faces in the picture, surest first, none overlapping another by much, each with the view that saw it:
    /// 0 front, 1 left, 2 right, 3 front rotated left, 4 front rotated right. A box may reach beyond the picture. The score
    /// says how far it is above the threshold before [`HogSearch::adjust`]; most faces have 0 to 3.
    ///
    /// The work is spread over the rayon pool that the caller runs in; the result does not depend on it. Takes about 15
    /// bytes per pixel of the picture, and four times that for each step of upsampling.
    #[must_use]
    pub(crate) fn detect(&self, image: &RgbImage, search: &HogSearch) -> Vec<(Detection, usize)> {
        if image.width() == 0 || image.height() == 0 {
            return Vec::new();
        }
        let simd_level = SimdLevel::detect();
        let upsample = search.upsample;
        let mut picture = Planes::from_rgb(image);
        for _ in 0..upsample {
            picture = simd_level.resize(&picture, 2 * picture.width() + 2, 2 * picture.height() + 1);
        }
        let first_level = first_level(f64::from(search.min_size) * f64::from(1u32 << upsample));

        let found = Mutex::new(Vec::new());
        rayon::scope(|scope| {
            let mut picture = Arc::new(picture);
            for level in 0..levels(picture.width(), picture.height()) {
                if level > 0 {
                    let (width, height) = (5 * picture.width() / 6, 5 * picture.height() / 6);
                    picture = Arc::new(simd_level.resize(&picture, width, height));
                }
                if level >= first_level {
                    let (picture, found) = (Arc::clone(&picture), &found);
                    scope.spawn(move |_| {
                        let candidates = self.search_level(simd_level, picture, level, search.adjust);
                        found.lock().unwrap_or_else(PoisonError::into_inner).extend(candidates);
                    });
                }
            }
        });
        let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Equal scores in an order that does not depend on which level was done first.
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.place.cmp(&b.place)));
        let kept = suppress_overlaps(found, self.model.overlap, |candidate| &candidate.rect);
        kept.into_iter().map(|candidate| candidate.in_picture(upsample)).collect()
    }

    #[cfg(test)]
    pub(super) fn templates(&self) -> &[Template] {
        &self.model.detectors
    }

    fn search_level(&self, simd_level: SimdLevel, picture: Arc<Planes>, level: u32, adjust: f64) -> Vec<Candidate> {
        let features = simd_level.extract(&picture);
        drop(picture);
        strips(features.columns)
            .into_par_iter()
            .flat_map_iter(|strip| simd_level.search(&features, strip, &self.model.detectors, adjust))
            .map(|window| Candidate::new(&window, level))
            .collect()
    }
}

/// Returns the number of levels of a picture of this size.
fn levels(width: usize, height: usize) -> u32 {
    // The corners are mapped and rounded as dlib does, which is not what the levels' pictures are sized by.
    let down = |last: i64| ((last as f64 - 0.3) * 5.0 / 6.0).round() as i64;
    let (mut right, mut bottom) = (width as i64 - 1, height as i64 - 1);
    let mut levels = 0;
    loop {
        (right, bottom, levels) = (down(right), down(bottom), levels + 1);
        if right + 1 < SMALLEST_LEVEL || bottom + 1 < SMALLEST_LEVEL {
            return levels;
        }
    }
}

/// Returns the last level whose window is not larger than a face of this size, or the first of all.
fn first_level(size: f64) -> u32 {
    let (mut level, mut window) = (0, WINDOW * SCALE);
    while window <= size {
        (level, window) = (level + 1, window * SCALE);
    }
    level
}

/// A window that looks like a face, and where.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    /// In the picture that the pyramid is built on.
    rect: Rect,
    score: f64,
    /// View, level, row and column.
    place: (usize, u32, usize, usize),
}

impl Candidate {
    fn new(window: &Window, level: u32) -> Self {
        let &Window { detector, row, column, score } = window;
        // From cells to pixels of the level. The jump is dlib's rounding of coordinates below zero.
        let sides = |cell: usize| {
            let cell = cell as i64 * CELL as i64;
            (if cell >= 3 * CELL as i64 { cell - 19 } else { cell - 27 }, cell + 53)
        };
        let ((left, right), (top, bottom)) = (sides(column), sides(row));
        let up = |side: i64| (0..level).fold(side as f64, |side, _| side * SCALE + 0.3).round() as i64;
        let [left, top, right, bottom] = [left, top, right, bottom].map(up);
        Self { rect: Rect { left, top, right, bottom }, score, place: (detector, level, row, column) }
    }

    /// Returns the detection in the picture before its upsampling, and the view.
    fn in_picture(self, upsample: u32) -> (Detection, usize) {
        let down =
            |side: i64, offset: f64| (0..upsample).fold(side as f64, |side, _| side / 2.0 - offset).round() as i64;
        let Rect { left, top, right, bottom } = self.rect;
        let rect =
            Rect { left: down(left, 1.25), top: down(top, 0.75), right: down(right, 1.25), bottom: down(bottom, 0.75) };
        (Detection { rect, score: self.score }, self.place.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_counted_by_corners() {
        assert_eq!(levels(640, 480), 12);
        assert_eq!(levels(1, 1), 1);
        assert_eq!(levels(76, 1000), 1);
        // 76 x 5/6 is 63; its last column, 75, maps to 62.25.
        assert_eq!((levels(77, 1000), levels(78, 1000)), (2, 2));
    }

    #[test]
    fn the_first_level_is_the_last_that_is_not_too_coarse() {
        assert_eq!([0.0, 80.0, 95.9, 96.1, 138.0, 160.0].map(first_level), [0, 0, 0, 1, 2, 3]);
    }
}
