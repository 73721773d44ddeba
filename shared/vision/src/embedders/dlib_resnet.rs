//! dlib's face recognition ResNet.

use attendance::{Embedding, ModelId};
use attendance_models::embedding_model;
use image::RgbImage;

use super::Embedder;
use crate::VisionError;
use crate::chip::CHIP_SIDE;
use crate::network::{Network, values};
use crate::normalize::normalized_planes;

const NAME: &str = "face_embedder.onnx";
const SHAPE: [usize; 4] = [1, 3, CHIP_SIDE as usize, CHIP_SIDE as usize];

/// The embedding network.
pub(crate) struct DlibResnet {
    network: Network,
    model: ModelId,
}

impl DlibResnet {
    /// Returns the embedder in these ONNX bytes, compiled for its one input shape.
    ///
    /// # Errors
    /// [`VisionError::Network`] if tract cannot use them.
    pub(crate) fn parse(onnx: &[u8]) -> Result<Self, VisionError> {
        let network = Network::parse(NAME, onnx)?;
        network.prepare(SHAPE)?;
        Ok(Self { network, model: embedding_model() })
    }
}

impl Embedder for DlibResnet {
    fn model(&self) -> &ModelId {
        &self.model
    }

    fn embed(&self, chip: &RgbImage) -> Result<Embedding, VisionError> {
        let outputs = self.network.run(SHAPE, &normalized_planes(chip))?;
        let numbers = outputs.first().map(|output| values(NAME, output)).transpose()?.unwrap_or_default();
        let expected = self.model.dimensions();
        self.model.embedding(numbers).map_err(|_| VisionError::Output { name: NAME, expected })
    }
}
