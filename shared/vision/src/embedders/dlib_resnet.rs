//! dlib's face recognition ResNet, on kernels of our own.

mod layers;
#[cfg(test)]
mod tests;

use attendance::{Embedding, ModelId};
use attendance_kernels::SimdLevel;
use attendance_kernels::residual::ResidualNetwork;
use attendance_models::embedding_model;
use image::RgbImage;

use super::Embedder;
use crate::VisionError;
use crate::chip::CHIP_SIDE;
use crate::network::{Network, values};
use crate::normalize::normalized_planes;
use crate::onnx::Graph;

const NAME: &str = "face_embedder.onnx";
const SHAPE: [usize; 4] = [1, 3, CHIP_SIDE as usize, CHIP_SIDE as usize];

/// The embedding network.
pub(crate) struct DlibResnet {
    runner: Runner,
    model: ModelId,
}

/// What computes the network.
enum Runner {
    Kernels(ResidualNetwork),
    /// Any network; slower, and the reference in tests.
    Tract(Network),
}

impl DlibResnet {
    /// Returns the embedder in these ONNX bytes: on the kernels if it has the layers that they know, on tract otherwise.
    ///
    /// # Errors
    /// [`VisionError::Network`] if tract cannot use them either.
    pub(crate) fn parse(onnx: &[u8]) -> Result<Self, VisionError> {
        let runner = match Runner::kernels(onnx, SimdLevel::detect()) {
            Ok(kernels) => kernels,
            Err(reason) => {
                tracing::warn!("{NAME} runs on tract: {reason}");
                Runner::tract(onnx)?
            }
        };
        Ok(Self { runner, model: embedding_model() })
    }
}

impl Runner {
    fn kernels(onnx: &[u8], level: SimdLevel) -> Result<Self, String> {
        let graph = Graph::parse(onnx).ok_or("it is no ONNX")?;
        let layers = layers::layers(&graph)?;
        ResidualNetwork::new(&layers, level).map(Self::Kernels).map_err(|unknown| unknown.to_string())
    }

    fn tract(onnx: &[u8]) -> Result<Self, VisionError> {
        let network = Network::parse(NAME, onnx)?;
        network.prepare(SHAPE)?;
        Ok(Self::Tract(network))
    }

    fn run(&self, chip: &RgbImage) -> Result<Vec<f32>, VisionError> {
        match self {
            Self::Kernels(network) => Ok(network.run(chip.as_raw())),
            Self::Tract(network) => {
                let outputs = network.run(SHAPE, &normalized_planes(chip))?;
                let numbers = outputs.first().map(|output| values(NAME, output)).transpose()?;
                Ok(numbers.unwrap_or_default().to_vec())
            }
        }
    }
}

impl Embedder for DlibResnet {
    fn model(&self) -> &ModelId {
        &self.model
    }

    fn embed(&self, chip: &RgbImage) -> Result<Embedding, VisionError> {
        let expected = self.model.dimensions();
        self.model.embedding(&self.runner.run(chip)?).map_err(|_| VisionError::Output { name: NAME, expected })
    }
}
