//! The search over scales and the choice among overlapping boxes.

use std::sync::{Arc, Mutex, PoisonError};

use image::RgbImage;
use rayon::prelude::*;

use super::features::CELL;
use super::filter::{Window, strips};
#[cfg(test)]
use super::model::Template;
use super::model::{HogModelError, Model, Overlap};
use super::planes::Planes;
use super::simd::Processor;

/// Pixels of the face that a window is made for, at the finest level.
const WINDOW: f64 = 80.0;
/// A level is this much smaller than the one before it.
const SCALE: f64 = 6.0 / 5.0;
/// The pyramid ends at the first level whose picture would be smaller than this.
const SMALLEST_LEVEL: i64 = 64;
/// Steps of upsampling beyond which a call is not meant seriously: each quadruples the pixels.
const MAX_UPSAMPLE: u32 = 4;

/// What to look for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HogSearch {
    /// How often the picture is doubled before the search; more than 4 counts as 4. Faces from 80 pixels are found
    /// without, from 40 with one step, at four times the time and memory.
    pub upsample: u32,
    /// Added to every detector's threshold: below zero finds more faces, and more that are none.
    pub adjust: f64,
    /// Side in pixels of the smallest face that matters. Levels for smaller ones are left out, the other levels are
    /// the same as ever; 0 leaves none out.
    pub min_size: u32,
}

/// A face. The box is in pixels of the picture, all sides inclusive, and may reach beyond the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HogDetection {
    /// First column.
    pub left: i64,
    /// First row.
    pub top: i64,
    /// Last column.
    pub right: i64,
    /// Last row.
    pub bottom: i64,
    /// How far above the threshold (before [`HogSearch::adjust`]), larger is surer; most faces have 0 to 3.
    pub score: f64,
    /// Which view was seen: 0 front, 1 left, 2 right, 3 front rotated left, 4 front rotated right.
    pub detector: usize,
}

/// dlib's frontal face detector.
#[derive(Debug, Clone)]
pub struct HogDetector {
    model: Model,
}

impl HogDetector {
    /// The detector in this file, which is what `dlib.get_frontal_face_detector().save(path)` writes.
    ///
    /// # Errors
    /// [`HogModelError`], for bytes that are anything else. Time and memory are bounded by the number of bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, HogModelError> {
        Ok(Self { model: Model::parse(bytes)? })
    }

    /// The faces in the picture, surest first, none overlapping another by much.
    ///
    /// The work is spread over the rayon pool that the caller runs in; the result does not depend on it. Takes about 15
    /// bytes a pixel of the picture, and four times that for each step of upsampling.
    #[must_use]
    pub fn detect(&self, image: &RgbImage, search: &HogSearch) -> Vec<HogDetection> {
        if image.width() == 0 || image.height() == 0 {
            return Vec::new();
        }
        let processor = Processor::best();
        let upsample = search.upsample.min(MAX_UPSAMPLE);
        let mut picture = Planes::from_rgb(image);
        for _ in 0..upsample {
            picture = processor.resize(&picture, 2 * picture.width() + 2, 2 * picture.height() + 1);
        }
        let first_level = first_level(f64::from(search.min_size) * f64::from(1u32 << upsample));

        let found = Mutex::new(Vec::new());
        rayon::scope(|scope| {
            let mut picture = Arc::new(picture);
            for level in 0..levels(picture.width(), picture.height()) {
                if level > 0 {
                    let (width, height) = (5 * picture.width() / 6, 5 * picture.height() / 6);
                    picture = Arc::new(processor.resize(&picture, width, height));
                }
                if level >= first_level {
                    let (picture, found) = (Arc::clone(&picture), &found);
                    scope.spawn(move |_| {
                        let candidates = self.search_level(processor, picture, level, search.adjust);
                        found.lock().unwrap_or_else(PoisonError::into_inner).extend(candidates);
                    });
                }
            }
        });
        let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Equal scores in an order that does not depend on which level was done first.
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.place.cmp(&b.place)));
        suppress(&found, self.model.overlap).into_iter().map(|candidate| candidate.in_picture(upsample)).collect()
    }

    #[cfg(test)]
    pub(super) fn templates(&self) -> &[Template] {
        &self.model.detectors
    }

    fn search_level(&self, processor: Processor, picture: Arc<Planes>, level: u32, adjust: f64) -> Vec<Candidate> {
        let features = processor.extract(&picture);
        drop(picture);
        strips(features.columns)
            .into_par_iter()
            .flat_map_iter(|strip| processor.search(&features, strip, &self.model.detectors, adjust))
            .map(|window| Candidate::new(&window, level))
            .collect()
    }
}

/// Levels of a picture of this size.
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

/// The last level whose window is not larger than a face of this size, or the first of all.
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
    /// Left, top, right and bottom, inclusive, in the picture that the pyramid is built on.
    sides: [i64; 4],
    score: f64,
    /// Detector, level, row and column.
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
        Self { sides: [left, top, right, bottom].map(up), score, place: (detector, level, row, column) }
    }

    fn in_picture(self, upsample: u32) -> HogDetection {
        let down =
            |side: i64, offset: f64| (0..upsample).fold(side as f64, |side, _| side / 2.0 - offset).round() as i64;
        let [left, top, right, bottom] = self.sides;
        HogDetection {
            left: down(left, 1.25),
            top: down(top, 0.75),
            right: down(right, 1.25),
            bottom: down(bottom, 0.75),
            score: self.score,
            detector: self.place.0,
        }
    }

    fn overlaps(&self, other: &Self, limit: Overlap) -> bool {
        let area = |left: i64, top: i64, right: i64, bottom: i64| {
            ((right - left + 1).max(0) * (bottom - top + 1).max(0)) as f64
        };
        let ([l, t, r, b], [ol, ot, or, ob]) = (self.sides, other.sides);
        let inner = area(l.max(ol), t.max(ot), r.min(or), b.min(ob));
        let outer = area(l.min(ol), t.min(ot), r.max(or), b.max(ob));
        inner > 0.0
            && (inner / outer > limit.union
                || inner / area(l, t, r, b) > limit.covered
                || inner / area(ol, ot, or, ob) > limit.covered)
    }
}

/// The candidates, in their order, that do not overlap one before them.
fn suppress(candidates: &[Candidate], limit: Overlap) -> Vec<Candidate> {
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        if !kept.iter().any(|other| other.overlaps(candidate, limit)) {
            kept.push(*candidate);
        }
    }
    kept
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

    #[test]
    fn of_overlapping_boxes_the_surer_stays() {
        let limit = Overlap { union: 0.33, covered: 0.78 };
        let candidate = |sides| Candidate { sides, score: 0.0, place: (0, 0, 0, 0) };
        let first = candidate([0, 0, 99, 99]);
        let kept = |other| suppress(&[first, candidate(other)], limit).len();
        assert_eq!(kept([10, 10, 109, 109]), 1);
        assert_eq!(kept([50, 50, 149, 149]), 2);
        // Covered by the first one, though a small part of it.
        assert_eq!(kept([40, 40, 59, 59]), 1);
        assert_eq!(kept([200, 0, 299, 99]), 2);
        // Beside and above at once: no area in common, though both differences are negative.
        assert_eq!(kept([300, 300, 399, 399]), 2);
    }
}
