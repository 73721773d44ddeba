//! Five landmarks of a face: dlib's shape predictor, an ensemble of regression trees (Kazemi and Sullivan 2014).

use attendance_models::landmarks::{Landmarks, POINTS, SPLITS, Shape};
use attendance_models::{ModelName, ModelsDir};
use image::RgbImage;

use crate::VisionError;
use crate::geometry::{Point, Rect, Similarity};

/// The model that [`load`] reads.
pub(crate) const MODEL: ModelName = ModelName::Landmarks;

/// Returns the shape predictor, read from `models`.
///
/// # Errors
/// [`VisionError`] if its model is missing or damaged.
pub(crate) fn load(models: &ModelsDir) -> Result<Landmarks, VisionError> {
    const NAME: &str = "face_landmarks.bin";
    Landmarks::from_bytes(NAME, &models.verify(MODEL)?).map_err(|e| VisionError::format(NAME, e))
}

/// Returns the landmarks of the face in this box, in pixels of `picture`: outer and inner corner of the eye at the right of the
/// picture, outer and inner corner of the eye at the left, base of the nose.
///
/// The arithmetic is in f32 where dlib's is, so that every pixel looked at is the same one.
pub(crate) fn locate(model: &Landmarks, picture: &RgbImage, face: &Rect) -> [Point; POINTS] {
    let mut shape = model.initial;
    let mut intensities = Vec::new();
    for cascade in &model.cascades {
        let turn = Similarity::fit(&points(&model.initial), &points(&shape));
        let (a, b) = (turn.a as f32, turn.b as f32);
        intensities.clear();
        intensities.extend(cascade.anchors.iter().zip(&cascade.deltas).map(|(anchor, [dx, dy])| {
            let anchor = usize::from(*anchor) * 2;
            let x = a * dx - b * dy + shape[anchor];
            let y = b * dx + a * dy + shape[anchor + 1];
            intensity(picture, in_picture(face, x, y))
        }));
        for (splits, leaves) in cascade.splits.chunks_exact(SPLITS).zip(cascade.leaves.chunks_exact(SPLITS + 1)) {
            let mut node = 0;
            while let Some(split) = splits.get(node) {
                let difference = intensities[usize::from(split.first)] - intensities[usize::from(split.second)];
                node = if difference as f32 > split.threshold { 2 * node + 1 } else { 2 * node + 2 };
            }
            for (value, step) in shape.iter_mut().zip(&leaves[node - SPLITS]) {
                *value += step;
            }
        }
    }
    points(&shape).map(|p| in_picture(face, p.x as f32, p.y as f32))
}

fn points(shape: &Shape) -> [Point; POINTS] {
    std::array::from_fn(|i| Point::new(f64::from(shape[2 * i]), f64::from(shape[2 * i + 1])))
}

/// From coordinates relative to the face's box to the nearest pixel.
fn in_picture(face: &Rect, x: f32, y: f32) -> Point {
    let map = |first: i64, last: i64, v: f32| (first as f64 + f64::from(v) * (last - first) as f64 + 0.5).floor();
    Point::new(map(face.left, face.right, x), map(face.top, face.bottom, y))
}

/// Returns the mean of the three channels, 0 outside the picture.
fn intensity(picture: &RgbImage, at: Point) -> i32 {
    let inside = at.x >= 0.0 && at.y >= 0.0 && at.x < f64::from(picture.width()) && at.y < f64::from(picture.height());
    if !inside {
        return 0;
    }
    let [r, g, b] = picture.get_pixel(at.x as u32, at.y as u32).0.map(i32::from);
    (r + g + b) / 3
}
