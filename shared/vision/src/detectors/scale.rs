//! The size at which a detector looks at a picture.

use image::RgbImage;
use image::imageops::{FilterType, resize};

use crate::VisionError;
use crate::geometry::{Detection, Rect};

/// Returns the number of pixels in the picture.
pub(super) fn pixels(picture: &RgbImage) -> f64 {
    f64::from(picture.width()) * f64::from(picture.height())
}

/// Returns the scale, or the largest one at which `pixels` become no more than `limit`.
pub(super) fn bounded(scale: f64, pixels: f64, limit: f64) -> f64 {
    scale.min((limit / pixels.max(1.0)).sqrt())
}

/// Returns the side of the smallest face looked for, given the one asked for and the one that can be found.
pub(super) fn smallest(asked: f64, found: f64) -> u32 {
    asked.max(found).ceil() as u32
}

/// Returns what `detect` finds in the picture at another scale, in pixels of the picture.
pub(super) fn at_scale(
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
    fn the_scale_is_bounded_by_the_pixels() {
        assert_eq!(bounded(2.0, 4e6, 16e6), 2.0);
        assert_eq!(bounded(1.0, 4e6, 1e6), 0.5);
        assert_eq!(smallest(100.0, 40.0), 100, "the size asked for");
    }
}
