//! The choice of detector, and the size at which it sees the picture.

use attendance::ports::Purpose;
use image::RgbImage;
use image::imageops::{FilterType, resize};

use crate::cnn::{CnnDetector, DetectorMode};
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
const HOG_PIXELS: f64 = 16e6;
const CNN_PIXELS: f64 = 1.2e6;
const EXACT_CNN_PIXELS: f64 = 4e6;
const YUNET_PIXELS: f64 = 2e6;

/// The smallest face that HOG and the CNN find, in pixels of what they look at.
const DLIB_FACE: f64 = 80.0;
/// The smallest face that YuNet finds well, in pixels of its input.
const YUNET_FACE: f64 = 40.0;

/// The detectors that are loaded, by the setting that asked for them.
pub(crate) enum Detectors {
    /// `hog` is absent where its filters are not installed.
    Auto {
        hog: Option<HogDetector>,
        cnn: CnnDetector,
    },
    Cnn(CnnDetector),
    Hog(HogDetector),
    Yunet(YunetDetector),
}

/// What a detector found in a picture.
pub(crate) struct Found {
    /// Best score first, not cut at the picture's edges, in its pixels.
    pub(crate) detections: Vec<Detection>,
    /// The side of the smallest face that was looked for, in pixels of the picture.
    pub(crate) min_size: u32,
}

impl Detectors {
    /// The faces in `picture`.
    pub(crate) fn detect(
        &self,
        picture: &RgbImage,
        purpose: Purpose,
        settings: &VisionSettings,
    ) -> Result<Found, VisionError> {
        let pixels = f64::from(picture.width()) * f64::from(picture.height());
        let least = f64::from(settings.min_size);
        match (self, purpose) {
            (Self::Hog(hog), _) | (Self::Auto { hog: Some(hog), .. }, Purpose::Recognize) => {
                let wanted = if least < DLIB_FACE { 2.0 } else { 1.0 };
                let zoom = bounded(wanted, pixels, HOG_PIXELS);
                // dlib's own doubling where there is room for it, for its decisions; else a size between.
                let (scale, upsample) = if zoom < 2.0 { (zoom, 0) } else { (1.0, 1) };
                let search = HogSearch { upsample, adjust: 0.0, min_size: (least * scale) as u32 };
                let detections =
                    at_scale(picture, scale, |p| Ok(hog.detect(p, &search).iter().map(Detection::from).collect()))?;
                Ok(Found { detections, min_size: smallest(least, DLIB_FACE / zoom) })
            }
            // An embedding of a face under 80 pixels is no good to enrol, so only a caller who chose the CNN for everything
            // pays for enlarging the picture.
            (Self::Auto { cnn, .. }, _) => by_cnn(cnn, picture, (DLIB_FACE / least).min(1.0), settings.mode),
            (Self::Cnn(cnn), _) => by_cnn(cnn, picture, (DLIB_FACE / least).min(2.0), settings.mode),
            (Self::Yunet(yunet), _) => {
                let scale = bounded((YUNET_FACE / least).min(1.0), pixels, YUNET_PIXELS);
                let detections = at_scale(picture, scale, |p| yunet.detect(p))?;
                Ok(Found { detections, min_size: smallest(least, YUNET_FACE / scale) })
            }
        }
    }

    /// What looks for which faces in pictures of usual size, for the operator.
    pub(crate) fn describe(&self, settings: &VisionSettings) -> String {
        let from = |least: f64| smallest(f64::from(settings.min_size), least);
        let cnn = match settings.mode {
            DetectorMode::Fast => "CNN",
            DetectorMode::Exact => "CNN (exact)",
        };
        match self {
            Self::Auto { hog: Some(_), .. } => {
                format!("HOG from {} px to recognise, {cnn} from {} px to enrol", from(40.0), from(DLIB_FACE))
            }
            Self::Auto { hog: None, .. } => format!(
                "{cnn} from {} px; HOG's filters are not installed (`attendance models pull hog`)",
                from(DLIB_FACE)
            ),
            Self::Cnn(_) => format!("{cnn} from {} px", from(40.0)),
            Self::Hog(_) => format!("HOG from {} px", from(40.0)),
            Self::Yunet(_) => format!("YuNet from {} px", from(YUNET_FACE)),
        }
    }
}

fn by_cnn(cnn: &CnnDetector, picture: &RgbImage, scale: f64, mode: DetectorMode) -> Result<Found, VisionError> {
    let pixels = f64::from(picture.width()) * f64::from(picture.height());
    let limit = if mode == DetectorMode::Exact { EXACT_CNN_PIXELS } else { CNN_PIXELS };
    let scale = bounded(scale, pixels, limit);
    let detections = at_scale(picture, scale, |p| cnn.detect(p, mode))?;
    Ok(Found { detections, min_size: smallest(0.0, DLIB_FACE / scale) })
}

/// The smallest face looked for where these are bounds of it.
fn smallest(asked: f64, found: f64) -> u32 {
    asked.max(found).ceil() as u32
}

impl From<&HogDetection> for Detection {
    fn from(found: &HogDetection) -> Self {
        let HogDetection { left, top, right, bottom, score, .. } = *found;
        Self { rect: Rect { left, top, right, bottom }, score }
    }
}

/// The scale, or the largest one at which there are no more pixels than `limit`.
fn bounded(scale: f64, pixels: f64, limit: f64) -> f64 {
    scale.min((limit / pixels.max(1.0)).sqrt())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detectors_pixels_are_bounded() {
        let megapixels = |m: f64| m * 1e6;
        assert_eq!(bounded(2.0, megapixels(4.0), HOG_PIXELS), 2.0);
        // A camera of 12 megapixels is looked at a little enlarged, one of 50 in a smaller size.
        assert_eq!(smallest(40.0, DLIB_FACE / bounded(2.0, megapixels(12.0), HOG_PIXELS)), 70);
        assert_eq!(smallest(40.0, DLIB_FACE / bounded(2.0, megapixels(50.0), HOG_PIXELS)), 142);
        assert_eq!(smallest(0.0, DLIB_FACE / bounded(1.0, megapixels(12.0), CNN_PIXELS)), 253);
        assert_eq!(smallest(100.0, DLIB_FACE / 2.0), 100, "what is asked for");
    }
}
