//! The embedders, a file or folder each, behind [`Embedder`]. [`crate::embed`] chooses one.

pub(crate) mod dlib_resnet;

use attendance::{Embedding, ModelId};
use image::RgbImage;

use crate::VisionError;

/// Describes an aligned face.
pub(crate) trait Embedder: Send + Sync {
    /// Returns the model's id, with its dimensions: embeddings of two models are never compared.
    fn model(&self) -> &ModelId;

    /// Returns the embedding of a chip of [`CHIP_SIDE`](crate::chip::CHIP_SIDE) pixels a side, RGB.
    ///
    /// # Errors
    /// [`VisionError`] if the network fails.
    fn embed(&self, chip: &RgbImage) -> Result<Embedding, VisionError>;
}
