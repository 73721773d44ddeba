//! Finds faces as dlib's `get_frontal_face_detector()` does, to the bit: a sliding window over histograms of oriented
//! gradients, for five views of a face, at every scale.
//!
//! The order of floating-point operations is part of the result everywhere in this module.

mod detector;
mod dispatch;
mod features;
mod filters;
mod model;
mod planes;
mod search;
mod simd;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

use image::RgbImage;

use self::detector::HogSearch;
use super::scale::{at_scale, bounded, pixels, smallest};
use super::{FaceDetector, Found};
use crate::VisionError;

pub(crate) use detector::{HogDetector, NAME};

/// The most pixels that are looked at: about a second on one core.
const MAX_PIXELS: f64 = 16e6;
/// The smallest face that is found without upsampling.
const FACE: f64 = 80.0;

impl FaceDetector for HogDetector {
    fn find(&self, picture: &RgbImage, min_size: u32) -> Result<Found, VisionError> {
        let least = f64::from(min_size);
        let wanted = if least < FACE { 2.0 } else { 1.0 };
        let zoom = bounded(wanted, pixels(picture), MAX_PIXELS);
        // dlib's own doubling if there is room for it, for its decisions; else a size between.
        let (scale, upsample) = if zoom < 2.0 { (zoom, 0) } else { (1.0, 1) };
        let search = HogSearch { upsample, adjust: 0.0, min_size: (least * scale) as u32 };
        let detect = |picture: &RgbImage| {
            Ok(self.detect(picture, &search).into_iter().map(|(detection, _view)| detection).collect())
        };
        let detections = at_scale(picture, scale, detect)?;
        Ok(Found { detections, min_size: smallest(least, FACE / zoom) })
    }

    fn describe(&self, min_size: u32) -> String {
        format!("HOG from {} px", smallest(f64::from(min_size), FACE / 2.0))
    }
}

#[cfg(test)]
mod size_tests {
    use super::*;

    #[test]
    fn a_large_picture_is_looked_at_in_a_smaller_size() {
        let smallest_in = |megapixels: f64| smallest(40.0, FACE / bounded(2.0, megapixels * 1e6, MAX_PIXELS));
        // A camera of 12 megapixels is looked at a little enlarged, one of 50 in a smaller size.
        assert_eq!([4.0, 12.0, 50.0].map(smallest_in), [40, 70, 142]);
    }
}
