//! Aligned face to 128 numbers: dlib's face recognition ResNet.

use attendance::{DIMENSIONS, Embedding};
use image::RgbImage;

use crate::VisionError;
use crate::chip::CHIP_SIDE;
use crate::network::{Network, values};
use crate::normalize::normalized_planes;

const NAME: &str = "face_embedder.onnx";
const SHAPE: [usize; 4] = [1, 3, CHIP_SIDE as usize, CHIP_SIDE as usize];

/// The embedding network.
pub(crate) struct Embedder(Network);

impl Embedder {
    pub(crate) fn parse(onnx: &[u8]) -> Result<Self, VisionError> {
        let network = Network::parse(NAME, onnx)?;
        network.prepare(SHAPE)?;
        Ok(Self(network))
    }

    /// The embedding of a chip (150 x 150, RGB).
    pub(crate) fn embed(&self, chip: &RgbImage) -> Result<Embedding, VisionError> {
        let outputs = self.0.run(SHAPE, &normalized_planes(chip))?;
        let numbers = outputs.first().map(|output| values(NAME, output)).transpose()?.unwrap_or_default();
        Embedding::new(numbers).map_err(|_| VisionError::Output { name: NAME, expected: DIMENSIONS })
    }
}
