//! The face engine of the Lambda functions that look at pictures.
//!
//! A crate of its own, so that the other functions do not link tract: a cargo feature that one function asks for would be
//! built into all of them.

#![forbid(unsafe_code)]

use std::sync::Arc;

use attendance::{FaceUseCases, UseCases};
use attendance_lambda::Container;
use attendance_models::ModelsDir;
use attendance_vision::{VisionEngine, VisionSettings};

/// Why a container cannot look at pictures.
type Error = Box<dyn std::error::Error + Send + Sync>;

/// Returns the use cases that look at pictures, with the models of the function's own package. To be called once, during
/// init: a container that is used again has the engine already.
///
/// # Errors
/// If a variable has a value that is not allowed, and if a model is missing or damaged.
pub fn with_engine(container: &Container, use_cases: &UseCases) -> Result<FaceUseCases, Error> {
    let environment = &container.environment;
    // Beside the program: on AWS that is /var/task/models.
    let packaged = std::env::current_exe()?.with_file_name("models");
    let models = environment.text("ATTENDANCE_MODELS_DIR").map_or(packaged, Into::into);
    let settings = VisionSettings::from_environment(environment)?;
    Ok(use_cases.with_engine(Arc::new(VisionEngine::load(&ModelsDir::new(models), settings)?)))
}

/// Reads the gallery during init, so that the first picture need not wait for it. If that fails, the first picture tries
/// again.
pub async fn warm(faces: &FaceUseCases) {
    if let Err(error) = faces.recognizer.warm().await {
        tracing::warn!(?error, "the gallery could not be read yet");
    }
}
