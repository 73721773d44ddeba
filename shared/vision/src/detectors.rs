//! The face detectors, a file or folder each, behind [`FaceDetector`]. [`crate::detect`] loads those that the settings
//! ask for.

pub(crate) mod cnn;
pub(crate) mod hog;
mod scale;
mod shrink;
pub(crate) mod yunet;

use image::RgbImage;

use crate::VisionError;
use crate::geometry::Detection;

/// Finds the faces of a picture of any size.
pub(crate) trait FaceDetector: Send + Sync {
    /// Returns the faces of at least `min_size` pixels a side, and the smallest size that was looked for: a detector
    /// bounds its time and memory by looking at a large picture in a smaller size.
    ///
    /// # Errors
    /// [`VisionError`] if the detector's network fails.
    fn find(&self, picture: &RgbImage, min_size: u32) -> Result<Found, VisionError>;

    /// Returns the detector's name and the smallest face that it finds in pictures of usual size, for the operator:
    /// `HOG from 40 px`.
    fn describe(&self, min_size: u32) -> String;
}

/// What a detector found in a picture.
pub(crate) struct Found {
    /// Best score first, not cut at the picture's edges, in its pixels.
    pub(crate) detections: Vec<Detection>,
    /// The side of the smallest face that was looked for, in pixels of the picture.
    pub(crate) min_size: u32,
}
