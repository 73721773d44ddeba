//! The face engine of the functions that look at pictures.

#![forbid(unsafe_code)]

use attendance_models::ModelsDir;
use attendance_serverless::Container;
use attendance_vision::{Detector, DetectorMode, VisionEngine, VisionSettings};

/// Why a container cannot look at pictures.
type Error = Box<dyn std::error::Error + Send + Sync>;

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
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let detector =
        environment.value("FACE_DETECTOR", Detector::Auto, "auto, hog, cnn or yunet", |text| match text {
            "auto" => Some(Detector::Auto),
            "hog" => Some(Detector::Hog),
            "cnn" => Some(Detector::Cnn),
            "yunet" => Some(Detector::Yunet),
            _ => None,
        })?;
    // What each finds at its usual price: HOG with one upsampling, as the replaced service; the others without.
    let min_size = if matches!(detector, Detector::Auto | Detector::Hog) { 40 } else { 80 };
    let mode = environment.value("FACE_DETECTOR_MODE", DetectorMode::Fast, "fast or exact", |text| match text {
        "fast" => Some(DetectorMode::Fast),
        "exact" => Some(DetectorMode::Exact),
        _ => None,
    })?;
    let settings = VisionSettings {
        detector,
        mode,
        min_size: environment.value("FACE_MIN_SIZE", min_size, "a whole number of pixels from 20 to 2000", |text| {
            text.parse().ok().filter(|n| (20..=2000).contains(n))
        })?,
        threads: environment.value("ATTENDANCE_THREADS", cores, "a whole number from 1 to 1024", |text| {
            text.parse().ok().filter(|n| (1..=1024).contains(n))
        })?,
    };
    Ok(VisionEngine::load(&ModelsDir::new(models), settings)?)
}
