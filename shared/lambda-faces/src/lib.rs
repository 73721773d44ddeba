//! The face engine of the Lambda functions that look at pictures.
//!
//! A crate of its own, so that the other functions do not link tract: a cargo feature that one function asks for would be
//! built into all of them.

#![forbid(unsafe_code)]

use attendance::Recognizer;
use attendance_lambda::Container;
use attendance_models::ModelsDir;
use attendance_vision::{VisionEngine, VisionSettings};

/// Why a container cannot look at pictures.
type Error = Box<dyn std::error::Error + Send + Sync>;

/// Reads the gallery during init, so that the first picture need not wait for it. Where that fails, the first picture tries
/// again.
pub async fn warm(recognizer: &Recognizer) {
    if let Err(error) = recognizer.warm().await {
        tracing::warn!(?error, "the gallery could not be read yet");
    }
}

/// The engine, with the models of the function's own package. To be called during init, once: a container that was
/// reused has it already.
///
/// # Errors
/// Where a setting does not parse, and where a model is missing or damaged.
pub fn engine(container: &Container) -> Result<VisionEngine, Error> {
    let environment = &container.environment;
    // Beside the program: on AWS that is /var/task/models.
    let packaged = std::env::current_exe()?.with_file_name("models");
    let models = environment.text("ATTENDANCE_MODELS_DIR").map_or(packaged, Into::into);
    let settings = VisionSettings::from_environment(environment)?;
    Ok(VisionEngine::load(&ModelsDir::new(models), settings)?)
}
