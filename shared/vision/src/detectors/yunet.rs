//! YuNet-s, which also finds faces far under 80 pixels, and tilted ones, at a fraction of the other detectors' cost.

mod graph;
mod network;

use image::RgbImage;

use self::network::{Cell, YunetNetwork};
use super::scale::{bounded, pixels, smallest};
use super::shrink::shrink;
use super::{FaceDetector, Found};
use crate::VisionError;
use crate::geometry::{Detection, Rect};
use crate::suppress::{Overlap, suppress_overlaps};

const MIN_SCORE: f32 = 0.6;
const OVERLAP: Overlap = Overlap { around: 0.3, covered: 1.0 };
/// The most pixels that are looked at: about a tenth of a second on one core.
const MAX_PIXELS: f64 = 8e6;
/// The smallest face that is found well, in pixels of the input.
const FACE: f64 = 25.0;
/// From YuNet's box to the one that the landmark model was trained on: the square with the centre moved by these parts
/// of `s = sqrt(width * height)` and the side `SIDE * s`. Medians over 57 photographs against dlib's HOG detector; on 55 of
/// other people the overlap with its box (intersection over union) is 0.78 in the median and never below 0.54.
const SHIFT: (f64, f64) = (-0.002, 0.046);
const SIDE: f64 = 0.9425;

/// The detector network.
pub(crate) struct YunetDetector(YunetNetwork);

impl YunetDetector {
    /// Returns the detector in these ONNX bytes.
    ///
    /// # Errors
    /// [`VisionError::Network`] if tract cannot read them.
    pub(crate) fn parse(onnx: &[u8]) -> Result<Self, VisionError> {
        YunetNetwork::parse(onnx).map(Self)
    }
}

impl FaceDetector for YunetDetector {
    fn find(&self, picture: &RgbImage, min_size: u32) -> Result<Found, VisionError> {
        let least = f64::from(min_size);
        let scale = bounded((FACE / least).min(1.0), pixels(picture), MAX_PIXELS);
        let input = shrink(picture, scale);
        let ratio = |whole: u32, part: u32| f64::from(whole) / f64::from(part);
        let (across, down) = (ratio(picture.width(), input.width()), ratio(picture.height(), input.height()));
        let cells = self.0.cells(&input, MIN_SCORE)?;
        let detections = one_per_face(cells.iter().map(|cell| square(cell, across, down)).collect());
        Ok(Found { detections, min_size: smallest(least, FACE / scale) })
    }

    fn describe(&self, min_size: u32) -> String {
        format!("YuNet from {} px", smallest(f64::from(min_size), FACE))
    }
}

/// Where dlib's detectors would put the square of a face, in pixels of the whole picture, which is `across` times as wide
/// and `down` times as high as the input.
fn square(cell: &Cell, across: f64, down: f64) -> Detection {
    let [dx, dy, w, h] = cell.offsets.map(f64::from);
    let stride = cell.stride as f64;
    let x = (cell.column as f64 + dx) * stride * across;
    let y = (cell.row as f64 + dy) * stride * down;
    let s = ((w + h) / 2.0).exp() * stride * (across * down).sqrt();
    let (x, y, half) = (x + SHIFT.0 * s, y + SHIFT.1 * s, SIDE * s / 2.0);
    let rect = Rect {
        left: (x - half).round() as i64,
        top: (y - half).round() as i64,
        right: (x + half).round() as i64,
        bottom: (y + half).round() as i64,
    };
    Detection { rect, score: f64::from(cell.score) }
}

fn one_per_face(mut candidates: Vec<Detection>) -> Vec<Detection> {
    candidates.sort_by(Detection::best_first);
    suppress_overlaps(candidates, OVERLAP, |detection| &detection.rect)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ONNX Runtime 1.32 gave with YuNet-n at stride 32 for `obama2.jpg` at half size (313 x 600, padded to
    /// 320 x 608): three cells of row 6 that see the face.
    fn recorded() -> [Cell; 3] {
        let cell = |column, score, offsets| Cell { stride: 32, column, row: 6, score, offsets };
        [
            cell(4, 0.949_739, [1.242_787_8, 0.795_276_5, 1.446_784_1, 1.820_767_4]),
            cell(5, 0.951_834, [0.331_472_72, 0.859_573_6, 1.439_386_7, 1.814_307_5]),
            cell(6, 0.956_121_27, [-0.819_107_5, 0.793_079_3, 1.425_490_4, 1.805_364_7]),
        ]
    }

    #[test]
    fn cells_that_see_one_face_become_one_square() {
        let found = |ratio| one_per_face(recorded().iter().map(|cell| square(cell, ratio, ratio)).collect());
        let half = found(1.0);
        let [Detection { rect, score }] = half.as_slice() else { panic!("one face, not {half:?}") };
        assert!((score - 0.956_121_27).abs() < 1e-6, "the best of the three");
        // By hand: centre ((6 - 0.8191) * 32, (6 + 0.7931) * 32), s = exp((1.4255 + 1.8054) / 2) * 32 = 160.94.
        assert_eq!(*rect, Rect { left: 90, top: 149, right: 241, bottom: 301 });
        // 165.467 -+ 75.843 and 224.781 -+ 75.843, doubled.
        assert_eq!(found(2.0)[0].rect, Rect { left: 179, top: 298, right: 483, bottom: 601 });
    }

    #[test]
    fn absurd_outputs_are_no_panic() {
        let offsets = [f32::NAN, f32::INFINITY, f32::MAX, f32::NEG_INFINITY];
        let cells = [1.0, f32::NAN].map(|score| Cell { stride: 8, column: 0, row: 0, score, offsets });
        assert!(!one_per_face(cells.iter().map(|cell| square(cell, 1e9, 1e-9)).collect()).is_empty());
    }
}
