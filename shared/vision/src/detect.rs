//! The choice of detector, and the size at which it sees the picture.

use attendance::ports::Purpose;
use image::RgbImage;
use image::imageops::{FilterType, resize};

use crate::cnn::{CnnDetector, DetectorMode, WINDOW};
use crate::geometry::{Detection, Rect};
use crate::hog::{HogDetection, HogDetector, HogSearch};
use crate::yunet::YunetDetector;
use crate::{VisionError, VisionSettings};

/// Which detector finds the faces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Detector {
    /// HOG for recognition, where somebody waits; CNN for enrolment, where a missed or tilted face costs more than time,
    /// and for everything where the HOG filters are not installed.
    #[default]
    Auto,
    /// dlib's max-margin CNN.
    Cnn,
    /// dlib's HOG detector, the replaced service's default.
    Hog,
    /// YuNet.
    Yunet,
}

/// The most pixels that a detector looks at, so that the time for one picture is bounded: about a second on one core.
/// A larger picture is shrunk first, and the smallest face found grows with it.
fn pixel_limit(detector: Detector, mode: DetectorMode) -> f64 {
    match (detector, mode) {
        (Detector::Hog | Detector::Auto, _) => 16e6,
        (Detector::Cnn, DetectorMode::Exact) => 4e6,
        (Detector::Cnn, DetectorMode::Fast) => 1.2e6,
        (Detector::Yunet, _) => 2e6,
    }
}

/// The smallest face that YuNet finds well, in pixels of its input: half of the CNN's window.
const YUNET_FACE: f64 = 40.0;

/// The detectors that are loaded.
pub(crate) struct Detectors {
    pub(crate) cnn: Option<CnnDetector>,
    pub(crate) hog: Option<HogDetector>,
    pub(crate) yunet: Option<YunetDetector>,
}

impl Detectors {
    /// The faces in `picture`, best score first, not cut at its edges.
    pub(crate) fn detect(
        &self,
        picture: &RgbImage,
        purpose: Purpose,
        settings: &VisionSettings,
    ) -> Result<Vec<Detection>, VisionError> {
        let pixels = f64::from(picture.width()) * f64::from(picture.height());
        let least = f64::from(settings.min_size);
        match (self, settings.detector, purpose) {
            (Self { yunet: Some(yunet), .. }, Detector::Yunet, _) => {
                let scale = (YUNET_FACE / least).min(1.0);
                at_scale(picture, bounded(scale, pixels, Detector::Yunet, settings.mode), |p| yunet.detect(p))
            }
            (Self { hog: Some(hog), .. }, Detector::Hog, _)
            | (Self { hog: Some(hog), .. }, Detector::Auto, Purpose::Recognize) => {
                let limit = pixel_limit(Detector::Hog, settings.mode);
                // One upsampling doubles both sides.
                let upsample = u32::from(settings.min_size < WINDOW && pixels * 4.0 <= limit);
                let scale = bounded(1.0, pixels, Detector::Hog, settings.mode);
                let search = HogSearch { upsample, adjust: 0.0, min_size: (least * scale) as u32 };
                at_scale(picture, scale, |p| Ok(hog.detect(p, &search).iter().map(Detection::from).collect()))
            }
            (Self { cnn: Some(cnn), .. }, _, _) => {
                // An embedding of a face under 80 pixels is no good to enrol, so only a caller who chose the CNN for
                // everything pays for enlarging the picture.
                let window = f64::from(WINDOW);
                let largest = if settings.detector == Detector::Cnn { 2.0 } else { 1.0 };
                let scale = (window / least).min(largest);
                at_scale(picture, bounded(scale, pixels, Detector::Cnn, settings.mode), |p| {
                    cnn.detect(p, settings.mode)
                })
            }
            _ => Ok(Vec::new()),
        }
    }
}

impl From<&HogDetection> for Detection {
    fn from(found: &HogDetection) -> Self {
        let HogDetection { left, top, right, bottom, score, .. } = *found;
        Self { rect: Rect { left, top, right, bottom }, score }
    }
}

/// The scale, or the largest one that keeps the detector's pixel limit.
fn bounded(scale: f64, pixels: f64, detector: Detector, mode: DetectorMode) -> f64 {
    scale.min((pixel_limit(detector, mode) / pixels.max(1.0)).sqrt())
}

/// What `detect` finds in the picture at another scale, in pixels of the picture.
fn at_scale(
    picture: &RgbImage,
    scale: f64,
    detect: impl FnOnce(&RgbImage) -> Result<Vec<Detection>, VisionError>,
) -> Result<Vec<Detection>, VisionError> {
    if (scale - 1.0).abs() < 0.02 {
        return detect(picture);
    }
    let side = |n: u32| ((f64::from(n) * scale).round() as u32).max(1);
    let (width, height) = (side(picture.width()), side(picture.height()));
    let resized = resize(picture, width, height, FilterType::Triangle);
    let across = f64::from(picture.width()) / f64::from(width);
    let down = f64::from(picture.height()) / f64::from(height);
    // Pixel centres map onto each other.
    let back = |v: i64, ratio: f64| ((v as f64 + 0.5) * ratio - 0.5).round() as i64;
    let mut detections = detect(&resized)?;
    for Detection { rect, .. } in &mut detections {
        *rect = Rect {
            left: back(rect.left, across),
            top: back(rect.top, down),
            right: back(rect.right, across),
            bottom: back(rect.bottom, down),
        };
    }
    Ok(detections)
}
