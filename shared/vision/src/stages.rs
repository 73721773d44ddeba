//! The stages of a scan, one by one: what [`VisionEngine::scan`](attendance::ports::FaceEngine::scan) does in a row.

pub use crate::chip::{CHIP_SIDE, extract_chip};
pub use crate::decode::{Picture, decode};
pub use crate::geometry::{Detection, Point, Rect, Similarity};

use attendance::ports::Purpose;
use attendance::{Embedding, FaceBox};
use image::RgbImage;

use crate::{VisionEngine, VisionError, landmarks};

impl VisionEngine {
    /// The faces in the picture, best score first, not cut at its edges, in pixels of the picture.
    ///
    /// # Errors
    /// [`VisionError`] where a network fails.
    pub fn detect(&self, picture: &RgbImage, purpose: Purpose) -> Result<Vec<Detection>, VisionError> {
        Ok(self.models.detectors.detect(picture, purpose, &self.settings)?.detections)
    }

    /// The five landmarks of the face in this box, which was [`trimmed`], in pixels of the picture: outer and inner corner
    /// of the eye at the right of the picture, outer and inner corner of the eye at the left, base of the nose.
    #[must_use]
    pub fn landmarks(&self, picture: &RgbImage, face: &Rect) -> [Point; 5] {
        landmarks::locate(&self.models.landmarks, picture, face)
    }

    /// The embedding of a chip of [`CHIP_SIDE`] pixels.
    ///
    /// # Errors
    /// [`VisionError`] where the network fails.
    pub fn embed(&self, chip: &RgbImage) -> Result<Embedding, VisionError> {
        self.models.embedder.embed(chip)
    }
}

/// The detection's rectangle cut at the picture's edges, as the replaced service's library does before it looks for
/// landmarks: the right and bottom edges may lie one pixel outside.
#[must_use]
pub fn trimmed(rect: &Rect, picture: &RgbImage) -> Rect {
    Rect {
        left: rect.left.max(0),
        top: rect.top.max(0),
        right: rect.right.min(i64::from(picture.width())),
        bottom: rect.bottom.min(i64::from(picture.height())),
    }
}

/// A trimmed rectangle as clients see it.
#[must_use]
pub fn face_box(rect: &Rect) -> FaceBox {
    // Edges of a trimmed rectangle lie within the picture, and a picture's sides fit in 31 bits.
    let edge = |v: i64| i32::try_from(v).unwrap_or(i32::MAX);
    FaceBox { top: edge(rect.top), right: edge(rect.right), bottom: edge(rect.bottom), left: edge(rect.left) }
}
