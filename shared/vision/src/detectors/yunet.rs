//! YuNet, an optional detector that also finds faces far under 80 pixels.
//!
//! Input: BGR from 0 to 255, sides a multiple of 32. Outputs at strides 8, 16 and 32: `cls`, `obj`, `bbox`, `kps`.

use image::RgbImage;
use tract_onnx::prelude::{TValue, TVec};

use super::scale::{at_scale, bounded, pixels, smallest};
use super::{FaceDetector, Found};
use crate::VisionError;
use crate::geometry::{Detection, Rect};
use crate::network::{Network, values};
use crate::suppress::{Overlap, suppress_overlaps};

const NAME: &str = "yunet.onnx";
const STRIDES: [usize; 3] = [8, 16, 32];
const MIN_SCORE: f32 = 0.6;
const OVERLAP: Overlap = Overlap { around: 0.3, covered: 1.0 };
/// The most pixels that are looked at: about a second on one core.
const MAX_PIXELS: f64 = 2e6;
/// The smallest face that is found well, in pixels of the input.
const FACE: f64 = 40.0;
/// From YuNet's box to the one that the landmark model was trained on: the square with the centre moved by these parts
/// of `s = sqrt(width * height)` and the side `SIDE * s`. Medians over 100 photographs against dlib's detectors.
const SHIFT: (f32, f32) = (-0.03, -0.006);
const SIDE: f32 = 0.89;

/// The detector network.
pub(crate) struct YunetDetector(Network);

impl YunetDetector {
    /// Returns the detector in these ONNX bytes.
    ///
    /// # Errors
    /// [`VisionError::Network`] if tract cannot read them.
    pub(crate) fn parse(onnx: &[u8]) -> Result<Self, VisionError> {
        Network::parse(NAME, onnx).map(Self)
    }

    /// Returns the faces, best score first, in pixels of `picture`, not cut at its edges, as squares like those of dlib's
    /// detectors.
    fn detect(&self, picture: &RgbImage) -> Result<Vec<Detection>, VisionError> {
        let side = |n: u32| (n as usize).next_multiple_of(32);
        let (width, height) = (side(picture.width()), side(picture.height()));
        let mut input = vec![0.0; width * height * 3];
        for (x, y, pixel) in picture.enumerate_pixels() {
            for (plane, value) in pixel.0.iter().rev().enumerate() {
                input[(plane * height + y as usize) * width + x as usize] = f32::from(*value);
            }
        }
        let outputs = self.0.run([1, 3, height, width], &input)?;
        let [classes, objects, boxes] = [0, 3, 6].map(|first| head(&outputs, first));
        let (classes, objects, boxes) = (classes?, objects?, boxes?);
        let mut candidates = Vec::new();
        for (index, stride) in STRIDES.into_iter().enumerate() {
            decode(stride, width / stride, classes[index], objects[index], boxes[index], &mut candidates);
        }
        Ok(one_per_face(candidates))
    }
}

impl FaceDetector for YunetDetector {
    fn find(&self, picture: &RgbImage, min_size: u32) -> Result<Found, VisionError> {
        let least = f64::from(min_size);
        let scale = bounded((FACE / least).min(1.0), pixels(picture), MAX_PIXELS);
        let detections = at_scale(picture, scale, |picture| self.detect(picture))?;
        Ok(Found { detections, min_size: smallest(least, FACE / scale) })
    }

    fn describe(&self, min_size: u32) -> String {
        format!("YuNet from {} px", smallest(f64::from(min_size), FACE))
    }
}

fn one_per_face(mut candidates: Vec<Detection>) -> Vec<Detection> {
    candidates.sort_by(Detection::best_first);
    suppress_overlaps(candidates, OVERLAP, |detection| &detection.rect)
}

/// One output's values at the three strides; the file lists `cls_8, cls_16, cls_32, obj_8, ...`.
fn head(outputs: &TVec<TValue>, first: usize) -> Result<[&[f32]; 3], VisionError> {
    let stride = |i: usize| {
        outputs.get(first + i).ok_or(VisionError::Output { name: NAME, expected: 12 }).and_then(|v| values(NAME, v))
    };
    Ok([stride(0)?, stride(1)?, stride(2)?])
}

/// Adds the detections of one stride. `boxes` holds four numbers a cell: the centre's offset in cells, and the logarithm
/// of width and height in cells.
fn decode(stride: usize, columns: usize, classes: &[f32], objects: &[f32], boxes: &[f32], found: &mut Vec<Detection>) {
    let stride = stride as f32;
    for (cell, ((class, object), [dx, dy, w, h])) in
        classes.iter().zip(objects).zip(boxes.as_chunks::<4>().0).enumerate()
    {
        let score = (class.clamp(0.0, 1.0) * object.clamp(0.0, 1.0)).sqrt();
        if score < MIN_SCORE {
            continue;
        }
        let x = ((cell % columns) as f32 + dx) * stride;
        let y = ((cell / columns) as f32 + dy) * stride;
        let s = ((w + h) / 2.0).exp() * stride;
        let (x, y, half) = (x + SHIFT.0 * s, y + SHIFT.1 * s, SIDE * s / 2.0);
        let rect = Rect {
            left: (x - half).round() as i64,
            top: (y - half).round() as i64,
            right: (x + half).round() as i64,
            bottom: (y + half).round() as i64,
        };
        found.push(Detection { rect, score: f64::from(score) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ONNX Runtime 1.32 gave at stride 32 for `obama2.jpg` at half size (313 x 600, padded to 320 x 608): the ten
    /// cells of row 6, of which three see the face, and one at the top of the picture.
    fn recorded() -> ([f32; 70], [f32; 70], [[f32; 4]; 70]) {
        let (mut classes, mut objects, mut boxes) = ([0.0; 70], [0.0; 70], [[0.0; 4]; 70]);
        for (cell, class, object, offsets) in [
            (64, 0.902_049_8, 0.999_948_6, [1.242_787_8, 0.795_276_5, 1.446_784_1, 1.820_767_4]),
            (65, 0.906_044_5, 0.999_937_9, [0.331_472_72, 0.859_573_6, 1.439_386_7, 1.814_307_5]),
            (66, 0.914_409_64, 0.999_735_53, [-0.819_107_5, 0.793_079_3, 1.425_490_4, 1.805_364_7]),
            (9, 0.561_135_05, 0.009_174_585, [0.057_770_46, 0.235_854_12, 0.972_240_5, 0.944_346_5]),
        ] {
            (classes[cell], objects[cell], boxes[cell]) = (class, object, offsets);
        }
        (classes, objects, boxes)
    }

    #[test]
    fn recorded_outputs_become_one_square_where_dlib_sees_the_face() {
        let (classes, objects, boxes) = recorded();
        let mut found = Vec::new();
        decode(32, 10, &classes, &objects, boxes.as_flattened(), &mut found);
        assert_eq!(found.len(), 3, "the cell under the threshold is left out");
        let kept = one_per_face(found);
        let [Detection { rect, score }] = kept.as_slice() else { panic!("one face, not {kept:?}") };
        assert!((score - 0.956_121_27).abs() < 1e-6);
        // By hand: centre ((6 - 0.8191) * 32, (6 + 0.7931) * 32), s = exp((1.4255 + 1.8054) / 2) * 32 = 160.94.
        assert_eq!(*rect, Rect { left: 89, top: 145, right: 233, bottom: 288 });
        // dlib's box of the whole picture, halved: 85, 145, 219, 279.
        for (ours, dlib) in [(rect.left, 85), (rect.top, 145), (rect.right, 219), (rect.bottom, 279)] {
            assert!((ours - dlib).abs() <= 16, "{ours} against {dlib}");
        }
    }

    #[test]
    fn absurd_outputs_are_no_panic() {
        let mut found = Vec::new();
        let boxes = [f32::NAN, f32::INFINITY, f32::MAX, f32::NEG_INFINITY];
        decode(8, 1, &[2.0, f32::NAN], &[7.0, 1.0], &[boxes, boxes].concat(), &mut found);
        assert_eq!(one_per_face(found).len(), 1);
    }
}
