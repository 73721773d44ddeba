//! The choice of embedder.

use attendance_models::{ModelName, ModelsDir};

use crate::VisionError;
use crate::embedders::Embedder;
use crate::embedders::dlib_resnet::DlibResnet;

/// The model that [`load`] reads.
pub(crate) const MODEL: ModelName = ModelName::EMBEDDER;

/// Returns the embedder, read from `models`.
///
/// # Errors
/// [`VisionError`] if its model is missing or damaged.
pub(crate) fn load(models: &ModelsDir) -> Result<Box<dyn Embedder>, VisionError> {
    Ok(Box::new(DlibResnet::parse(&models.verify(MODEL)?)?))
}
