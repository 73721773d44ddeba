//! The stages of a scan, one by one: what [`VisionEngine::scan`](attendance::ports::FaceEngine::scan) does in a row.

pub use crate::chip::{CHIP_SIDE, extract_chip};
pub use crate::decode::{Picture, decode};
pub use crate::geometry::{Detection, Point, Rect, Similarity};

use attendance::ports::Purpose;
use attendance::{Embedding, FaceBox, ModelId};
use attendance_models::landmarks::Landmarks;
use attendance_models::{ModelName, ModelsDir};
use image::RgbImage;

use crate::detect::{self, Detectors};
use crate::detectors::Found;
use crate::embedders::Embedder;
use crate::{VisionError, VisionSettings, embed, landmarks};

/// The stages that need a model, with their models.
pub struct Stages {
    detectors: Detectors,
    landmarks: Landmarks,
    embedder: Box<dyn Embedder>,
}

impl Stages {
    /// Returns the stages with the models of this folder, read side by side on the current rayon pool.
    pub(crate) fn load(models: &ModelsDir, settings: &VisionSettings) -> Result<Self, VisionError> {
        let (embedder, (landmarks, detectors)) = rayon::join(
            || embed::load(models),
            || rayon::join(|| landmarks::load(models), || Detectors::load(models, settings)),
        );
        Ok(Self { detectors: detectors?, landmarks: landmarks?, embedder: embedder? })
    }

    /// Returns the models that [`load`](Self::load) reads with these settings.
    pub(crate) fn models(settings: &VisionSettings) -> Vec<ModelName> {
        [&[embed::MODEL, landmarks::MODEL], detect::models(settings.detector)].concat()
    }

    /// Returns the model that makes the embeddings.
    pub(crate) fn embedding_model(&self) -> &ModelId {
        self.embedder.model()
    }

    /// Returns which detector looks for which faces, for the operator.
    pub(crate) fn describe_detectors(&self) -> String {
        self.detectors.describe()
    }

    pub(crate) fn find(&self, picture: &RgbImage, purpose: Purpose) -> Result<Found, VisionError> {
        self.detectors.find(picture, purpose)
    }

    /// Returns the faces in the picture, best score first, not cut at its edges, in pixels of the picture.
    ///
    /// # Errors
    /// [`VisionError`] if a network fails.
    pub fn detect(&self, picture: &RgbImage, purpose: Purpose) -> Result<Vec<Detection>, VisionError> {
        Ok(self.find(picture, purpose)?.detections)
    }

    /// Returns the five landmarks of the face in this box, which was [`trimmed`], in pixels of the picture: outer and inner
    /// corner of the eye at the right of the picture, outer and inner corner of the eye at the left, base of the nose.
    #[must_use]
    pub fn landmarks(&self, picture: &RgbImage, face: &Rect) -> [Point; 5] {
        landmarks::locate(&self.landmarks, picture, face)
    }

    /// Returns the embedding of a chip of [`CHIP_SIDE`] pixels a side.
    ///
    /// # Errors
    /// [`VisionError`] if the network fails.
    pub fn embed(&self, chip: &RgbImage) -> Result<Embedding, VisionError> {
        self.embedder.embed(chip)
    }
}

/// Returns the detection's rectangle cut at the picture's edges, as the replaced service's library does before it looks
/// for landmarks: the right and bottom edges may lie one pixel outside.
#[must_use]
pub fn trimmed(rect: &Rect, picture: &RgbImage) -> Rect {
    Rect {
        left: rect.left.max(0),
        top: rect.top.max(0),
        right: rect.right.min(i64::from(picture.width())),
        bottom: rect.bottom.min(i64::from(picture.height())),
    }
}

/// Returns a trimmed rectangle as clients see it.
#[must_use]
pub fn face_box(rect: &Rect) -> FaceBox {
    // Edges of a trimmed rectangle lie within the picture, and a picture's sides fit in 31 bits.
    let edge = |v: i64| i32::try_from(v).unwrap_or(i32::MAX);
    FaceBox { top: edge(rect.top), right: edge(rect.right), bottom: edge(rect.bottom), left: edge(rect.left) }
}
