//! The choice of detector.

use attendance::ports::Purpose;
use attendance_models::{ModelName, ModelsDir};
use image::RgbImage;

use crate::VisionError;
use crate::detectors::cnn::CnnDetector;
use crate::detectors::hog::{self, HogDetector};
use crate::detectors::yunet::YunetDetector;
use crate::detectors::{FaceDetector, Found};
use crate::settings::{Detector, DetectorMode, VisionSettings};

/// The most that the CNN enlarges a picture for faces under its 80 pixels. An embedding of such a face is no good to
/// enrol, so only a caller who chose the CNN for everything pays for it.
const CNN_ENLARGEMENT: f64 = 2.0;

/// Returns the models that [`Detectors::load`] reads for this choice. `Auto` can do without the HOG filters.
pub(crate) fn models(choice: Detector) -> &'static [ModelName] {
    match choice {
        Detector::Auto => &[ModelName::Detector, ModelName::Hog],
        Detector::Cnn => &[ModelName::Detector],
        Detector::Hog => &[ModelName::Hog],
        Detector::Yunet => &[ModelName::Yunet],
    }
}

/// The detectors that the settings ask for.
pub(crate) struct Detectors {
    /// The one for recognition, if it is another than for enrolment.
    recognize: Option<Box<dyn FaceDetector>>,
    enroll: Box<dyn FaceDetector>,
    /// What the operator should know about the choice.
    note: &'static str,
    min_size: u32,
}

impl Detectors {
    /// Returns the detectors that these settings choose, read from `models`.
    ///
    /// # Errors
    /// [`VisionError`] if a model is missing or damaged.
    pub(crate) fn load(models: &ModelsDir, settings: &VisionSettings) -> Result<Self, VisionError> {
        let cnn = |enlargement| load_cnn(models, settings.mode, enlargement);
        let one = |enroll| Self { recognize: None, enroll, note: "", min_size: settings.min_size };
        Ok(match settings.detector {
            Detector::Auto if models.missing(&[ModelName::Hog]).is_empty() => {
                Self { recognize: Some(load_hog(models)?), ..one(cnn(1.0)?) }
            }
            Detector::Auto => {
                Self { note: "; HOG's filters are not installed (`attendance models pull hog`)", ..one(cnn(1.0)?) }
            }
            Detector::Cnn => one(cnn(CNN_ENLARGEMENT)?),
            Detector::Hog => one(load_hog(models)?),
            Detector::Yunet => one(Box::new(YunetDetector::parse(&models.verify(ModelName::Yunet)?)?)),
        })
    }

    /// Returns the faces of the picture.
    ///
    /// # Errors
    /// [`VisionError`] if a network fails.
    pub(crate) fn find(&self, picture: &RgbImage, purpose: Purpose) -> Result<Found, VisionError> {
        let detector = match (&self.recognize, purpose) {
            (Some(detector), Purpose::Recognize) => detector,
            _ => &self.enroll,
        };
        detector.find(picture, self.min_size)
    }

    /// Returns which detector looks for which faces, for the operator.
    pub(crate) fn describe(&self) -> String {
        let enroll = self.enroll.describe(self.min_size);
        match &self.recognize {
            Some(detector) => format!("{} to recognise, {enroll} to enrol", detector.describe(self.min_size)),
            None => format!("{enroll}{}", self.note),
        }
    }
}

fn load_cnn(models: &ModelsDir, mode: DetectorMode, enlargement: f64) -> Result<Box<dyn FaceDetector>, VisionError> {
    Ok(Box::new(CnnDetector::parse(&models.verify(ModelName::Detector)?, mode, enlargement)?))
}

fn load_hog(models: &ModelsDir) -> Result<Box<dyn FaceDetector>, VisionError> {
    let filters = models.verify(ModelName::Hog)?;
    let detector = HogDetector::parse(&filters).map_err(|e| VisionError::format(hog::NAME, e))?;
    Ok(Box::new(detector))
}
